"""A swarm in this process: real nodes and a real client over the seeded in-process transport."""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from farmesh.client.client import FarMeshClient
from farmesh.client.session import InferenceSession
from farmesh.config import ClientConfig, NodeConfig
from farmesh.core import NodeInfo, Span
from farmesh.events import Event, GenerationFinished, Rerouted, TokenGenerated
from farmesh.network.inprocess import Faults, InProcessSwarm
from farmesh.node import FarNode, Machine
from farmesh.params import SamplingParams
from tests.support.waiting import PATIENCE, until

PREFIX = "_test"

# Everything that waits, waits for fractions of a second: for simulated time.
FAST_CLIENT: dict[str, Any] = {
    "refresh_period": 0.05,
    "connect_timeout": 0.3,
    "step_timeout_floor": 0.3,
    "silence_timeout": 0.2,
    "missing_blocks_timeout": 3.0,
    "ban_seconds": 30.0,
    "push_gain": -math.inf,  # always: carrying it over the client would be as fast here
}
FAST_NODE: dict[str, Any] = {
    "threads": 1,
    "cache_tokens": 4096,
    "update_period": 0.5,
    "push_timeout": 0.3,
    "session_grace": 5.0,
    "alloc_timeout": 3.0,
}

# In real time a busy machine stands still for seconds, and nobody is to be blamed for it.
PATIENT_CLIENT: dict[str, Any] = {
    **FAST_CLIENT,
    "connect_timeout": PATIENCE,
    "step_timeout_floor": PATIENCE,
    "silence_timeout": PATIENCE,
    "missing_blocks_timeout": PATIENCE,
}
PATIENT_NODE: dict[str, Any] = {
    **FAST_NODE,
    "push_timeout": PATIENCE,
    "session_grace": PATIENCE,
    "alloc_timeout": PATIENCE,
}


def greedy(count: int, **options: Any) -> SamplingParams:
    """Greedy sampling of exactly ``count`` tokens."""
    return SamplingParams(max_new_tokens=count, temperature=0.0, ignore_eos=True, **options)


@dataclass
class Reply:
    """All events of one reply."""

    events: list[Event] = field(default_factory=list)

    @property
    def tokens(self) -> list[int]:
        return [event.token_id for event in self.of(TokenGenerated)]

    @property
    def finished(self) -> GenerationFinished:
        (event,) = self.of(GenerationFinished)
        assert event is self.events[-1]
        return event

    @property
    def reroutes(self) -> list[Rerouted]:
        return self.of(Rerouted)

    def of(self, kind: type[Any]) -> list[Any]:
        return [event for event in self.events if isinstance(event, kind)]

    def check(self, prompt: Sequence[int]) -> None:
        """No token lost or doubled: positions and indices count up without a gap."""
        generated = self.of(TokenGenerated)
        assert [event.index for event in generated] == list(range(len(generated)))
        assert [event.position - len(prompt) for event in generated] == list(range(len(generated)))


async def generate(
    session: InferenceSession, prompt: Sequence[int], sampling: SamplingParams
) -> Reply:
    """One whole reply, checked for lost and doubled tokens."""
    reply = Reply()
    async for event in session.generate(prompt, sampling):
        reply.events.append(event)
    reply.check(prompt)
    return reply


async def generate_until(
    session: InferenceSession, prompt: Sequence[int], sampling: SamplingParams, kind: type[Any]
) -> Reply:
    """A reply that is stopped by its reader after the first event of ``kind``."""
    reply = Reply()
    async with contextlib.aclosing(session.generate(prompt, sampling)) as events:
        async for event in events:
            reply.events.append(event)
            if isinstance(event, kind):
                break
    return reply


class Swarm:
    """Nodes by name; an ``async with`` scope that ends them all."""

    def __init__(self, checkpoint: Path, *, seed: int = 0, faults: Faults | None = None) -> None:
        self.checkpoint = checkpoint
        self.net = InProcessSwarm(seed=seed, faults=faults)
        self.nodes: dict[str, FarNode] = {}
        self._scope = contextlib.AsyncExitStack()

    @property
    def faults(self) -> Faults:
        return self.net.faults

    async def __aenter__(self) -> Swarm:
        return self

    async def __aexit__(self, *_: Any) -> None:
        await self._scope.aclose()
        for name in list(self.nodes):
            await self.leave(name)

    async def serve(self, name: str, span: str, **options: Any) -> FarNode:
        """Start a node."""
        assert name not in self.nodes
        make_machine = getattr(asyncio.get_running_loop(), "machine", None)  # in simulated time
        machine = make_machine() if make_machine else Machine(shortest_record=PATIENCE)
        config = NodeConfig(
            checkpoint=self.checkpoint,
            span=Span.parse(span),
            dht_prefix=PREFIX,
            **{**(FAST_NODE if make_machine else PATIENT_NODE), **options},
        )
        node = FarNode(config, network=lambda: self.net.network(name), machine=machine)
        await node.__aenter__()
        self.nodes[name] = node
        return node

    async def serve_all(self, layout: str, **options: Any) -> None:
        """``"a=0:2 b=2:4"``"""
        for entry in layout.split():
            name, _, span = entry.partition("=")
            await self.serve(name, span, **options)

    async def leave(self, name: str) -> None:
        """A node that says goodbye."""
        await self.nodes.pop(name).__aexit__(None, None, None)

    async def kill(self, name: str) -> None:
        """SIGKILL: its streams break at once; its record stays until it expires."""
        self.net.kill(name)
        node = self.nodes.pop(name)
        records = dict(self.net._records)
        await node.__aexit__(None, None, None)  # frees this process' memory
        self.net._records = records  # the dead say no goodbye

    async def client(self, tokenizer: Any = None, **options: Any) -> FarMeshClient:
        """A client that has joined and seen the nodes."""
        parts = getattr(asyncio.get_running_loop(), "client_parts", None)  # in simulated time
        own_options = {**(FAST_CLIENT if parts else PATIENT_CLIENT), **options}
        config = ClientConfig(checkpoint=self.checkpoint, dht_prefix=PREFIX, **own_options)
        own = {} if parts is None else parts(self.checkpoint)
        client = FarMeshClient(config, network=self.net.network, tokenizer=tokenizer, **own)
        await self._scope.enter_async_context(client)
        await until(lambda: client.joined)
        await client.refresh()
        return client

    def computed(self) -> dict[str, int]:
        """Tokens computed by each node so far."""
        return {name: service(node).scheduler.tokens_computed for name, node in self.nodes.items()}

    def pages_used(self) -> dict[str, int]:
        return {name: service(node)._cache.allocator.used for name, node in self.nodes.items()}

    def set_record(self, name: str, **changes: Any) -> None:
        """Change what the directory says of a node."""
        from dataclasses import replace

        info, expires = self.net._records[PREFIX, name]
        changed: NodeInfo = replace(info, **changes)
        self.net._records[PREFIX, name] = changed, expires


def service(node: FarNode) -> Any:
    assert node.service is not None
    return node.service


def banned(client: FarMeshClient) -> set[str]:
    """Nodes that the client blames for a failure; being full is none."""
    return {peer for peer, ban in client._view.bans.items() if ban.failures}


@contextlib.asynccontextmanager
async def swarm_of(
    checkpoint: Path, layout: str, *, seed: int = 0, faults: Faults | None = None, **options: Any
) -> AsyncIterator[Swarm]:
    async with Swarm(checkpoint, seed=seed, faults=faults) as swarm:
        await swarm.serve_all(layout, **options)
        yield swarm
