"""OpenAI's protocol on the app's own server: chat completions, completions, models.

The same line, limits and nodes as the page. A request says everything each time; what the nodes
still hold of the caller's last one is found again by its tokens (``chat.live.pool``).
"""

from __future__ import annotations

import logging
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.responses import Response

from chat.api.anthropic import routes as anthropic
from chat.api.completion import Wanted, check_length, encode
from chat.api.errors import PREFIX, ApiError, failed, on_error, on_http_error, on_refusal
from chat.api.offer import OpenModel
from chat.api.openai.answers import ChatShape, Choices, Shape, TextShape
from chat.api.openai.requests import MAX_CHOICES, ChatCompletionRequest, CompletionRequest
from chat.api.prepare import prepare
from chat.api.responses import routes as responses
from chat.api.serving import opened
from chat.api.stream import EventStream, while_there
from chat.live.store import ChatStore
from chat.models.backend import Engine
from farmesh.params import SamplingParams

log = logging.getLogger(__name__)

BODIES: dict[int | str, dict[str, Any]] = {
    status: {"description": "an error in OpenAI's shape"}
    for status in (400, 401, 403, 404, 408, 413, 429, 500, 503)
}


def add_routes(app: FastAPI, store: ChatStore, model: OpenModel) -> None:
    """Add ``/v1/…``, and answer every error below it in OpenAI's shape."""

    @app.get(f"{PREFIX}/models", responses=BODIES)
    async def models() -> dict[str, Any]:
        """The models that can be asked for."""
        cards = [model.card(model_id, store.backend) for model_id in model.ids(store)]
        return {"object": "list", "data": cards}

    @app.get(PREFIX + "/models/{model_id}", responses=BODIES)
    async def one_model(model_id: str) -> dict[str, Any]:
        """One model."""
        if model_id not in model.ids(store):
            await model.backend(model_id, store)
        return model.card(model_id, store.backend)

    @app.post(f"{PREFIX}/chat/completions", responses=BODIES, response_model=None)
    async def chat_completions(request: Request, body: ChatCompletionRequest) -> Response:
        """The reply to a conversation."""
        return await _answer(request, store, ChatShape(body), model, body)

    @app.post(f"{PREFIX}/completions", responses=BODIES, response_model=None)
    async def completions(request: Request, body: CompletionRequest) -> Response:
        """What follows a text."""
        return await _answer(request, store, TextShape(body), model, body)

    responses.add_routes(app, store, model, BODIES)
    anthropic.add_routes(app, store, model)

    @app.post(f"{PREFIX}/embeddings", include_in_schema=False)
    async def embeddings() -> Response:
        """A chat model's last hidden states make poor vectors, and nobody would see it."""
        sentence = "The models here are made for chats, not for embeddings."
        raise ApiError(404, sentence, param="model", code="no_embeddings")

    @app.api_route(PREFIX + "/{path:path}", methods=["GET", "POST"], include_in_schema=False)
    async def unknown(path: str) -> Response:
        raise ApiError(404, f"There is no {PREFIX}/{path} here.", code="unknown_url")

    app.add_exception_handler(ApiError, on_error)
    app.add_exception_handler(RequestValidationError, on_refusal)
    app.add_exception_handler(HTTPException, on_http_error)


# --- answering ----------------------------------------------------------------------------------


async def _answer(
    request: Request,
    store: ChatStore,
    shape: Shape,
    model: OpenModel,
    body: ChatCompletionRequest | CompletionRequest,
) -> Response:
    try:
        turn = await opened(request, store, model, body.model)
        wanted = await _wanted(turn.engine, turn.backend.defaults, body)
        choices = Choices(store, turn.engine, turn.caller, wanted)
        if body.stream:
            source = shape.stream(choices, usage=body.usage_wanted)
            return EventStream(source, failed)
        return JSONResponse(await while_there(request, shape.whole(choices)))
    except Exception as error:  # noqa: BLE001 - every error has its answer, the unexpected a log
        return failed(error)[0]


async def _wanted(
    engine: Engine, defaults: SamplingParams, body: ChatCompletionRequest | CompletionRequest
) -> list[Wanted]:
    """Every choice's prompt and sampling, in order.

    Raises:
        ApiError, ContextOverflow: refused; nothing was sent.
    """
    if isinstance(body, ChatCompletionRequest):
        return await prepare(engine, body.asked(defaults))
    body.params(defaults)
    if (form := body.form) is not None:
        await form.check(engine)
    prompts = [
        await encode(engine, prompt) if isinstance(prompt, str) else _known(engine, prompt)
        for prompt in body.prompts
    ]
    if len(prompts) * body.choices > MAX_CHOICES:
        raise ApiError(400, f"At most {MAX_CHOICES} replies can be asked for at once.", param="n")
    for ids in prompts:
        if not ids:
            raise ApiError(400, "The prompt is empty.", param="prompt")
        check_length(engine, ids)
    return [
        Wanted(
            ids, body.params(defaults, choice), bool(body.return_token_ids), body.cache_salt or ""
        )
        for ids in prompts
        for choice in range(body.choices)
    ]


def _known(engine: Engine, token_ids: list[int]) -> tuple[int, ...]:
    """
    Raises:
        ApiError: an id that the model has no embedding for.
    """
    size = len(engine.tokenizer)
    if any(not 0 <= token_id < size for token_id in token_ids):
        raise ApiError(400, f"Token ids go from 0 to {size - 1}.", param="prompt")
    return tuple(token_ids)
