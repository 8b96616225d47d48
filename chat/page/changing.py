"""Handlers that change what was said: another text, another version, the last turn taken back."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass

import gradio as gr

from chat.access.callers import visitor_of
from chat.errors import ChatError
from chat.kept.likes import Likes
from chat.live.chat import Chat
from chat.live.store import LOST
from chat.page import paint
from chat.page.asking import Asked
from chat.page.desk import Desk
from chat.page.parts import Updates, Values
from farmesh.errors import FarMeshError

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Changing:
    desk: Desk

    async def edit(self, values: Values, request: gr.Request) -> Updates:
        """Another text for a message."""

        async def act(chat: Chat, asked: Asked) -> Updates:
            await chat.edit(asked.node, asked.text, self.desk.request_of(values))
            return {}

        return await self.desk.do_asked(values, request, act)

    async def show_version(self, values: Values, request: gr.Request) -> Updates:
        """Another version of a message, and what followed that."""

        async def act(chat: Chat, asked: Asked) -> Updates:
            await chat.show_version(asked.node, asked.by)
            return {}

        return await self.desk.do_asked(values, request, act)

    async def undo(self, values: Values, request: gr.Request) -> Updates:
        """Take the last turn back; its text goes into the box, if that is empty."""

        async def act(chat: Chat) -> Updates:
            return {self.desk.parts.told: paint.told(spare=await chat.undo())}

        return await self.desk.do(values, request, act)

    async def redo(self, values: Values, request: gr.Request) -> Updates:
        async def act(chat: Chat) -> Updates:
            await chat.redo()
            return {}

        return await self.desk.do(values, request, act)


@dataclass(frozen=True, slots=True)
class Liking:
    """Writes down what people think of replies."""

    desk: Desk
    likes: Likes

    async def like(self, chat_id: str, request: gr.Request, data: gr.LikeData) -> Updates:
        try:
            chat = self.desk.store.open(chat_id, visitor_of(request.request).person)
            index = data.index if isinstance(data.index, int) else data.index[0]
            path = chat.conversation.path_to(node_at(chat, index))
            liked = data.liked if isinstance(data.liked, bool) else None
            await asyncio.to_thread(self.likes.add, path, liked)
        except (FarMeshError, LookupError, OSError) as error:
            log.warning("a like could not be written down: %s", type(error).__name__)
            return self.desk.said(error)
        return {}


def node_at(chat: Chat, index: int) -> int:
    """The message to which the box with this index on the page belongs.

    Raises:
        ChatError: there is none; the app was started anew under an open page.
    """
    owners = paint.owners(chat.view.entries)
    if not 0 <= index < len(owners):
        raise ChatError(LOST)
    return owners[index]
