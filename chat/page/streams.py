"""Notices at once when a page's stream breaks.

Gradio looks whether a page is still there when it has the next update for it; by then a small
model has made several tokens for nobody.
"""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import parse_qs

from starlette.types import ASGIApp, Message, Receive, Scope, Send

STREAM = "/gradio_api/queue/data"


class Streams:
    """ASGI middleware that says which Gradio session's stream broke before its end."""

    def __init__(self, app: ASGIApp, gone: Callable[[str], None]) -> None:
        self.app = app
        self._gone = gone

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not scope["path"].endswith(STREAM):
            await self.app(scope, receive, send)
            return
        session = parse_qs(scope["query_string"].decode()).get("session_hash", [""])[0]
        complete = False

        async def hear() -> Message:
            message = await receive()
            if message["type"] == "http.disconnect" and not complete:
                self._gone(session)
            return message

        async def say(message: Message) -> None:
            nonlocal complete
            complete = message["type"] == "http.response.body" and not message.get("more_body")
            await send(message)

        await self.app(scope, hear, say)
