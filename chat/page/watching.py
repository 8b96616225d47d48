"""Who draws a page, and when another takes over: the handlers that stream."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass, field

import gradio as gr

from chat.live.chat import Chat
from chat.page.desk import Desk
from chat.page.painter import Painter
from chat.page.parts import Updates, Values
from farmesh.errors import FarMeshError

TAKEOVER = 1.0  # seconds that a watcher waits for the one before it
# A browser has six connections for all tabs together. Tabs beyond these look now and then, which
# the page's script does when it hears that nobody watches its reply.
MAX_STREAMS = 4


@dataclass(eq=False, frozen=True, slots=True)
class Watcher:
    """A stream that draws a chat on a page."""

    chat: Chat
    ended: asyncio.Event = field(default_factory=asyncio.Event)


class Watching:
    """Draws chats on pages."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._every = 1 / desk.store.settings.updates_per_second
        self._newest: dict[str, Watcher] = {}  # by Gradio session

    async def attach(self, values: Values, request: gr.Request) -> AsyncIterator[Updates]:
        """Show another chat, or the same one after a reload: its system prompt comes along."""
        try:
            chat = self._desk.shown(values, request)
            await self._desk.use_wanted(chat, values)
            yield {self._desk.parts.system: chat.system}
        except FarMeshError as error:
            yield self._desk.said(error)
        else:
            async for updates in self.watch(values, request):
                yield updates

    async def watch(self, values: Values, request: gr.Request) -> AsyncIterator[Updates]:
        """Draw the chat, and follow its reply until it rests. A newer watcher takes over."""
        try:
            chat = self._desk.shown(values, request)
        except FarMeshError as error:
            yield self._desk.said(error)
            return
        tab, mine = str(request.session_hash), Watcher(chat)
        await self._take_over(tab, mine)
        painter = Painter(self._desk.parts)
        try:
            async with aclosing(chat.watch(self._every)) as views:
                async for view in views:
                    newest = self._newest.get(tab)
                    if newest is mine and (updates := painter.paint(view)):
                        yield updates
                    if newest is not mine or self._too_many(mine):
                        if newest is not None:  # None: the page has gone
                            chat.attendance.linger()
                        break
            # Gradio sends the last update again at the end; by then others may have drawn.
            yield gr.skip()
        finally:
            mine.ended.set()
            if self._newest.get(tab) is mine:
                del self._newest[tab]

    async def _take_over(self, tab: str, mine: Watcher) -> None:
        """Be the one who draws on a page, when the one before has drawn its last."""
        before = self._newest.get(tab)
        self._newest[tab] = mine
        if before is not None:
            before.chat.attendance.wake()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(TAKEOVER):
                    await before.ended.wait()

    def _too_many(self, mine: Watcher) -> bool:
        """Whether this person's other tabs hold all the streams that a browser has room for."""
        person = mine.chat.person
        others = (w for w in self._newest.values() if w is not mine and w.chat.person == person)
        return sum(1 for _ in others) >= MAX_STREAMS

    def gone(self, tab: str) -> None:
        """The stream to a page broke: it was closed, or has crashed, or its network has gone."""
        if (watcher := self._newest.pop(tab, None)) is not None:
            watcher.chat.attendance.leave()
