"""The transport without sockets: the same node code, in one process, with faults by seed.

Serves single-machine use (no serialisation, no daemon) and deterministic tests: a
:class:`InProcessSwarm` is the network, and its ``faults`` say what goes wrong on it.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field, replace
from typing import Any

from farmesh.core import NodeInfo, PeerId
from farmesh.errors import PeerUnreachable, RemoteError, StreamBroken, SwarmUnreachable
from farmesh.network.failures import public_error
from farmesh.network.transport import Network, NodeHandler, NodeStream, Whereabouts
from farmesh.wire.failures import CODE_INVALID, parse_error
from farmesh.wire.messages import Step, StepReply


@dataclass(slots=True)
class Faults:
    """What goes wrong on an in-process network; probabilities per message, drawn by its seed."""

    delay: float = 0.0  # seconds, one way, on every message
    jitter: float = 0.0  # seconds, added at random: messages of different streams overtake
    break_stream: float = 0.0  # probability that sending a step breaks its stream
    break_reply: float = 0.0  # ... that a reply is lost together with its stream
    drop_push: float = 0.0  # ... that a push fails
    duplicate_push: float = 0.0  # ... that a push arrives twice
    slow: dict[PeerId, float] = field(default_factory=dict)  # seconds added to each reply


class InProcessSwarm:
    """A network of peers in this process, with its directory."""

    def __init__(self, *, seed: int = 0, faults: Faults | None = None) -> None:
        self.faults = faults or Faults()
        self.random = random.Random(seed)
        self.models: dict[str, int] = {}  # that were listed, with their numbers of blocks
        self._handlers: dict[PeerId, NodeHandler] = {}
        self._records: dict[tuple[str, PeerId], tuple[NodeInfo, float]] = {}
        self._stopped: dict[PeerId, asyncio.Event] = {}
        # Ordered, so that a seed always tells the same story.
        self._streams: dict[PeerId, dict[_Stream, None]] = {}
        self._dead: set[PeerId] = set()
        self._names = 0

    def __repr__(self) -> str:
        return f"<InProcessSwarm {len(self._handlers)} peers serving>"

    def network(self, name: str | None = None) -> AbstractAsyncContextManager[Network]:
        """A new peer's place in this swarm; pass as ``network=`` (a factory) to node or client."""

        @contextlib.asynccontextmanager
        async def join() -> AsyncIterator[Network]:
            self._names += 1
            peer_id = name or f"peer{self._names}"
            self._stopped.pop(peer_id, None)
            self._dead.discard(peer_id)
            try:
                yield Network(
                    _Transport(self, peer_id),
                    _Directory(self),
                    Whereabouts((f"/inprocess/{peer_id}",)),
                )
            finally:
                self.kill(peer_id)

        return join()

    # --- faults by hand -------------------------------------------------------------------------

    def kill(self, peer_id: PeerId) -> None:
        """The peer is gone at once, with all its streams; its records stay until they expire."""
        self._handlers.pop(peer_id, None)
        self._dead.add(peer_id)
        self.resume(peer_id)
        for stream in list(self._streams.pop(peer_id, ())):
            stream.break_off()

    def break_streams(self, peer_id: PeerId) -> None:
        """All streams to the peer drop; the peer itself lives."""
        for stream in list(self._streams.get(peer_id, ())):
            stream.break_off()

    def stop(self, peer_id: PeerId) -> None:
        """The peer hangs: it takes messages and answers nothing (SIGSTOP)."""
        self._stopped.setdefault(peer_id, asyncio.Event())

    def resume(self, peer_id: PeerId) -> None:
        """The peer that hung goes on (SIGCONT)."""
        event = self._stopped.pop(peer_id, None)
        if event is not None:
            event.set()

    # --- the network's inside ---------------------------------------------------------------------

    async def travel(self, peer_id: PeerId) -> None:
        """A message on its way to or from ``peer_id``, which has to be awake."""
        await self.delay()
        await self.awake(peer_id)

    async def delay(self) -> None:
        """A message on its way."""
        seconds = self.faults.delay + self.faults.jitter * self.random.random()
        if seconds:
            await asyncio.sleep(seconds)

    async def awake(self, peer_id: PeerId) -> None:
        """Wait while the peer hangs."""
        while (hung := self._stopped.get(peer_id)) is not None:
            await hung.wait()

    def chance(self, probability: float) -> bool:
        return probability > 0 and self.random.random() < probability

    def handler(self, peer_id: PeerId) -> NodeHandler:
        """Raises: PeerUnreachable."""
        try:
            return self._handlers[peer_id]
        except KeyError:
            raise PeerUnreachable("nobody answers there") from None

    def serve(self, peer_id: PeerId, handler: NodeHandler) -> None:
        self._handlers[peer_id] = handler

    def register(self, stream: _Stream) -> None:
        self._streams.setdefault(stream.target, {})[stream] = None

    def unregister(self, stream: _Stream) -> None:
        self._streams.get(stream.target, {}).pop(stream, None)

    def store(self, prefix: str, info: NodeInfo, lifetime: float) -> None:
        if info.peer_id in self._dead:
            raise SwarmUnreachable("This peer is not in the swarm any more.")
        self._records[prefix, info.peer_id] = info, _now() + lifetime

    def records(self, prefix: str) -> tuple[NodeInfo, ...]:
        now = _now()
        return tuple(
            info
            for (key, _), (info, expires) in sorted(self._records.items(), key=lambda r: r[0])
            if key == prefix and expires > now
        )


def _now() -> float:
    """The event loop's time, in seconds; it may be a simulated one."""
    return asyncio.get_running_loop().time()


_END = object()


class _Stream:
    """Both ends of one inference stream."""

    def __init__(self, swarm: InProcessSwarm, source: PeerId, target: PeerId) -> None:
        self.swarm = swarm
        self.source = source
        self.target = target
        self.broken = False
        self.requests: asyncio.Queue[Any] = asyncio.Queue()
        self.replies: asyncio.Queue[Any] = asyncio.Queue()
        self.server: asyncio.Task[None] | None = None

    def break_off(self) -> None:
        self.broken = True
        self.requests.put_nowait(StreamBroken("the connection was closed"))
        self.replies.put_nowait(StreamBroken("the connection was closed"))
        self.swarm.unregister(self)

    def check(self) -> None:
        if self.broken:
            raise StreamBroken("the connection was closed")

    async def run(self, handler: NodeHandler) -> None:
        """The node's side, as the daemon would run it."""
        try:
            await handler.inference(_PeerEnd(self))
            self.replies.put_nowait(StreamBroken("the node closed the stream"))
        except StreamBroken as error:
            self.replies.put_nowait(error)
        except asyncio.CancelledError:
            self.replies.put_nowait(StreamBroken("the connection was closed"))
            raise
        except Exception as error:  # noqa: BLE001 - as over the network: a sentence for the peer
            self.replies.put_nowait(RemoteError(*parse_error(public_error(error))))
        finally:
            self.swarm.unregister(self)


class _NodeEnd:
    """The client's end; implements ``transport.NodeStream``."""

    def __init__(self, stream: _Stream) -> None:
        self._stream = stream

    async def send(self, step: Step) -> None:
        stream = self._stream
        stream.check()
        try:
            await stream.swarm.delay()
        except asyncio.CancelledError:
            stream.requests.put_nowait(step)  # the bytes are with the daemon already
            raise
        if stream.swarm.chance(stream.swarm.faults.break_stream):
            stream.break_off()
        stream.check()
        stream.requests.put_nowait(step)

    async def receive(self) -> StepReply:
        reply = await self._stream.replies.get()
        if isinstance(reply, Exception):
            self._stream.replies.put_nowait(reply)  # the stream stays ended
            raise reply
        return reply

    async def close(self) -> None:
        self._stream.requests.put_nowait(_END)
        server = self._stream.server
        if server is not None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(1.0):
                    await asyncio.wait([server])
        self.abort()

    def abort(self) -> None:
        if not self._stream.broken:
            self._stream.break_off()


class _PeerEnd:
    """The node's end; implements ``transport.PeerStream``."""

    def __init__(self, stream: _Stream) -> None:
        self._stream = stream

    @property
    def peer_id(self) -> PeerId:
        return self._stream.source

    async def receive(self) -> Step | None:
        request = await self._stream.requests.get()
        await self._stream.swarm.awake(self._stream.target)
        if isinstance(request, Exception):
            self._stream.requests.put_nowait(request)
            raise request
        return None if request is _END else request

    async def send(self, reply: StepReply) -> None:
        stream, faults = self._stream, self._stream.swarm.faults
        await stream.swarm.travel(stream.target)
        if slow := faults.slow.get(stream.target):
            await asyncio.sleep(slow)
        if stream.swarm.chance(faults.break_reply):
            stream.break_off()
        stream.check()
        stream.replies.put_nowait(reply)


class _Transport:
    """One peer's access to the others; implements ``transport.Transport``."""

    def __init__(self, swarm: InProcessSwarm, peer_id: PeerId) -> None:
        self._swarm = swarm
        self.peer_id = peer_id
        self._servers: set[asyncio.Task[None]] = set()

    async def open_stream(
        self, peer_id: PeerId, *, max_elements: int, shared: bool = False
    ) -> NodeStream:
        await self._swarm.travel(peer_id)
        handler = self._swarm.handler(peer_id)
        stream = _Stream(self._swarm, self.peer_id, peer_id)
        self._swarm.register(stream)
        stream.server = asyncio.create_task(stream.run(handler))
        self._servers.add(stream.server)
        stream.server.add_done_callback(self._servers.discard)
        return _NodeEnd(stream)

    async def push(self, peer_id: PeerId, step: Step) -> None:
        faults = self._swarm.faults
        await self._swarm.awake(self.peer_id)
        await self._swarm.travel(peer_id)
        if self._swarm.chance(faults.drop_push):
            raise PeerUnreachable("the push was lost")
        handler = self._swarm.handler(peer_id)
        for _ in range(2 if self._swarm.chance(faults.duplicate_push) else 1):
            try:
                await handler.push(self.peer_id, step)
            except RemoteError:
                raise
            except ValueError as error:
                raise RemoteError(CODE_INVALID, str(error)) from error
        await self._swarm.travel(self.peer_id)

    async def info(self, peer_id: PeerId, uid: str) -> Mapping[str, Any]:
        await self._swarm.travel(peer_id)
        return await self._swarm.handler(peer_id).info(self.peer_id, uid)

    async def ping(self, peer_id: PeerId) -> float:
        started = _now()
        await self._swarm.travel(peer_id)
        self._swarm.handler(peer_id)
        await self._swarm.travel(self.peer_id)
        return _now() - started

    async def serve(self, handler: NodeHandler) -> None:
        self._swarm.serve(self.peer_id, handler)


class _Directory:
    """The swarm's records; implements ``transport.Directory``."""

    def __init__(self, swarm: InProcessSwarm) -> None:
        self._swarm = swarm

    async def announce(self, prefix: str, info: NodeInfo, lifetime: float) -> None:
        self._swarm.store(prefix, replace(info), lifetime)

    async def rejoin(self) -> None:
        return None

    async def lookup(
        self, prefix: str, num_blocks: int, only: int | None = None
    ) -> tuple[NodeInfo, ...]:
        nodes = self._swarm.records(prefix)
        return nodes if only is None else tuple(node for node in nodes if only in node.span)

    async def register_model(self, prefix: str, num_blocks: int, lifetime: float) -> None:
        self._swarm.models[prefix] = num_blocks

    async def models(self) -> dict[str, int]:
        return dict(self._swarm.models)
