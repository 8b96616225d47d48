"""What Send costs in a long chat: the time until the nodes are asked, and how long the app stands.

``python -m benchmarks.long_chat`` prints a table. A chat is brought back as a browser keeps it
(text only), or made of replies with token ids of their own; then "hi" is sent. ``asked`` is the
time from Send to the first request for tokens, ``stall`` the longest time in which the event loop
did nothing else; of ``--rounds`` rounds the median and, of the stall, the lowest: what other
processes do is in the others. There is no swarm: tokenising and rendering are all that is here.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gc
import statistics
import time
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chat.conversation.tree import Conversation, Message
from chat.live.chat import Chat, ChatLimits
from chat.live.limits import Line, TurnRate
from chat.live.prompts import Request
from chat.models.backend import Backend, Engine
from farmesh.core import Route, SwarmSnapshot
from farmesh.events import Event, FinishReason, GenerationFinished, GenerationStats
from farmesh.params import SamplingParams

MODEL = Path(__file__).resolve().parent.parent / "models" / "guide"
TICK = 0.001  # seconds between looks at the clock
QUESTION = "What is block {} of a language model, and who serves it in the swarm?"
REPLY = "A block is one layer. Nodes serve spans of blocks, and a route goes over hops. " * 2


class Asked:
    """Stands for client and session: notes when tokens are asked for, and makes none."""

    def __init__(self, context: int) -> None:
        self.max_context = context
        self.eos_token_ids: frozenset[int] = frozenset()
        self.snapshot = SwarmSnapshot("none", 8)
        self.position = 0
        self.route: Route | None = None
        self.at = asyncio.Event()

    def session(self) -> Asked:
        return self

    async def generate(
        self, token_ids: Sequence[int], sampling: SamplingParams
    ) -> AsyncGenerator[Event, None]:
        self.at.set()
        stats = GenerationStats(len(token_ids), 0, 0, 0.0, 0.0, 0)
        yield GenerationFinished(FinishReason.END_OF_SEQUENCE, stats)

    async def close(self) -> None:
        pass


@dataclass(slots=True)
class Stall:
    """The longest time in which the event loop came back to nobody."""

    seconds: float = 0.0

    @contextlib.asynccontextmanager
    async def measured(self) -> AsyncIterator[None]:
        async def look() -> None:
            while True:
                before = time.perf_counter()
                await asyncio.sleep(TICK)
                self.seconds = max(self.seconds, time.perf_counter() - before - TICK)

        looking = asyncio.create_task(look())
        await asyncio.sleep(10 * TICK)
        self.seconds = 0.0
        try:
            yield
            await asyncio.sleep(2 * TICK)
        finally:
            looking.cancel()


def long_chat(turns: int, tokenizer: Any, *, own_ids: bool) -> Conversation:
    ids = tuple(tokenizer.encode(REPLY, add_special_tokens=False)) if own_ids else ()
    conversation = Conversation()
    for number in range(turns):
        conversation.add(Message("user", QUESTION.format(number)))
        conversation.add(Message("assistant", REPLY, ids))
    return conversation


async def send(turns: int, tokenizer: Any, context: int, *, own_ids: bool) -> tuple[float, float]:
    """Seconds until tokens are asked for, and of the longest stall."""
    client, backend = Asked(context), Backend("guide")
    backend.opened(Engine(client, tokenizer, context))
    limits = ChatLimits(TurnRate(1000), Line(4, 4, 4))
    chat = Chat("x" * 43, "somebody", backend, limits)
    chat.restore(long_chat(turns, tokenizer, own_ids=own_ids))
    stall = Stall()
    async with stall.measured():
        started = time.perf_counter()
        await chat.send("hi", Request(SamplingParams(max_new_tokens=256)))
        await client.at.wait()
        asked = time.perf_counter() - started
    await chat.close()
    return asked, stall.seconds


async def table(args: argparse.Namespace) -> None:
    import transformers

    transformers.logging.set_verbosity_error()  # about texts that are longer than the context
    tokenizer = transformers.AutoTokenizer.from_pretrained(MODEL)
    await send(2, tokenizer, args.context, own_ids=False)  # compiles the template
    gc.collect()
    gc.freeze()  # as the app does once a model is open
    print(f"context {args.context}\n turns  replies   asked (ms)  stall (ms)")
    for turns in args.turns:
        for own_ids in (False, True):
            rounds = [
                await send(turns, tokenizer, args.context, own_ids=own_ids)
                for _ in range(args.rounds)
            ]
            asked = 1000 * statistics.median(took for took, _ in rounds)
            stall = 1000 * min(stood for _, stood in rounds)
            print(f"{turns:6}  {'own ids' if own_ids else 'text':8} {asked:10.0f} {stall:11.1f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--turns", type=int, nargs="+", default=[100, 200, 500])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--context", type=int, default=1024, help="tokens (default: the guide's)")
    asyncio.run(table(parser.parse_args()))


if __name__ == "__main__":
    main()
