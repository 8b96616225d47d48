"""A swarm in simulated time: an event loop whose clock jumps, and no threads.

Timeouts of minutes cost nothing, everything that happens follows from the seed, and a wait that
nothing can end is found instead of waited for.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import random
import selectors
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import dataclass, field
from functools import lru_cache, partial, wraps
from pathlib import Path
from typing import Any

import torch

from farmesh.checkpoint.reader import Checkpoint
from farmesh.client.ends import Ends
from farmesh.client.session import InferenceSession
from farmesh.client.stem import Stem
from farmesh.core import Span
from farmesh.events import TokenGenerated
from farmesh.network.inprocess import Faults
from farmesh.node import Machine
from farmesh.node.blocks import BlockStack
from farmesh.node.speed import Speed
from farmesh.node.threads import ThreadPlan
from tests.support.harness import Reply, Swarm, banned, greedy, service
from tests.support.models import Oracle

_EPOCH = 1000.0  # seconds; the clock's start
_SPEED = Speed(1000.0, 1000.0, 1000.0, 1000.0, ThreadPlan())


class _JumpingSelector(selectors.SelectSelector):
    """Instead of sleeping until the next timer, moves the clock there."""

    now = _EPOCH

    def select(self, timeout: float | None = None) -> list[Any]:
        events = super().select(0)
        if not events and timeout is None:
            raise RuntimeError("everybody waits and nothing will ever happen")
        if not events and timeout:
            self.now += timeout
        return events


class SimulatedLoop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self.clock = _JumpingSelector()
        super().__init__(self.clock)
        self.set_default_executor(Inline())

    def time(self) -> float:
        return self.clock.now

    def client_parts(self, checkpoint: Path) -> dict[str, Any]:
        """What a client in simulated time is made of: no threads, and computing takes time."""
        ends = Ends(
            _checkpoint(checkpoint, side="client"),
            executor=Inline(),
            make_stem=_stem,
            clock=self.time,
            inline_seconds=0.0,
        )
        return {"ends": ends, "clock": self.time}

    def machine(self) -> Machine:
        """What nodes in simulated time run on: no threads, and computing takes time."""
        return Machine(
            clock=self.time,
            executor=Inline,
            inline_seconds=0.0,
            random=random.Random(random.random()),
            open_checkpoint=partial(_checkpoint, side="node"),
            make_stack=_stack,
            measure=lambda *_: _SPEED,
        )

    async def shutdown_default_executor(self, timeout: float | None = None) -> None:
        """Nothing to wait for; asyncio would wait for a real thread, in real time."""


class Inline(concurrent.futures.ThreadPoolExecutor):
    """Runs its work in the loop's thread; the result comes a few simulated milliseconds later.

    Half of the work is done when it is handed in and half when its time is up: what happens to a
    session meanwhile must matter in neither case.
    """

    def __init__(self, *_: Any, **__: Any) -> None:
        super().__init__(1)

    def submit(self, call: Callable[..., Any], /, *arguments: Any, **options: Any) -> Any:
        future: concurrent.futures.Future[Any] = concurrent.futures.Future()
        future.set_running_or_notify_cancel()
        early = random.random() < 0.5
        outcome = _outcome(call, arguments, options) if early else None

        def finish() -> None:
            result, error = outcome or _outcome(call, arguments, options)
            if error is not None:
                future.set_exception(error)
            else:
                future.set_result(result)

        asyncio.get_running_loop().call_later(random.uniform(0.0005, 0.004), finish)
        return future


def _outcome(call: Callable[..., Any], arguments: Any, options: Any) -> tuple[Any, Any]:
    try:
        return call(*arguments, **options), None
    except Exception as error:  # noqa: BLE001 - it is the caller's, a moment later
        return None, error


@lru_cache
def _checkpoint(path: Path, side: str, **_: Any) -> Checkpoint:
    """One for all nodes and one for all clients: building a model changes its config."""
    return Checkpoint(path)


@lru_cache
def _stem(checkpoint: Checkpoint) -> Stem:
    return Stem(checkpoint)


@lru_cache
def _stack(
    checkpoint: Checkpoint, span: Span, device: torch.device, dtype: torch.dtype, **_: Any
) -> Any:
    stack = BlockStack(checkpoint, span, device, dtype)
    stack.load()
    stack.load = lambda *_: None  # type: ignore[method-assign]  # weights are shared and only read
    return stack


# --- A world in which everything goes wrong ---------------------------------------------------

CLIENT: dict[str, Any] = {
    "refresh_period": 3.0,
    "connect_timeout": 2.0,
    "silence_timeout": 1.0,
    "missing_blocks_timeout": 60.0,
    "ban_seconds": 10.0,
    "max_reroutes": 20,
    "prefill_chunk": 5,
}
NODE: dict[str, Any] = {
    "cache_tokens": 160,
    "max_batch_tokens": 12,
    "prefill_tokens_beside_decodes": 4,
    "alloc_timeout": 10.0,
    "session_grace": 20.0,
    "update_period": 5.0,
    "push_timeout": 2.0,
}
REPLY_SECONDS = 600.0  # simulated; a reply that takes longer hangs
_MAX_LENGTH = 96  # tokens of a session


@dataclass(eq=False)
class Chat:
    session: InferenceSession
    ids: list[int]


@dataclass(eq=False)
class World:
    """Nodes that come, go, hang and lie about; chats that must not notice."""

    oracle: Oracle
    seed: int
    trace: list[str] = field(default_factory=list)
    faulty: set[str] = field(default_factory=set)  # who has ever given a reason to be banned
    chats: list[Chat] = field(default_factory=list)
    _names: int = 0

    @contextlib.asynccontextmanager
    async def open(self) -> AsyncIterator[World]:
        random.seed(f"farmesh{self.seed}")  # the engine's own salts and seeds
        self.rng = random.Random(f"world{self.seed}")
        self.blocks = int(self.oracle.model.config.num_hidden_layers)
        async with Swarm(self.oracle.path, seed=self.seed) as self.swarm:
            for span in self.rng.choice(_LAYOUTS):
                await self.serve(span)
            options = {**CLIENT, "use_push": self.rng.random() < 0.75}
            self.client = await self.swarm.client(max_session_tokens=_MAX_LENGTH, **options)
            yield self

    def note(self, text: str) -> None:
        now = asyncio.get_running_loop().time() - _EPOCH
        self.trace.append(f"{now:9.3f} {text}")

    @property
    def names(self) -> list[str]:
        return sorted(self.swarm.nodes)

    # --- nodes ---------------------------------------------------------------------------------

    async def serve(self, span: str) -> None:
        self._names += 1
        name = f"n{self._names}"
        self.note(f"serve {name} {span}")
        await self.swarm.serve(name, span, **NODE)

    async def kill(self, name: str) -> None:
        """A node dies; another one takes over its blocks a little later, differently cut."""
        if name not in self.swarm.nodes:
            return
        self.note(f"kill {name}")
        self.faulty.add(name)
        span = self.swarm.nodes[name].info.span
        await self.swarm.kill(name)
        await asyncio.sleep(self.rng.choice([0.0, 0.05, 3.0]))
        start = self.rng.randint(0, span.start)
        await self.serve(f"{start}:{self.rng.randint(span.end, self.blocks)}")

    async def leave(self, name: str) -> None:
        """A node says goodbye, when others can do its work."""
        node = self.swarm.nodes.get(name)
        if node is None:
            return
        await self.serve(str(node.info.span))
        if name in self.swarm.nodes:
            self.note(f"leave {name}")
            self.faulty.add(name)
            self.swarm.net.resume(name)
            await self.swarm.leave(name)

    async def hang(self, name: str) -> None:
        self.note(f"hang {name}")
        self.faulty.add(name)
        self.swarm.net.stop(name)
        await asyncio.sleep(self.rng.choice([0.02, 0.6, 5.0]))
        self.note(f"resume {name}")
        self.swarm.net.resume(name)

    async def slow(self, name: str) -> None:
        self.note(f"slow {name}")
        self.faulty.add(name)
        self.swarm.faults.slow[name] = self.rng.choice([0.05, 2.0])
        await asyncio.sleep(self.rng.choice([0.1, 3.0]))
        self.swarm.faults.slow.pop(name, None)

    async def drop(self, name: str) -> None:
        self.note(f"drop streams of {name}")
        self.swarm.net.break_streams(name)

    async def evict(self, name: str) -> None:
        """The caches of a node's chats go to somebody else."""
        if name in self.swarm.nodes:
            self.note(f"evict at {name}")
            scheduler = service(self.swarm.nodes[name]).scheduler
            working = {id(work.session) for work in scheduler._works}
            for kept in service(self.swarm.nodes[name]).sessions:
                if id(kept) not in working:
                    scheduler.evict(kept)

    async def weather(self, _: str) -> None:
        """The network between all of them gets worse, or better again."""
        self.swarm.net.faults = Faults(
            slow=self.swarm.faults.slow,
            delay=self.rng.choice([0.0, 0.0, 0.02]),
            jitter=self.rng.choice([0.0, 0.01, 0.05]),
            break_stream=self.rng.choice([0.0, 0.01]),
            break_reply=self.rng.choice([0.0, 0.01]),
            drop_push=self.rng.choice([0.0, 0.1]),
            duplicate_push=self.rng.choice([0.0, 0.2]),
        )
        self.note(f"weather {self.swarm.faults}")

    async def fault(self, kind: str, which: int) -> None:
        names = self.names
        if names:
            await getattr(self, kind)(names[which % len(names)])

    # --- chats ---------------------------------------------------------------------------------

    def start_chat(self) -> Chat:
        chat = Chat(self.client.session(), [])
        self.chats.append(chat)
        return chat

    def say(self, chat: Chat, keep: float, tokens: list[int], room: int) -> None:
        """Keep a part of the conversation and append to it, within the context."""
        kept = chat.ids[: int(len(chat.ids) * keep)][: _MAX_LENGTH - len(tokens) - room]
        chat.ids = kept + tokens

    async def reply(self, chat: Chat, count: int, *, stop_after: float | None = None) -> None:
        """A reply, perhaps stopped, compared with the judge's."""
        prompt, reply = list(chat.ids), Reply()
        number = self.chats.index(chat)
        self.note(f"chat {number}: {len(prompt)} tokens, {count} wanted, stop {stop_after}")

        async def read() -> None:
            async for event in chat.session.generate(prompt, greedy(count)):
                if not isinstance(event, TokenGenerated):
                    self.note(f"chat {number}: {event}")
                reply.events.append(event)

        limit = REPLY_SECONDS if stop_after is None else stop_after
        try:
            async with asyncio.timeout(limit):
                await read()
        except TimeoutError:
            assert stop_after is not None, f"a reply took more than {limit} simulated seconds"
            self.note(f"chat {number}: stopped after {len(reply.tokens)} tokens")
        else:
            assert len(reply.tokens) == count
            assert reply.finished.stats.generated_tokens == count
        reply.check(prompt)
        check_greedy(self.oracle, prompt, reply.tokens)
        chat.ids = prompt + reply.tokens

    # --- the end -------------------------------------------------------------------------------

    async def close(self) -> None:
        """All chats end; nothing may be left behind, and nobody blamed without a reason."""
        for name in self.names:
            self.swarm.net.resume(name)
        self.swarm.net.faults = Faults()
        blamed = banned(self.client) - self.faulty
        assert not blamed, f"healthy nodes were banned: {blamed}"
        await asyncio.gather(*(chat.session.close() for chat in self.chats))
        await asyncio.sleep(NODE["session_grace"] + 2.0)
        assert set(self.swarm.pages_used().values()) == {0}
        for name, node in self.swarm.nodes.items():
            assert not service(node).sessions, f"{name} keeps sessions"
            assert not service(node).scheduler._works, f"{name} keeps work"


# Blocks of three; every layout covers them at least once.
_LAYOUTS = [
    ["0:3"],
    ["0:2", "2:3"],
    ["0:1", "1:3"],
    ["0:1", "1:2", "2:3"],
    ["0:2", "1:3"],
    ["0:2", "2:3", "0:3"],
    ["0:1", "1:3", "0:2", "2:3"],
    ["0:1", "1:2", "2:3", "0:2", "1:3"],
]
FAULTS = ("kill", "hang", "slow", "drop", "evict", "leave", "weather")


@torch.inference_mode()
def check_greedy(oracle: Oracle, prompt: list[int], tokens: list[int]) -> None:
    """Each token is the judge's first choice after all tokens before it."""
    if tokens:
        ids = prompt + tokens
        logits = oracle.model(torch.tensor([ids[:-1]])).logits[0, len(prompt) - 1 :]
        assert tokens == logits.argmax(-1).tolist()


def run(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """In simulated time, from the beginning of its clock."""
    with asyncio.Runner(loop_factory=SimulatedLoop) as runner:
        return runner.run(coroutine)


def simulated(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """Run an async test in simulated time: how busy the machine is does not matter to it."""

    @wraps(test)
    def in_simulated_time(*arguments: Any, **fixtures: Any) -> None:
        random.seed(test.__name__)
        run(test(*arguments, **fixtures))

    return in_simulated_time
