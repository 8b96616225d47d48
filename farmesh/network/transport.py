"""How steps travel between peers: the one seam between the engine and the network.

Two implementations: :mod:`farmesh.network.libp2p` (libp2p through hivemind) and
:mod:`farmesh.network.inprocess` (the same node code without sockets, with seeded faults).
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine, Iterable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Any, Protocol

from farmesh.core import NodeInfo, PeerId
from farmesh.wire.messages import Step, StepReply


class NodeStream(Protocol):
    """The client's end of one inference stream. Sends and replies each keep their order."""

    async def send(self, step: Step) -> None:
        """Raises: StreamBroken."""

    async def receive(self) -> StepReply:
        """The next reply.

        Raises:
            StreamBroken: the stream ended.
            RemoteError: the node ended the session with an error.
            ProtocolError: the reply is malformed.
        """

    async def close(self) -> None:
        """End the session in order, so that the node frees its KV cache at once."""

    def abort(self) -> None:
        """Drop the stream; the node keeps the session for its grace period."""


class PeerStream(Protocol):
    """The node's end of one inference stream."""

    @property
    def peer_id(self) -> PeerId:
        """Who opened the stream."""

    async def receive(self) -> Step | None:
        """The next step; None when the peer closed the session in order.

        Raises:
            StreamBroken: the peer is gone.
            ProtocolError: the message is malformed.
        """

    async def send(self, reply: StepReply) -> None:
        """Raises: StreamBroken."""


class NodeHandler(Protocol):
    """What a node answers. Errors raised here reach the peer as one sentence, never a traceback."""

    @property
    def max_elements(self) -> int:
        """Elements of the largest tensor that a peer may send."""

    async def inference(self, stream: PeerStream) -> None: ...

    async def push(self, peer_id: PeerId, step: Step) -> None: ...

    async def info(self, peer_id: PeerId, uid: str) -> Mapping[str, Any]: ...


class Transport(Protocol):
    """One peer's access to all others."""

    @property
    def peer_id(self) -> PeerId: ...

    async def open_stream(
        self, peer_id: PeerId, *, max_elements: int, shared: bool = False
    ) -> NodeStream:
        """A stream of its own, or with ``shared`` one that may travel together with others.

        Raises: PeerUnreachable.
        """

    async def push(self, peer_id: PeerId, step: Step) -> None:
        """Hand a step to a session of another node; returns when it has been queued there.

        Raises: TransportError.
        """

    async def info(self, peer_id: PeerId, uid: str) -> Mapping[str, Any]:
        """Raises: TransportError."""

    async def ping(self, peer_id: PeerId) -> float:
        """Round trip in seconds.

        Raises: PeerUnreachable.
        """

    async def serve(self, handler: NodeHandler) -> None:
        """Start to answer other peers' calls with ``handler``."""


class Directory(Protocol):
    """Where nodes announce themselves and clients find them (the DHT)."""

    async def announce(self, prefix: str, info: NodeInfo, lifetime: float) -> None:
        """Publish ``info`` under every block of its span for ``lifetime`` seconds.

        Raises: SwarmUnreachable when nobody stored it.
        """

    async def rejoin(self) -> None:
        """Greet the bootstrap peers again: one that was away knows nobody when it is back."""

    async def lookup(
        self, prefix: str, num_blocks: int, only: int | None = None
    ) -> tuple[NodeInfo, ...]:
        """All nodes whose records are alive, whatever their state; or those of ``only`` a block."""

    async def register_model(self, prefix: str, num_blocks: int, lifetime: float) -> None:
        """List the model for dashboards; a private prefix (leading ``_``) is not listed."""

    async def models(self) -> dict[str, int]:
        """The models that are listed: how many blocks each has, by prefix. Strangers say so."""


@dataclass(slots=True)
class Whereabouts:
    """Where others reach this peer, and how; as it is now."""

    addresses: tuple[str, ...] = ()
    lost: asyncio.Event = field(default_factory=asyncio.Event)  # the peer broke for good
    relayed: asyncio.Event = field(default_factory=asyncio.Event)  # others come through a relay
    cut_off: asyncio.Event = field(default_factory=asyncio.Event)  # no relay takes it in any more

    def __repr__(self) -> str:
        states = {"LOST": self.lost, "CUT OFF": self.cut_off, "RELAYED": self.relayed}
        state = next((name for name, event in states.items() if event.is_set()), "DIRECT")
        return f"<Whereabouts {state} {self.addresses[0] if self.addresses else 'nowhere'}>"

    def move(self, addresses: Iterable[str]) -> None:
        """Others reach this peer at these addresses from now on."""
        # Where they get in comes first: behind a router that is the way through a relay.
        self.addresses = tuple(sorted(addresses, key=lambda address: not _is_relayed(address)))
        if any(map(_is_relayed, self.addresses)):
            self.relayed.set()
        else:
            self.relayed.clear()


def _is_relayed(address: str) -> bool:
    return "/p2p-circuit" in address


@dataclass(frozen=True, slots=True)
class Network:
    """A peer's place in a swarm: how it reaches others, how it finds them, and they it."""

    transport: Transport
    directory: Directory
    whereabouts: Whereabouts = field(default_factory=Whereabouts)


NetworkFactory = Callable[[], AbstractAsyncContextManager[Network]]


async def run_until(job: Coroutine[Any, Any, None], end: asyncio.Event) -> None:
    """Run ``job`` until it ends or ``end`` is set; the job is cancelled then."""
    task, waiter = asyncio.create_task(job), asyncio.create_task(end.wait())
    try:
        await asyncio.wait({task, waiter}, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            task.result()
    finally:
        for pending in (task, waiter):
            pending.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await pending


async def first_of(*events: asyncio.Event) -> None:
    """Wait until one of them is set."""
    waiters = [asyncio.create_task(event.wait()) for event in events]
    try:
        await asyncio.wait(waiters, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for waiter in waiters:
            waiter.cancel()
