"""The app's own routes beside Gradio's: the page's files, the swarm's state, restoring."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Callable
from functools import partial
from typing import Any

from fastapi import FastAPI, HTTPException, Request, Response
from fastapi.staticfiles import StaticFiles

from chat.access.callers import visitor_of
from chat.conversation.data import from_data, to_data
from chat.errors import ChatError
from chat.files.reading import Reader
from chat.live.chat import MAX_SENT, Chat
from chat.live.prompts import RESERVE_SHARE
from chat.live.store import ChatStore
from chat.models.health import Tone, headline
from chat.page import paint
from chat.page.block_map import block_map
from chat.page.templates import ASSETS
from chat.words import explain
from farmesh.errors import FarMeshError

MAX_NAME = 120  # characters of a file's name
MAX_LEFT = 50  # chats that a page can have left replies in
MAX_RESTORED = 8_000_000  # bytes of a conversation that a browser may bring back

TOO_LONG = (
    f"This conversation is too long to be opened here: at most {MAX_RESTORED // 1_000_000} MB "
    "can be. It is kept as it is."
)


def add_routes(app: FastAPI, store: ChatStore, trouble: Callable[[], str] = lambda: "") -> None:
    """Add all routes under ``/farmesh``; call before the page is mounted.

    Args:
        trouble: what is wrong with this app beside its swarm, for the page's line of state.
    """
    reader = Reader()
    app.mount("/farmesh/assets", StaticFiles(directory=ASSETS), name="assets")

    @app.get("/farmesh/swarm")
    async def swarm(request: Request, chat: str = "") -> dict[str, Any]:
        """The swarm as the page draws it, with the route of this chat's reply."""
        mine = _find(store, chat, request)
        backend = mine.backend if mine is not None else store.backend
        found = headline(backend)
        text, tone = found.text, found.tone
        if found.ready and (said := trouble()):
            text, tone = said, Tone.WAIT
        elif found.ready and backend.engine is not None and backend.engine.where:
            text = f"{text} · {backend.engine.where}"
        route = mine.view.route if mine is not None and mine.running else None
        html = ""
        if (snapshot := backend.snapshot) is not None:
            routes = [route] if route else []
            lost = bool(backend.status.trouble)
            join = backend.engine.join if backend.engine is not None else ""
            html = block_map(snapshot, routes, join=join, trouble=lost)
        return {
            "text": text,
            "tone": tone.value,
            "html": html,
            "known": mine is not None,
            "running": mine is not None and mine.running,
            "watched": mine is not None and mine.attendance.watched,
            "sent": mine.view.sent if mine is not None else (),
            "model": backend.id,
            "progress": backend.status.progress,
        }

    @app.get("/farmesh/models")
    async def models() -> list[dict[str, str]]:
        """What the menu says of each model now: what a joined swarm serves of it changes."""
        if store.models is None:
            return []
        offers = ((entry.id, *store.models.offer(entry)) for entry in store.models.entries)
        return [{"id": name, "label": label, "about": about} for name, label, about in offers]

    @app.get("/farmesh/chat/{chat_id}")
    async def export(chat_id: str, request: Request) -> Response:
        """One's own chat as plain data."""
        chat = _find(store, chat_id, request)
        if chat is None:
            raise HTTPException(404)
        data = to_data(chat.conversation)
        if (live := chat.view.live) is not None and live.text:
            # What there is of a running reply is kept too: this app may not live to finish it.
            data["messages"].append({"role": "assistant", "text": live.text, "cut": True})
        data |= {"system": chat.system, "model": chat.backend.id, "running": chat.running}
        return Response(await asyncio.to_thread(json.dumps, data), media_type="application/json")

    @app.get("/farmesh/chat/{chat_id}/message/{node_id}")
    async def text_of(chat_id: str, node_id: int, request: Request) -> dict[str, Any]:
        """What was said, as it was said: to be copied or edited; and how it came about."""
        chat = _find(store, chat_id, request)
        found = chat.conversation.message(node_id) if chat is not None else None
        if found is None:
            raise HTTPException(404)
        answer = paint.answer(found.text) if found.role == "assistant" else found.text
        about = {"note": found.note, "made": paint.made(found), "time": found.time}
        return {"text": found.text, "answer": answer, **about}

    @app.post("/farmesh/chat/{chat_id}")
    async def restore(chat_id: str, request: Request) -> dict[str, Any]:
        """Take a conversation that the browser kept, unless the app has it still."""
        if int(request.headers.get("content-length") or MAX_RESTORED + 1) > MAX_RESTORED:
            raise HTTPException(413, TOO_LONG)
        try:
            data = await asyncio.to_thread(json.loads, await request.body())
            conversation = await asyncio.to_thread(from_data, data)
            system, model = str(data.get("system") or ""), str(data.get("model") or "")
            chat = store.open(chat_id, visitor_of(request).person)
            if model and chat.conversation.empty:
                with contextlib.suppress(FarMeshError):  # not offered any more: the default one
                    await store.use(chat, model)
        except ChatError:
            raise HTTPException(404) from None
        except (ValueError, AttributeError, RecursionError):
            raise HTTPException(400, "This is not an exported conversation.") from None
        chat.restore(conversation, system)
        return {"messages": len(chat.view.entries)}

    @app.post("/farmesh/file")
    async def read(request: Request, name: str, chat: str = "") -> dict[str, Any]:
        """The text of a file that is to be sent, and what it takes of the model's context."""
        mine = _find(store, chat, request)
        name = " ".join(name.split())[:MAX_NAME] or "file"
        try:
            text = await reader.text_of(name, await request.body())
            engine = await (mine.backend if mine is not None else store.backend).ready()
        except FarMeshError as error:
            raise HTTPException(422, explain(error).text) from None
        encode = partial(engine.tokenizer.encode, add_special_tokens=False)
        tokens = len(await asyncio.to_thread(encode, text))
        room = engine.context - engine.context // RESERVE_SHARE
        return {"name": name, "text": text, "tokens": tokens, "room": room}

    @app.post("/farmesh/stop")
    async def stop(request: Request, chat: str = "", messages: str = "") -> dict[str, Any]:
        """End a chat's reply; the texts that waited behind it are given back.

        A route of its own because Gradio's way to a handler takes longer than some tokens do.

        Args:
            messages: ids of those of which the page does not know yet whether they have arrived.
        """
        mine, coming = _find(store, chat, request), messages.split(",")[:MAX_SENT]
        if mine is None and messages:  # Stop has overtaken a new chat's first message
            with contextlib.suppress(ChatError):
                mine = store.open(chat, visitor_of(request).person)
        texts = await mine.stop(on_their_way=filter(None, coming)) if mine is not None else ()
        return {"texts": texts}

    @app.post("/farmesh/back")
    async def take_back(request: Request, chat: str = "", message: str = "") -> dict[str, Any]:
        """Let a message wait no more behind the running reply; its text is given back."""
        mine = _find(store, chat, request)
        return {"texts": mine.take_back(message) if mine is not None else ()}

    @app.post("/farmesh/leave")
    async def leave(request: Request, chats: str = "") -> dict[str, Any]:
        """Sent by a page that is being closed."""
        store.leave(chats.split(",")[:MAX_LEFT], visitor_of(request).person)
        return {}

    @app.delete("/farmesh/chat/{chat_id}")
    async def forget(chat_id: str, request: Request) -> dict[str, Any]:
        """Drop one's own chat and the KV caches that it has on the nodes."""
        store.forget(chat_id, visitor_of(request).person)
        return {}


def _find(store: ChatStore, chat_id: str, request: Request) -> Chat | None:
    return store.find(chat_id, visitor_of(request).person)
