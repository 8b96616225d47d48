"""What can become of a peer while it is in a swarm: its daemon ends, clocks drift, relays go."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import time

from hivemind.p2p import P2PDaemonError
from hivemind.utils.timed_storage import MAX_DHT_TIME_DISCREPANCY_SECONDS

from farmesh.errors import ClockSkew
from farmesh.hivemind import daemon_ended
from farmesh.network.peer import Peer
from farmesh.network.probing import measure_clocks

logger = logging.getLogger(__name__)

_CLOCK_LOOK_SECONDS = 60.0
_CLOCK_WARNING_SECONDS = 1.0
_RELAY_LOOK_SECONDS = 2.0
_RELAY_LOST_SECONDS = 60.0


async def watch_daemon(peer: Peer) -> None:
    """Say so when the daemon ends by itself."""
    await daemon_ended(peer.p2p)
    logger.error("The p2p daemon of this peer ended unexpectedly.")
    peer.whereabouts.lost.set()


async def watch_clock(peer: Peer) -> None:
    """Say so when this machine's clock drifts away from the swarm's."""
    said = False
    while True:
        ahead = max(await measure_clocks(peer.p2p, peer.bootstrap_peers), key=abs, default=0.0)
        drifts = abs(ahead) >= _CLOCK_WARNING_SECONDS
        if drifts and not said:
            logger.warning("%s", ClockSkew(ahead, MAX_DHT_TIME_DISCREPANCY_SECONDS))
        said = drifts
        await asyncio.sleep(_CLOCK_LOOK_SECONDS)


async def watch_relays(
    peer: Peer, *, every: float = _RELAY_LOOK_SECONDS, patience: float = _RELAY_LOST_SECONDS
) -> None:
    """Keep knowing whether a relay takes this peer in.

    libp2p leaves a relay alone for an hour once it was lost, even if it is back in a second.
    When the bootstrap peers answer and no relay has taken this peer in for ``patience`` seconds,
    only a new daemon helps.
    """
    relayed = peer.whereabouts.relayed
    given_up_at = math.inf  # monotonic; later than now while a relay has this peer, or none had
    while True:
        await asyncio.sleep(every)
        with contextlib.suppress(P2PDaemonError, OSError, ValueError):
            was_relayed = relayed.is_set()
            await peer.look_around()
            if relayed.is_set():
                given_up_at = math.inf
            elif was_relayed:
                given_up_at = time.monotonic() + patience
            elif time.monotonic() > given_up_at and await peer.bootstrap_answers():
                peer.whereabouts.cut_off.set()
