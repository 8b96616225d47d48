"""The transport over libp2p: hivemind's daemon and DHT in this process' own asyncio loop.

Stream frames are hivemind's (marker byte, 8-byte big-endian length, protobuf) but read here with
a bound on the length, which hivemind's own reader lacks.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from typing import Any

from hivemind.p2p import P2PContext, PeerID
from hivemind.proto import runtime_pb2

from farmesh.core import PeerId
from farmesh.errors import PeerUnreachable, ProtocolError, QuotaExceeded, StreamBroken
from farmesh.network.addresses import check_address, peer_id_of
from farmesh.network.directory import DHTDirectory
from farmesh.network.failures import peer_errors, public_error, quiet
from farmesh.network.frames import Frames, LibP2PNodeStream, LibP2PPeerStream, OwnStream
from farmesh.network.peer import Peer, Probe, probe
from farmesh.network.shared import Channel, SharedConnection
from farmesh.network.transport import Network, NodeHandler, NodeStream, PeerStream
from farmesh.wire.messages import HANDLER_NAME, Step, decode_step, encode_step, max_message_bytes
from farmesh.wire.packing import pack, unpack_map

logger = logging.getLogger(__name__)
_RPC_INFERENCE = f"{HANDLER_NAME}.rpc_inference"
_RPC_SHARED = f"{HANDLER_NAME}.rpc_shared"  # many inference streams in one; ours alone
_RPC_PUSH = f"{HANDLER_NAME}.rpc_push"
_RPC_INFO = f"{HANDLER_NAME}.rpc_info"
# Open at once per peer, whether or not a session came of them (those have a limit of their own).
_MAX_OWN_STREAMS = 2048
_MAX_SHARED_STREAMS = 8


# --- The transport ----------------------------------------------------------------------------


class LibP2PTransport:
    """Carries steps between libp2p peers; implements ``transport.Transport``."""

    def __init__(self, peer: Peer, *, connect_timeout: float = 5.0) -> None:
        self._peer = peer
        self._connect_timeout = connect_timeout
        self._shared: dict[PeerId, asyncio.Task[SharedConnection]] = {}
        self._readers: set[asyncio.Task[None]] = set()

    @property
    def peer_id(self) -> PeerId:
        return self._peer.peer_id

    async def open_stream(
        self, peer_id: PeerId, *, max_elements: int, shared: bool = False
    ) -> NodeStream:
        frames: Frames
        if shared:
            frames = (await self._shared_connection(peer_id)).open()
        else:
            reader, writer = await self._open(peer_id, _RPC_INFERENCE)
            frames = OwnStream(reader, writer, max_message_bytes(max_elements))
        return LibP2PNodeStream(frames, max_elements)

    async def _open(
        self, peer_id: PeerId, name: str
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        with peer_errors():
            async with asyncio.timeout(self._connect_timeout):
                _, reader, writer = await self._peer.p2p.call_binary_stream_handler(
                    PeerID.from_base58(peer_id), name
                )
        return reader, writer

    async def _shared_connection(self, peer_id: PeerId) -> SharedConnection:
        """The one to this peer, opened once for all who ask.

        Raises: PeerUnreachable.
        """
        task = self._shared.get(peer_id)
        if task is None or (task.done() and not _usable(task)):
            task = asyncio.create_task(self._connect(peer_id), name="farmesh-connect")
            task.add_done_callback(_retrieve)
            self._shared[peer_id] = task
        return await asyncio.shield(task)

    async def _connect(self, peer_id: PeerId) -> SharedConnection:
        connection = SharedConnection(*await self._open(peer_id, _RPC_SHARED))
        reader = asyncio.create_task(_run(connection), name="farmesh-shared")
        self._readers.add(reader)
        reader.add_done_callback(self._readers.discard)
        return connection

    async def aclose(self) -> None:
        """Break the shared connections off."""
        tasks = [*self._shared.values(), *self._readers]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def push(self, peer_id: PeerId, step: Step) -> None:
        await self._call(peer_id, _RPC_PUSH, encode_step(step), runtime_pb2.ExpertResponse)

    async def info(self, peer_id: PeerId, uid: str) -> Mapping[str, Any]:
        request = runtime_pb2.ExpertUID(uid=uid)
        answer = await self._call(peer_id, _RPC_INFO, request, runtime_pb2.ExpertInfo)
        return unpack_map(answer.serialized_info)

    async def ping(self, peer_id: PeerId) -> float:
        return (await self.probe(peer_id)).rtt

    async def probe(self, peer_id: PeerId) -> Probe:
        started = time.perf_counter()
        try:
            return await probe(self._peer.p2p, PeerID.from_base58(peer_id), self._connect_timeout)
        except PeerUnreachable as error:
            # A DHT client (behind a relay, say) has no such method; its "no" is a round trip too.
            if "not supported" not in str(error):
                raise
        return Probe(time.perf_counter() - started, None)

    async def _call(self, peer_id: PeerId, name: str, request: Any, answer: Any) -> Any:
        with peer_errors():
            async with asyncio.timeout(self._connect_timeout):
                return await self._peer.p2p.call_protobuf_handler(
                    PeerID.from_base58(peer_id), name, request, answer
                )

    async def serve(self, handler: NodeHandler) -> None:
        p2p = self._peer.p2p

        own, many = StreamQuota(_MAX_OWN_STREAMS), StreamQuota(_MAX_SHARED_STREAMS)

        async def inference(info: Any, reader: Any, writer: Any) -> None:
            frames = OwnStream(reader, writer, max_message_bytes(handler.max_elements))
            with own.one_more(info.peer_id) as allowed:
                await serve_stream(handler if allowed else _REFUSED, info, frames)

        async def shared(info: Any, reader: Any, writer: Any) -> None:
            serving: set[asyncio.Task[None]] = set()

            def accept(channel: Channel) -> None:
                channel.max_bytes = max_message_bytes(handler.max_elements)
                task = asyncio.create_task(serve_stream(handler, info, channel))
                serving.add(task)
                task.add_done_callback(serving.discard)

            with many.one_more(info.peer_id) as allowed:
                if not allowed:
                    writer.close()
                    return
                await _run(SharedConnection(reader, writer, accept))
                await asyncio.gather(*serving, return_exceptions=True)

        async def push(
            request: runtime_pb2.ExpertRequest, context: P2PContext
        ) -> runtime_pb2.ExpertResponse:
            step = decode_step(request, max_elements=handler.max_elements)
            if step is None:
                raise ProtocolError("an empty push")
            await handler.push(str(context.remote_id.to_base58()), step)
            return runtime_pb2.ExpertResponse()

        async def info(
            request: runtime_pb2.ExpertUID, context: P2PContext
        ) -> runtime_pb2.ExpertInfo:
            answer = await handler.info(str(context.remote_id.to_base58()), request.uid)
            return runtime_pb2.ExpertInfo(serialized_info=pack(dict(answer)))

        await p2p.add_binary_stream_handler(_RPC_INFERENCE, inference)
        await p2p.add_binary_stream_handler(_RPC_SHARED, shared)
        await p2p.add_protobuf_handler(_RPC_PUSH, quiet(push), runtime_pb2.ExpertRequest)
        await p2p.add_protobuf_handler(_RPC_INFO, quiet(info), runtime_pb2.ExpertUID)


class StreamQuota:
    """How many streams of a kind each peer has open; more than ``most`` are refused."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._open: Counter[PeerID] = Counter()

    @contextlib.contextmanager
    def one_more(self, peer_id: PeerID) -> Iterator[bool]:
        """Whether the peer may have another one; counted for as long as the scope lasts."""
        self._open[peer_id] += 1
        try:
            yield self._open[peer_id] <= self._most
        finally:
            self._open[peer_id] -= 1
            if not self._open[peer_id]:
                del self._open[peer_id]


class _Refusal:
    """Answers a stream that is one too many."""

    max_elements = 0

    async def inference(self, stream: PeerStream) -> None:
        raise QuotaExceeded("streams", "this peer has too many streams open here; try again later")

    async def push(self, peer_id: PeerId, step: Step) -> None:
        """Streams alone are counted."""

    async def info(self, peer_id: PeerId, uid: str) -> Mapping[str, Any]:
        return {}


_REFUSED = _Refusal()


async def serve_stream(handler: NodeHandler, info: Any, frames: Frames) -> None:
    """Run one inference stream; whatever ends it badly reaches the peer as one sentence."""
    peer_id = str(info.peer_id.to_base58())
    stream = LibP2PPeerStream(peer_id, frames, handler.max_elements)
    try:
        await handler.inference(stream)
    except StreamBroken:
        pass
    except Exception as error:  # noqa: BLE001 - the peer gets a sentence
        with contextlib.suppress(StreamBroken):
            await stream.send_error(public_error(error))
    finally:
        frames.end()


async def _run(connection: SharedConnection) -> None:
    try:
        await connection.run()
    except ProtocolError as error:
        logger.info("a shared connection was closed: %s", error)


def _usable(task: asyncio.Task[SharedConnection]) -> bool:
    if task.cancelled() or task.exception() is not None:
        return False
    connection = task.result()
    return not (connection.broken or connection.retired)


def _retrieve(task: asyncio.Task[SharedConnection]) -> None:
    if not task.cancelled():  # those who wait hear of it, if any are left
        task.exception()


def libp2p_network(
    *, connect_timeout: float = 5.0, **peer_options: Any
) -> Callable[[], contextlib.AbstractAsyncContextManager[Network]]:
    """A factory for one libp2p peer's network; ``peer_options`` are those of :class:`Peer`.

    Raises:
        ConfigError: an address cannot be parsed (at once, not when the swarm is joined).
    """
    for address in peer_options.get("initial_peers", ()):
        check_address(address, needs_peer=True)

    @contextlib.asynccontextmanager
    async def join() -> AsyncIterator[Network]:
        async with Peer(**peer_options) as peer:
            known = [PeerID.from_base58(peer_id_of(address)) for address in peer.initial_peers]
            transport = LibP2PTransport(peer, connect_timeout=connect_timeout)
            async with contextlib.aclosing(transport):
                directory = DHTDirectory(peer.dht, known)
                yield Network(transport, directory, peer)

    return join
