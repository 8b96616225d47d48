"""Who may have a turn now: messages per minute, running replies, a fair line for the rest."""

from __future__ import annotations

import asyncio
import math
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from chat import words
from chat.words import ChatError

WINDOW = 60.0  # seconds that turns_per_minute looks back
KNOWN_PEOPLE = 10_000  # people whose messages are counted; the longest silent are forgotten


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks: for the limits, and for whose inference sessions may be reused."""

    id: str  # what limits count by; the same for a person's page and programs
    cache_key: str  # sessions are shared within it and never beyond
    per_minute: int | None = None  # own limits; None: everybody's
    at_once: int | None = None


class TooManyTurns(ChatError):
    """A person sent more messages than a minute allows; ``wait`` is in whole seconds."""

    def __init__(self, text: str, wait: int) -> None:
        super().__init__(text)
        self.wait = wait


class LineFull(ChatError):
    """Too many messages wait already."""


class TurnRate:
    """A sliding window of messages per person."""

    def __init__(self, per_minute: int) -> None:
        self._per_minute = per_minute
        self._sent: dict[str, deque[float]] = {}

    def take(self, person: str, now: float, per_minute: int | None = None) -> None:
        """Count one message.

        Args:
            per_minute: this person's own limit, where it is not everybody's.

        Raises:
            TooManyTurns: not yet; the text says how long to wait.
        """
        sent = self._sent.pop(person, deque())
        self._sent[person] = sent  # newest last
        if len(self._sent) > KNOWN_PEOPLE:
            del self._sent[next(iter(self._sent))]
        while sent and sent[0] <= now - WINDOW:
            sent.popleft()
        limit = per_minute or self._per_minute
        if len(sent) >= limit:
            wait = math.ceil(sent[-limit] + WINDOW - now)
            raise TooManyTurns(
                f"That is more than {words.count(limit, 'message')} a minute. "
                f"Wait {words.count(wait, 'second')} and send it again.",
                wait,
            )
        sent.append(now)


@dataclass(eq=False, slots=True)
class _Waiter:
    person: str
    told: Callable[[int], None]
    at_once: int  # of this person's turns that may run
    go: asyncio.Event = field(default_factory=asyncio.Event)


class Line:
    """Admits turns: so many at once over all, so many per person, the others first come first.

    A person at their own limit is passed by, so that nobody waits behind somebody else's pile.
    """

    def __init__(self, running: int, per_person: int, waiting: int) -> None:
        self._limit, self._per_person, self._max_waiting = running, per_person, waiting
        self._running: Counter[str] = Counter()
        self._waiting: list[_Waiter] = []

    def __repr__(self) -> str:
        return f"<Line {self._running.total()} running, {len(self._waiting)} waiting>"

    @property
    def running(self) -> int:
        return self._running.total()

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    @asynccontextmanager
    async def admit(
        self, person: str, told: Callable[[int], None], at_once: int | None = None
    ) -> AsyncIterator[None]:
        """Hold a place for one turn; ``told`` gets the number of turns that come before it.

        Args:
            at_once: this person's own limit, where it is not everybody's.

        Raises:
            LineFull: too many wait already.
        """
        await self._enter(_Waiter(person, told, at_once or self._per_person))
        try:
            yield
        finally:
            self._running[person] -= 1
            if not self._running[person]:
                del self._running[person]
            self._admit_waiting()

    async def _enter(self, waiter: _Waiter) -> None:
        person = waiter.person
        if not self._waiting and self._may_run(waiter):
            self._running[person] += 1
            return
        if len(self._waiting) >= self._max_waiting and not self._may_run(waiter):
            raise LineFull("Too many messages wait in line already. Try again in a minute.")
        self._waiting.append(waiter)
        self._admit_waiting()
        try:
            await waiter.go.wait()
        except asyncio.CancelledError:
            if waiter in self._waiting:
                self._waiting.remove(waiter)
            else:  # admitted in the same moment
                self._running[person] -= 1
            self._admit_waiting()
            raise

    def _may_run(self, waiter: _Waiter) -> bool:
        return self.running < self._limit and self._running[waiter.person] < waiter.at_once

    def _admit_waiting(self) -> None:
        for waiter in list(self._waiting):
            if self._may_run(waiter):
                self._waiting.remove(waiter)
                self._running[waiter.person] += 1
                waiter.go.set()
        for place, waiter in enumerate(self._waiting):
            waiter.told(place)
