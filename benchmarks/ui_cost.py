"""What the page adds to a token, and whether a long chat costs more than a short one.

``python -m benchmarks.ui_cost`` prints a table. Nodes are left out on purpose: an engine that
gives one token per fixed step stands in for them, so that every difference is the page's.

* *time per token*: (last token - first token) / (tokens - 1), seen by the engine, by a client of
  the stream (SSE, as every browser gets it) and by a real Chromium that has drawn the text.
* *turn N over turn 1*: from Enter until the reply is drawn whole and the page rests, in Chromium,
  N - 1 turns being there already; the same reply each time, median of the repetitions.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from farmesh.core import (
    Event,
    FinishReason,
    GenerationFinished,
    GenerationStats,
    PrefillProgress,
    Route,
    SamplingParams,
    SwarmSnapshot,
    TokenGenerated,
)

STEP = 0.015  # seconds per token of the standing-in engine
TOKENS = 200
REPEAT = 5
SENTENCE = "The swarm serves *blocks* of a model; each `node` holds a few of them.\n\n"
GUIDE = Path(__file__).resolve().parents[1] / "models" / "guide"


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


async def serve(port: int) -> None:
    os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
    import uvicorn
    from transformers import AutoTokenizer

    import app
    from chat import ui
    from chat.backend import Backend, Engine
    from chat.settings import ChatSettings, ServerSettings
    from chat.store import ChatStore

    tokenizer = AutoTokenizer.from_pretrained(GUIDE, model_max_length=1_000_000)
    client = SteadyClient(tokenizer.encode(SENTENCE, add_special_tokens=False))

    async def open_engine(_: Backend) -> Engine:
        return Engine(client, tokenizer, client.max_context)

    backend = Backend("Steady", SamplingParams(max_new_tokens=TOKENS))
    await backend.start(open_engine)
    async with ChatStore(backend, ChatSettings(turns_per_minute=10_000)) as store:
        page = app.application(store, ui.PageOptions("Steady"), ServerSettings(port=port))
        config = uvicorn.Config(page, port=port, log_level="error", timeout_graceful_shutdown=1)
        await uvicorn.Server(config).serve()


# --- the two who look --------------------------------------------------------------------------


def stream_time_per_token(url: str) -> float:
    """Seconds per token at a client of the event stream, from the arrival of its first update."""
    with httpx.Client(base_url=url, timeout=60) as http:
        session = f"bench{time.time_ns()}"
        body = {"data": ["Hello", "", "", None, None, None, None], "session_hash": session}
        info = http.get("/config").json()
        body["fn_index"] = next(d["id"] for d in info["dependencies"] if d["api_name"] == "chat")
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
    return (arrivals[-1] - arrivals[0]) / (TOKENS - 1)


WATCH = """() => {
  window.seen = [];
  const log = document.getElementById("fm-log");
  new MutationObserver(() => {
    const live = document.querySelector("#fm-live [data-testid=bot]");
    const text = live ? live.textContent.length : 0;
    if (text) window.seen.push(performance.now());
  }).observe(log, {childList: true, subtree: true, characterData: true});
}"""


def wait_for_rows(page: Any, replies: int) -> None:
    """Poll from outside: the page's policy lets nobody evaluate strings inside of it."""
    while page.locator("#fm-history .bot-row").count() != replies:
        page.wait_for_timeout(5)


def turn(page: Any, number: int) -> tuple[float, float]:
    """Seconds from Enter to rest, and seconds per token as drawn."""
    page.evaluate("window.seen = []")
    page.fill("#fm-box textarea", "The same message as ever")
    started = time.perf_counter()
    page.press("#fm-box textarea", "Enter")
    page.wait_for_selector("#fm-stop", state="visible", timeout=60_000)
    page.wait_for_selector("#fm-stop", state="hidden", timeout=60_000)
    wait_for_rows(page, number)
    took = time.perf_counter() - started
    seen = page.evaluate("window.seen")
    return took, (seen[-1] - seen[0]) / 1000 / (TOKENS - 1)


def chat_with_turns(page: Any, turns: int) -> None:
    """Open a chat in which so many turns are there already."""
    messages = [
        {"role": role, "text": SENTENCE * 4} for _ in range(turns) for role in ("user", "assistant")
    ]
    page.evaluate(
        """async (messages) => {
             const id = farmesh.freshId();
             await fetch(`./farmesh/chat/${id}`, {method: "POST", body: JSON.stringify({messages}),
               headers: {"content-type": "application/json"}});
             await farmesh.open(id);
           }""",
        messages,
    )
    wait_for_rows(page, turns)
    page.wait_for_timeout(500)


def measure(url: str, lengths: Sequence[int], repeat: int) -> dict[str, list[float]]:
    from playwright.sync_api import sync_playwright

    found: dict[str, list[float]] = {"stream": [], "drawn": []}
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-gpu"]
        )
        page = browser.new_page()
        page.goto(url)
        page.wait_for_selector("#fm-first", state="detached")
        page.wait_for_timeout(1000)
        page.evaluate(WATCH)
        for _ in range(repeat):
            found["stream"].append(stream_time_per_token(url))
            for length in lengths:
                chat_with_turns(page, length - 1)
                took, drawn = turn(page, length)
                found.setdefault(f"turn {length}", []).append(took)
                if length == 1:
                    found["drawn"].append(drawn)
        browser.close()
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--serve", type=int, metavar="PORT", help=argparse.SUPPRESS)
    parser.add_argument("--turns", type=int, nargs="+", default=[1, 50, 200])
    parser.add_argument("--repeat", type=int, default=REPEAT)
    arguments = parser.parse_args()
    if arguments.serve:
        asyncio.run(serve(arguments.serve))
        return
    port = 7931
    server = subprocess.Popen([sys.executable, "-m", "benchmarks.ui_cost", "--serve", str(port)])
    try:
        url = f"http://127.0.0.1:{port}"
        while True:
            time.sleep(0.3)
            try:
                httpx.get(f"{url}/healthz")
                break
            except httpx.HTTPError:
                if server.poll() is not None:
                    sys.exit("The page could not be served.")
        found = measure(url, arguments.turns, arguments.repeat)
    finally:
        server.terminate()
        server.wait(10)
    print(
        f"engine: {STEP * 1000:.1f} ms per token, {TOKENS} tokens; {arguments.repeat} repetitions"
    )
    for name in ("stream", "drawn"):
        median = statistics.median(found[name])
        extra = 100 * (median / STEP - 1)
        print(f"time per token, {name}: {median * 1000:.2f} ms ({extra:+.1f} % over the engine's)")
    first = statistics.median(found[f"turn {arguments.turns[0]}"])
    for length in arguments.turns:
        took = statistics.median(found[f"turn {length}"])
        print(f"turn {length}: {took:.2f} s from Enter to rest ({took / first:.2f} of the first)")


if __name__ == "__main__":
    main()
