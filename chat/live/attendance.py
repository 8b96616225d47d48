"""Who watches a chat, and what that means for its running reply."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import Enum

FIRST_WATCH = 5.0  # seconds that a new reply goes on before a page has begun to watch it
GONE = 2.0  # seconds after which a page that still watches has not gone after all


class Presence(Enum):
    """Whether somebody is there for a running reply."""

    IDLE = "idle"  # no reply is running
    HERE = "here"  # somebody watches, or is about to
    ELSEWHERE = "elsewhere"  # the page shows another chat: the reply goes on for a while
    AWAY = "away"  # nobody: the reply pauses, and is given up when nobody comes back


class Attendance:
    """The watchers of one chat; decides when its reply pauses and when it is given up."""

    def __init__(self, grace: float, give_up: Callable[[], None]) -> None:
        """
        Args:
            grace: seconds a reply waits for its page to come back.
            give_up: ends the running reply.
        """
        self._grace = grace
        self._give_up = give_up
        self._watchers: set[asyncio.Event] = set()
        self._running = False
        self._here = asyncio.Event()
        self._lingers = False
        self._timer: asyncio.TimerHandle | None = None

    def __repr__(self) -> str:
        return f"<Attendance {self.presence.name} {len(self._watchers)} watchers>"

    @property
    def presence(self) -> Presence:
        if not self._running:
            return Presence.IDLE
        if not self._here.is_set():
            return Presence.AWAY
        elsewhere = self._lingers and not self._watchers
        return Presence.ELSEWHERE if elsewhere else Presence.HERE

    @property
    def watched(self) -> bool:
        """Whether a page follows the chat."""
        return bool(self._watchers)

    async def back(self) -> None:
        """Wait until somebody is there again."""
        await self._here.wait()

    def wake(self) -> None:
        """Let everybody who watches look."""
        for watcher in self._watchers:
            watcher.set()

    @contextmanager
    def watching(self) -> Iterator[asyncio.Event]:
        """Be there; the event is set whenever there is something to look at."""
        looks = asyncio.Event()
        self._watchers.add(looks)
        self._attend()
        try:
            yield looks
        finally:
            self._watchers.discard(looks)
            if not self._watchers:
                self._nobody()

    def begin(self) -> None:
        """A reply begins."""
        self._running = True
        self._here.set()
        if not self._watchers:
            self._after(FIRST_WATCH, self.leave)

    def end(self) -> None:
        """The reply has ended."""
        self._running = False
        self._after(None)

    def linger(self) -> None:
        """The page shows another chat: go on for a while although nobody watches."""
        self._lingers = True

    def leave(self) -> None:
        """A page has gone: ask the nodes for nothing more.

        At once, although its stream may take a while to break. Another page that watches too (a
        tab that was duplicated) goes on when it is still there after that.
        """
        self._lingers = False
        if not self._running:
            return
        self._here.clear()
        self._after(GONE, self._look_again)
        self.wake()  # whoever watches for a page that has gone shall notice

    def _look_again(self) -> None:
        if self._watchers:
            self._attend()
        else:
            self._nobody()

    def _attend(self) -> None:
        self._after(None)
        self._lingers = False
        self._here.set()

    def _nobody(self) -> None:
        if not self._running:
            return
        if self._lingers:
            self._after(self._grace, self.leave)
            return
        self._here.clear()
        self._after(self._grace, self._last_look)

    def _last_look(self) -> None:
        if self._running and not self._watchers:
            self._give_up()

    def _after(self, delay: float | None, call: Callable[[], None] | None = None) -> None:
        """Set the one timer, or with None take it back."""
        if self._timer is not None:
            self._timer.cancel()
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(delay, call) if call and delay is not None else None
