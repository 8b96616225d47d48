"""The app's Gradio endpoints for programs: a message in, the reply streamed out."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import gradio as gr
from gradio.events import api

from chat.security import CALLER_HEADER
from chat.session import Request
from chat.store import ChatStore, is_id, new_id
from chat.words import ChatError, explain
from farmesh.errors import FarMeshError

KEY = "key:"  # before the owner of a chat that its id alone opens


def add_api(store: ChatStore) -> None:
    """Add ``/new_chat`` and ``/chat``; call inside of a ``gr.Blocks``."""

    def new_chat() -> str:
        """Make an id for a conversation; whoever has it can go on with it, so keep it."""
        return new_id()

    async def chat(
        message: str,
        chat_id: str = "",
        system_prompt: str = "",
        max_new_tokens: int | None = None,
        temperature: float | None = None,
        top_p: float | None = None,
        seed: int | None = None,
        request: gr.Request | None = None,
    ) -> AsyncIterator[str]:
        """Send a message and stream the reply: every update is the whole text so far.

        With an id from /new_chat the conversation is remembered between calls; without one the
        message stands alone.
        """
        try:
            chosen: dict[str, Any] = {
                "max_new_tokens": max_new_tokens,
                "temperature": temperature,
                "top_p": top_p,
                "seed": seed,
            }
            params = replace(
                store.backend.defaults, **{k: v for k, v in chosen.items() if v is not None}
            )
            if chat_id and not is_id(chat_id):
                raise ChatError("chat_id must come from /new_chat, or be empty.")
            store.rate.take(_caller(request), time.monotonic())
            wanted = Request(params, system_prompt or store.settings.system_prompt)
            async for text in _reply(store, chat_id or new_id(), message, wanted, bool(chat_id)):
                yield text
        except FarMeshError as error:
            raise gr.Error(explain(error).text, print_exception=False) from None

    api(new_chat, api_name="new_chat", queue=False)
    api(chat, api_name="chat", concurrency_id="api", concurrency_limit=None)


def _caller(request: gr.Request | None) -> str:
    """Programs bring no cookie: their messages are counted by whom the Guard found them to be."""
    return str(request.headers.get(CALLER_HEADER.decode(), "")) if request else ""


async def _reply(
    store: ChatStore, chat_id: str, message: str, request: Request, kept: bool
) -> AsyncIterator[str]:
    person = KEY + chat_id
    chat = store.open(chat_id, person)
    try:
        if chat.running:
            raise ChatError("This chat is still writing a reply.")
        chat.send(message, request)
        before = None
        async for view in chat.watch(1 / store.settings.updates_per_second):
            if view.notice is not None:
                raise ChatError(view.notice.text)
            text = view.live.text if view.live else _last_reply(view.entries)
            if text != before:
                before = text
                yield text
    finally:
        if not kept:
            store.forget(chat_id, person)


def _last_reply(entries: tuple[object, ...]) -> str:
    last = getattr(entries[-1], "message", None) if entries else None
    return last.text if last is not None and last.role == "assistant" else ""
