"""The app's own routes beside Gradio's: the page's files, the swarm's state, restoring."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Annotated, Any

from fastapi import FastAPI, HTTPException, Path, Request
from fastapi.staticfiles import StaticFiles

from chat.access.callers import visitor_of
from chat.conversation.tree import Conversation
from chat.errors import ChatError
from chat.live.chat import Chat
from chat.live.store import ChatStore
from chat.models.health import Tone, headline
from chat.page import paint
from chat.page.block_map import block_map
from chat.page.templates import ASSETS
from farmesh.errors import FarMeshError

MAX_LEFT = 50  # chats that a page can have left replies in
MAX_RESTORED = 4_000_000  # bytes of a conversation that a browser may bring back


def add_routes(app: FastAPI, store: ChatStore, trouble: Callable[[], str] = lambda: "") -> None:
    """Add all routes under ``/farmesh``; call before the page is mounted.

    Args:
        trouble: what is wrong with this app beside its swarm, for the page's line of state.
    """
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
    async def export(chat_id: str, request: Request) -> dict[str, Any]:
        """The shown path of one's own chat as plain data."""
        chat = _find(store, chat_id, request)
        if chat is None:
            raise HTTPException(404)
        messages = chat.conversation.to_data()
        if (live := chat.view.live) is not None and live.text:
            # What there is of a running reply is kept too: this app may not live to finish it.
            messages.append({"role": "assistant", "text": live.text, "cut": True})
        return {
            "system": chat.system,
            "model": chat.backend.id,
            "messages": messages,
            "running": chat.running,
        }

    @app.get("/farmesh/chat/{chat_id}/box/{index}")
    async def text_of(
        chat_id: str, index: Annotated[int, Path(ge=0)], request: Request
    ) -> dict[str, str]:
        """What was said in a box of the page, as it was said: to be copied, or edited."""
        chat = _find(store, chat_id, request)
        owners = paint.messages(chat.view.entries)[1] if chat is not None else []
        found = chat.conversation.message(owners[index]) if chat and index < len(owners) else None
        if found is None:
            raise HTTPException(404)
        answer = paint.answer(found.text) if found.role == "assistant" else found.text
        return {"text": found.text, "answer": answer}

    @app.post("/farmesh/chat/{chat_id}")
    async def restore(chat_id: str, request: Request) -> dict[str, Any]:
        """Take a conversation that the browser kept, unless the app has it still."""
        if int(request.headers.get("content-length") or MAX_RESTORED + 1) > MAX_RESTORED:
            raise HTTPException(413, "This conversation is too long to bring back.")
        try:
            data = await request.json()
            conversation = Conversation.from_data(data.get("messages"))
            system, model = str(data.get("system") or ""), str(data.get("model") or "")
            chat = store.open(chat_id, visitor_of(request).person)
            if model and not chat.view.entries:
                with contextlib.suppress(FarMeshError):  # not offered any more: the default one
                    await store.use(chat, model)
        except ChatError:
            raise HTTPException(404) from None
        except (ValueError, AttributeError, RecursionError):
            raise HTTPException(400, "This is not an exported conversation.") from None
        chat.restore(conversation, system)
        return {"messages": len(chat.view.entries)}

    @app.post("/farmesh/stop")
    async def stop(request: Request, chat: str = "") -> dict[str, Any]:
        """End a chat's reply; the texts that waited behind it are given back.

        A route of its own because Gradio's way to a handler takes longer than some tokens do.
        """
        mine = _find(store, chat, request)
        return {"texts": await mine.stop() if mine is not None else ()}

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
