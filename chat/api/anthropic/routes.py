"""``/v1/messages`` on the app's own server: the same core as OpenAI's protocol, another face."""

from __future__ import annotations

import asyncio
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from starlette.responses import Response

from chat.api.anthropic.answers import MessageShape, failed
from chat.api.anthropic.requests import CountRequest, MessagesRequest
from chat.api.completion import complete
from chat.api.errors import PREFIX
from chat.api.offer import OpenModel
from chat.api.prepare import prepare, rendered_of
from chat.api.serving import gathered, opened
from chat.api.stream import EventStream, while_there
from chat.live.store import ChatStore

BODIES: dict[int | str, dict[str, Any]] = {
    status: {"description": "an error in Anthropic's shape"}
    for status in (400, 401, 403, 404, 408, 413, 429, 500, 503)
}


def add_routes(app: FastAPI, store: ChatStore, model: OpenModel) -> None:
    """Add ``/v1/messages`` and the counting of its tokens."""

    @app.post(f"{PREFIX}/messages", responses=BODIES, response_model=None)
    async def messages(request: Request, body: MessagesRequest) -> Response:
        """The reply to a conversation."""
        try:
            turn = await opened(request, store, model, body.model)
            params = body.params(turn.backend.defaults)
            (wanted,) = await prepare(turn.engine, body.asked(params))
            shape = MessageShape(body.model)
            if body.stream:
                parts = complete(store, turn.engine, turn.caller, wanted)
                return EventStream(shape.stream(parts, len(wanted.token_ids)), failed)
            reply = await while_there(request, gathered(store, turn, wanted))
            return JSONResponse(shape.whole(reply))
        except Exception as error:  # noqa: BLE001 - every error has its answer
            return failed(error)[0]

    @app.post(f"{PREFIX}/messages/count_tokens", responses=BODIES, response_model=None)
    async def count_tokens(request: Request, body: CountRequest) -> Response:
        """How many tokens a conversation has."""
        try:
            turn = await opened(request, store, model, body.model)
            asked = body.asked(turn.backend.defaults)
            asked.check()
            rendered = await asyncio.to_thread(rendered_of, turn.engine, asked)
            encode = turn.engine.tokenizer.encode
            ids = await asyncio.to_thread(encode, rendered.text, add_special_tokens=False)
            return JSONResponse({"input_tokens": len(ids)})
        except Exception as error:  # noqa: BLE001 - every error has its answer
            return failed(error)[0]
