"""The whole app under random people, random programs and random node failures, for minutes.

usage: python -m benchmarks.soak [--minutes 30] [--people 3] [--programs 3] [--seed 1] [--plot FILE]

Every reply is greedy and compared with plain transformers in this process. Checked: no wrong token,
no lost conversation, memory, cache and descriptors flat, nothing left on the nodes at the end. When
a killed node is not back in time, people and programs are told so and try again; how often stands
in the result, and more than one turn in twenty is a fault.
Loopback only; ends after its time whatever happens, with exit code 1 when a check fails.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import itertools
import json
import os
import random
import re
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from html import unescape
from pathlib import Path
from typing import Any

import httpx

from benchmarks.processes import nodes_of
from chat.access.callers import PERSON_COOKIE
from chat.conversation.prompt import PromptBuilder
from chat.conversation.tree import Message
from chat.ids import new_id

ROOT = Path(__file__).resolve().parent.parent
MODEL = ROOT / "models" / "guide"
LONGEST = 48  # tokens of a reply
SAMPLE_SECONDS = 2.0
KILL_SECONDS = (12.0, 30.0)  # between two kills
PATIENCE = 90.0  # seconds for one reply, failures of nodes included
TRIES = 3  # of one turn, when its nodes were not back in time
TOLD = 0.05  # share of the turns that may end in "try again"
QUESTIONS = (
    "What is FarMesh?",
    "How do I add a node?",
    "What is a block?",
    "What does the temperature do?",
    "Tell me about hops.",
    "What can the nodes see of my messages?",
    "My name is Ada.",
    "What is my name?",
    "Thanks!",
)


class Oracle:
    """Greedy decoding by transformers; every reply is remembered."""

    def __init__(self) -> None:
        import torch
        from transformers import AutoModelForCausalLM, AutoTokenizer

        torch.set_num_threads(1)
        self.tokenizer = AutoTokenizer.from_pretrained(MODEL)
        self._model = AutoModelForCausalLM.from_pretrained(MODEL, dtype=torch.float32).eval()
        self._end = int(self._model.config.eos_token_id)
        self._torch = torch
        self._known: dict[tuple[int, ...], tuple[int, ...]] = {}

    def reply(self, prompt: tuple[int, ...]) -> tuple[int, ...]:
        """The ids of the reply to a prompt, without its end."""
        if prompt not in self._known:
            ids = self._torch.tensor([prompt])
            made = self._model.generate(
                ids,
                attention_mask=self._torch.ones_like(ids),
                max_new_tokens=LONGEST,
                do_sample=False,
                temperature=None,
                top_p=None,
                pad_token_id=0,
            )[0, len(prompt) :].tolist()
            self._known[prompt] = tuple(itertools.takewhile(lambda i: i != self._end, made))
        return self._known[prompt]

    def text(self, ids: tuple[int, ...]) -> str:
        return str(self.tokenizer.decode(list(ids), skip_special_tokens=True))


@dataclass
class Sample:
    """The app at one moment."""

    at: float  # seconds since the start
    memory: float  # MiB of the app
    descriptors: int
    sessions: int
    cached: int
    generated: int


@dataclass
class Run:
    """One soak: what is shared by all who take part."""

    url: str
    pid: int
    oracle: Oracle
    random: random.Random
    started: float = field(default_factory=time.monotonic)
    done: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    samples: list[Sample] = field(default_factory=list)
    kills: list[float] = field(default_factory=list)

    @property
    def now(self) -> float:
        return time.monotonic() - self.started

    async def expected(self, prompt: tuple[int, ...]) -> tuple[tuple[int, ...], str]:
        ids = await asyncio.to_thread(self.oracle.reply, prompt)
        return ids, self.oracle.text(ids)

    def compare(self, where: str, got: str, wanted: str, *, whole: bool) -> None:
        """A whole reply must be the very text, one that was cut its beginning."""
        if got != wanted if whole else not wanted.startswith(got):
            self.wrong.append(f"{where}: {got!r} instead of {wanted!r}")


# --- programs ---------------------------------------------------------------------------------


async def program(run: Run) -> None:
    """A client of /v1: conversations of a few turns, some of them left in the middle."""
    headers = {"authorization": f"Bearer {new_id()}"}
    async with httpx.AsyncClient(base_url=run.url, timeout=PATIENCE, headers=headers) as http:
        messages: list[dict[str, str]] = []
        for _ in range(run.random.randint(1, 4)):
            messages.append({"role": "user", "content": run.random.choice(QUESTIONS)})
            text = run.oracle.tokenizer.apply_chat_template(
                messages, tokenize=False, add_generation_prompt=True
            )
            prompt = tuple(run.oracle.tokenizer.encode(text, add_special_tokens=False))
            _, wanted = await run.expected(prompt)
            body = {"model": "guide", "messages": messages, "temperature": 0}
            body |= {"max_tokens": LONGEST, "top_p": 1}
            leave_after = run.random.randint(1, 12) if run.random.random() < 0.2 else None
            streamed = leave_after is not None or run.random.random() < 0.6
            got = await _asked(run, http, {**body, "stream": streamed}, leave_after)
            run.compare("a program", got, wanted, whole=leave_after is None)
            run.done["requests left" if leave_after else "requests"] += 1
            if leave_after is not None:
                return
            messages.append({"role": "assistant", "content": got})


class NodesAway(RuntimeError):
    """The API says that the blocks are not served just now."""


async def _asked(
    run: Run, http: httpx.AsyncClient, body: dict[str, Any], leave_after: int | None
) -> str:
    """The reply; asked for again when the nodes were not back in time."""
    for left in reversed(range(TRIES)):
        try:
            if body["stream"]:
                return await _streamed(http, body, leave_after)
            answer = await http.post("/v1/chat/completions", json=body)
            if answer.status_code == 503:
                raise NodesAway(answer.json()["error"]["message"])
            answer.raise_for_status()
            return str(answer.json()["choices"][0]["message"]["content"])
        except NodesAway:
            run.done["told to try again"] += 1
            if not left:
                raise
    raise AssertionError("the last try returns or raises")


async def _streamed(http: httpx.AsyncClient, body: dict[str, Any], leave_after: int | None) -> str:
    got = ""
    async with http.stream("POST", "/v1/chat/completions", json=body) as answer:
        if answer.status_code == 503:
            raise NodesAway(json.loads(await answer.aread())["error"]["message"])
        answer.raise_for_status()
        async for number, line in _numbered(answer.aiter_lines()):
            if line.startswith("data: {"):
                told = json.loads(line.removeprefix("data: "))
                if "error" in told:
                    away = told["error"].get("code") == "swarm"
                    raise (NodesAway if away else RuntimeError)(told["error"]["message"])
                got += told["choices"][0]["delta"].get("content", "")
            if leave_after is not None and number >= 2 * leave_after:
                break
    return got


async def _numbered(lines: AsyncIterator[str]) -> AsyncIterator[tuple[int, str]]:
    number = 0
    async for line in lines:
        yield number, line
        number += 1


# --- people -----------------------------------------------------------------------------------


FACTS = re.compile(r'data-facts=\\"(.*?)\\"')


class Tab:
    """The page's own protocol, without its browser."""

    def __init__(self, run: Run, http: httpx.AsyncClient, config: dict[str, Any]) -> None:
        self.run, self.http, self._config = run, http, config
        self.chat_id = new_id()
        self.builder = PromptBuilder(run.oracle.tokenizer)
        self.path: list[Message] = []
        self._may_retry = False  # the page offers to ask again
        self._nodes: list[int] = []  # of what is shown, by the page's facts
        self._session = new_id()[:11]
        self._values = {p["id"]: p["props"].get("value") for p in config["components"]}
        self._place = {p["props"].get("elem_id"): p["id"] for p in config["components"]}
        self._set("fm-chat-id", self.chat_id)
        self._set("fm-greedy", True)
        self._set("fm-max-new-tokens", LONGEST)

    def _set(self, elem_id: str, value: Any) -> None:
        self._values[self._place[elem_id]] = value

    def _body(self, elem_id: str, event: str, data: Any = None) -> dict[str, Any]:
        target = [self._place[elem_id], event]
        found = next((d for d in self._config["dependencies"] if target in d["targets"]), None)
        if found is None:  # a StopIteration would not say what is missing
            raise RuntimeError(f"the page has no {event} of {elem_id} any more")
        values = [self._values[part] for part in found["inputs"]]
        return {
            "data": values,
            "fn_index": found["id"],
            "session_hash": self._session,
            "event_data": data,
        }

    async def act(self, elem_id: str, event: str, data: Any = None) -> None:
        body = self._body(elem_id, event, data)
        answer = await self.http.post("/gradio_api/run/predict", json=body)
        answer.raise_for_status()

    async def ask(self, elem_id: str, **what: Any) -> None:
        """As the page's script asks for something."""
        self._set("fm-asked", json.dumps({"chat": self.chat_id, **what}))
        await self.act(elem_id, "click")

    async def watch(self) -> None:
        """Follow the chat until it rests."""
        self._may_retry = False
        body = self._body("fm-attach", "click")
        (await self.http.post("/gradio_api/queue/join", json=body)).raise_for_status()
        query = {"session_hash": self._session}
        async with self.http.stream("GET", "/gradio_api/queue/data", params=query) as answer:
            async for line in answer.aiter_lines():
                self._may_retry |= "fm-retry" in line
                if facts := FACTS.search(line):
                    self._nodes = json.loads(unescape(facts[1]))["nodes"]
                if "process_completed" in line:
                    return

    async def kept(self) -> list[tuple[str, str]]:
        """The conversation as the app has it."""
        answer = await self.http.get(f"/farmesh/chat/{self.chat_id}")
        answer.raise_for_status()
        return [(m["role"], m["text"]) for m in answer.json()["messages"]]

    async def answered(self) -> bool:
        """The last message has its reply: the whole conversation must be what it should be."""
        await self.watch()
        for _ in range(TRIES - 1):
            if not self._may_retry:
                break
            self.run.done["told to try again"] += 1
            await self.act("fm-retry", "click")
            await self.watch()
        faults = len(self.run.wrong)
        ids, wanted = await self.run.expected(self.builder.prompt("", self.path))
        kept = await self.kept()
        self.path.append(Message("assistant", wanted, ids))
        should = [(message.role, message.text) for message in self.path]
        if kept[:-1] != should[:-1]:
            self.run.wrong.append(f"a conversation was lost: {kept} instead of {should}")
        else:
            self.run.compare("a person", kept[-1][1], wanted, whole=True)
        return len(self.run.wrong) == faults

    async def send(self, text: str) -> None:
        await self.ask("fm-say", id=new_id()[:20], text=text)
        self.path.append(Message("user", text))

    async def stop_in_the_middle(self) -> None:
        _, wanted = await self.run.expected(self.builder.prompt("", self.path))
        await asyncio.sleep(self.run.random.random() * 0.6)
        stopped = await self.http.post("/farmesh/stop", params={"chat": self.chat_id})
        stopped.raise_for_status()
        await self.watch()
        kept = await self.kept()
        asked = [(message.role, message.text) for message in self.path]
        if kept[: len(asked)] != asked:
            self.run.wrong.append(f"a stopped conversation was lost: {kept}")
        elif len(kept) > len(asked):
            self.run.compare("a stopped reply", kept[-1][1], wanted, whole=False)

    async def edit(self, text: str) -> None:
        """Another text for the last question."""
        await self.ask("fm-edit", node=self._nodes[-2], text=text)
        self.path[-2:] = [Message("user", text)]


async def person(run: Run) -> None:
    """Somebody with the page open: sends, edits, stops, closes."""
    async with httpx.AsyncClient(base_url=run.url, timeout=PATIENCE) as http:
        http.cookies.set(PERSON_COOKIE, new_id())
        tab = Tab(run, http, (await http.get("/config")).json())
        questions = run.random.sample(QUESTIONS, 4)
        for text in questions[: run.random.randint(1, 3)]:
            await tab.send(text)
            if run.random.random() < 0.25:
                await tab.stop_in_the_middle()
                run.done["stops"] += 1
                break
            run.done["messages"] += 1
            if not await tab.answered():
                return  # what follows could only be wrong, too
        else:
            if run.random.random() < 0.5:
                await tab.edit(questions[3])
                run.done["edits"] += 1
                await tab.answered()
        if run.random.random() < 0.7:
            await http.delete(f"/farmesh/chat/{tab.chat_id}")
            run.done["closes"] += 1


# --- the machine ------------------------------------------------------------------------------


async def kill_nodes(run: Run, until: float) -> None:
    """One node after the other.

    Each only when the swarm is whole, without a node nobody can reply, and when it has been whole
    for as long as it was not: a slow machine, too, is to spend half its time replying.
    """
    healing = 0.0
    async with httpx.AsyncClient(base_url=run.url, timeout=30) as http:
        while (pause := run.random.uniform(*KILL_SECONDS) + healing) + run.now < until:
            await asyncio.sleep(pause)
            await until_ready(run, http, until)
            if (nodes := nodes_of(run.pid)) and run.now < until:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(run.random.choice(nodes), signal.SIGKILL)
                    run.kills.append(run.now)
                    await asyncio.sleep(SAMPLE_SECONDS)  # until the app has noticed
                    await until_ready(run, http, until)
                    healing = run.now - run.kills[-1]


async def until_ready(run: Run, http: httpx.AsyncClient, until: float) -> None:
    while not await is_ready(http) and run.now < until:  # noqa: ASYNC110
        await asyncio.sleep(0.5)


async def is_ready(http: httpx.AsyncClient) -> bool:
    try:
        return (await http.get("/readyz")).status_code == 200
    except httpx.TransportError:
        return False


async def watch_app(run: Run) -> None:
    async with httpx.AsyncClient(base_url=run.url, timeout=30) as http:
        while True:
            with contextlib.suppress(httpx.TransportError):
                run.samples.append(await sample(run, http))
            await asyncio.sleep(SAMPLE_SECONDS)


async def sample(run: Run, http: httpx.AsyncClient) -> Sample:
    status = (await http.get("/mesh/status")).json()
    memory, descriptors = usage(run.pid)
    return Sample(
        at=run.now,
        memory=memory,
        descriptors=descriptors,
        sessions=sum(session["state"] != "closed" for session in status["sessions"]),
        cached=status["load"]["cached_tokens"],
        generated=status["totals"]["generated_tokens"],
    )


def usage(pid: int) -> tuple[float, int]:
    """MiB of memory and open descriptors of a process."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20, len(list(Path(f"/proc/{pid}/fd").iterdir()))


async def again_and_again(run: Run, what: Callable[[Run], Awaitable[None]], until: float) -> None:
    """One after the other; an error is written down, and the next one tries."""
    while run.now < until:
        try:
            async with asyncio.timeout(2 * PATIENCE):
                await what(run)
        except (httpx.HTTPError, RuntimeError, TimeoutError, KeyError, IndexError) as error:
            run.wrong.append(f"{what.__name__}: {type(error).__name__} {error}".strip()[:300])
            await asyncio.sleep(1)


# --- the verdict ------------------------------------------------------------------------------


GROWTH = (("memory", 1.15, 40), ("descriptors", 1.0, 25), ("cached", 1.5, 1500))  # what is flat


def verdict(run: Run, last: Sample) -> list[str]:
    """What is wrong, in sentences; empty when all is well."""
    found = [f"{len(run.wrong)} wrong: {run.wrong[0]}"] if run.wrong else []
    turns = run.done["messages"] + run.done["edits"] + run.done["requests"]
    if (told := run.done["told to try again"]) > TOLD * turns:
        found.append(f"{told} of {turns} turns ended in words: the nodes were not back in time")
    quarter = len(run.samples) // 4
    if quarter >= 5:
        early, late = run.samples[quarter : 2 * quarter], run.samples[-quarter:]
        for name, share, more in GROWTH:
            before, after = (
                statistics.median(getattr(one, name) for one in part) for part in (early, late)
            )
            if after > before * share + more:
                found.append(f"{name} grew from {before:.0f} to {after:.0f}")
    if last.cached or last.sessions:
        found.append(f"{last.sessions} sessions with {last.cached} tokens were left on the nodes")
    return found


def plot(run: Run, path: Path) -> None:
    """Four small charts over the minutes; each vertical line is a node that was killed."""
    rates = [0.0] + [
        (b.generated - a.generated) / (b.at - a.at) for a, b in itertools.pairwise(run.samples)
    ]
    charts = [
        ("memory of the app, MiB", [s.memory for s in run.samples]),
        ("descriptors of the app", [float(s.descriptors) for s in run.samples]),
        ("tokens held by the nodes", [float(s.cached) for s in run.samples]),
        ("tokens per second, all clients", rates),
    ]
    end = run.samples[-1].at
    parts = [
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 720 560" font-size="12">',
        '<rect width="720" height="560" fill="#fffdf7"/><g font-family="sans-serif">',
    ]
    for number, (title, values) in enumerate(charts):
        top, most = 20 + 132 * number, max(values) or 1
        points = " ".join(
            f"{60 + 640 * s.at / end:.1f},{top + 100 - 80 * value / most:.1f}"
            for s, value in zip(run.samples, values, strict=True)
        )
        kills = "".join(
            f'<path d="M{60 + 640 * at / end:.1f} {top + 20}v80" stroke="#c96" opacity=".5"/>'
            for at in run.kills
        )
        parts.append(
            f'<text x="60" y="{top + 10}" fill="#1d2420">{title}</text>'
            f'<text x="52" y="{top + 24}" text-anchor="end" fill="#667">{most:.0f}</text>'
            f'<text x="52" y="{top + 104}" text-anchor="end" fill="#667">0</text>'
            f'<path d="M60 {top + 100}h640" stroke="#d9d3c3"/>{kills}'
            f'<polyline points="{points}" fill="none" stroke="#1f6f54" stroke-width="1.5"/>'
        )
    minutes = f"{end / 60:.1f} minutes; vertical lines: a node was killed"
    parts.append(f'<text x="60" y="552" fill="#667">{minutes}</text></g></svg>\n')
    path.write_text("".join(parts), encoding="utf-8")


# --- all of it --------------------------------------------------------------------------------


@contextlib.contextmanager
def running_app(state: Path) -> Any:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    settings = {
        "FARMESH_CHAT_SWARM_STATE_DIR": str(state),
        "FARMESH_CHAT_CHAT_TURNS_PER_MINUTE": "100000",
        "FARMESH_CHAT_CHAT_IDLE_MINUTES": "0.1",
        "FARMESH_CHAT_CHAT_MAX_CHATS": "50",
        "FARMESH_CHAT_LOGGING_LEVEL": "error",
        "FARMESH_CHAT_MODELS_DEFAULT": "guide",
    }
    app = subprocess.Popen(
        [sys.executable, "app.py", "--port", str(port), "--no-browser"],
        cwd=ROOT,
        env={**os.environ, **settings},
        stdout=subprocess.DEVNULL,
    )
    try:
        yield app, f"http://127.0.0.1:{port}"
    finally:
        app.terminate()
        app.wait(15)


async def soak(options: argparse.Namespace, app: subprocess.Popen[bytes], url: str) -> int:
    oracle = await asyncio.to_thread(Oracle)
    async with httpx.AsyncClient(base_url=url) as http:
        for _ in range(600):
            if await is_ready(http):
                break
            await asyncio.sleep(0.2)
        run = Run(url, app.pid, oracle, random.Random(options.seed))
        until = options.minutes * 60
        watching = asyncio.create_task(watch_app(run))
        killing = asyncio.create_task(kill_nodes(run, until - 20))
        people = [again_and_again(run, person, until) for _ in range(options.people)]
        programs = [again_and_again(run, program, until) for _ in range(options.programs)]
        await asyncio.gather(*people, *programs, killing)
        last = await sample(run, http)
        for _ in range(60):  # all have gone: their caches idle out
            if not last.sessions:
                break
            await asyncio.sleep(1)
            last = await sample(run, http)
        watching.cancel()
    plot(run, options.plot)
    faults = verdict(run, last)
    print(f"{run.now / 60:.1f} minutes, {len(run.kills)} nodes killed; {dict(run.done)}")
    for sentence in run.wrong[:20]:
        print(sentence, file=sys.stderr)
    if len(run.wrong) > 20:
        kinds = Counter(" ".join(sentence.split()[:2]) for sentence in run.wrong)
        print(f"all by their first words: {dict(kinds)}", file=sys.stderr)
    print(
        f"{last.generated} tokens; " + ("; ".join(faults) or "every reply was right, all is flat")
    )
    return 1 if faults else 0


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=30.0, metavar="N")
    parser.add_argument("--people", type=int, default=3, metavar="N")
    parser.add_argument("--programs", type=int, default=3, metavar="N")
    parser.add_argument("--seed", type=int, default=1, metavar="N")
    parser.add_argument("--plot", type=Path, default=ROOT / "docs" / "soak.svg", metavar="FILE")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, running_app(Path(folder)) as (app, url):
        return asyncio.run(soak(options, app, url))


if __name__ == "__main__":
    raise SystemExit(main())
