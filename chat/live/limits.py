"""Who may have a turn now: messages per minute, running replies, a fair line for the rest."""

from __future__ import annotations

import asyncio
import math
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from chat import words
from chat.errors import ChatError

WINDOW = 60.0  # seconds that turns_per_minute looks back
KNOWN_PEOPLE = 10_000  # people whose messages are counted; the longest silent are forgotten


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks: for the limits, and for whose inference sessions may be reused."""

    id: str  # what limits count by; the same for a person's page and programs
    cache_key: str  # sessions are shared within it and never beyond
    per_minute: int | None = None  # own limits; None: everybody's
    at_once: int | None = None
    place: str = ""  # what a stranger's turns count on too, together with others' from there

    @classmethod
    def of(cls, person: str) -> Caller:
        """Somebody of whom nothing else is known."""
        return cls(person, person)


class TooManyTurns(ChatError):
    """A person sent more messages than a minute allows; ``wait`` is in whole seconds."""

    def __init__(self, text: str, wait: int) -> None:
        super().__init__(text)
        self.wait = wait


class LineFull(ChatError):
    """Too many messages wait already."""


class TurnRate:
    """Sliding windows of messages, per person and per place."""

    def __init__(self, per_minute: int, people: int = 1) -> None:
        """
        Args:
            people: as how many people the strangers of one place count.
        """
        self._per_minute, self._people = per_minute, people
        self._sent: dict[str, deque[float]] = {}

    def take(self, caller: Caller, now: float) -> None:
        """Count one message.

        Raises:
            TooManyTurns: not yet; the text says how long to wait.
        """
        limits = {caller.id: caller.per_minute or self._per_minute}
        if caller.place:
            limits[caller.place] = self._per_minute * self._people
        windows = []
        for name, limit in limits.items():
            sent = self._window(name, now)
            if len(sent) >= limit:
                wait = math.ceil(sent[-limit] + WINDOW - now)
                raise TooManyTurns(_refusal(limit, wait, name == caller.id), wait)
            windows.append(sent)
        for sent in windows:
            sent.append(now)

    def _window(self, name: str, now: float) -> deque[float]:
        sent = self._sent.pop(name, deque())
        self._sent[name] = sent  # newest last
        if len(self._sent) > KNOWN_PEOPLE:
            del self._sent[next(iter(self._sent))]
        while sent and sent[0] <= now - WINDOW:
            sent.popleft()
        return sent


def _refusal(limit: int, wait: int, own: bool) -> str:
    messages, then = words.count(limit, "message"), f"Wait {words.count(wait, 'second')}"
    if own:
        return f"That is more than {messages} a minute. {then} and send it again."
    return f"More than {messages} a minute came from your network. {then} and send it again."


@dataclass(eq=False, slots=True)
class _Waiter:
    limits: dict[str, int]  # by what it counts on: how many turns may run there
    told: Callable[[int], None]
    go: asyncio.Event = field(default_factory=asyncio.Event)


class Line:
    """Admits turns: so many at once over all, so many per person, the others first come first.

    A person at their own limit is passed by, so that nobody waits behind somebody else's pile.
    """

    def __init__(self, running: int, per_person: int, waiting: int, people: int = 1) -> None:
        """
        Args:
            people: as how many people the strangers of one place count.
        """
        self._limit, self._per_person, self._max_waiting = running, per_person, waiting
        self._people = people
        self._running: set[_Waiter] = set()
        self._counts: Counter[str] = Counter()  # of running turns, by what they count on
        self._waiting: list[_Waiter] = []

    def __repr__(self) -> str:
        return f"<Line {self.running} running, {self.waiting} waiting>"

    @property
    def running(self) -> int:
        return len(self._running)

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    @asynccontextmanager
    async def admit(self, caller: Caller, told: Callable[[int], None]) -> AsyncIterator[None]:
        """Hold a place for one turn; ``told`` gets the number of turns that come before it.

        Raises:
            LineFull: too many wait already.
        """
        limits = {caller.id: caller.at_once or self._per_person}
        if caller.place:  # programs there are apart: behind people they might wait for ever
            limits[f"people {caller.place}"] = self._per_person * self._people
        waiter = _Waiter(limits, told)
        try:
            await self._enter(waiter)
            yield
        finally:
            self._leave(waiter)

    async def _enter(self, waiter: _Waiter) -> None:
        """
        Raises:
            LineFull: too many wait already.
        """
        if len(self._waiting) >= self._max_waiting and not self._may_run(waiter):
            raise LineFull("Too many messages wait in line already. Try again in a minute.")
        self._waiting.append(waiter)
        self._admit_waiting()
        await waiter.go.wait()

    def _leave(self, waiter: _Waiter) -> None:
        if waiter in self._running:
            self._running.remove(waiter)
            self._counts -= Counter(waiter.limits.keys())  # keeps no zeros
        elif waiter in self._waiting:
            self._waiting.remove(waiter)
        self._admit_waiting()

    def _may_run(self, waiter: _Waiter) -> bool:
        return self.running < self._limit and all(
            self._counts[name] < limit for name, limit in waiter.limits.items()
        )

    def _admit_waiting(self) -> None:
        for waiter in list(self._waiting):
            if self._may_run(waiter):
                self._waiting.remove(waiter)
                self._running.add(waiter)
                self._counts.update(waiter.limits.keys())
                waiter.go.set()
        for place, waiter in enumerate(self._waiting):
            waiter.told(place)
