"""Chats on canned replies, and how a test talks to them."""

from __future__ import annotations

from chat.live.chat import Chat, ChatLimits
from chat.live.limits import Line, TurnRate
from chat.live.prompts import Request
from chat.live.view import ChatView
from chat.models.backend import Backend
from farmesh.params import SamplingParams

ASK = Request(SamplingParams(max_new_tokens=400))


async def settle(chat: Chat) -> ChatView:
    async for _ in chat.watch(0.0):
        pass
    return chat.view


async def say(chat: Chat, text: str, request: Request = ASK) -> ChatView:
    await chat.send(text, request)
    return await settle(chat)


def texts(view: ChatView) -> list[str]:
    return [entry.message.text for entry in view.entries]


def open_chat(backend: Backend) -> Chat:
    limits = ChatLimits(TurnRate(1000), Line(8, 8, 8), 5.0)
    return Chat("x" * 43, "somebody", backend, limits)
