"""The transport over libp2p: hivemind's daemon and DHT in this process' own asyncio loop.

Stream frames are hivemind's (marker byte, 8-byte big-endian length, protobuf) but read here with
a bound on the length, which hivemind's own reader lacks.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol

from google.protobuf.message import DecodeError
from hivemind.dht import DHTNode
from hivemind.p2p import P2P, P2PContext, P2PDaemonError, P2PHandlerError, PeerID
from hivemind.proto import dht_pb2, p2pd_pb2, runtime_pb2
from hivemind.utils.multiaddr import Multiaddr

from farmesh.config import BootstrapConfig
from farmesh.core import PeerId
from farmesh.discovery import DHTDirectory
from farmesh.errors import (
    ConfigError,
    FarMeshError,
    PeerUnreachable,
    ProtocolError,
    RemoteError,
    StreamBroken,
    SwarmUnreachable,
)
from farmesh.multiplex import ERROR, MESSAGE, Channel, SharedConnection
from farmesh.transport import Network, NodeHandler, NodeStream
from farmesh.wire import (
    CODE_INTERNAL,
    CODE_INVALID,
    HANDLER_NAME,
    MAX_STREAM_BYTES,
    Step,
    StepReply,
    decode_reply,
    decode_step,
    encode_reply,
    encode_step,
    error_text,
    pack,
    parse_error,
    unpack_map,
)

logger = logging.getLogger(__name__)

_HEADER = 9  # marker (MESSAGE or ERROR) and length
_RPC_INFERENCE = f"{HANDLER_NAME}.rpc_inference"
_RPC_SHARED = f"{HANDLER_NAME}.rpc_shared"  # many inference streams in one; ours alone
_RPC_PUSH = f"{HANDLER_NAME}.rpc_push"
_RPC_INFO = f"{HANDLER_NAME}.rpc_info"
_CLOSE_SECONDS = 2.0  # for a peer to end its side of a stream that we closed
_BROKEN = (ConnectionError, asyncio.IncompleteReadError, BrokenPipeError, OSError)


# --- Frames -----------------------------------------------------------------------------------


class Frames(Protocol):
    """One stream of frames between two peers: a libp2p stream, or a channel of a shared one."""

    async def read(self) -> tuple[int, bytes]:
        """Kind (``MESSAGE`` or ``ERROR``) and payload of the next frame.

        Raises:
            StreamBroken: the stream ended.
            ProtocolError: an unknown kind, or a length above the bound.
        """

    async def write(self, kind: int, payload: bytes) -> None:
        """Raises: StreamBroken."""

    def end(self) -> None:
        """Nothing more is written; what was written still travels."""

    def abort(self) -> None:
        """Drop the stream."""


class OwnStream:
    """Frames on a libp2p stream of their own, as hivemind writes them."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def read(self) -> tuple[int, bytes]:
        try:
            header = await self._reader.readexactly(_HEADER)
            kind, length = header[0], int.from_bytes(header[1:], "big")
            if kind not in (MESSAGE, ERROR) or length > MAX_STREAM_BYTES:
                raise ProtocolError("a malformed frame")
            return kind, await self._reader.readexactly(length)
        except _BROKEN as error:
            raise StreamBroken("the connection was closed") from error

    async def write(self, kind: int, payload: bytes) -> None:
        try:
            self._writer.write(bytes((kind,)) + len(payload).to_bytes(8, "big") + payload)
            await self._writer.drain()
        except _BROKEN as error:
            raise StreamBroken("the connection was closed") from error

    def end(self) -> None:
        self._writer.close()

    abort = end


class LibP2PNodeStream:
    """The client's end of an inference stream."""

    def __init__(self, frames: Frames, max_elements: int) -> None:
        self._frames = frames
        self._max_elements = max_elements

    async def send(self, step: Step) -> None:
        await self._frames.write(MESSAGE, encode_step(step).SerializeToString())

    async def receive(self) -> StepReply:
        kind, payload = await self._frames.read()
        if kind == ERROR:
            raise RemoteError(*parse_error(_parse(p2pd_pb2.RPCError, payload).message))
        return decode_reply(
            _parse(runtime_pb2.ExpertResponse, payload), max_elements=self._max_elements
        )

    async def close(self) -> None:
        # The node may close first: a broken pipe here means that the session is over as wanted.
        with contextlib.suppress(StreamBroken, ProtocolError, RemoteError, TimeoutError):
            async with asyncio.timeout(_CLOSE_SECONDS):
                await self._frames.write(MESSAGE, b"")  # a request without uid and tensors ...
                await self._frames.write(ERROR, b"")  # ... and the end of all requests
                while True:
                    await self.receive()
        self.abort()

    def abort(self) -> None:
        self._frames.abort()


class LibP2PPeerStream:
    """The node's end of an inference stream."""

    def __init__(self, peer_id: PeerId, frames: Frames, max_elements: int) -> None:
        self.peer_id = peer_id
        self.frames = frames
        self._max_elements = max_elements

    async def receive(self) -> Step | None:
        kind, payload = await self.frames.read()
        if kind == ERROR:  # end of requests without the empty message
            return None
        request = _parse(runtime_pb2.ExpertRequest, payload)
        return decode_step(request, max_elements=self._max_elements)

    async def send(self, reply: StepReply) -> None:
        await self.frames.write(MESSAGE, encode_reply(reply).SerializeToString())

    async def send_error(self, text: str) -> None:
        await self.frames.write(ERROR, p2pd_pb2.RPCError(message=text).SerializeToString())


def _parse(message_type: Any, payload: bytes) -> Any:
    message = message_type()
    try:
        message.ParseFromString(payload)
    except DecodeError as error:
        raise ProtocolError("a malformed protobuf message") from error
    return message


# --- One peer ---------------------------------------------------------------------------------


class Peer:
    """One libp2p identity with its DHT node; an ``async with`` scope.

    Raises on entry:
        ConfigError: an address cannot be parsed, or the port is in use.
        SwarmUnreachable: no bootstrap peer answered within ``join_timeout``.
    """

    def __init__(
        self,
        *,
        initial_peers: tuple[str, ...] = (),
        host: str = "127.0.0.1",
        port: int = 0,
        announce: tuple[str, ...] = (),
        identity_path: Path | None = None,
        client_mode: bool = False,
        join_timeout: float = 30.0,
    ) -> None:
        self.initial_peers = initial_peers
        self._host = host
        self._port = port
        self._announce = announce
        self._identity_path = identity_path
        self._client_mode = client_mode
        self._join_timeout = join_timeout
        self.p2p: P2P = None
        self.dht: DHTNode = None
        self.addresses: tuple[str, ...] = ()
        self.lost = asyncio.Event()  # the daemon ended by itself: nothing can be reached any more
        self._watch: asyncio.Task[None] | None = None

    def __repr__(self) -> str:
        state = "OPEN" if self.p2p is not None else "CLOSED"
        return f"<Peer {state} {self.addresses[0] if self.addresses else ''}>"

    @property
    def peer_id(self) -> PeerId:
        return str(self.p2p.peer_id.to_base58())

    async def __aenter__(self) -> Peer:
        for address in (*self.initial_peers, *self._announce):
            check_address(address, needs_peer=address in self.initial_peers)
        if self._port and not self._client_mode:
            check_port_is_free(self._host, self._port)
        deadline = time.monotonic() + self._join_timeout
        delay = 0.2
        while True:
            try:
                await self._start()
                return self
            except (P2PDaemonError, RuntimeError) as error:
                await self.close()
                if not self.initial_peers:
                    raise ConfigError(f"The p2p daemon did not start: {error}") from error
                if time.monotonic() + delay > deadline:
                    raise SwarmUnreachable(
                        f"No bootstrap peer answered within {self._join_timeout:.0f} seconds. "
                        "Check the address, and that the bootstrap peer is running."
                    ) from error
            await asyncio.sleep(delay)
            delay = min(2.0, delay * 1.6)

    async def _start(self) -> None:
        family = "ip6" if ":" in self._host else "ip4"
        self.p2p = await P2P.create(
            initial_peers=list(self.initial_peers) or None,
            host_maddrs=[f"/{family}/{self._host}/tcp/{self._port}"],
            announce_maddrs=list(self._announce) or None,
            identity_path=str(self._identity_path) if self._identity_path else None,
            dht_mode="client" if self._client_mode else "server",
            auto_nat=False,
            nat_port_map=False,
            use_relay=False,
            check_if_identity_free=False,
        )
        self.dht = await DHTNode.create(
            p2p=self.p2p,
            initial_peers=list(self.initial_peers) or None,
            client_mode=self._client_mode,
            # A node that just left is forgotten by its neighbours after one failed call.
            blacklist_time=2.0,
            num_workers=8,
        )
        self._watch = asyncio.create_task(self._watch_daemon(self.p2p), name="farmesh-p2pd")
        maddrs = await self.p2p.get_visible_maddrs()
        self.addresses = tuple(str(maddr) for maddr in maddrs)

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    async def _watch_daemon(self, p2p: P2P) -> None:
        await p2p._child.wait()  # hivemind offers no other way to learn of its end
        if self.p2p is p2p:
            logger.error("The p2p daemon of this peer ended unexpectedly.")
            self.lost.set()

    async def close(self) -> None:
        if self._watch is not None:
            self._watch.cancel()
        dht, self.dht = self.dht, None
        p2p, self.p2p = self.p2p, None
        if dht is not None:
            with contextlib.suppress(P2PDaemonError, OSError, asyncio.IncompleteReadError):
                await dht.shutdown()
        if p2p is not None:
            await p2p.shutdown()


def check_address(address: str, *, needs_peer: bool) -> None:
    """Raises: ConfigError, naming the address and what it should look like."""
    example = "/ip4/192.0.2.1/tcp/31337/p2p/12D3KooW…"
    try:
        protocols = [protocol.name for protocol in Multiaddr(address).protocols()]
    except Exception as error:  # the parser raises many types
        raise ConfigError(
            f"{address!r} is not a peer's address; one looks like {example}."
        ) from error
    if needs_peer and "p2p" not in protocols:
        raise ConfigError(f"{address!r} lacks the peer's id; an address looks like {example}.")


def check_port_is_free(host: str, port: int) -> None:
    """Raises: ConfigError when nobody can listen there."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise ConfigError(
                f"Port {port} on {host} cannot be used ({error.strerror}). "
                "Choose another with --port, or 0 for any free one."
            ) from error


class Bootstrap:
    """A peer that others join through; an ``async with`` scope that serves no blocks."""

    def __init__(self, config: BootstrapConfig) -> None:
        self._peer = Peer(
            initial_peers=config.initial_peers,
            host=config.host,
            port=config.port,
            announce=config.announce,
            identity_path=config.identity_path,
        )

    @property
    def lost(self) -> asyncio.Event:
        """Set when the peer broke for good and its process should end."""
        return self._peer.lost

    @property
    def addresses(self) -> tuple[str, ...]:
        """Full addresses, ``/ip4/…/tcp/…/p2p/…``, for others' ``initial_peers``."""
        return self._peer.addresses

    async def __aenter__(self) -> Bootstrap:
        await self._peer.__aenter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._peer.close()


# --- The transport ----------------------------------------------------------------------------


class LibP2PTransport:
    """Carries steps between libp2p peers; implements :class:`farmesh.transport.Transport`."""

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
            frames = OwnStream(*await self._open(peer_id, _RPC_INFERENCE))
        return LibP2PNodeStream(frames, max_elements)

    async def _open(
        self, peer_id: PeerId, name: str
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        with _peer_errors():
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
        started = time.perf_counter()
        try:
            await self._call(
                peer_id, "DHTProtocol.rpc_ping", dht_pb2.PingRequest(), dht_pb2.PingResponse
            )
        except PeerUnreachable as error:
            # A DHT client (behind a relay, say) has no such method; its "no" is a round trip too.
            if "not supported" not in str(error):
                raise
        return time.perf_counter() - started

    async def _call(self, peer_id: PeerId, name: str, request: Any, answer: Any) -> Any:
        with _peer_errors():
            async with asyncio.timeout(self._connect_timeout):
                return await self._peer.p2p.call_protobuf_handler(
                    PeerID.from_base58(peer_id), name, request, answer
                )

    async def serve(self, handler: NodeHandler) -> None:
        p2p = self._peer.p2p

        async def inference(info: Any, reader: Any, writer: Any) -> None:
            await serve_stream(handler, info, OwnStream(reader, writer))

        async def shared(info: Any, reader: Any, writer: Any) -> None:
            serving: set[asyncio.Task[None]] = set()

            def accept(channel: Channel) -> None:
                task = asyncio.create_task(serve_stream(handler, info, channel))
                serving.add(task)
                task.add_done_callback(serving.discard)

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
        await p2p.add_protobuf_handler(_RPC_PUSH, _quiet(push), runtime_pb2.ExpertRequest)
        await p2p.add_protobuf_handler(_RPC_INFO, _quiet(info), runtime_pb2.ExpertUID)


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


def public_error(error: Exception) -> str:
    """What a peer is told of an error: a code and a sentence, never a traceback."""
    match error:
        case RemoteError():
            return error_text(error.code, str(error))
        case FarMeshError():
            return error_text(CODE_INVALID, str(error))
        case _:
            logger.exception("A handler failed")
            return error_text(CODE_INTERNAL, "the node met an internal error")


def _quiet(
    handler: Callable[[Any, P2PContext], Awaitable[Any]],
) -> Callable[[Any, P2PContext], Awaitable[Any]]:
    """Keep internals of a unary handler's failure from the peer (hivemind sends ``repr``)."""

    async def guarded(request: Any, context: P2PContext) -> Any:
        try:
            return await handler(request, context)
        except Exception as error:  # noqa: BLE001 - the peer gets a sentence
            raise RuntimeError(public_error(error)) from None

    return guarded


@contextlib.contextmanager
def _peer_errors() -> Iterator[None]:
    """Translate the daemon's errors into the engine's."""
    try:
        yield
    except TimeoutError as error:
        raise PeerUnreachable("it did not answer in time") from error
    except P2PHandlerError as error:
        raise RemoteError(*parse_error(str(error))) from error
    except (P2PDaemonError, *_BROKEN) as error:
        raise PeerUnreachable(_short(error)) from error


def _short(error: Exception) -> str:
    text = " ".join(str(error).split())
    return text[:200] or type(error).__name__


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
            known = [PeerID.from_base58(Multiaddr(a)["p2p"]) for a in peer.initial_peers]
            transport = LibP2PTransport(peer, connect_timeout=connect_timeout)
            async with contextlib.aclosing(transport):
                directory = DHTDirectory(peer.dht, known)
                yield Network(transport, directory, peer.addresses, peer.lost)

    return join
