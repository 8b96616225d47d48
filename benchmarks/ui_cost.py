"""What the page adds to a token, and whether a long chat costs more than a short one.

``python -m benchmarks.ui_cost`` prints a report; ``--write`` also puts it into docs/page-cost.md.

Two engines, each in the server's own process:

* *steady*: gives one token per fixed step by the clock. Every difference is the page's.
* *real*: the bundled model on two nodes of this machine, as ``make run`` starts them. The page, the
  browser and the nodes share the machine's cores, so what they take from each other counts too.

The figures, per round, one after the other (A B C, A B C, ...):

* *engine alone*: (last token - first token) / (tokens - 1) at the engine, while nothing is drawn.
* *stream*: the same at a client of the event stream (SSE), as every browser gets it.
* *drawn*: the same in a real Chromium with the real page: a MutationObserver notes
  ``performance.now()`` and how much text there is whenever the page's text changes; from the first
  text drawn to the whole text drawn, over the tokens in between.
* *engine meanwhile*: what the engine itself took in that very reply.
* *turn N over turn 1* (steady only): from Enter until the reply is drawn whole and the page rests,
  N - 1 turns being there already; the same reply each time, median of the repetitions.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import httpx
from fastapi import FastAPI

from benchmarks.machine import describe
from farmesh.core import Route, SwarmSnapshot
from farmesh.events import (
    Event,
    FinishReason,
    GenerationFinished,
    GenerationStats,
    PrefillProgress,
    TokenGenerated,
)
from farmesh.params import SamplingParams

Kind = Literal["steady", "real"]

STEP = 0.015  # seconds per token of the steady engine
TOKENS = 200
ROUNDS = 7
SENTENCE = "The swarm serves *blocks* of a model; each `node` holds a few of them.\n\n"
PROMPT = "The same message as ever"
ROOT = Path(__file__).resolve().parents[1]
GUIDE = ROOT / "models" / "guide"
REPORT = ROOT / "docs" / "page-cost.md"
TOKEN_TARGET = 1.05  # time per token drawn / the engine's
TURN_TARGET = 1.2  # turn 50 / turn 1

# The bundled model would end its reply early, or repeat a token without text.
REAL = SamplingParams(
    max_new_tokens=TOKENS, temperature=1.4, repetition_penalty=1.6, ignore_eos=True
)


# --- an engine that gives one token per step ---------------------------------------------------


@dataclass
class SteadyClient:
    """Stands in for a swarm: the same text at the same pace, whatever is asked."""

    ids: list[int]
    max_context: int = 1_000_000
    eos_token_ids: frozenset[int] = frozenset()
    snapshot: SwarmSnapshot = field(default_factory=lambda: SwarmSnapshot("steady", 8))

    def session(self) -> SteadySession:
        return SteadySession(self)


class SteadySession:
    """Keeps to the clock, so that work done between two tokens does not slow it down."""

    route: Route | None = None
    position = 0

    def __init__(self, client: SteadyClient) -> None:
        self._client = client

    async def generate(
        self, token_ids: Sequence[int], sampling: SamplingParams
    ) -> AsyncGenerator[Event, None]:
        yield PrefillProgress(len(token_ids), len(token_ids), 0)
        started = time.perf_counter()
        first = last = started
        for index in range(TOKENS):
            due = started + (index + 1) * STEP
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            last = time.perf_counter()
            first = last if index == 0 else first
            yield TokenGenerated(self._client.ids[index % len(self._client.ids)], index, index)
        stats = GenerationStats(len(token_ids), 0, TOKENS, first - started, last - started, hops=0)
        yield GenerationFinished(FinishReason.MAX_NEW_TOKENS, stats)

    async def close(self) -> None:
        pass


# --- the server: the real page on either engine ------------------------------------------------


@asynccontextmanager
async def steady() -> AsyncIterator[Any]:
    from transformers import AutoTokenizer

    from chat.models.backend import Backend, Engine

    tokenizer = AutoTokenizer.from_pretrained(GUIDE, model_max_length=1_000_000)
    client = SteadyClient(tokenizer.encode(SENTENCE, add_special_tokens=False))

    async def open_engine(_: Backend) -> Engine:
        return Engine(client, tokenizer, client.max_context)

    backend = Backend("Steady", SamplingParams(max_new_tokens=TOKENS))
    await backend.start(open_engine)
    yield backend


@asynccontextmanager
async def real() -> AsyncIterator[Any]:
    from chat.models.backend import Backend
    from chat.models.embedded.swarm import EmbeddedSwarm
    from chat.models.opening import opened
    from chat.settings.catalogue import load_catalogue
    from chat.settings.schema import ModelSettings, Settings, SwarmSettings

    model = load_catalogue(ModelSettings().catalogue)["guide"]
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(swarm=SwarmSettings(state_dir=Path(folder)))
        backend = Backend(model.name, REAL)
        async with opened(backend, settings, model, EmbeddedSwarm(settings.swarm, model)):
            client = (await backend.ready()).client
            while not client.snapshot.is_complete:  # noqa: ASYNC110 - only the bench waits so
                await asyncio.sleep(0.1)
            yield backend


def page_of(store: Any) -> Any:
    """The page as app.py puts it together, and what only this benchmark asks for."""
    from chat.access.guard import Guard
    from chat.page import layout, mounting, routes

    app = FastAPI(openapi_url=None)

    @app.get("/bench/alone")
    async def alone() -> float:
        """Seconds per token at the engine, nobody else asking for anything."""
        engine = await store.backend.ready()
        session = engine.client.session()
        ids = engine.tokenizer.encode(PROMPT)
        took = 0.0
        async for event in session.generate(ids, store.backend.defaults):
            if isinstance(event, GenerationFinished):
                took = 1 / event.stats.tokens_per_second
        await session.close()
        return took

    @app.get("/bench/meanwhile")
    async def meanwhile() -> float:
        """Seconds per token at the engine in the newest reply of a page."""
        chat = max(store._chats.values(), key=lambda chat: chat.last_used)
        return 1 / chat.view.entries[-1].message.stats.tokens_per_second

    routes.add_routes(app, store)
    mounting.mount(app, store, layout.PageOptions(store.backend.name))
    return Guard(app, head=mounting.head(), body=mounting.body())


async def serve(kind: Kind, port: int) -> None:
    os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
    import uvicorn

    from chat.live.store import ChatStore
    from chat.settings.schema import ChatSettings

    async with (
        steady() if kind == "steady" else real() as backend,
        ChatStore(backend, ChatSettings(turns_per_minute=10_000)) as store,
    ):
        config = uvicorn.Config(
            page_of(store), port=port, log_level="error", timeout_graceful_shutdown=1
        )
        await uvicorn.Server(config).serve()


@dataclass
class Server:
    """A server process of one kind; a ``with`` scope."""

    kind: Kind

    def __enter__(self) -> str:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        argv = [sys.executable, "-m", "benchmarks.ui_cost", "--serve", self.kind, str(port)]
        self.process = subprocess.Popen(argv, cwd=ROOT)
        url = f"http://127.0.0.1:{port}"
        while True:
            time.sleep(0.3)
            try:
                httpx.get(f"{url}/readyz")
                return url
            except httpx.HTTPError:
                if self.process.poll() is not None:
                    sys.exit("The page could not be served.")

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        self.process.wait(20)


# --- those who look ----------------------------------------------------------------------------


def stream_time_per_token(url: str, defaults: SamplingParams) -> float:
    """Seconds per token at a client of the event stream, from the arrival of its first update."""
    with httpx.Client(base_url=url, timeout=60) as http:
        session = f"bench{time.time_ns()}"
        config = http.get("/config").json()
        chat = next(d for d in config["dependencies"] if d["api_name"] == "chat")
        data = [PROMPT, "", "", None, None, None, None]
        body = {"data": data, "session_hash": session, "fn_index": chat["id"]}
        http.post("/gradio_api/queue/join", json=body).raise_for_status()
        arrivals = []
        with http.stream("GET", "/gradio_api/queue/data", params={"session_hash": session}) as sse:
            for line in sse.iter_lines():
                message = json.loads(line[6:]) if line.startswith("data: ") else {}
                if message.get("msg") == "process_generating":
                    arrivals.append(time.perf_counter())
                if message.get("msg") == "process_completed":
                    break
    # The first update carries the first token or two, the last one the last.
    return (arrivals[-1] - arrivals[0]) / (defaults.max_new_tokens - 1)


WATCH = """() => {
  const log = document.getElementById("fm-log"), rows = log.getElementsByClassName("bot-row");
  window.bench = { drawn: [], rows: 0 };
  new MutationObserver(() => {
    const live = document.querySelector("#fm-live [data-testid=bot]");
    const done = rows.length > bench.rows && !live?.textContent;
    const text = done ? rows[rows.length - 1].querySelector("[data-testid=bot]") : live;
    const length = text ? text.textContent.length : 0, last = bench.drawn.at(-1);
    if (length && last?.[1] !== length) bench.drawn.push([performance.now(), length]);
  }).observe(log, {childList: true, subtree: true, characterData: true});
}"""


def wait_for_rows(page: Any, replies: int) -> None:
    """Poll from outside: the page's policy lets nobody evaluate strings inside of it."""
    while page.locator("#fm-history .bot-row").count() != replies:
        page.wait_for_timeout(5)


def turn(page: Any, number: int) -> tuple[float, float]:
    """Seconds from Enter to rest, and seconds per token as drawn."""
    page.evaluate("n => { bench.drawn = []; bench.rows = n; }", number - 1)
    page.fill("#fm-box textarea", PROMPT)
    started = time.perf_counter()
    page.press("#fm-box textarea", "Enter")
    page.wait_for_selector("#fm-stop", state="visible", timeout=60_000)
    page.wait_for_selector("#fm-stop", state="hidden", timeout=60_000)
    wait_for_rows(page, number)
    took = time.perf_counter() - started
    drawn = page.evaluate("bench.drawn")
    whole = max(length for _, length in drawn)
    first_at, first_length = drawn[0]
    last_at = next(at for at, length in drawn if length == whole)
    tokens = TOKENS * (1 - first_length / whole)  # drawn after the first text
    return took, (last_at - first_at) / 1000 / tokens


def chat_with_turns(page: Any, turns: int) -> None:
    """Open a chat in which so many turns are there already."""
    messages = [
        {"role": role, "text": SENTENCE * 4} for _ in range(turns) for role in ("user", "assistant")
    ]
    page.evaluate(
        """async (messages) => {
             const {freshId} = await import("./farmesh/assets/shown.js");
             const {open} = await import("./farmesh/assets/opening.js");
             const id = freshId();
             await fetch(`./farmesh/chat/${id}`, {method: "POST", body: JSON.stringify({messages}),
               headers: {"content-type": "application/json"}});
             await open(id);
           }""",
        messages,
    )
    wait_for_rows(page, turns)
    page.wait_for_timeout(500)


def endless(page: Any) -> None:
    """Let the bundled model go on until its limit."""
    page.click("[data-toggle=tune]")
    page.click("#fm-more > button")
    page.check("#fm-endless input")
    page.click("[data-toggle=tune]")
    page.wait_for_timeout(300)


Figures = dict[str, list[float]]


def measure(kind: Kind, lengths: Sequence[int], rounds: int) -> Figures:
    """Every figure of one engine, one value per round."""
    from playwright.sync_api import sync_playwright

    found: Figures = {}

    def note(name: str, value: float) -> None:
        found.setdefault(name, []).append(value)

    with Server(kind) as url, sync_playwright() as playwright, httpx.Client(timeout=120) as http:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-gpu"]
        )
        page = browser.new_page()
        page.goto(url)
        page.wait_for_selector("#fm-first", state="detached")
        page.wait_for_timeout(1000)
        page.evaluate(WATCH)
        if kind == "real":
            endless(page)
        for index in range(rounds + 1):
            alone = http.get(f"{url}/bench/alone").json()
            stream = 0.0 if kind == "real" else stream_time_per_token(url, REAL)
            for length in lengths:
                chat_with_turns(page, length - 1)
                took, drawn = turn(page, length)
                if index:  # the first round warms up
                    note(f"turn {length}", took)
                    note(f"drawn in turn {length}", drawn)
                    if length == lengths[0]:
                        note("engine alone", alone)
                        note("stream", stream)
                        note("drawn", drawn)
                        note("engine meanwhile", http.get(f"{url}/bench/meanwhile").json())
        browser.close()
    return found


# --- the report --------------------------------------------------------------------------------


def ratios(figures: Figures, one: str, other: str) -> list[float]:
    return [a / b for a, b in zip(figures[one], figures[other], strict=True)]


def spread(values: Sequence[float], form: str) -> str:
    low, middle, high = min(values), statistics.median(values), max(values)
    return f"{middle:{form}} ({low:{form}} to {high:{form}})"


def report(found: dict[Kind, Figures], lengths: Sequence[int], rounds: int) -> str:
    measured = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime())
    load = f"load before {LOAD[0]:.1f}, after {os.getloadavg()[0]:.1f}"
    rows = []
    for kind, figures in found.items():
        turns = turn_rows(figures, lengths) if kind == "steady" else ()
        rows += [f"| {kind} | {row} |" for row in (*token_rows(figures), *turns)]
    table = "\n".join(rows)
    return f"""# What the page costs

Made by `{command(found, lengths, rounds)}`, whose docstring says what each figure is.
{rounds} rounds after one to warm up, {TOKENS} tokens a reply; each figure is the median over the
rounds, lowest and highest in brackets, and each ratio is taken within a round.

**Machine:** {describe()}.
**Measured:** {measured}, {load}.

| engine | figure | measured | target | |
|---|---|---|---|---|
{table}

*drawn / engine alone* with the real engine is what browser, page server and nodes take from each
other when all share the machine's cores (Chromium draws without a GPU here): the engine itself is
slower then, and the page keeps up with it. The steady engine needs no core, and shows what the
page adds by itself.
"""


def token_rows(figures: Figures) -> Iterator[str]:
    for name in ("engine alone", "engine meanwhile", "stream", "drawn"):
        if any(figures[name]):
            times = [1000 * value for value in figures[name]]
            yield f"time per token, {name} | {spread(times, '.2f')} ms | |"
    yield ratio_row(
        "drawn / engine meanwhile", ratios(figures, "drawn", "engine meanwhile"), TOKEN_TARGET
    )
    # With real nodes this is no figure of the page: see the note under the table.
    target = TOKEN_TARGET if any(figures["stream"]) else None
    yield ratio_row("drawn / engine alone", ratios(figures, "drawn", "engine alone"), target)


def turn_rows(figures: Figures, lengths: Sequence[int]) -> Iterator[str]:
    first, *longer = lengths
    for length in longer:
        whole = ratios(figures, f"turn {length}", f"turn {first}")
        token = ratios(figures, f"drawn in turn {length}", f"drawn in turn {first}")
        yield ratio_row(
            f"turn {length} / turn {first}", whole, TURN_TARGET if length <= 50 else None
        )
        yield ratio_row(f"time per token drawn, turn {length} / turn {first}", token, None)


def ratio_row(name: str, values: Sequence[float], target: float | None) -> str:
    if target is None:
        return f"{name} | {spread(values, '.3f')} | |"
    verdict = "reached" if statistics.median(values) <= target else "**missed**"
    return f"{name} | {spread(values, '.3f')} | ≤ {target} | {verdict}"


LOAD = os.getloadavg()


def command(found: dict[Kind, Figures], lengths: Sequence[int], rounds: int) -> str:
    which = "" if len(found) == 2 else f" --engine {next(iter(found))}"
    turns = " ".join(map(str, lengths))
    return f"python -m benchmarks.ui_cost{which} --turns {turns} --rounds {rounds} --write"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--serve", nargs=2, metavar=("KIND", "PORT"), help=argparse.SUPPRESS)
    parser.add_argument("--engine", choices=("steady", "real"), help="only this one")
    parser.add_argument("--turns", type=int, nargs="+", default=[1, 50, 200])
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--write", action="store_true", help=f"write {REPORT.relative_to(ROOT)}")
    arguments = parser.parse_args()
    if arguments.serve:
        asyncio.run(serve(arguments.serve[0], int(arguments.serve[1])))
        return
    kinds: list[Kind] = [arguments.engine] if arguments.engine else ["steady", "real"]
    found = {
        kind: measure(kind, arguments.turns if kind == "steady" else [1], arguments.rounds)
        for kind in kinds
    }
    text = report(found, arguments.turns, arguments.rounds)
    print(text)
    if arguments.write:
        REPORT.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
