"""Handlers that change what was said: another text, another version, the last turn taken back."""

from __future__ import annotations

import asyncio
import json
import logging
from dataclasses import dataclass
from typing import Any

import gradio as gr

from chat.access.callers import visitor_of
from chat.errors import ChatError
from chat.kept.likes import Likes
from chat.live.chat import Chat
from chat.live.store import LOST
from chat.page import paint
from chat.page.desk import Desk
from chat.page.parts import Updates, Values
from farmesh.errors import FarMeshError

log = logging.getLogger(__name__)

# By how much each of these options steps through the versions of which message from the end.
STEPS = {
    paint.EARLIER: (-1, -1),
    paint.LATER: (-1, 1),
    paint.EARLIER_QUESTION: (-2, -1),
    paint.LATER_QUESTION: (-2, 1),
}


@dataclass(frozen=True, slots=True)
class Changing:
    desk: Desk

    async def edit(self, values: Values, request: gr.Request) -> Updates:
        """Another text for the message of a box; the page's script says which, and what."""

        async def act(chat: Chat) -> Updates:
            index, text = _edited(values[self.desk.parts.edited])
            await chat.edit(node_at(chat, index), text, self.desk.request_of(values))
            return {}

        return await self.desk.do(values, request, act)

    async def choose(self, values: Values, request: gr.Request, data: gr.SelectData) -> Updates:
        """One of the options under the last reply."""

        async def act(chat: Chat) -> Updates:
            if data.value == paint.CONTINUE:
                await chat.continue_reply(self.desk.request_of(values))
            elif data.value in STEPS:
                place, by = STEPS[data.value]
                await chat.show_version(chat.view.entries[place].node_id, by)
            return {}

        return await self.desk.do(values, request, act)

    async def undo(self, values: Values, request: gr.Request) -> Updates:
        async def act(chat: Chat) -> Updates:
            return {self.desk.parts.box: await chat.undo()}

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
    owners = paint.messages(chat.view.entries)[1]
    if not 0 <= index < len(owners):
        raise ChatError(LOST)
    return owners[index]


def _edited(data: Any) -> tuple[int, str]:
    """
    Raises:
        ChatError: it is nothing that the page's script has written.
    """
    try:
        told = json.loads(data)
        return int(told["index"]), str(told["text"])
    except (TypeError, ValueError, KeyError):
        raise ChatError(LOST) from None
