"""The transport over libp2p: hivemind's daemon and DHT in this process' own asyncio loop.

Stream frames are hivemind's (marker byte, 8-byte big-endian length, protobuf) but read here with
a bound on the length, which hivemind's own reader lacks.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import logging
import math
import re
import socket
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol

from google.protobuf.message import DecodeError
from hivemind.dht import DHTNode
from hivemind.dht.protocol import ValidationError
from hivemind.p2p import P2P, P2PContext, P2PDaemonError, P2PHandlerError, PeerID
from hivemind.proto import crypto_pb2, dht_pb2, p2pd_pb2, runtime_pb2
from hivemind.utils import get_dht_time
from hivemind.utils.multiaddr import Multiaddr
from hivemind.utils.timed_storage import MAX_DHT_TIME_DISCREPANCY_SECONDS

from farmesh.config import BootstrapConfig, Relay
from farmesh.core import PeerId
from farmesh.errors import (
    ClockSkew,
    ConfigError,
    FarMeshError,
    PeerUnreachable,
    ProtocolError,
    QuotaExceeded,
    RemoteError,
    StreamBroken,
    SwarmUnreachable,
)
from farmesh.network.directory import BoundedRecords, DHTDirectory
from farmesh.network.reachability import RPC_CHECK, ReachabilityCheck
from farmesh.network.shared import ERROR, MESSAGE, Channel, SharedConnection
from farmesh.network.transport import Network, NodeHandler, NodeStream, PeerStream
from farmesh.wire.messages import (
    CODE_INTERNAL,
    CODE_INVALID,
    HANDLER_NAME,
    Step,
    StepReply,
    decode_reply,
    decode_step,
    encode_reply,
    encode_step,
    error_text,
    max_message_bytes,
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
_PROBE_SECONDS = 3.0
_CLOCK_LOOK_SECONDS = 60.0
_CLOCK_WARNING_SECONDS = 1.0
_RELAY_LOOK_SECONDS = 2.0
_RELAY_LOST_SECONDS = 60.0
# What others may leave in this peer's part of the DHT; nodes of a large swarm need a tenth of it.
_STORED_KEYS = 100_000
_CACHED_RECORDS = 10_000
# Open at once per peer, whether or not a session came of them (those have a limit of their own).
_MAX_OWN_STREAMS = 2048
_MAX_SHARED_STREAMS = 8
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

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, max_bytes: int
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._max_bytes = max_bytes  # of one frame

    async def read(self) -> tuple[int, bytes]:
        try:
            header = await self._reader.readexactly(_HEADER)
            kind, length = header[0], int.from_bytes(header[1:], "big")
            if kind not in (MESSAGE, ERROR):
                raise ProtocolError("a malformed frame")
            if length > self._max_bytes:
                raise ProtocolError(f"a message of {length} bytes exceeds {self._max_bytes}")
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
            raise RemoteError(*parse_error(parse_message(p2pd_pb2.RPCError, payload).message))
        return decode_reply(
            parse_message(runtime_pb2.ExpertResponse, payload), max_elements=self._max_elements
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
        request = parse_message(runtime_pb2.ExpertRequest, payload)
        return decode_step(request, max_elements=self._max_elements)

    async def send(self, reply: StepReply) -> None:
        await self.frames.write(MESSAGE, encode_reply(reply).SerializeToString())

    async def send_error(self, text: str) -> None:
        await self.frames.write(ERROR, p2pd_pb2.RPCError(message=text).SerializeToString())


def parse_message(message_type: Any, payload: bytes) -> Any:
    message = message_type()
    try:
        message.ParseFromString(payload)
    except DecodeError as error:
        raise ProtocolError("a malformed protobuf message") from error
    return message


@dataclass(frozen=True, slots=True)
class Probe:
    """What a ping tells of another peer."""

    rtt: float  # seconds
    clock_ahead: float | None  # seconds that this machine's clock is ahead of the peer's


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
        relay: Relay = Relay.NEVER,
        join_timeout: float = 30.0,
    ) -> None:
        if relay is Relay.ALWAYS and not initial_peers:
            raise ConfigError(
                "Only a peer that joins others (--peers) can be reached through them."
            )
        self.initial_peers = initial_peers
        self._host = host
        self._port = port
        # The daemon adds this peer's id by itself.
        self._announce = tuple(re.sub(r"/p2p/\w+/?$", "", address) for address in announce)
        self._identity_path = identity_path
        self._client_mode = client_mode
        self._relay = relay
        self._join_timeout = join_timeout
        self.p2p: P2P = None
        self.dht: DHTNode = None
        self.addresses: tuple[str, ...] = ()
        self.lost = asyncio.Event()  # the daemon ended by itself: nothing can be reached any more
        self.relayed = asyncio.Event()  # others get here through a relay
        self.cut_off = asyncio.Event()  # no relay takes this peer in any more: join anew
        self._watches: list[asyncio.Task[None]] = []

    def __repr__(self) -> str:
        state = "OPEN" if self.p2p is not None else "CLOSED"
        return f"<Peer {state} {self.addresses[0] if self.addresses else ''}>"

    @property
    def peer_id(self) -> PeerId:
        return str(self.p2p.peer_id.to_base58())

    async def __aenter__(self) -> Peer:
        for address in (*self.initial_peers, *self._announce):
            check_address(address, needs_peer=address in self.initial_peers)
        if self._identity_path is not None:
            check_identity(self._identity_path)
        if self._port and not self._client_mode:
            check_port_is_free(self._host, self._port)
        deadline = time.monotonic() + self._join_timeout
        delay = 0.2
        while True:
            try:
                await self._start()
                return self
            except ClockSkew:  # no retry mends it
                await self.close()
                raise
            except (P2PDaemonError, RuntimeError, ValidationError) as error:
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
            dht_mode="client" if self._client_mode or self._relay is Relay.ALWAYS else "server",
            nat_port_map=False,
            check_if_identity_free=False,
            **self._reachability(),
        )
        records = BoundedRecords()
        try:
            self.dht = await DHTNode.create(
                p2p=self.p2p,
                initial_peers=list(self.initial_peers) or None,
                client_mode=self._client_mode or self._relay is Relay.ALWAYS,
                # A node that just left is forgotten by its neighbours after one failed call.
                blacklist_time=2.0,
                num_workers=8,
                cache_size=_CACHED_RECORDS,
                record_validator=records,
            )
        except ValidationError:  # the swarm did not let this peer in; nearly always for its clock
            await self._check_clock()
            raise
        records.protect(self.dht.protocol)
        self.dht.protocol.storage.maxsize = _STORED_KEYS
        watches = [self._watch_daemon(self.p2p)]
        if self._reachability().get("use_auto_relay"):
            watches.append(self._watch_relays(self.p2p))
        if self.initial_peers:
            watches.append(self._watch_clock(self.p2p))
        self._watches = [asyncio.create_task(watch, name="farmesh-p2pd") for watch in watches]
        await self._learn_addresses(self.p2p)
        if not (self._client_mode or self._relay is Relay.ALWAYS):
            check = ReachabilityCheck(lambda: (*self.addresses, *self.initial_peers))
            await self.p2p.add_protobuf_handler(
                RPC_CHECK, _quiet(check.answer), dht_pb2.PingRequest
            )

    async def _learn_addresses(self, p2p: P2P) -> None:
        maddrs = await p2p.get_visible_maddrs(latest=True)
        # Where others get in comes first: behind a router that is the way through a relay.
        self.addresses = tuple(sorted(map(str, maddrs), key=lambda a: "/p2p-circuit" not in a))
        relayed = any("/p2p-circuit" in address for address in self.addresses)
        (self.relayed.set if relayed else self.relayed.clear)()

    async def _check_clock(self) -> None:
        """Raises: ClockSkew."""
        for ahead in await measure_clocks(self.p2p, self.initial_peers):
            if abs(ahead) > MAX_DHT_TIME_DISCREPANCY_SECONDS:
                raise ClockSkew(ahead, MAX_DHT_TIME_DISCREPANCY_SECONDS)

    def _reachability(self) -> dict[str, Any]:
        """The daemon's options that decide how others get here, and whether through others.

        A peer that knows itself to be public also relays for those that are not.
        """
        here_alone = is_loopback(self._host) and not self._announce
        if here_alone and not self._client_mode and self._relay is not Relay.ALWAYS:
            return {"auto_nat": False, "use_relay": False}
        options: dict[str, Any] = {"auto_nat": False, "use_relay": True}  # may dial through others
        match self._relay:
            case Relay.OFFER:
                return options | {"auto_nat": True, "force_reachability": "public"}
            case Relay.ALWAYS:
                return options | {
                    "use_auto_relay": True,
                    "trusted_relays": list(self.initial_peers),
                    "force_reachability": "private",
                }
            case Relay.AUTO if self._announce or not self.initial_peers:
                return options | {"auto_nat": True, "force_reachability": "public"}
            case Relay.AUTO:
                return options | {
                    "auto_nat": True,
                    "use_auto_relay": True,
                    "trusted_relays": list(self.initial_peers),
                }
            case Relay.NEVER:
                return options

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

    async def _watch_clock(self, p2p: P2P) -> None:
        """Say so when this machine's clock drifts away from the swarm's."""
        said = False
        while True:
            skews = await measure_clocks(p2p, self.initial_peers)
            ahead = max(skews, key=abs, default=0.0)
            if abs(ahead) >= _CLOCK_WARNING_SECONDS and not said:
                logger.warning("%s", ClockSkew(ahead, MAX_DHT_TIME_DISCREPANCY_SECONDS))
            said = abs(ahead) >= _CLOCK_WARNING_SECONDS
            await asyncio.sleep(_CLOCK_LOOK_SECONDS)

    async def _watch_relays(self, p2p: P2P) -> None:
        """Keep knowing whether a relay takes this peer in.

        libp2p leaves a relay alone for an hour once it was lost, even if it is back in a second.
        When the bootstrap peers answer and no relay has taken this peer in for long, only a new
        daemon helps.
        """
        missing_since: float | None = None
        while True:
            await asyncio.sleep(_RELAY_LOOK_SECONDS)
            with contextlib.suppress(P2PDaemonError, OSError, ValueError):
                before = self.relayed.is_set()
                await self._learn_addresses(p2p)
                if self.relayed.is_set():
                    missing_since = None
                elif before or missing_since is not None:
                    missing_since = missing_since or time.monotonic()
                    lost_for = time.monotonic() - missing_since
                    if lost_for > _RELAY_LOST_SECONDS and await self._bootstrap_answers():
                        self.cut_off.set()

    async def _bootstrap_answers(self) -> bool:
        dht = self.dht
        known = [PeerID.from_base58(peer_id_of(address)) for address in self.initial_peers]
        return dht is not None and any(
            await asyncio.gather(*(dht.protocol.call_ping(peer) for peer in known))
        )

    async def close(self) -> None:
        for watch in self._watches:
            watch.cancel()
        dht, self.dht = self.dht, None
        p2p, self.p2p = self.p2p, None
        if dht is not None:
            with contextlib.suppress(P2PDaemonError, OSError, asyncio.IncompleteReadError):
                await dht.shutdown()
        if p2p is not None:
            await p2p.shutdown()


async def measure_clocks(p2p: P2P, addresses: tuple[str, ...]) -> list[float]:
    """Seconds that this machine's clock is ahead of each peer that answers."""

    async def measure(address: str) -> float | None:
        peer_id = PeerID.from_base58(peer_id_of(address))
        with contextlib.suppress(PeerUnreachable, RemoteError):
            return (await _probe(p2p, peer_id, _PROBE_SECONDS)).clock_ahead
        return None

    skews = await asyncio.gather(*map(measure, addresses))
    return [skew for skew in skews if skew is not None]


async def _probe(p2p: P2P, peer_id: PeerID, seconds: float) -> Probe:
    """Raises: PeerUnreachable, RemoteError."""
    started, clock = time.perf_counter(), get_dht_time()
    with _peer_errors():
        async with asyncio.timeout(seconds):
            answer = await p2p.call_protobuf_handler(
                peer_id, "DHTProtocol.rpc_ping", dht_pb2.PingRequest(), dht_pb2.PingResponse
            )
    rtt = time.perf_counter() - started
    ahead = clock + rtt / 2 - answer.dht_time
    return Probe(rtt, ahead if answer.dht_time and math.isfinite(ahead) else None)


def is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


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
    if not needs_peer and re.search(r"/(tcp|udp)/0(/|$)", address):
        raise ConfigError(f"{address!r} names no port; an announced address needs the real one.")


def check_identity(path: Path) -> None:
    """Raises: ConfigError: there is no such folder, or the file holds no private key."""
    if not path.parent.is_dir():
        raise ConfigError(f"There is no folder {path.parent} to keep the identity {path.name} in.")
    try:
        if path.exists():
            key = crypto_pb2.PrivateKey.FromString(path.read_bytes())
            if key.key_type == crypto_pb2.RSA:  # as hivemind makes them; the daemon takes others
                PeerID.from_identity(path.read_bytes())
    except Exception as error:  # parsers of protobuf and keys raise many types
        raise ConfigError(
            f"{path} is not a peer's identity; name another file, or one that does not exist yet."
        ) from error


def peer_id_of(address: str) -> PeerId:
    """Whose address it is; of one through a relay, the last."""
    return address.rpartition("/p2p/")[2]


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
            relay=config.relay,
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
        return (await self.probe(peer_id)).rtt

    async def probe(self, peer_id: PeerId) -> Probe:
        started = time.perf_counter()
        try:
            return await _probe(self._peer.p2p, PeerID.from_base58(peer_id), self._connect_timeout)
        except PeerUnreachable as error:
            # A DHT client (behind a relay, say) has no such method; its "no" is a round trip too.
            if "not supported" not in str(error):
                raise
        return Probe(time.perf_counter() - started, None)

    async def _call(self, peer_id: PeerId, name: str, request: Any, answer: Any) -> Any:
        with _peer_errors():
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
        await p2p.add_protobuf_handler(_RPC_PUSH, _quiet(push), runtime_pb2.ExpertRequest)
        await p2p.add_protobuf_handler(_RPC_INFO, _quiet(info), runtime_pb2.ExpertUID)


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
            known = [PeerID.from_base58(peer_id_of(address)) for address in peer.initial_peers]
            transport = LibP2PTransport(peer, connect_timeout=connect_timeout)
            async with contextlib.aclosing(transport):
                directory = DHTDirectory(peer.dht, known)
                yield Network(transport, directory, peer)

    return join
