"""Bodies of requests, bounded in size and time."""

from __future__ import annotations

import asyncio

from starlette.exceptions import HTTPException
from starlette.types import Message, Receive

MAX_BODY = 8_500_000  # bytes; a whole conversation that a browser brings back fits
BODY_SECONDS = 30.0  # for a request's body to arrive


class BodyRefused(HTTPException):
    """A request's body is too large or too slow; FastAPI passes it on as it is."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(status, sentence, {"connection": "close"})


class BoundedBody:
    """A request's body within limits; afterwards, whether the client is still there."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._size = 0
        self._whole = False
        self._deadline = asyncio.get_running_loop().time() + BODY_SECONDS

    async def __call__(self) -> Message:
        """
        Raises:
            BodyRefused: too large, or not here in time.
        """
        if self._whole:
            return await self._receive()
        try:
            async with asyncio.timeout_at(self._deadline):
                message = await self._receive()
        except TimeoutError:
            raise BodyRefused(408, "This request took too long to arrive.") from None
        self._size += len(message.get("body", b""))
        self._whole = not message.get("more_body", False)
        if self._size > MAX_BODY:
            raise BodyRefused(413, "This request is too large.")
        return message
