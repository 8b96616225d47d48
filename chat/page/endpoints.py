"""The app's Gradio endpoints for programs: a message in, the reply streamed out.

One of them, ``ask``, is the MCP tool of apps that have MCP switched on.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import aclosing, contextmanager
from dataclasses import replace
from typing import Any

import gradio as gr
from gradio.events import api
from starlette.requests import Request as HTTPRequest

from chat.access.callers import visitor_of
from chat.errors import ChatError
from chat.ids import is_id, new_id
from chat.live.limits import Caller
from chat.live.prompts import Request
from chat.live.store import ChatStore
from chat.words import explain
from farmesh.errors import FarMeshError

ASK = "ask"
API = "/gradio_api/"
OPEN = ("mcp", "run/")  # below API: the caller's connection stays open until the answer
KEY = "key:"  # before the owner of a chat that its id alone opens


def add_api(store: ChatStore) -> None:
    """Add ``/new_chat``, ``/chat`` and ``/ask``; call inside of a ``gr.Blocks``."""

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
        chosen: dict[str, Any] = {
            "max_new_tokens": max_new_tokens,
            "temperature": temperature,
            "top_p": top_p,
            "seed": seed,
        }
        with _as_gradio_errors():
            wanted = _wanted(store, system_prompt, chosen)
            async for text in _reply(store, _caller(request), chat_id, message, wanted):
                yield text

    async def ask(question: str, system_prompt: str = "", request: gr.Request | None = None) -> str:
        """Ask the language model of this swarm one question and get its whole answer.

        Nothing is remembered between calls: the question must say all that is needed.

        Args:
            question: What to ask, in plain words.
            system_prompt: How the model should behave; empty for its own manner.
        """
        answer = ""
        with _as_gradio_errors():
            wanted = _wanted(store, system_prompt, {})
            reply = _reply(store, _caller(request), "", question, wanted)
            async with aclosing(reply) as growing:
                async for text in growing:
                    answer = text
                    if await _has_left(request):
                        break
        return answer

    api(new_chat, api_name="new_chat", queue=False)
    api(chat, api_name="chat", concurrency_id="api", concurrency_limit=None)
    api(ask, api_name=ASK, queue=False)  # the queue would be a detour over HTTP for MCP


@contextmanager
def _as_gradio_errors() -> Iterator[None]:
    """What the app says on purpose, as Gradio passes it on."""
    try:
        yield
    except FarMeshError as error:
        raise gr.Error(explain(error).text, print_exception=False) from None


def _wanted(store: ChatStore, system_prompt: str, chosen: dict[str, Any]) -> Request:
    """
    Raises:
        InvalidSampling: a value is out of range.
    """
    params = replace(
        store.backend.defaults, **{name: v for name, v in chosen.items() if v is not None}
    )
    return Request(params, system_prompt or store.settings.system_prompt)


def _caller(request: gr.Request | None) -> Caller:
    return visitor_of(_asked(request)).caller


def _asked(request: gr.Request | None) -> HTTPRequest | None:
    """The request of HTTP: Gradio hands MCP's on as it is, others in a wrapper."""
    asked = getattr(request, "request", request)
    return asked if isinstance(asked, HTTPRequest) else None


async def _has_left(request: gr.Request | None) -> bool:
    """Whether nobody waits for a whole answer any more; Gradio does not tell."""
    asked = _asked(request)
    if asked is None or not asked.url.path.partition(API)[2].startswith(OPEN):
        return False  # a request that was over when its work began
    return await asked.is_disconnected()


async def _reply(
    store: ChatStore, caller: Caller, chat_id: str, message: str, request: Request
) -> AsyncGenerator[str, None]:
    """The reply's text as it grows; without an id the chat is gone afterwards.

    Raises:
        ChatError: no id of ours, a reply is running there, or what else the page would say.
    """
    if chat_id and not is_id(chat_id):
        raise ChatError("chat_id must come from /new_chat, or be empty.")
    kept, chat_id = bool(chat_id), chat_id or new_id()
    person = KEY + chat_id
    chat = store.open(chat_id, person, caller)
    try:
        if chat.running:
            raise ChatError("This chat is still writing a reply.")
        await chat.send(message, request)
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
