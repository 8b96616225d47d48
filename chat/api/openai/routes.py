"""OpenAI's protocol on the app's own server: chat completions, completions, models.

The same line, limits and nodes as the page. A request says everything each time; what the nodes
still hold of the caller's last one is found again by its tokens (``chat.live.pool``).
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exception_handlers import http_exception_handler
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.responses import Response

from chat import words
from chat.access.guard import caller_of
from chat.api.completion import (
    Ended,
    Noted,
    Part,
    Piece,
    Wanted,
    check_length,
    complete,
    encode,
)
from chat.api.openai.requests import (
    ID_NAME,
    MAX_CHOICES,
    ApiError,
    ChatCompletionRequest,
    CompletionRequest,
    refused,
)
from chat.api.stream import DONE, ClientLeft, EventStream, event, while_there
from chat.conversation.prompt import render
from chat.live.limits import Caller, LineFull, TooManyTurns
from chat.live.store import ChatStore
from chat.models.backend import Backend, Engine, Stage
from chat.protocol.events import to_data
from chat.words import ChatError, GatewayFailure
from farmesh.core import SamplingParams, TokenGenerated
from farmesh.errors import ContextOverflow, FarMeshError, InvalidSampling, SessionError, SwarmError

log = logging.getLogger(__name__)

PREFIX = "/v1"
BODIES: dict[int | str, dict[str, Any]] = {
    status: {"description": "an error in OpenAI's shape"}
    for status in (400, 401, 403, 404, 408, 413, 429, 500, 503)
}


@dataclass(frozen=True, slots=True)
class OpenModel:
    """What programs call the model."""

    id: str
    created: int = field(default_factory=lambda: int(time.time()))

    def ids(self, store: ChatStore) -> list[str]:
        """All models that can be asked for, the app's own first."""
        others = [entry.id for entry in store.models.entries] if store.models else []
        return [self.id, *(other for other in others if other != self.id)]

    async def backend(self, wanted: str, store: ChatStore) -> Backend:
        """What serves a model; one that is not open yet is being opened from here on.

        Raises:
            ApiError: there is no such model here.
            FarMeshError: it cannot be served here.
        """
        if wanted not in self.ids(store):
            raise ApiError(
                404,
                f"There is no model {wanted[:100]!r} here; GET {PREFIX}/models lists them.",
                param="model",
                code="model_not_found",
            )
        if wanted == self.id or store.models is None:
            return store.backend
        return await store.models.open(wanted)

    def card(self, model_id: str, backend: Backend) -> dict[str, Any]:
        card: dict[str, Any] = {
            "id": model_id,
            "object": "model",
            "created": self.created,
            "owned_by": "farmesh",
        }
        if model_id == self.id and backend.engine is not None:
            card["max_model_len"] = backend.engine.context
        return card


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
        return await _answer(request, store, _ChatShape(body), model, body)

    @app.post(f"{PREFIX}/completions", responses=BODIES, response_model=None)
    async def completions(request: Request, body: CompletionRequest) -> Response:
        """What follows a text."""
        return await _answer(request, store, _TextShape(body), model, body)

    @app.api_route(PREFIX + "/{path:path}", methods=["GET", "POST"], include_in_schema=False)
    async def unknown(path: str) -> Response:
        raise ApiError(404, f"There is no {PREFIX}/{path} here.", code="unknown_url")

    app.add_exception_handler(ApiError, _on_error)
    app.add_exception_handler(RequestValidationError, _on_refusal)
    app.add_exception_handler(HTTPException, _on_http_error)


# --- answering ----------------------------------------------------------------------------------


async def _answer(
    request: Request,
    store: ChatStore,
    shape: _Shape,
    model: OpenModel,
    body: ChatCompletionRequest | CompletionRequest,
) -> Response:
    caller = caller_of(request)
    try:
        backend = await model.backend(body.model, store)
        store.rate.take(caller, time.monotonic())
        opening(backend)
        engine = await backend.ready()
        wanted = await _wanted(engine, backend.defaults, body)
        choices = Choices(store, engine, caller, wanted)
        if body.stream:
            source = shape.stream(choices, usage=body.usage_wanted)
            return EventStream(source, _failed)
        return JSONResponse(await while_there(request, shape.whole(choices)))
    except Exception as error:  # noqa: BLE001 - every error has its answer, the unexpected a log
        return _failed(error)[0]


def opening(backend: Backend) -> None:
    """
    Raises:
        ApiError: the model is being opened.
    """
    if backend.stage is Stage.STARTING:
        sentence = f"{backend.status}; try again."
        raise ApiError(503, sentence, kind="server_error", code="model_opening", retry_after=2)


async def _wanted(
    engine: Engine, defaults: SamplingParams, body: ChatCompletionRequest | CompletionRequest
) -> list[Wanted]:
    """Every choice's prompt and sampling, in order.

    Raises:
        ApiError, ContextOverflow: refused; nothing was sent.
    """
    body.params(defaults)
    if isinstance(body, ChatCompletionRequest):
        turns = joined([message.turn for message in body.messages])
        text = render(engine.tokenizer, turns, engine.chat_template)
        prompts = [await encode(engine, text)]
    else:
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


def joined(turns: Sequence[dict[str, str]]) -> list[dict[str, str]]:
    """Neighbours of one role as one message: many chat templates insist that roles alternate."""
    found: list[dict[str, str]] = []
    for turn in turns:
        if found and found[-1]["role"] == turn["role"]:
            both = f"{found[-1]['content']}\n\n{turn['content']}"
            found[-1] = {"role": turn["role"], "content": both}
        else:
            found.append(turn)
    return found


def _known(engine: Engine, token_ids: list[int]) -> tuple[int, ...]:
    """
    Raises:
        ApiError: an id that the model has no embedding for.
    """
    size = len(engine.tokenizer)
    if any(not 0 <= token_id < size for token_id in token_ids):
        raise ApiError(400, f"Token ids go from 0 to {size - 1}.", param="prompt")
    return tuple(token_ids)


@dataclass(slots=True)
class Choices:
    """All replies of one request; their parts come as they are made."""

    store: ChatStore
    engine: Engine
    caller: Caller
    wanted: list[Wanted]

    async def parts(self) -> AsyncGenerator[tuple[int, Part], None]:
        """``(choice, part)``; leaving early ends all replies."""
        queue: asyncio.Queue[tuple[int, Part] | None] = asyncio.Queue(1)

        async def follow(index: int, wanted: Wanted) -> None:
            parts = complete(self.store, self.engine, self.caller, wanted)
            async with aclosing(parts):
                async for part in parts:
                    await queue.put((index, part))

        async def follow_all() -> None:
            try:
                async with asyncio.TaskGroup() as group:
                    for index, wanted in enumerate(self.wanted):
                        group.create_task(follow(index, wanted), name="completion")
            except BaseExceptionGroup as failed:
                await queue.put(None)
                raise failed.exceptions[0] from None
            await queue.put(None)

        following = asyncio.create_task(follow_all(), name="completions")
        try:
            while (part := await queue.get()) is not None:
                yield part
            await following
        finally:
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)


# --- shapes -------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Usage:
    prompts: dict[int, int] = field(default_factory=dict)  # by choice
    cached: int = 0
    generated: int = 0

    def add(self, choice: int, ended: Ended) -> None:
        self.prompts[choice] = ended.prompt_tokens
        self.cached += ended.cached_tokens
        self.generated += ended.generated_tokens

    def body(self, choices_per_prompt: int) -> dict[str, Any]:
        """A prompt counts once, however many choices it has."""
        prompt = sum(n for choice, n in self.prompts.items() if choice % choices_per_prompt == 0)
        return {
            "prompt_tokens": prompt,
            "completion_tokens": self.generated,
            "total_tokens": prompt + self.generated,
            "prompt_tokens_details": {"cached_tokens": min(self.cached, prompt)},
        }


class _Shape:
    """How parts become an answer; one object per request."""

    def __init__(
        self,
        body: ChatCompletionRequest | CompletionRequest,
        *,
        kind: str,
        chunk: str,
        prefix: str,
    ) -> None:
        self._kind, self._chunk = kind, chunk
        self._head = {
            "id": f"{prefix}-{secrets.token_hex(12)}",
            "created": int(time.time()),
            "model": body.model,
        }
        self.per_prompt = body.choices
        self._token_ids = bool(body.return_token_ids)
        self._as_ids = bool(body.return_tokens_as_token_ids)
        self._events = bool(body.return_events)

    def piece(self, choice: int, piece: Piece, names: TokenNames) -> dict[str, Any]:
        """A stream's choice with new text."""
        raise NotImplementedError

    def last(self, choice: int, ended: Ended) -> dict[str, Any]:
        """A stream's choice that ends."""
        raise NotImplementedError

    def choice(
        self, choice: int, pieces: list[Piece], ended: Ended, names: TokenNames
    ) -> dict[str, Any]:
        """A whole choice."""
        raise NotImplementedError

    def first(self, choice: int, choices: Choices) -> dict[str, Any] | None:
        """What a stream says of a choice before anything else."""
        return None

    async def stream(self, choices: Choices, *, usage: bool) -> AsyncGenerator[bytes, None]:
        """Server-sent events."""
        names, spent, begun = TokenNames(choices.engine, self._as_ids), _Usage(), set[int]()
        extra = {"usage": None} if usage else {}
        async with aclosing(choices.parts()) as parts:
            async for index, part in parts:
                if isinstance(part, Noted):
                    if self._events:
                        told = {"farmesh": {"index": index, **to_data(part.event)}}
                        yield self._event([], extra | told)
                    continue
                if index not in begun:
                    begun.add(index)
                    if (first := self.first(index, choices)) is not None:
                        yield self._event([first], extra)
                match part:
                    case Piece():
                        made = self.piece(index, part, names) | self._ids([part])
                        yield self._event([made], extra)
                    case Ended():
                        spent.add(index, part)
                        yield self._event([self.last(index, part) | self._ids([])], extra)
        if usage:
            yield self._event([], {"usage": spent.body(self.per_prompt)})
        yield DONE

    async def whole(self, choices: Choices) -> dict[str, Any]:
        """The answer in one piece."""
        names, spent = TokenNames(choices.engine, self._as_ids), _Usage()
        pieces: list[list[Piece]] = [[] for _ in choices.wanted]
        ends: dict[int, Ended] = {}
        async with aclosing(choices.parts()) as parts:
            async for index, part in parts:
                match part:
                    case Piece():
                        pieces[index].append(part)
                    case Ended():
                        spent.add(index, part)
                        ends[index] = part
                    case Noted():
                        pass
        made = [
            self.choice(i, pieces[i], ends[i], names) | self._ids(pieces[i])
            for i in range(len(pieces))
        ]
        usage = spent.body(self.per_prompt)
        return {"object": self._kind, **self._head, "choices": made, "usage": usage}

    def _ids(self, pieces: list[Piece]) -> dict[str, Any]:
        """The ids of all tokens of these pieces, those without text among them."""
        if not self._token_ids:
            return {}
        return {"token_ids": [token.token_id for piece in pieces for token in piece.tokens]}

    def _event(self, choices: list[dict[str, Any]], extra: dict[str, Any]) -> bytes:
        return event({"object": self._chunk, **self._head, "choices": choices, **extra})


class _ChatShape(_Shape):
    def __init__(self, body: ChatCompletionRequest) -> None:
        kind = "chat.completion"
        super().__init__(body, kind=kind, chunk=f"{kind}.chunk", prefix="chatcmpl")

    def first(self, choice: int, choices: Choices) -> dict[str, Any]:
        return self._delta(choice, {"role": "assistant", "content": ""})

    def piece(self, choice: int, piece: Piece, names: TokenNames) -> dict[str, Any]:
        return self._delta(choice, {"content": piece.text}, names.chat([piece]))

    def last(self, choice: int, ended: Ended) -> dict[str, Any]:
        return {**self._delta(choice, {}), "finish_reason": ended.reason}

    def choice(
        self, choice: int, pieces: list[Piece], ended: Ended, names: TokenNames
    ) -> dict[str, Any]:
        text = "".join(piece.text for piece in pieces)
        return {
            "index": choice,
            "message": {"role": "assistant", "content": text, "refusal": None},
            "logprobs": names.chat(pieces),
            "finish_reason": ended.reason,
        }

    def _delta(
        self, choice: int, delta: dict[str, str], logprobs: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        return {"index": choice, "delta": delta, "logprobs": logprobs, "finish_reason": None}


class _TextShape(_Shape):
    def __init__(self, body: CompletionRequest) -> None:
        kind = "text_completion"
        super().__init__(body, kind=kind, chunk=kind, prefix="cmpl")
        self._prompts = body.prompts if body.echo else []
        self._offsets: dict[int, int] = {}  # characters given out of each choice

    def first(self, choice: int, choices: Choices) -> dict[str, Any] | None:
        text = self._echo(choice, choices.engine)
        return self._body(choice, text) if text else None

    def piece(self, choice: int, piece: Piece, names: TokenNames) -> dict[str, Any]:
        return self._body(choice, piece.text, self._logprobs(choice, [piece], names))

    def last(self, choice: int, ended: Ended) -> dict[str, Any]:
        return {**self._body(choice, ""), "finish_reason": ended.reason}

    def choice(
        self, choice: int, pieces: list[Piece], ended: Ended, names: TokenNames
    ) -> dict[str, Any]:
        text = self._echo(choice, names.engine) + "".join(piece.text for piece in pieces)
        logprobs = self._logprobs(choice, pieces, names)
        return {**self._body(choice, text, logprobs), "finish_reason": ended.reason}

    def _echo(self, choice: int, engine: Engine) -> str:
        if not self._prompts:
            return ""
        prompt = self._prompts[choice // self.per_prompt]
        return prompt if isinstance(prompt, str) else engine.tokenizer.decode(prompt)

    def _logprobs(
        self, choice: int, pieces: list[Piece], names: TokenNames
    ) -> dict[str, Any] | None:
        told, offset = names.text(pieces, self._offsets.get(choice, 0))
        self._offsets[choice] = offset
        return told

    def _body(
        self, choice: int, text: str, logprobs: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        return {"index": choice, "text": text, "logprobs": logprobs, "finish_reason": None}


class TokenNames:
    """Log-probabilities with the tokens written out, in both shapes."""

    def __init__(self, engine: Engine, as_ids: bool = False) -> None:
        """
        Args:
            as_ids: write every token as ``token_id:5``: texts of different tokens can be equal.
        """
        self.engine = engine
        self._as_ids = as_ids
        self._names: dict[int, str] = {}
        self._anchor: list[int] = list(engine.tokenizer.encode("a", add_special_tokens=False))[-1:]

    def name(self, token_id: int) -> str:
        """The token's text as it is inside of a text: decoders cut a leading space elsewhere."""
        if self._as_ids:
            return f"{ID_NAME}{token_id}"
        if token_id not in self._names:
            decode = self.engine.tokenizer.decode
            alone = decode(self._anchor, skip_special_tokens=False)
            both = decode([*self._anchor, token_id], skip_special_tokens=False)
            self._names[token_id] = both.removeprefix(alone)
        return self._names[token_id]

    def chat(self, pieces: list[Piece]) -> dict[str, Any] | None:
        told = [self._entry(token) for piece in pieces for token in piece.tokens if token.logprobs]
        return {"content": told, "refusal": None} if told else None

    def text(self, pieces: list[Piece], offset: int) -> tuple[dict[str, Any] | None, int]:
        """The older shape, and how many characters there are up to the end of ``pieces``."""
        tokens = [token for piece in pieces for token in piece.tokens if token.logprobs]
        told: dict[str, list[Any]] = {
            "tokens": [self.name(token.token_id) for token in tokens],
            "token_logprobs": [token.logprobs.chosen for token in tokens if token.logprobs],
            "top_logprobs": [
                {self.name(other): value for other, value in token.logprobs.likeliest}
                for token in tokens
                if token.logprobs
            ],
            "text_offset": [],
        }
        at = offset
        for name in told["tokens"]:
            told["text_offset"].append(at)
            at += len(name)
        return (told if tokens else None), offset + sum(len(piece.text) for piece in pieces)

    def _entry(self, token: TokenGenerated) -> dict[str, Any]:
        if token.logprobs is None:
            raise ValueError("a token without log-probabilities")
        likeliest = [self._one(other, value) for other, value in token.logprobs.likeliest]
        return {**self._one(token.token_id, token.logprobs.chosen), "top_logprobs": likeliest}

    def _one(self, token_id: int, logprob: float) -> dict[str, Any]:
        name = self.name(token_id)
        whole = "\ufffd" not in name  # else it is a part of a character, whose bytes are not known
        return {"token": name, "logprob": logprob, "bytes": list(name.encode()) if whole else None}


# --- errors -------------------------------------------------------------------------------------


def as_api_error(error: Exception) -> ApiError:
    """What a program is told; nothing of an unexpected error but that there was one."""
    match error:
        case ApiError():
            return error
        case ClientLeft():
            return ApiError(499, "The client closed the connection.")
        case TooManyTurns():
            return ApiError(
                429,
                str(error),
                kind="rate_limit_error",
                code="rate_limit_exceeded",
                retry_after=error.wait,
            )
        case LineFull():
            return ApiError(
                429, str(error), kind="rate_limit_error", code="line_full", retry_after=5
            )
        case ContextOverflow():
            return ApiError(
                400,
                f"The prompt has {error.wanted - 1} tokens and this model holds {error.limit} "
                f"tokens, of which at least one is for the reply.",
                param="messages",
                code="context_length_exceeded",
            )
        case InvalidSampling():
            return ApiError(400, str(error), param=error.field, code="invalid_value")
        case ChatError():
            return ApiError(400, str(error))
        case SwarmError() | SessionError():
            sentence = words.explain(error).text
            for advice in (" Your message is kept", " What arrived is kept"):  # the page's
                sentence = sentence.partition(advice)[0]
            wait = error.retry_after if isinstance(error, GatewayFailure) else 2
            return ApiError(503, sentence, kind="server_error", code="swarm", retry_after=wait)
        case _:
            return ApiError(500, "Something went wrong here.", kind="server_error")


def error_answer(error: ApiError) -> JSONResponse:
    headers = {"retry-after": str(error.retry_after)} if error.retry_after else None
    return JSONResponse(error.body, status_code=error.status, headers=headers)


def _failed(error: Exception) -> tuple[Response, bytes]:
    if not isinstance(error, FarMeshError | ApiError | ClientLeft):
        log.error("a completion failed", exc_info=error)
    known = as_api_error(error)
    return error_answer(known), event(known.body) + DONE


async def _on_error(_: Request, error: Exception) -> Response:
    return error_answer(as_api_error(error))


async def _on_refusal(request: Request, error: Exception) -> Response:
    errors = list(error.errors()) if isinstance(error, RequestValidationError) else []
    return error_answer(refused(errors))


async def _on_http_error(request: Request, error: Exception) -> Response:
    if not isinstance(error, HTTPException):
        return error_answer(as_api_error(error))
    if not request.url.path.startswith(PREFIX):
        return await http_exception_handler(request, error)
    answer = error_answer(ApiError(error.status_code, str(error.detail)))
    answer.headers.update(error.headers or {})
    return answer
