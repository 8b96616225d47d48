"""What every answer carries, and how one is refused."""

from __future__ import annotations

import re
from typing import Any

from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.types import Scope

from chat.access.bodies import MAX_BODY

# Pages of these sites may show the app in a frame when it runs as a Space.
SPACE_PARENTS = "https://huggingface.co https://*.hf.space"

SCRIPT = re.compile(rb"<script(?=[\s>])")
MANIFEST = b'<link rel="manifest" href="/manifest.json" />'  # Gradio's; ours is in the head
CARDS = re.compile(rb'\s*<meta\s+(?:property="og:|name="twitter:)[^>]*/>')  # Gradio's own


def policy(nonce: str, *, embedded: bool) -> str:
    """The Content-Security-Policy of the page."""
    parents = f"'self' {SPACE_PARENTS}" if embedded else "'self'"
    rules = {
        "default-src": "'self'",
        "script-src": f"'self' 'nonce-{nonce}'",
        "style-src": "'self' 'unsafe-inline'",
        "img-src": "'self' data: blob:",
        "font-src": "'self' data:",
        "media-src": "'self' data: blob:",
        "connect-src": "'self'",
        "worker-src": "'self' blob:",
        "frame-src": "'none'",
        "object-src": "'none'",
        "base-uri": "'self'",
        "form-action": "'self'",
        "frame-ancestors": parents,
    }
    return "; ".join(f"{name} {value}" for name, value in rules.items())


def refused(scope: Scope, status: int, sentence: str) -> Response:
    """A refusal, for programs in the shape that they know."""
    # What was not read of a body cannot be told from the next request.
    closing = {"connection": "close"} if status in (408, 413) else None
    if (body := refusal(scope["path"], status, sentence)) is not None:
        return JSONResponse(body, status_code=status, headers=closing)
    if scope["path"].startswith("/v1/"):
        kind = "authentication_error" if status == 401 else "invalid_request_error"
        code = "invalid_api_key" if status == 401 else None
        error = {"message": sentence, "type": kind, "param": None, "code": code}
        return JSONResponse({"error": error}, status_code=status, headers=closing)
    return PlainTextResponse(sentence, status_code=status, headers=closing)


# What Anthropic's protocol calls errors, by their status.
_KINDS = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
}


def refusal(path: str, status: int, sentence: str) -> dict[str, Any] | None:
    """An error in Anthropic's shape; None where another protocol is spoken."""
    if not path.startswith("/v1/messages"):
        return None
    kind = _KINDS.get(status, "invalid_request_error" if status < 500 else "api_error")
    return {"type": "error", "error": {"type": kind, "message": sentence}}


def number(text: str) -> int:
    return int(text) if text.isdigit() and len(text) < 20 else MAX_BODY + 1
