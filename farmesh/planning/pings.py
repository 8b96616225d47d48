"""Whom to measure, when a swarm is too large to measure everybody. Pure."""

from __future__ import annotations

import random
from collections.abc import Collection, Mapping

from farmesh.core import PeerId


def choose_pings(
    candidates: Collection[PeerId],
    known: Mapping[PeerId, float],
    limit: int,
    random_state: random.Random,
) -> list[PeerId]:
    """Whom to measure now, of more nodes than can be: the nearest again, and new ones by chance.

    Two thirds go to the nearest of those known, so that their figures stay fresh; over several
    rounds what is found by chance takes their place where it is nearer.
    """
    if len(candidates) <= limit:
        return list(candidates)
    present = set(candidates)
    measured = sorted((rtt, peer) for peer, rtt in known.items() if peer in present)
    near = [peer for _, peer in measured[: limit * 2 // 3]]
    present.difference_update(near)
    rest = [peer for peer in candidates if peer in present]
    return near + random_state.sample(rest, limit - len(near))
