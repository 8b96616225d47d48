"""Round trips to other peers, and how far their clocks are from this machine's."""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
from collections.abc import Iterable
from dataclasses import dataclass

from hivemind.p2p import P2P, PeerID
from hivemind.proto import dht_pb2
from hivemind.utils import get_dht_time

from farmesh.errors import PeerUnreachable, RemoteError
from farmesh.network.failures import MethodUnknown, peer_errors

_CLOCK_SECONDS = 3.0  # for a peer to say its time


@dataclass(frozen=True, slots=True)
class Probe:
    """What a ping tells of another peer."""

    rtt: float  # seconds
    clock_ahead: float | None  # seconds that this machine's clock is ahead of the peer's


async def probe(p2p: P2P, peer_id: PeerID, seconds: float) -> Probe:
    """Ping a peer, and wait so many seconds at most.

    Raises: PeerUnreachable, RemoteError.
    """
    started, clock = time.perf_counter(), get_dht_time()
    dht_time = 0.0
    # A DHT client (behind a relay, say) has no such method; its "no" is a round trip too.
    with contextlib.suppress(MethodUnknown), peer_errors():
        async with asyncio.timeout(seconds):
            answer = await p2p.call_protobuf_handler(
                peer_id, "DHTProtocol.rpc_ping", dht_pb2.PingRequest(), dht_pb2.PingResponse
            )
        dht_time = answer.dht_time
    rtt = time.perf_counter() - started
    ahead = clock + rtt / 2 - dht_time
    return Probe(rtt, ahead if dht_time and math.isfinite(ahead) else None)


async def measure_clocks(p2p: P2P, peers: Iterable[PeerID]) -> list[float]:
    """Seconds that this machine's clock is ahead of each peer that answers."""

    async def measure(peer_id: PeerID) -> float | None:
        with contextlib.suppress(PeerUnreachable, RemoteError):
            return (await probe(p2p, peer_id, _CLOCK_SECONDS)).clock_ahead
        return None

    skews = await asyncio.gather(*map(measure, peers))
    return [skew for skew in skews if skew is not None]
