"""Errors as OpenAI's clients expect them."""

from __future__ import annotations

import logging
from typing import Any

from fastapi import Request
from fastapi.exception_handlers import http_exception_handler
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.responses import Response

from chat import words
from chat.access.answer import refusal
from chat.api.stream import DONE, ClientLeft, event
from chat.errors import ChatError, GatewayFailure
from chat.live.limits import LineFull, TooManyTurns
from farmesh.errors import (
    ContextOverflow,
    FarMeshError,
    GrammarTooComplex,
    InvalidSampling,
    SessionError,
    SwarmError,
)

log = logging.getLogger(__name__)


PREFIX = "/v1"


class ApiError(Exception):
    """A request is refused or failed; carries what OpenAI's error object carries."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        kind: str = "invalid_request_error",
        param: str | None = None,
        code: str | None = None,
        retry_after: int | None = None,  # seconds
    ) -> None:
        super().__init__(message)
        self.status, self.kind, self.param, self.code = status, kind, param, code
        self.retry_after = retry_after

    @property
    def body(self) -> dict[str, Any]:
        error = {"message": str(self), "type": self.kind, "param": self.param, "code": self.code}
        return {"error": error}


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
        case GrammarTooComplex():
            return ApiError(400, str(error), code="invalid_value")
        case ChatError():
            return ApiError(400, str(error))
        case SwarmError() | SessionError():
            sentence = words.explain(error).what
            wait = error.retry_after if isinstance(error, GatewayFailure) else 2
            return ApiError(503, sentence, kind="server_error", code="swarm", retry_after=wait)
        case _:
            return ApiError(500, "Something went wrong here.", kind="server_error")


def body_of(error: ApiError, path: str) -> dict[str, Any]:
    """The error in the shape of the protocol that a path belongs to."""
    return refusal(path, error.status, str(error)) or error.body


def error_answer(error: ApiError, path: str = "") -> JSONResponse:
    headers = {"retry-after": str(error.retry_after)} if error.retry_after else None
    return JSONResponse(body_of(error, path), status_code=error.status, headers=headers)


def known_error(error: Exception) -> ApiError:
    """What a program is told; an error that nobody expected goes into the log."""
    if not isinstance(error, FarMeshError | ApiError | ClientLeft):
        log.error("a completion failed", exc_info=error)
    return as_api_error(error)


def failed(error: Exception) -> tuple[Response, bytes]:
    known = known_error(error)
    return error_answer(known), event(known.body) + DONE


_CASES = {"str", "int", "float", "bool"}  # of a union, in the place that pydantic names


def refused(errors: list[Any]) -> ApiError:
    """What pydantic found wrong with a body, as one sentence about its first finding."""
    if not errors:
        return ApiError(400, "The request cannot be read.")
    first = errors[0]
    place = [str(part) for part in first["loc"] if part not in ("body", "query", "path")]
    if first["type"] == "json_invalid" or not place:
        return ApiError(400, "The body is no JSON object.", code="invalid_json")
    # The names of a union's cases are pydantic's, not the client's.
    named = [part for part in place if part.replace("_", "").isalnum() and part not in _CASES]
    param = ".".join(named)
    message = f"{param or 'The body'}: {first['msg'][0].lower()}{first['msg'][1:]}."
    code = "missing_required_parameter" if first["type"] == "missing" else "invalid_value"
    return ApiError(400, message, param=param or None, code=code)


async def on_error(request: Request, error: Exception) -> Response:
    return error_answer(as_api_error(error), request.url.path)


async def on_refusal(request: Request, error: Exception) -> Response:
    errors = list(error.errors()) if isinstance(error, RequestValidationError) else []
    return error_answer(refused(errors), request.url.path)


async def on_http_error(request: Request, error: Exception) -> Response:
    if not isinstance(error, HTTPException):
        return error_answer(as_api_error(error), request.url.path)
    if not request.url.path.startswith(PREFIX):
        return await http_exception_handler(request, error)
    answer = error_answer(ApiError(error.status_code, str(error.detail)), request.url.path)
    answer.headers.update(error.headers or {})
    return answer
