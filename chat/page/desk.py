"""What every handler begins with: the chat that is meant, and how a refusal is said.

A handler starts something and returns at once; :class:`chat.page.watching.Watching` alone streams.
Live objects never sit in Gradio's state: every event brings the chat's id, and the Guard says whose
it is.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import gradio as gr

from chat.access.callers import visitor_of
from chat.conversation import controls
from chat.live.chat import Chat
from chat.live.prompts import Request
from chat.live.store import ChatStore
from chat.page import paint
from chat.page.asking import Asked, read
from chat.page.parts import Parts, Updates, Values
from chat.words import explain
from farmesh.errors import FarMeshError

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Desk:
    """Takes what an event brings to the chat that it is about."""

    store: ChatStore
    parts: Parts

    async def do(
        self, values: Values, request: gr.Request, act: Callable[[Chat], Awaitable[Updates]]
    ) -> Updates:
        """Do one thing to the chat that the page shows; what is refused is said."""
        return await self._do(values, request, str(values[self.parts.chat_id] or ""), act)

    async def do_asked(
        self, values: Values, request: gr.Request, act: Callable[[Chat, Asked], Awaitable[Updates]]
    ) -> Updates:
        """Do what the page's script asks for; it hears what came of it."""
        try:
            asked = read(values[self.parts.asked])
        except FarMeshError as error:
            return self.said(error)
        return await self._do(values, request, asked.chat, lambda chat: act(chat, asked), asked.id)

    async def _do(
        self,
        values: Values,
        request: gr.Request,
        chat_id: str,
        act: Callable[[Chat], Awaitable[Updates]],
        message_id: str = "",
    ) -> Updates:
        told = self.parts.told
        try:
            chat = self.chat_of(chat_id, request)
            waiting = await self.use_wanted(chat, values)
            updates = await act(chat)
            if waiting or message_id:
                updates.setdefault(told, paint.told(back=waiting, taken=message_id))
            return {self.parts.notice: gr.update(value="", visible=False), **updates}
        except FarMeshError as error:
            refusal: Exception = error
        except Exception as error:
            log.exception("an action of the page failed")
            refusal = error
        return {**self.said(refusal), told: paint.told(refused=message_id)}

    async def use_wanted(self, chat: Chat, values: Values) -> tuple[str, ...]:
        """Let the chat go on with the model that was chosen; returns the texts that waited in it.

        Every action brings the choice with it, so that none can overtake it.
        """
        wanted = str(values[self.parts.model_id] or "")
        if not wanted.startswith("~"):
            return await self.store.use(chat, wanted) if wanted else ()
        if len(wanted) > 1 and not chat.view.entries and not chat.running:
            with contextlib.suppress(FarMeshError):  # not offered any more: the default one
                await self.store.use(chat, wanted[1:])
        return ()

    def chat_of(self, chat_id: str, request: gr.Request) -> Chat:
        """
        Raises:
            ChatError: no id of ours, or this person has too many chats.
        """
        visitor = visitor_of(request.request)
        return self.store.open(chat_id, visitor.person, visitor.caller)

    def shown(self, values: Values, request: gr.Request) -> Chat:
        """The chat that the page shows.

        Raises:
            ChatError: no id of ours, or this person has too many chats.
        """
        return self.chat_of(str(values[self.parts.chat_id] or ""), request)

    def request_of(self, values: Values) -> Request:
        """
        Raises:
            InvalidSampling: a control's value is out of range.
        """
        chosen = {name: values[part] for name, part in self.parts.knobs.items()}
        return Request(
            controls.read(chosen),
            (values[self.parts.system] or "").strip(),
            values[self.parts.begin] or "",
        )

    def said(self, error: Exception) -> Updates:
        return {self.parts.notice: sentence_of(error)}


def sentence_of(error: Exception) -> Any:
    return gr.update(value=paint.sentence(explain(error).text), visible=True)
