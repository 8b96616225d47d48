"""The transport over libp2p: hivemind's daemon and DHT in this process' own asyncio loop."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

from hivemind.proto import runtime_pb2

from farmesh.core import PeerId
from farmesh.network.connections import Dialler, SharedConnections
from farmesh.network.directory import DHTDirectory
from farmesh.network.frames import Frames, LibP2PNodeStream, OwnStream
from farmesh.network.joining import joined
from farmesh.network.options import PeerOptions
from farmesh.network.peer import Peer
from farmesh.network.probing import Probe
from farmesh.network.serving import RPC_INFERENCE, RPC_INFO, RPC_PUSH, RPC_SHARED, Serving
from farmesh.network.transport import Network, NodeHandler, NodeStream
from farmesh.wire.messages import Step, encode_step, max_message_bytes
from farmesh.wire.metadata import unpack_map


class LibP2PTransport:
    """Carries steps between libp2p peers; implements ``transport.Transport``."""

    def __init__(self, peer: Peer, *, connect_timeout: float = 5.0) -> None:
        self._peer = peer
        self._dialler = Dialler(peer.p2p, connect_timeout)
        self._connections = SharedConnections(self._dialler, RPC_SHARED)

    def __repr__(self) -> str:
        return f"<LibP2PTransport {self._peer} {self._connections}>"

    @property
    def peer_id(self) -> PeerId:
        return self._peer.peer_id

    async def open_stream(
        self, peer_id: PeerId, *, max_elements: int, shared: bool = False
    ) -> NodeStream:
        frames: Frames
        if shared:
            frames = (await self._connections.to(peer_id)).open()
        else:
            ends = await self._dialler.open(peer_id, RPC_INFERENCE)
            frames = OwnStream(*ends, max_message_bytes(max_elements))
        return LibP2PNodeStream(frames, max_elements)

    async def push(self, peer_id: PeerId, step: Step) -> None:
        await self._dialler.call(peer_id, RPC_PUSH, encode_step(step), runtime_pb2.ExpertResponse)

    async def info(self, peer_id: PeerId, uid: str) -> Mapping[str, Any]:
        request = runtime_pb2.ExpertUID(uid=uid)
        answer = await self._dialler.call(peer_id, RPC_INFO, request, runtime_pb2.ExpertInfo)
        return unpack_map(answer.serialized_info)

    async def ping(self, peer_id: PeerId) -> float:
        return (await self.probe(peer_id)).rtt

    async def probe(self, peer_id: PeerId) -> Probe:
        """Raises: PeerUnreachable, RemoteError."""
        return await self._dialler.probe(peer_id)

    async def serve(self, handler: NodeHandler) -> None:
        await Serving(handler).start(self._peer.p2p)

    async def aclose(self) -> None:
        """Break the shared connections off."""
        await self._connections.aclose()


def libp2p_network(
    *, connect_timeout: float = 5.0, **peer_options: Any
) -> Callable[[], contextlib.AbstractAsyncContextManager[Network]]:
    """A factory for one libp2p peer's network; ``peer_options`` are those of :class:`PeerOptions`.

    Raises:
        ConfigError: an address cannot be parsed (at once, not when the swarm is joined).
    """
    options = PeerOptions(**peer_options)

    @contextlib.asynccontextmanager
    async def join() -> AsyncIterator[Network]:
        async with joined(options) as peer:
            transport = LibP2PTransport(peer, connect_timeout=connect_timeout)
            async with contextlib.aclosing(transport):
                directory = DHTDirectory(peer.dht, peer.bootstrap_peers)
                yield Network(transport, directory, peer.whereabouts)

    return join
