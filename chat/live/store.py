"""All chats of this app, and who may reach which.

A chat's id is 256 random bits chosen by the browser; it opens only together with the person's
own cookie, which is 256 random bits too and which no script can read. Gradio's session hash plays
no part: it changes with every reload and is chosen by the client.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable
from hmac import compare_digest

from chat.errors import ChatError
from chat.ids import is_id
from chat.live.chat import Chat, ChatLimits
from chat.live.limits import Caller, Line, TurnRate
from chat.live.pool import SessionPool
from chat.models.backend import Backend
from chat.models.open_models import Models
from chat.settings.schema import ChatSettings

log = logging.getLogger(__name__)
LOST = "This page has lost its chat; reload it."
CLOSING = 3.0  # seconds that all sessions together get for closing
SWEEP_PERIOD = 5.0  # seconds between looks for idle chats


class ChatStore:
    """Opens, keeps and closes chats; an ``async with`` scope."""

    def __init__(
        self,
        backend: Backend,
        settings: ChatSettings,
        clock: Callable[[], float] = time.monotonic,
        models: Models | None = None,
    ) -> None:
        """
        Args:
            backend: of the model that a new chat begins with.
            models: others that a chat can go on with; None: there is only that one.
        """
        self.backend = backend
        self.models = models
        self.settings = settings
        self.rate = TurnRate(settings.turns_per_minute, settings.people_per_address)
        self.line = Line(
            settings.running_turns,
            settings.running_turns_per_person,
            settings.waiting_turns,
            settings.people_per_address,
        )
        self._limits = ChatLimits(
            self.rate, self.line, settings.grace_seconds, settings.max_message_chars
        )
        self.pool = SessionPool(settings.api_sessions, settings.idle_minutes * 60, clock)
        self._clock = clock
        self._chats: OrderedDict[str, Chat] = OrderedDict()  # least recently used first
        self._closing: set[asyncio.Task[None]] = set()
        self._sweeper: asyncio.Task[None] | None = None

    def __repr__(self) -> str:
        return f"<ChatStore {len(self._chats)} chats, {self.line!r}>"

    def __len__(self) -> int:
        return len(self._chats)

    async def __aenter__(self) -> ChatStore:
        self._sweeper = asyncio.create_task(self._sweep_for_ever(), name="idle chats")
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    @property
    def backends(self) -> tuple[Backend, ...]:
        """All models that are open."""
        return self.models.backends if self.models is not None else (self.backend,)

    def open(self, chat_id: str, person: str, caller: Caller | None = None) -> Chat:
        """The person's chat of this id, made when there is none.

        Args:
            caller: whom its turns count on from now on; None: as before, at first the person.

        Raises:
            ChatError: no id, or somebody else's chat.
        """
        if not person:
            raise ChatError("This page needs a cookie to keep your chats yours: allow it, reload.")
        if not is_id(chat_id):
            raise ChatError(LOST)
        chat = self._chats.get(chat_id)
        if chat is None:
            chat = Chat(chat_id, person, self.backend, self._limits, self._clock)
            chat.system = self.settings.system_prompt
            self._chats[chat_id] = chat
            self._make_room()
        elif not compare_digest(chat.person, person):
            raise ChatError(LOST)
        self._chats.move_to_end(chat_id)
        chat.caller = caller or chat.caller
        chat.last_used = self._clock()
        return chat

    async def use(self, chat: Chat, model_id: str) -> tuple[str, ...]:
        """Let a chat go on with another model; returns the texts that waited in it.

        Raises:
            ChatError: this app does not offer that model, or cannot serve it.
        """
        if self.models is None or model_id == chat.backend.id:
            return ()
        return await chat.use(await self.models.open(model_id))

    def find(self, chat_id: str, person: str) -> Chat | None:
        """The person's chat of this id, if there is one; it does not count as use."""
        chat = self._chats.get(chat_id)
        return chat if chat is not None and compare_digest(chat.person, person) else None

    def leave(self, chat_ids: Iterable[str], person: str) -> None:
        """The page that showed these chats was closed: their replies wait for it."""
        for chat_id in chat_ids:
            if (chat := self.find(chat_id, person)) is not None:
                chat.attendance.leave()

    def forget(self, chat_id: str, person: str) -> None:
        """Drop a chat and everything in it, if it is this person's."""
        if (chat := self.find(chat_id, person)) is not None:
            self._drop(chat)

    def _make_room(self) -> None:
        """Let the longest idle chats go, never one with a running reply."""
        surplus = len(self._chats) - self.settings.max_chats
        idle = [chat for chat in self._chats.values() if not chat.running]
        for chat in idle[: max(0, surplus)]:
            self._drop(chat)

    def _drop(self, chat: Chat) -> None:
        del self._chats[chat.id]
        self._track(asyncio.create_task(chat.close(), name="close chat"))

    def _track(self, task: asyncio.Task[None]) -> None:
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    async def _sweep_for_ever(self) -> None:
        while True:
            await asyncio.sleep(SWEEP_PERIOD)
            await self.sweep()

    async def sweep(self) -> None:
        """Give back the KV caches of chats that have been idle for long."""
        limit = self._clock() - self.settings.idle_minutes * 60
        for chat in list(self._chats.values()):
            if chat.holds_cache and not chat.running and chat.last_used < limit:
                await chat.rest()
        await self.pool.sweep()

    async def close(self) -> None:
        """End all replies and give all KV caches back."""
        if self._sweeper is not None:
            self._sweeper.cancel()
        for chat in list(self._chats.values()):
            self._drop(chat)
        self._track(asyncio.create_task(self.pool.close(), name="close pool"))
        if self._closing:
            _, late = await asyncio.wait(self._closing, timeout=CLOSING)
            for task in late:
                log.warning("a chat did not close in %.0f s", CLOSING)
                task.cancel()
