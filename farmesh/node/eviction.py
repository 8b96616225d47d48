"""Who gives its pages of the KV cache to somebody else: pure."""

from __future__ import annotations

import enum
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from farmesh.core import PeerId

IDLE_SECONDS = 1.0  # a session that had no work for this long gives way to those that have


class Activity(enum.Enum):
    """What a session has to do on this node at the moment."""

    NONE = enum.auto()
    WORKING = enum.auto()
    STARVED = enum.auto()  # its work waits for cache


@dataclass(frozen=True, slots=True)
class Holding:
    """One session and its part of the cache; times in seconds of one clock."""

    session: int  # any number of its own
    peer: PeerId
    pages: int
    opened: float
    last_used: float
    activity: Activity = Activity.NONE


def choose_victim(
    needy: Holding, others: Sequence[Holding], *, now: float, pages: int, own_peer: bool = False
) -> Holding | None:
    """Who of the ``others`` gives all of its pages to ``needy``; None: nobody, it has to wait.

    1. The session that has been idle for longest. One whose reply is being decoded has no work
       here while its step is at other nodes, hence :data:`IDLE_SECONDS`.
    2. Everybody is at work, and ``needy`` has waited for a tick: of the younger sessions that
       starve too, the youngest. They would only hold one another up.
    3. The youngest session of the peer that holds most, while that is more than an equal share of
       all ``pages`` and the peer of ``needy`` holds less than one.

    With ``own_peer`` the peer has all that one peer may hold: only its own sessions give way.
    """
    holders = [
        other for other in others if other.pages and (not own_peer or other.peer == needy.peer)
    ]
    limit = now - IDLE_SECONDS
    idle = [one for one in holders if one.activity is Activity.NONE and one.last_used < limit]
    if idle:
        return min(idle, key=lambda one: one.last_used)
    if needy.activity is not Activity.STARVED:
        return None
    chosen = [
        one for one in holders if one.activity is Activity.STARVED and one.opened > needy.opened
    ]
    if not chosen and not own_peer:
        greediest = _greediest(needy, others, pages)
        chosen = [one for one in holders if one.peer == greediest]
    return max(chosen, key=lambda one: one.opened, default=None)


def _greediest(needy: Holding, others: Sequence[Holding], pages: int) -> PeerId | None:
    """The peer that holds most, when it should share with the peer of ``needy``."""
    held: Counter[PeerId] = Counter()
    for one in (needy, *others):
        held[one.peer] += one.pages
    share = pages / len(held)
    greediest, most = held.most_common(1)[0]
    return greediest if held[needy.peer] < share < most else None
