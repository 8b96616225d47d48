"""What every face does first: whose request it is, and the model that it asks for."""

from __future__ import annotations

import time
from contextlib import aclosing
from dataclasses import dataclass

from fastapi import Request

from chat.access.callers import visitor_of
from chat.api.completion import Gathered, Wanted, complete
from chat.api.errors import ApiError
from chat.api.offer import OpenModel
from chat.live.limits import Caller
from chat.live.store import ChatStore
from chat.models.backend import Backend, Engine, Stage


@dataclass(frozen=True, slots=True)
class Turn:
    """A request that was let in."""

    caller: Caller
    backend: Backend
    engine: Engine


async def opened(request: Request, store: ChatStore, model: OpenModel, wanted: str) -> Turn:
    """
    Raises:
        ApiError: there is no such model, or it is being opened.
        TooManyTurns: the caller asks too often.
        FarMeshError: the model cannot be served here.
    """
    caller = visitor_of(request).caller
    backend = await model.backend(wanted, store)
    store.rate.take(caller, time.monotonic())
    opening(backend)
    return Turn(caller, backend, await backend.ready())


def opening(backend: Backend) -> None:
    """
    Raises:
        ApiError: the model is being opened.
    """
    if backend.status.stage is Stage.STARTING:
        sentence = f"{backend.status.text}; try again."
        raise ApiError(503, sentence, kind="server_error", code="model_opening", retry_after=2)


async def gathered(store: ChatStore, turn: Turn, wanted: Wanted) -> Gathered:
    """One whole reply."""
    reply = Gathered()
    async with aclosing(complete(store, turn.engine, turn.caller, wanted)) as parts:
        async for part in parts:
            reply.take(part)
    return reply
