"""``/v1/responses`` on the app's own server: the same core, in items and events."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from starlette.responses import Response

from chat.access.callers import visitor_of
from chat.api.asked import Said
from chat.api.completion import Gathered, complete
from chat.api.errors import PREFIX
from chat.api.offer import OpenModel
from chat.api.prepare import prepare
from chat.api.responses.answers import ResponseShape, failed, said_of
from chat.api.responses.kept import Kept, KeptResponses
from chat.api.responses.requests import ResponseRequest, missing
from chat.api.serving import gathered, opened
from chat.api.stream import EventStream, while_there
from chat.live.store import ChatStore


def add_routes(
    app: FastAPI, store: ChatStore, model: OpenModel, bodies: dict[int | str, dict[str, Any]]
) -> None:
    """Add ``/v1/responses``.

    Args:
        bodies: what is said of errors.
    """
    kept = KeptResponses()

    @app.post(f"{PREFIX}/responses", responses=bodies, response_model=None)
    async def responses(request: Request, body: ResponseRequest) -> Response:
        """The reply to a conversation, which is told in full or by its latest response."""
        try:
            return await _respond(request, body)
        except Exception as error:  # noqa: BLE001 - every error has its answer
            return failed(error)[0]

    async def _respond(request: Request, body: ResponseRequest) -> Response:
        owner = visitor_of(request).caller.cache_key
        before: tuple[Said, ...] = ()
        if body.previous_response_id:
            known = kept.get(body.previous_response_id, owner)
            if known is None:
                raise missing(body.previous_response_id)
            before = known.messages
        turn = await opened(request, store, model, body.model)
        (wanted,) = await prepare(turn.engine, body.asked(before, turn.backend.defaults))
        shape = ResponseShape(body)

        def keep(reply: Gathered, whole: dict[str, Any]) -> None:
            if body.store is not False:
                messages = (*before, *body.said(), said_of(reply))
                kept.put(shape.id, Kept(owner, messages, whole))

        if body.stream:
            parts = complete(store, turn.engine, turn.caller, wanted)
            return EventStream(shape.stream(parts, keep), failed)
        reply = await while_there(request, gathered(store, turn, wanted))
        whole = shape.whole(reply)
        keep(reply, whole)
        return JSONResponse(whole)

    @app.get(PREFIX + "/responses/{response_id}", responses=bodies, response_model=None)
    async def one_response(request: Request, response_id: str) -> Response:
        """A response that was stored."""
        known = kept.get(response_id, visitor_of(request).caller.cache_key)
        if known is None:
            raise missing(response_id)
        return JSONResponse(known.body)

    @app.delete(PREFIX + "/responses/{response_id}", responses=bodies, response_model=None)
    async def forget(request: Request, response_id: str) -> Response:
        """Forget a response that was stored."""
        if not kept.remove(response_id, visitor_of(request).caller.cache_key):
            raise missing(response_id)
        return JSONResponse({"id": response_id, "object": "response", "deleted": True})
