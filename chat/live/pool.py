"""Idle inference sessions of stateless requests, found again by the tokens that they hold.

A program that speaks OpenAI's protocol sends the whole conversation every time. Its last request
left a session behind whose KV caches hold nearly all of it: the next one takes that session, so
only the new tokens are computed. Sessions are never shared between callers, because how fast an
answer begins would tell what others have asked.
"""

from __future__ import annotations

import asyncio
import logging
import time
from array import array
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from chat.models.backend import Client, InferenceSession
from farmesh.tokens import common_prefix

log = logging.getLogger(__name__)


@dataclass(eq=False, slots=True)
class Lease:
    """A session in use by one request; ``token_ids`` is kept up to date by its user."""

    client: Client
    session: InferenceSession
    token_ids: array[int] = field(default_factory=lambda: array("q"))
    spoilt: bool = False  # what its hops hold is unknown: it is closed and not kept


@dataclass(eq=False, slots=True)
class _Idle:
    key: str
    lease: Lease
    since: float


class SessionPool:
    """Keeps the sessions of finished requests until they idle out or others need the room."""

    def __init__(
        self, most: int, idle_seconds: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """
        Args:
            most: idle sessions kept over all keys; the longest idle one goes first.
            idle_seconds: after which a session's KV caches are given back.
        """
        self._most = most
        self._idle_seconds = idle_seconds
        self._clock = clock
        self._idle: list[_Idle] = []  # longest idle first
        self._closing: set[asyncio.Task[None]] = set()
        self._closed = False

    def __repr__(self) -> str:
        return f"<SessionPool {len(self._idle)} idle of at most {self._most}>"

    def __len__(self) -> int:
        return len(self._idle)

    @asynccontextmanager
    async def lease(
        self, client: Client, key: str, token_ids: Sequence[int], *, own: bool = False
    ) -> AsyncIterator[Lease]:
        """A session for a request: the key's idle one that fits best, or a new one.

        It goes back into the pool at the end, after a cancel too: what its hops hold stays right.

        Args:
            own: the key is that of one conversation, whose session fits whatever was edited.
        """
        wanted = array("q", token_ids)
        lease = self._take(client, key, wanted, own) or Lease(client, client.session())
        try:
            yield lease
        finally:
            self._put(key, lease)

    async def sweep(self) -> None:
        """Give back what has been idle for too long."""
        limit = self._clock() - self._idle_seconds
        for idle in [idle for idle in self._idle if idle.since < limit]:
            self._idle.remove(idle)
            await idle.lease.session.close()

    async def close(self) -> None:
        """Close everything; sessions that come back later are closed at once."""
        self._closed = True
        idle, self._idle = self._idle, []
        for entry in idle:
            self._close_soon(entry.lease.session)
        if self._closing:
            await asyncio.wait(self._closing)

    def _take(self, client: Client, key: str, wanted: array[int], own: bool) -> Lease | None:
        best: _Idle | None = None
        most = -1 if own else 0
        fits = common_prefix if own else worth_taking
        for idle in self._idle:
            if idle.key == key and idle.lease.client is client:
                shared = fits(idle.lease.token_ids, wanted)
                if shared > most:
                    best, most = idle, shared
        if best is None:
            return None
        self._idle.remove(best)
        return best.lease

    def _put(self, key: str, lease: Lease) -> None:
        if self._closed or lease.spoilt or not lease.token_ids or not self._most:
            self._close_soon(lease.session)
            return
        self._idle.append(_Idle(key, lease, self._clock()))
        while len(self._idle) > self._most:
            self._close_soon(self._idle.pop(0).lease.session)

    def _close_soon(self, session: InferenceSession) -> None:
        task = asyncio.create_task(session.close(), name="close session")
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)


def worth_taking(held: array[int], wanted: array[int]) -> int:
    """Tokens that a session would save; 0 when taking it would cost another conversation more.

    Two conversations with the same system prompt must not take each other's session by turns: a
    session is taken when what it loses by that is at most half of what is saved.
    """
    shared = common_prefix(held, wanted)
    return shared if 2 * (len(held) - shared) <= shared else 0
