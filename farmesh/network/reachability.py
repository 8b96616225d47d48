"""Upstream's reachability check: can a peer be dialled from elsewhere?

A node of Petals or FarMesh asks some peers this when it starts, and goes behind a relay when most
of them say no. Our own nodes ask nobody; libp2p's AutoNAT tells them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from hivemind.p2p import P2P, P2PContext, P2PDaemonError, P2PHandlerError, PeerID
from hivemind.proto import dht_pb2

from farmesh.errors import ProtocolError, RemoteError
from farmesh.hivemind import open_daemon
from farmesh.wire.failures import CODE_BUSY

RPC_CHECK = "ReachabilityProtocol.rpc_check"
_DIAL_SECONDS = 4.0  # upstream waits for 5
_MAX_ID_BYTES = 64


class ReachabilityCheck:
    """Answers upstream's question about this peer and about others.

    Another is dialled by a daemon of its own that nobody can connect to: this peer's has a
    connection to whoever asks, which would do for an answer and prove nothing.
    """

    def __init__(self, way_in: Callable[[], Sequence[str]]) -> None:
        """
        Args:
            way_in: addresses through which that daemon learns where others are.
        """
        self._way_in = way_in
        self._dialling = asyncio.Lock()  # one daemon at once, however many ask

    async def answer(
        self, request: dht_pb2.PingRequest, context: P2PContext
    ) -> dht_pb2.PingResponse:
        """
        Raises:
            ProtocolError: no peer id.
            RemoteError: another check is under way.
        """
        peer_id = asked_about(request)
        if peer_id == context.local_id:
            return dht_pb2.PingResponse(available=True)
        if self._dialling.locked():
            raise RemoteError(CODE_BUSY, "another reachability check is under way")
        async with self._dialling:
            return dht_pb2.PingResponse(available=await self._can_be_dialled(peer_id))

    async def _can_be_dialled(self, peer_id: PeerID) -> bool:
        daemon = await open_daemon(
            initial_peers=list(self._way_in()),
            dht_mode="client",
            no_listen=True,
            use_relay=False,
            auto_nat=False,
        )
        try:
            async with asyncio.timeout(_DIAL_SECONDS):
                return await ask(daemon, peer_id, peer_id)
        except (P2PDaemonError, P2PHandlerError, TimeoutError, OSError):
            return False
        finally:
            await daemon.shutdown()


def asked_about(request: dht_pb2.PingRequest) -> PeerID:
    """Raises: ProtocolError."""
    identity = request.peer.node_id
    if not 0 < len(identity) <= _MAX_ID_BYTES:
        raise ProtocolError("a reachability check needs a peer's id")
    return PeerID(identity)


async def ask(daemon: P2P, peer_id: PeerID, about: PeerID) -> bool:
    """What a peer says of another's reachability; of its own it says yes when it hears at all."""
    request = dht_pb2.PingRequest(peer=dht_pb2.NodeInfo(node_id=about.to_bytes()))
    answer = await daemon.call_protobuf_handler(peer_id, RPC_CHECK, request, dht_pb2.PingResponse)
    return bool(answer.available)
