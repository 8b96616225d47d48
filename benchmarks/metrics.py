"""The measurements, one function per group of rows; METHODOLOGY.md has the formulas."""

from __future__ import annotations

import asyncio
import contextlib
import math
import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from statistics import mean, median

from benchmarks.local import Local
from benchmarks.machine import OthersLoad, own_cpu, wait_until_quiet
from benchmarks.processes import process_tree, proportional_set_size
from benchmarks.shapes import Shape
from benchmarks.stats import Result, gaps, percentile
from benchmarks.swarm import ChatRun, chat, in_process, joined, new_chats, processes
from farmesh import FarMeshClient, FarNode, Span
from farmesh.network.inprocess import Faults

PROMPT = 64  # tokens
_QUIET_SECONDS = 60.0
_DELAY = 0.02  # seconds, one way, of the delayed network


@dataclass(frozen=True, slots=True)
class Plan:
    """What one invocation of the benchmark measures with."""

    shape: Shape
    rounds: int
    threads: int
    quick: bool

    @property
    def halves(self) -> tuple[Span, Span]:
        return Span(0, self.shape.middle), Span(self.shape.middle, self.shape.blocks)

    def result(self, metric: str) -> Result:
        return Result(metric, self.shape.name, threads=self.threads)

    def prompt(self, seed: int, tokens: int = PROMPT) -> list[int]:
        return random.Random(seed).choices(range(3, self.shape.vocabulary), k=tokens)

    def repeat(self, *results: Result) -> Iterator[int]:
        """Round numbers; notes in ``results`` which rounds were noisy."""
        if not self.quick:
            wait_until_quiet(_QUIET_SECONDS)
        for index in range(self.rounds):
            with OthersLoad() as load:
                yield index
            for result in results:
                result.noisy += load.noisy


class Bench:
    """A plan, with the local worker and the swarm of two nodes started when first needed."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self._scope = contextlib.AsyncExitStack()
        self._client: FarMeshClient | None = None
        self._local: Local | None = None

    async def client(self) -> FarMeshClient:
        """The client of two nodes that are processes of their own, over libp2p."""
        if self._client is None:
            checkpoint, plan = self.plan.shape.checkpoint(), self.plan
            swarm = await self._scope.enter_async_context(
                processes(checkpoint, plan.halves, threads=plan.threads)
            )
            self._client = await self._scope.enter_async_context(
                joined(checkpoint, swarm.bootstrap.address, 2)
            )
        return self._client

    def local(self) -> Local:
        if self._local is None:
            self._local = self._scope.enter_context(Local(self.plan.shape.checkpoint()))
        return self._local

    async def close(self) -> None:
        self._client = self._local = None
        await self._scope.aclose()


# --- Speed ------------------------------------------------------------------------------------


async def one_chat(bench: Bench) -> list[Result]:
    plan = bench.plan
    ratio, hop = plan.result("one-chat"), plan.result("hop-libp2p")
    await _against_local(bench, await bench.client(), ratio, hop)
    return [ratio, hop]


async def hop_in_process(bench: Bench) -> list[Result]:
    plan = bench.plan
    ratio, hop = plan.result("one-chat-in-process"), plan.result("hop-in-process")
    checkpoint = plan.shape.checkpoint()
    async with in_process(checkpoint, plan.halves, threads=plan.threads) as (_, client, _):
        await _against_local(bench, client, ratio, hop)
    hop.detail += f"; {ratio.median:.2f} of local's speed"
    return [hop]


async def _against_local(bench: Bench, client: FarMeshClient, ratio: Result, hop: Result) -> None:
    """One chat on the swarm and locally, in turn."""
    steps: list[tuple[float, float]] = []
    work: list[tuple[float, float]] = []
    plan, local = bench.plan, bench.local()
    prompt, tokens = plan.prompt(0), plan.shape.new_tokens
    local.generate([prompt], 8)
    await new_chats(client, [prompt], 8)
    for _ in plan.repeat(ratio, hop):
        before = own_cpu()
        ours = local.generate([prompt], tokens)
        between = own_cpu()
        (theirs,) = await new_chats(client, [prompt], tokens)
        work.append(((own_cpu() - between) / tokens, (between - before) / tokens))
        ratio.values.append(theirs.tokens_per_second / ours.tokens_per_second)
        step, base = median(gaps(theirs.times)), median(gaps(ours.times))
        steps.append((step, base))
        hop.values.append((step - base) / 2 * 1000)
        if theirs.tokens != ours.tokens[0]:
            ratio.failure = "tokens differ from local's"
    step, base = (median(column) * 1000 for column in zip(*steps, strict=True))
    ratio.detail = hop.detail = f"{step:.2f} ms a token, local {base:.2f}"
    ratio.detail += _cpu(work)


def _cpu(work: list[tuple[float, float]]) -> str:
    """CPU time per token, all processes together: what noise of other processes hardly moves."""
    theirs, ours = (median(column) * 1000 for column in zip(*work, strict=True))
    return f"; CPU {theirs:.1f} ms a token, local {ours:.1f} ({ours / theirs:.2f})"


async def many_chats(bench: Bench) -> list[Result]:
    plan = bench.plan
    ratio = plan.result("many-chats")
    speeds: list[tuple[float, float]] = []
    work: list[tuple[float, float]] = []
    tokens = plan.shape.new_tokens // 2
    prompts = [plan.prompt(seed) for seed in range(16)]
    client = await bench.client()
    local = bench.local()
    local.generate(prompts, 4)
    await new_chats(client, prompts, 4)
    for _ in plan.repeat(ratio):
        before = own_cpu()
        ours = local.generate(prompts, tokens).total_per_second
        between = own_cpu()
        runs = await new_chats(client, prompts, tokens)
        count = len(prompts) * tokens
        work.append(((own_cpu() - between) / count, (between - before) / count))
        started = min(run.started for run in runs)
        ended = max(run.times[-1] for run in runs)
        theirs = sum(len(run.times) for run in runs) / (ended - started)
        ratio.values.append(theirs / ours)
        speeds.append((theirs, ours))
    theirs, ours = (median(column) for column in zip(*speeds, strict=True))
    ratio.detail = f"{theirs:.0f} tokens/s, local {ours:.0f}{_cpu(work)}"
    return [ratio]


async def eight_chats(bench: Bench) -> list[Result]:
    plan = bench.plan
    total, tail = plan.result("eight-to-one"), plan.result("p99-of-eight")
    figures: list[tuple[float, float, float, float]] = []
    prompts = [plan.prompt(seed) for seed in range(8)]
    client = await bench.client()
    await new_chats(client, prompts, 4)
    for _ in plan.repeat(total, tail):
        one, one_p99 = _steady(await new_chats(client, prompts[:1], 64))
        eight, eight_p99 = _steady(await new_chats(client, prompts, 64))
        total.values.append(eight / one)
        tail.values.append(eight_p99 / one_p99)
        figures.append((one, eight, one_p99 * 1000, eight_p99 * 1000))
    one, eight, one_p99, eight_p99 = (median(column) for column in zip(*figures, strict=True))
    total.detail = f"{eight:.0f} and {one:.0f} tokens/s"
    tail.detail = f"{eight_p99:.1f} and {one_p99:.1f} ms"
    return [total, tail]


def _steady(runs: Iterable[ChatRun]) -> tuple[float, float]:
    """Total tokens/s and p99 gap while all chats have their first token and none has ended."""
    runs = list(runs)
    start, end = max(run.times[0] for run in runs), min(run.times[-1] for run in runs)
    inside = [[time for time in run.times if start <= time <= end] for run in runs]
    count = sum(max(0, len(times) - 1) for times in inside)
    waits = [gap for times in inside for gap in gaps(times)]
    return count / (end - start), percentile(waits, 99)


async def round_trips(bench: Bench) -> list[Result]:
    plan = bench.plan
    result = plan.result("round-trips")
    blocks = plan.shape.blocks
    cuts = [0, blocks // 3, 2 * blocks // 3, blocks]
    spans = [Span(start, end) for start, end in pairwise(cuts)]
    prompt = plan.prompt(0)
    checkpoint = plan.shape.checkpoint()
    # Two swarms: clients and nodes measure how far they are from one another when they join.
    # Both push, or the difference would be of two ways to do it as well.
    async with (
        in_process(checkpoint, spans, push_gain=-math.inf, threads=plan.threads) as (_, near, _),
        in_process(
            checkpoint,
            spans,
            push_gain=-math.inf,
            faults=Faults(delay=_DELAY),
            threads=plan.threads,
        ) as (swarm, far, _),
        near.session() as near_session,
        far.session() as far_session,
    ):
        await asyncio.sleep(1.0)  # for their pings
        for session in (near_session, far_session):
            await chat(session, prompt, 4)
        for _ in plan.repeat(result):
            close = median(gaps((await chat(near_session, prompt, 32)).times))
            distant = median(gaps((await chat(far_session, prompt, 32)).times))
            oneway = await _one_way(swarm.travel)
            result.values.append((distant - close) / (2 * oneway))
    result.detail = f"one-way delay {oneway * 1000:.1f} ms, {distant * 1000:.0f} ms a token"
    return [result]


async def _one_way(travel: Callable[[str], object]) -> float:
    """What a message's delay really is: timers oversleep."""
    taken = []
    for _ in range(10):
        started = time.perf_counter()
        await travel("client")  # type: ignore[misc]
        taken.append(time.perf_counter() - started)
    return median(taken)


# --- Time to first token ----------------------------------------------------------------------


async def ttft_turns(bench: Bench) -> list[Result]:
    plan = bench.plan
    result = plan.result("ttft-turn-20")
    figures: list[tuple[float, float]] = []
    client = await bench.client()
    for index in plan.repeat(result):
        waits = await _conversation(plan, client, seed=index)
        early, late = mean(waits[1:3]), mean(waits[18:20])
        result.values.append(late / early)
        figures.append((late * 1000, early * 1000))
    late, early = (median(column) for column in zip(*figures, strict=True))
    result.detail = f"{late:.0f} and {early:.0f} ms"
    return [result]


async def _conversation(plan: Plan, client: FarMeshClient, seed: int) -> list[float]:
    """Seconds to the first token of each of 20 turns."""
    token_ids: list[int] = []
    waits = []
    async with client.session() as session:
        for turn in range(20):
            token_ids = [*token_ids, *plan.prompt(1000 * seed + turn, 32)]
            run = await chat(session, token_ids, 32)
            token_ids += run.tokens
            waits.append(run.ttft)
    return waits


async def ttft_512(bench: Bench) -> list[Result]:
    plan = bench.plan
    result = plan.result("ttft-512")
    figures: list[tuple[float, float]] = []
    client = await bench.client()
    local = bench.local()
    prompt = plan.prompt(0, 512)
    local.generate([prompt], 2)
    await new_chats(client, [prompt], 2)
    for index in plan.repeat(result):
        prompt = plan.prompt(index, 512)
        ours = local.generate([prompt], 2).ttft
        (run,) = await new_chats(client, [prompt], 2)
        result.values.append(run.ttft / ours)
        figures.append((run.ttft * 1000, ours * 1000))
    theirs, ours = (median(column) for column in zip(*figures, strict=True))
    result.detail = f"{theirs:.0f} ms, local {ours:.0f}"
    return [result]


async def worst_gap(bench: Bench) -> list[Result]:
    plan = bench.plan
    result = plan.result("worst-gap")
    figures: list[tuple[float, float, float]] = []
    client = await bench.client()
    await new_chats(client, [plan.prompt(0, 256)], 8)
    for index in plan.repeat(result):
        async with client.session() as streaming, client.session() as newcomer:
            run = ChatRun(time.perf_counter())
            task = asyncio.create_task(chat(streaming, plan.prompt(index), 1500, run))
            await run.reaches(24)
            began = len(run.times)
            other = await chat(newcomer, plan.prompt(index + 1, 2000), 1)
            ended = len(run.times) + 2
            await run.reaches(ended)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        step = median(gaps(run.times[4:began]))
        worst = max(gaps(run.times[began - 1 : ended]))
        result.values.append(worst / step)
        figures.append((worst * 1000, step * 1000, other.ttft * 1000))
    worst, step, ttft = (median(column) for column in zip(*figures, strict=True))
    result.detail = f"{worst:.0f} ms, step {step:.1f} ms; the prefill took {ttft:.0f} ms"
    return [result]


# --- Faults -----------------------------------------------------------------------------------


async def sigkill_pause(bench: Bench) -> list[Result]:
    plan = bench.plan
    result = plan.result("sigkill-pause")
    checkpoint, (first, second) = plan.shape.checkpoint(), plan.halves
    prompt = plan.prompt(0, 480)
    steps = []
    for _ in plan.repeat(result):
        async with (
            processes(checkpoint, (first, second, second), threads=plan.threads) as swarm,
            joined(checkpoint, swarm.bootstrap.address, 3) as client,
        ):
            (undisturbed,) = await new_chats(client, [prompt], 60)
            async with client.session() as session:
                run = ChatRun(time.perf_counter())
                task = asyncio.create_task(chat(session, prompt, 60, run))
                await run.reaches(20)
                if session.route is None:
                    raise RuntimeError("a session that replies has no route")
                swarm.node(session.route.hops[1].peer_id).kill()
                await task
            steps.append(median(gaps(run.times[:20])))
            result.values.append(max(gaps(run.times[18:])) - steps[-1])
            if run.tokens != undisturbed.tokens:
                result.failure = "tokens differ from the undisturbed reply"
    result.detail = f"step {median(steps) * 1000:.1f} ms"
    return [result]


async def failing_sends(bench: Bench) -> list[Result]:
    plan = bench.plan
    rare, often = plan.result("failing-sends-1e-3"), plan.result("failing-sends-1e-2")
    prompt, tokens = plan.prompt(0), 256 if plan.quick else 1024
    checkpoint = plan.shape.checkpoint()
    async with in_process(checkpoint, plan.halves, threads=plan.threads) as (swarm, client, _):

        async def speed(chance: float) -> tuple[float, list[int]]:
            swarm.faults = Faults(break_stream=chance, break_reply=chance, drop_push=chance)
            try:
                (run,) = await new_chats(client, [prompt], tokens)
            finally:
                swarm.faults = Faults()
            return (len(run.times) - 1) / (run.times[-1] - run.times[0]), run.tokens

        await speed(0.0)
        for _ in plan.repeat(rare, often):
            base, expected = await speed(0.0)
            for result, chance in ((rare, 1e-3), (often, 1e-2)):
                got, generated = await speed(chance)
                result.values.append(got / base)
                if generated != expected:
                    result.failure = "tokens differ from the undisturbed reply"
    return [rare, often]


# --- Memory -----------------------------------------------------------------------------------


async def chats_per_gib(bench: Bench) -> list[Result]:
    plan = bench.plan
    result = plan.result("chats-per-gib")
    reserved, cache = 2048, 16384
    checkpoint = plan.shape.checkpoint()
    for index in plan.repeat(result):
        async with in_process(
            checkpoint, plan.halves, threads=plan.threads, cache_tokens=cache
        ) as (_, client, nodes):
            live = await _fill(plan, client, nodes, reserved, seed=index)
        result.values.append(live / (cache // reserved))
    result.detail = f"{live} chats in {cache} tokens of cache"
    return [result]


async def _fill(
    plan: Plan, client: FarMeshClient, nodes: list[FarNode], reserved: int, seed: int
) -> int:
    """Open chats of 200 to 1,000 tokens until one that lives would have to go."""
    lengths = random.Random(seed)
    sessions = []
    async with contextlib.AsyncExitStack() as scope:
        while True:
            session = client.session(reserved)
            scope.push_async_callback(session.close)
            await chat(session, plan.prompt(len(sessions), lengths.randint(200, 1000) - 2), 2)
            sessions.append(session)
            held = [
                sum(1 for held in node.service.sessions if held.position)
                for node in nodes
                if node.service is not None
            ]
            if min(held) < len(sessions):
                return len(sessions) - 1


async def memory(bench: Bench) -> list[Result]:
    plan = bench.plan
    result = plan.result("memory")
    checkpoint = plan.shape.checkpoint()
    async with processes(
        checkpoint, plan.halves, threads=plan.threads, cache_tokens=16384
    ) as swarm:
        standin = subprocess.Popen(  # noqa: ASYNC220 - nothing else runs here
            [sys.executable, "-m", "benchmarks.standin", str(checkpoint), swarm.bootstrap.address],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            if standin.stdout is None or not await asyncio.to_thread(standin.stdout.readline):
                raise RuntimeError("the process in place of the app ended")
            swarm_pss = proportional_set_size(swarm.pids)
            app_pss = proportional_set_size(process_tree(standin.pid))
        finally:
            if standin.stdin is not None:
                standin.stdin.close()
            await asyncio.to_thread(standin.wait)
    result.values.append(swarm_pss + app_pss)
    result.detail = f"bootstrap and two nodes {swarm_pss:.0f} MiB, app {app_pss:.0f} MiB"
    return [result]
