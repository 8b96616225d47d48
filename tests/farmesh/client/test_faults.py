"""Replies survive what happens to nodes: same text, the right events, nobody wrongly blamed."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from farmesh.client.session import InferenceSession
from farmesh.client.view import SwarmView
from farmesh.core import Span
from farmesh.errors import MissingBlocks, RemoteError, RetriesExhausted, SwarmBusy
from farmesh.events import Rerouted, RouteFound, TokenGenerated, WaitingForBlocks
from farmesh.network.inprocess import Faults
from farmesh.network.transport import PeerStream
from farmesh.node.session import SessionState
from farmesh.node.steps import StepRunner
from farmesh.wire.messages import Step, StepReply
from tests.farmesh.client.test_session import prompt_of
from tests.support.harness import (
    Reply,
    Swarm,
    banned,
    generate,
    generate_until,
    greedy,
    service,
    swarm_of,
)
from tests.support.models import Oracle
from tests.support.simulation import simulated
from tests.support.waiting import until

SPARES = "a=0:2 b=2:4 A=0:2 B=2:4"
COUNT = 24


def now() -> float:
    return asyncio.get_running_loop().time()


async def during(
    session: InferenceSession, prompt: list[int], at: int, act: Callable[[], Any]
) -> Reply:
    """A reply; ``act`` happens when token ``at`` has been generated."""
    reply = Reply()
    async for event in session.generate(prompt, greedy(COUNT)):
        reply.events.append(event)
        if isinstance(event, TokenGenerated) and event.index == at:
            result = act()
            if asyncio.iscoroutine(result):
                await result
    reply.check(prompt)
    return reply


def hop_of(session: InferenceSession, block: int) -> str:
    assert session.route is not None
    return next(hop.peer_id for hop in session.route.hops if block in hop.span)


# --- Killed -----------------------------------------------------------------------------------


@pytest.mark.parametrize("block", [0, 3])
@pytest.mark.parametrize("use_push", [True, False])
@simulated
async def test_a_killed_node_with_a_spare(
    checkpoint: Path, oracle: Oracle, block: int, use_push: bool
) -> None:
    """Prevents petals#587: a reply that is lost for good with the node that held its cache."""
    async with swarm_of(checkpoint, SPARES) as swarm:
        client = await swarm.client(use_push=use_push)
        async with client.session() as session:
            ids = prompt_of(40)
            victims: list[str] = []

            async def kill() -> None:
                victims.append(hop_of(session, block))
                await swarm.kill(victims[0])

            reply = await during(session, ids, 5, kill)
            assert reply.tokens == oracle.greedy(ids, COUNT)
            (event,) = reply.reroutes
            assert event.lost.peer_id == victims[0]
            assert event.lost.peer_id not in {hop.peer_id for hop in event.route.hops}
            assert banned(client) == set(victims)
            assert reply.finished.stats.reroutes == 1
            # The next turn goes on from there.
            ids = ids + reply.tokens + prompt_of(5, 1)
            after = await generate(session, ids, greedy(6))
            assert after.tokens == oracle.greedy(ids, 6)
            assert not after.reroutes


@simulated
async def test_only_the_missing_blocks_are_replayed(checkpoint: Path, oracle: Oracle) -> None:
    """Prevents a replay that recomputes hops behind the lost one."""
    async with swarm_of(checkpoint, "a=0:2 b=2:4 A=0:2") as swarm:
        client = await swarm.client()
        async with client.session() as session:
            ids = prompt_of(60)
            first = await generate(session, ids, greedy(1))
            before = swarm.computed()["b"]
            await swarm.kill(hop_of(session, 0))
            ids += first.tokens
            reply = await generate(session, ids, greedy(4))
            assert reply.tokens == oracle.greedy(ids, 4)
            assert swarm.computed()["b"] - before == 4


@simulated
async def test_killed_during_the_prefill(checkpoint: Path, oracle: Oracle) -> None:
    """Prevents a prompt with holes when its node dies between two chunks."""
    async with swarm_of(checkpoint, SPARES, max_batch_tokens=16) as swarm:
        client = await swarm.client(prefill_chunk=16)
        async with client.session() as session:
            ids = prompt_of(300)
            task = asyncio.create_task(generate(session, ids, greedy(6)))
            await until(lambda: session.position > 40)
            await swarm.kill(hop_of(session, 3))
            await until(lambda: session.position > 150)
            await swarm.kill(hop_of(session, 0))
            reply = await task
            assert reply.tokens == oracle.greedy(ids, 6)
            assert len(reply.reroutes) == 2


@simulated
async def test_both_hops_die_at_once(checkpoint: Path, oracle: Oracle) -> None:
    """Prevents a repair that trusts the other hops while it replays."""
    async with swarm_of(checkpoint, SPARES) as swarm:
        client = await swarm.client()
        async with client.session() as session:
            ids = prompt_of(30)

            async def kill() -> None:
                for name in (hop_of(session, 0), hop_of(session, 3)):
                    await swarm.kill(name)

            reply = await during(session, ids, 7, kill)
            assert reply.tokens == oracle.greedy(ids, COUNT)
            assert len(reply.reroutes) == 2


@pytest.mark.parametrize("layout", ["c=1:4", "c=1:3 d=3:4", "c=0:4", "c=1:2 d=2:3 e=3:4"])
@simulated
async def test_a_late_replacement_that_is_cut_differently(
    checkpoint: Path, oracle: Oracle, layout: str
) -> None:
    """Prevents a session that only takes a node with the very same span."""
    async with swarm_of(checkpoint, "a=0:2 b=2:4") as swarm:
        client = await swarm.client()
        async with client.session() as session:
            ids = prompt_of(30)
            tasks = []

            async def come() -> None:
                await asyncio.sleep(2.3)  # waits are told after a second
                await swarm.serve_all(layout)

            async def kill() -> None:
                await swarm.kill("b")
                tasks.append(asyncio.create_task(come()))

            reply = await during(session, ids, 6, kill)
            await asyncio.gather(*tasks)
            assert reply.tokens == oracle.greedy(ids, COUNT)
            waits = reply.of(WaitingForBlocks)
            assert waits
            assert all(event.missing == Span(2, 4) for event in waits)
            assert [event.seconds_left for event in waits] == sorted(
                (event.seconds_left for event in waits), reverse=True
            )
            assert len(reply.reroutes) == 1
            assert banned(client) <= {"b"}


@simulated
async def test_the_whole_swarm_gone_and_back(checkpoint: Path, oracle: Oracle) -> None:
    """Prevents bans that outlive the reason for them: the same nodes come back empty."""
    async with swarm_of(checkpoint, "a=0:2 b=2:4") as swarm:
        client = await swarm.client()
        async with client.session() as session:
            ids = prompt_of(30)
            tasks = []

            async def come() -> None:
                await asyncio.sleep(0.3)
                await swarm.serve_all("a=0:2 b=2:4")

            async def kill() -> None:
                await swarm.kill("a")
                await swarm.kill("b")
                tasks.append(asyncio.create_task(come()))

            reply = await during(session, ids, 6, kill)
            await asyncio.gather(*tasks)
            assert reply.tokens == oracle.greedy(ids, COUNT)


@simulated
async def test_a_node_that_leaves_in_order(checkpoint: Path, oracle: Oracle) -> None:
    """Prevents a goodbye from being harder on its sessions than a crash."""
    async with swarm_of(checkpoint, SPARES) as swarm:
        client = await swarm.client()
        async with client.session() as session:
            ids = prompt_of(30)
            reply = await during(session, ids, 6, lambda: swarm.leave(hop_of(session, 0)))
            assert reply.tokens == oracle.greedy(ids, COUNT)
            assert len(reply.reroutes) == 1


# --- Nothing can serve ------------------------------------------------------------------------


@simulated
async def test_blocks_that_nobody_serves_end_the_reply_in_bounded_time(checkpoint: Path) -> None:
    """Prevents a page that waits for ever, and a sentence that does not say what is missing."""
    async with swarm_of(checkpoint, "a=0:2") as swarm:
        client = await swarm.client(missing_blocks_timeout=0.4)
        async with client.session() as session:
            started = now()
            with pytest.raises(MissingBlocks, match="blocks 2:4") as caught:
                await generate(session, prompt_of(5), greedy(3))
            assert now() - started < 2.0
            assert caught.value.missing == Span(2, 4)


@simulated
async def test_a_node_lost_for_good_ends_the_reply_and_not_the_session(
    checkpoint: Path, oracle: Oracle
) -> None:
    """Prevents a session that cannot be used again after its reply failed."""
    async with swarm_of(checkpoint, "a=0:2 b=2:4") as swarm:
        client = await swarm.client(missing_blocks_timeout=0.5)
        async with client.session() as session:
            ids = prompt_of(20)
            started = now()
            with pytest.raises(MissingBlocks):
                await during(session, ids, 4, lambda: swarm.kill("b"))
            assert now() - started < 4.0
            done = len(session.token_ids)
            assert session.token_ids[20:] == oracle.greedy(ids, done - 20)
            await swarm.serve("c", "1:4")
            ids = session.token_ids
            reply = await generate(session, ids, greedy(5))
            assert reply.tokens == oracle.greedy(ids, 5)


@simulated
async def test_retries_are_bounded(checkpoint: Path) -> None:
    """Prevents upstream's endless retries against a node that fails every step."""
    async with swarm_of(checkpoint, "a=0:2 b=2:4") as swarm:
        client = await swarm.client(max_reroutes=3)
        wrap_outputs(swarm, "b", lambda output: output * float("nan"))
        async with client.session() as session:
            started = now()
            with pytest.raises(RetriesExhausted) as caught:
                await generate(session, prompt_of(5), greedy(3))
            assert now() - started < 8.0
            assert "…b" in str(caught.value)
            assert banned(client) == {"b"}


@simulated
async def test_full_nodes_end_a_newcomers_reply_with_a_clear_refusal(
    checkpoint: Path, oracle: Oracle
) -> None:
    """Prevents "nodes were lost" as the answer to a swarm that is merely full."""
    async with swarm_of(checkpoint, "a=0:2 b=2:4", cache_tokens=128, alloc_timeout=0.1) as swarm:
        client = await swarm.client(max_session_tokens=128, missing_blocks_timeout=0.6)
        async with client.session() as holder, client.session() as newcomer:
            ids = prompt_of(90)
            holding = asyncio.create_task(generate(holder, ids, greedy(30)))
            swarm.faults.slow = {"b": 0.1}
            await until(lambda: holder.position > 95)
            started = now()
            with pytest.raises(SwarmBusy):
                await generate(newcomer, prompt_of(90, 1), greedy(3))
            assert now() - started < 2.5
            swarm.faults.slow = {}
            assert (await holding).tokens == oracle.greedy(ids, 30)
            assert not banned(client)


# --- Hanging and slow -------------------------------------------------------------------------


@pytest.mark.parametrize("block", [0, 3])
@pytest.mark.parametrize("use_push", [True, False])
@simulated
async def test_a_hanging_node_is_left_and_its_neighbour_is_not_blamed(
    checkpoint: Path, oracle: Oracle, block: int, use_push: bool
) -> None:
    """Prevents demoting the hop that waits for a push to the one that really hangs (SIGSTOP)."""
    async with swarm_of(checkpoint, SPARES, push_timeout=5.0) as swarm:
        client = await swarm.client(use_push=use_push)
        async with client.session() as session:
            ids = prompt_of(40)
            victims: list[str] = []

            def stop() -> None:
                victims.append(hop_of(session, block))
                swarm.net.stop(victims[0])

            reply = await during(session, ids, 5, stop)
            assert reply.tokens == oracle.greedy(ids, COUNT)
            assert [event.lost.peer_id for event in reply.reroutes] == victims
            assert banned(client) == set(victims)
        swarm.net.resume(victims[0])


@simulated
async def test_a_hang_that_ends_costs_nothing(checkpoint: Path, oracle: Oracle) -> None:
    """Prevents a reroute for a pause that is shorter than anybody's patience."""
    async with swarm_of(checkpoint, SPARES) as swarm:
        client = await swarm.client(silence_timeout=2.0, step_timeout_floor=2.0)
        async with client.session() as session:
            ids = prompt_of(10)
            tasks = []

            async def go_on(name: str) -> None:
                await asyncio.sleep(0.3)
                swarm.net.resume(name)

            def stop() -> None:
                name = hop_of(session, 3)
                swarm.net.stop(name)
                tasks.append(asyncio.create_task(go_on(name)))

            reply = await during(session, ids, 5, stop)
            assert reply.tokens == oracle.greedy(ids, COUNT)
            assert not reply.reroutes
            assert not banned(client)


@simulated
async def test_a_slow_node_is_left_when_somebody_else_can_do_it(
    checkpoint: Path, oracle: Oracle
) -> None:
    """Prevents a reply that crawls at the pace of a node which became 20 times slower."""
    async with swarm_of(checkpoint, SPARES) as swarm:
        client = await swarm.client()
        async with client.session() as session:
            ids = prompt_of(20)
            victims: list[str] = []

            def slow() -> None:
                victims.append(hop_of(session, 3))
                swarm.faults.slow = {victims[0]: 3.0}

            started = now()
            reply = await during(session, ids, 5, slow)
            assert now() - started < 6.0
            assert reply.tokens == oracle.greedy(ids, COUNT)
            assert [event.lost.peer_id for event in reply.reroutes] == victims
            assert banned(client) == set(victims)


@simulated
async def test_a_slow_node_without_an_alternative_is_kept(checkpoint: Path, oracle: Oracle) -> None:
    """Prevents giving up the only node that serves some blocks because it is slow."""
    async with swarm_of(checkpoint, "a=0:2 b=2:4") as swarm:
        client = await swarm.client()
        async with client.session() as session:
            ids = prompt_of(20)

            def slow() -> None:
                swarm.faults.slow = {"b": 0.8}

            def fast() -> None:
                swarm.faults.slow = {}

            reply = Reply()
            async for event in session.generate(ids, greedy(8)):
                reply.events.append(event)
                if isinstance(event, TokenGenerated):
                    slow() if event.index == 2 else fast() if event.index == 4 else None
            assert reply.tokens == oracle.greedy(ids, 8)
            assert not reply.reroutes
            assert not banned(client)


@simulated
async def test_stop_while_a_node_hangs_is_prompt(checkpoint: Path, oracle: Oracle) -> None:
    """Prevents a Stop button that waits for a node that does not answer."""
    async with swarm_of(checkpoint, "a=0:2 b=2:4") as swarm:
        client = await swarm.client()
        async with client.session() as session:
            ids = prompt_of(20)
            task = asyncio.create_task(generate(session, ids, greedy(200)))
            await until(lambda: session.position > 30)
            swarm.net.stop("a")
            await asyncio.sleep(0.05)
            started = now()
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            assert now() - started < 1.0
            swarm.net.resume("a")
            other = prompt_of(20, 1)
            assert (await generate(session, other, greedy(5))).tokens == oracle.greedy(other, 5)


# --- Dropped streams --------------------------------------------------------------------------


@pytest.mark.parametrize("block", [0, 3])
@pytest.mark.parametrize("use_push", [True, False])
@simulated
async def test_a_dropped_stream_is_attached_again_without_a_new_prefill(
    checkpoint: Path, oracle: Oracle, block: int, use_push: bool
) -> None:
    """Prevents a full replay, or a ban, because a connection was reset while its node lives."""
    async with swarm_of(checkpoint, SPARES) as swarm:
        client = await swarm.client(use_push=use_push)
        async with client.session() as session:
            ids = prompt_of(60)
            reply = await during(
                session, ids, 5, lambda: swarm.net.break_streams(hop_of(session, block))
            )
            assert reply.tokens == oracle.greedy(ids, COUNT)
            assert not reply.reroutes
            assert not banned(client)
            total = sum(swarm.computed().values())
            assert total <= 2 * (60 + COUNT - 1) + 4  # at most a step or two twice


@pytest.mark.parametrize("kind", ["break_stream", "break_reply"])
@pytest.mark.parametrize("use_push", [True, False])
@simulated
async def test_sends_and_replies_that_fail_now_and_then(
    checkpoint: Path, oracle: Oracle, kind: str, use_push: bool
) -> None:
    """Prevents replies that slow down or end when one message in twenty is lost."""
    async with swarm_of(checkpoint, "a=0:1 b=1:3 c=3:4", seed=3) as swarm:
        client = await swarm.client(use_push=use_push, prefill_chunk=16)
        async with client.session() as session:
            setattr(swarm.faults, kind, 0.05)
            ids = prompt_of(80)
            for turn in range(3):
                reply = await generate(session, ids, greedy(COUNT))
                assert reply.tokens == oracle.greedy(ids, COUNT)
                assert not reply.reroutes
                ids = ids + reply.tokens + prompt_of(3, turn)
            assert not banned(client)
            prefill, decodes = len(ids), 3 * COUNT
            assert max(swarm.computed().values()) < 2 * (prefill + decodes)


@simulated
async def test_messages_that_overtake_are_lost_or_come_twice(
    checkpoint: Path, oracle: Oracle
) -> None:
    """Prevents steps that run twice, out of order, or at the wrong position."""
    faults = Faults(jitter=0.05, drop_push=0.1, duplicate_push=0.3)
    async with swarm_of(checkpoint, "a=0:1 b=1:3 c=3:4", seed=4, faults=faults) as swarm:
        client = await swarm.client(prefill_chunk=8)
        async with client.session() as session:
            ids = prompt_of(80)
            for turn in range(5):
                reply = await generate(session, ids, greedy(10))
                assert reply.tokens == oracle.greedy(ids, 10)
                assert not reply.reroutes
                # The hops still hold the old text where the new one's chunks overtake.
                ids = ids[: 50 * (turn % 2)] + prompt_of(30, turn)
            assert not banned(client)


@simulated
async def test_everything_at_once(checkpoint: Path, oracle: Oracle) -> None:
    """Prevents repairs that only work one at a time."""
    faults = Faults(
        jitter=0.004, drop_push=0.05, duplicate_push=0.1, break_stream=0.02, break_reply=0.02
    )
    async with swarm_of(
        checkpoint, "a=0:2 b=1:3 c=2:4 d=0:1 e=3:4 f=1:2", seed=9, faults=faults
    ) as swarm:
        client = await swarm.client(prefill_chunk=16)
        sessions = [client.session() for _ in range(4)]
        prompts = [prompt_of(30 + index, index) for index in range(4)]
        replies = await asyncio.gather(
            *(
                generate(session, ids, greedy(20))
                for session, ids in zip(sessions, prompts, strict=True)
            )
        )
        for ids, reply in zip(prompts, replies, strict=True):
            assert reply.tokens == oracle.greedy(ids, 20)
        assert not banned(client)
        swarm.net.faults = Faults()
        await asyncio.gather(*(session.close() for session in sessions))


@simulated
async def test_a_session_that_was_evicted_while_its_stream_was_down(
    checkpoint: Path, oracle: Oracle
) -> None:
    """Prevents a ban of the healthy node that gave an abandoned cache to somebody else."""
    async with swarm_of(checkpoint, "a=0:2 b=2:4 A=0:2 B=2:4") as swarm:
        client = await swarm.client()
        async with client.session() as session:
            ids = prompt_of(30)
            reply = await generate(session, ids, greedy(4))
            name = hop_of(session, 3)
            swarm.net.break_streams(name)
            await asyncio.sleep(0.02)
            node = service(swarm.nodes[name])
            (kept,) = node.sessions
            assert kept.state is SessionState.DETACHED
            node.scheduler.evict(kept)
            ids = ids + reply.tokens
            reply = await generate(session, ids, greedy(4))
            assert reply.tokens == oracle.greedy(ids, 4)
            assert not reply.reroutes
            assert not banned(client)


@simulated
async def test_abandoned_caches_are_freed_after_the_grace_period(checkpoint: Path) -> None:
    """Prevents clients that vanish from filling a node for ever."""
    async with swarm_of(checkpoint, "a=0:2 b=2:4", session_grace=0.2) as swarm:
        client = await swarm.client()
        session = client.session()
        await generate(session, prompt_of(30), greedy(4))
        assert any(swarm.pages_used().values())
        swarm.net.break_streams("a")
        swarm.net.break_streams("b")
        await until(lambda: not any(swarm.pages_used().values()), seconds=4.0)
        await session.close()


# --- Wrong answers ----------------------------------------------------------------------------


def wrap_outputs(swarm: Swarm, name: str, change: Callable[[torch.Tensor], torch.Tensor]) -> None:
    """The node computes something else from now on, for itself and for whom it pushes to."""
    scheduler = service(swarm.nodes[name]).scheduler
    run = scheduler.run

    async def wrapped(*arguments: Any, **options: Any) -> torch.Tensor:
        return change(await run(*arguments, **options))

    scheduler.run = wrapped


def poison(output: torch.Tensor) -> torch.Tensor:
    output = output.clone()
    output[0, -1, 0] = float("nan")
    return output


WRONG = {
    "nan": poison,
    "inf": lambda output: output * float("inf"),
    "more tokens": lambda output: torch.cat([output, output[:, :1]], dim=1),
    "fewer tokens": lambda output: output[:, 1:],
    "wider": lambda output: torch.cat([output, output], dim=2),
    "more rows": lambda output: torch.cat([output, output], dim=0),
}


@pytest.mark.parametrize("block", [0, 1, 3])
@pytest.mark.parametrize("use_push", [True, False])
@pytest.mark.parametrize("fault", WRONG)
@simulated
async def test_a_node_that_answers_nonsense_is_found_and_left(
    checkpoint: Path, oracle: Oracle, block: int, use_push: bool, fault: str
) -> None:
    """Prevents blaming the hop that merely passed on what another one made wrong."""
    layout = "a=0:1 b=1:3 c=3:4 A=0:1 B=1:3 C=3:4"
    async with swarm_of(checkpoint, layout) as swarm:
        client = await swarm.client(use_push=use_push)
        async with client.session() as session:
            ids = prompt_of(20)
            victims: list[str] = []

            def corrupt() -> None:
                victims.append(hop_of(session, block))
                wrap_outputs(swarm, victims[0], WRONG[fault])

            reply = await during(session, ids, 3, corrupt)
            assert reply.tokens == oracle.greedy(ids, COUNT)
            assert [event.lost.peer_id for event in reply.reroutes] == victims
            assert banned(client) == set(victims)


@simulated
async def test_a_node_whose_forward_fails(checkpoint: Path, oracle: Oracle) -> None:
    """Prevents an internal error of a node from ending the reply or the node."""
    async with swarm_of(checkpoint, SPARES) as swarm:
        client = await swarm.client()
        async with client.session() as session:
            ids = prompt_of(20)

            def fail() -> None:
                scheduler = service(swarm.nodes[hop_of(session, 3)]).scheduler
                scheduler._run = None  # not callable: the worker raises

            reply = await during(session, ids, 3, fail)
            assert reply.tokens == oracle.greedy(ids, COUNT)
            assert len(reply.reroutes) == 1


@simulated
async def test_a_record_that_lies_about_its_blocks(checkpoint: Path, oracle: Oracle) -> None:
    """Prevents a node that claims blocks it does not serve from ending replies."""
    async with swarm_of(checkpoint, "a=0:2 b=2:4 liar=0:1") as swarm:
        swarm.set_record("liar", span=Span(0, 4), inference_rps=1e9)
        client = await swarm.client(refresh_period=60.0)
        async with client.session() as session:
            ids = prompt_of(10)
            reply = await generate(session, ids, greedy(5))
            assert reply.tokens == oracle.greedy(ids, 5)
            assert banned(client) == {"liar"}


# --- The transport's own promises -------------------------------------------------------------


class Silent:
    """A node that takes streams and never answers, but says that it lives."""

    max_elements = 10**9

    async def inference(self, stream: PeerStream) -> None:
        await asyncio.sleep(1000)

    async def push(self, peer_id: str, step: Step) -> None:
        raise RemoteError("invalid", "no")

    async def info(self, peer_id: str, uid: str) -> dict[str, Any]:
        return {}


@simulated
async def test_a_node_that_accepts_and_never_answers(checkpoint: Path, oracle: Oracle) -> None:
    """Prevents opening a session from taking for ever."""
    async with swarm_of(checkpoint, "a=0:2 b=2:4 dumb=0:1") as swarm:
        swarm.net.serve("dumb", Silent())
        swarm.set_record("dumb", span=Span(0, 4), inference_rps=1e9)
        client = await swarm.client(refresh_period=60.0)
        async with client.session() as session:
            ids = prompt_of(10)
            started = now()
            reply = await generate(session, ids, greedy(5))
            assert now() - started < 3.0
            assert reply.tokens == oracle.greedy(ids, 5)
            assert banned(client) == {"dumb"}


@simulated
async def test_without_extensions_the_client_relays_and_never_mixes_up_replies(
    checkpoint: Path, oracle: Oracle, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Prevents a late reply to a stopped step from being taken for the next step's."""
    original = StepRunner._reply

    def anonymous(self: StepRunner, *arguments: Any) -> StepReply:
        return StepReply(original(self, *arguments).hidden_states)  # as upstream answers

    monkeypatch.setattr(StepRunner, "_reply", anonymous)
    rng = random.Random(2)
    async with swarm_of(checkpoint, "a=0:2 b=2:4") as swarm:
        for name in ("a", "b"):
            swarm.nodes[name]._announcer.change(extensions=frozenset())
            swarm.set_record(name, extensions=frozenset())
        client = await swarm.client()
        async with client.session() as session:
            for turn in range(8):
                ids = prompt_of(12, turn % 3)
                swarm.faults.delay = 0.002
                task = asyncio.create_task(generate(session, ids, greedy(20)))
                await asyncio.sleep(rng.random() * 0.1)
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
                reply = await generate(session, ids, greedy(5))
                assert reply.tokens == oracle.greedy(ids, 5)


@simulated
@pytest.mark.parametrize("ignores", [True, False], ids=["like Petals 2.2", "like Petals 2.3"])
async def test_a_node_that_cannot_rewind_is_found_out(
    checkpoint: Path, oracle: Oracle, monkeypatch: pytest.MonkeyPatch, ignores: bool
) -> None:
    """Prevents wrong text, without any error, from nodes that ignore start_from_position."""
    reply, compute = StepRunner._reply, StepRunner._compute

    def anonymous(self: StepRunner, *arguments: Any) -> StepReply:
        return StepReply(reply(self, *arguments).hidden_states)

    async def deaf(self: StepRunner, session: Any, step: Any) -> Any:
        metadata = replace(step.metadata, start_from_position=None)
        return await compute(self, session, replace(step, metadata=metadata))

    monkeypatch.setattr(StepRunner, "_reply", anonymous)
    if ignores:
        monkeypatch.setattr(StepRunner, "_compute", deaf)
    async with swarm_of(checkpoint, "a=0:2 b=2:4") as swarm:
        for name in ("a", "b"):
            swarm.nodes[name]._announcer.change(extensions=frozenset())
            swarm.set_record(name, extensions=frozenset())
        client = await swarm.client()
        async with client.session() as session:
            first = await generate(session, prompt_of(12), greedy(6))
            follow = [*prompt_of(12), *first.tokens, 5, 6, 7]
            again = await generate(session, follow, greedy(6))  # nothing to take back yet
            assert again.finished.stats.reused_tokens == len(follow) - 4
            edited = [*prompt_of(12)[:9], 8, 9]
            changed = await generate(session, edited, greedy(6))
            assert changed.tokens == oracle.greedy(edited, 6)
            assert changed.finished.stats.reused_tokens == (0 if ignores else 9)
            await generate_until(session, follow, greedy(50), TokenGenerated)  # stopped
            after = await generate(session, edited, greedy(6))
            assert after.tokens == oracle.greedy(edited, 6)
        assert set(client._dialler._rewinds.values()) == {not ignores}


@simulated
async def test_events_of_a_new_route_come_once(checkpoint: Path) -> None:
    """Prevents a page that announces a new route at every turn."""
    async with swarm_of(checkpoint, SPARES) as swarm:
        client = await swarm.client()
        async with client.session() as session:
            ids = prompt_of(10)
            first = await generate(session, ids, greedy(2))
            second = await generate(session, ids, greedy(2))
            assert [type(event) for event in first.events].count(RouteFound) == 1
            assert not second.of(RouteFound)
            assert not second.of(Rerouted)


def test_the_client_forgets_nothing_between_tests() -> None:
    """Prevents bans in a class attribute, shared by all clients of a process."""
    assert "bans" not in vars(SwarmView)
