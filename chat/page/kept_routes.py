"""Routes by which a signed-in person's page keeps its conversations here instead of in the browser.

For everybody else they do not exist: 404 tells the page to use the browser's own storage.
"""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

from fastapi import FastAPI, HTTPException, Request
from pydantic import BaseModel, ConfigDict, Field

from chat.access.callers import visitor_of
from chat.conversation.data import from_data
from chat.ids import is_id
from chat.kept.archive import Archive, CannotKeep, Kept

Title = Annotated[str, Field(max_length=200)]


class Entry(BaseModel):
    """What the page puts: a title and the conversation."""

    model_config = ConfigDict(extra="forbid")

    title: Title
    named: bool = False
    pinned: bool = False
    updated: int = Field(ge=0, lt=2**53)
    data: dict[str, Any]


def add_routes(app: FastAPI, archive: Archive) -> None:
    """Add all routes under ``/farmesh/kept``; call before the page is mounted."""

    @app.get("/farmesh/kept")
    async def listed(request: Request, search: Title = "") -> list[Kept]:
        """The person's conversations, newest first."""
        return await asyncio.to_thread(archive.listed, _person(request), search)

    @app.get("/farmesh/kept/{chat_id}")
    async def get(chat_id: str, request: Request) -> dict[str, Any]:
        data = await asyncio.to_thread(archive.get, _person(request), chat_id)
        if data is None:
            raise HTTPException(404)
        return data

    @app.put("/farmesh/kept/{chat_id}")
    async def put(chat_id: str, entry: Entry, request: Request) -> dict[str, Any]:
        person = _person(request)
        if not is_id(chat_id):
            raise HTTPException(404)
        kept = Kept(chat_id, entry.title, entry.named, entry.updated, entry.pinned)
        try:
            await asyncio.to_thread(from_data, entry.data)
            await asyncio.to_thread(archive.put, person, kept, entry.data)
        except ValueError as error:
            raise HTTPException(400, str(error)) from None
        except CannotKeep as error:
            raise HTTPException(507, f"{error}.") from None
        return {}

    @app.delete("/farmesh/kept/{chat_id}")
    async def remove(chat_id: str, request: Request) -> dict[str, Any]:
        try:
            await asyncio.to_thread(archive.remove, _person(request), chat_id)
        except CannotKeep as error:
            raise HTTPException(507, f"{error}.") from None
        return {}


def _person(request: Request) -> str:
    visitor = visitor_of(request)
    if not visitor.name or not visitor.person:
        raise HTTPException(404)
    return visitor.person
