"""Bodies of requests, bounded in size and time."""

from __future__ import annotations

import asyncio
import contextlib

from starlette.exceptions import HTTPException
from starlette.types import Message, Receive

DRAINED = 32_000_000  # bytes that are still taken, and dropped, so that the client reads why
MAX_BODY = 8_500_000  # bytes; a whole conversation that a browser brings back fits
DROP_SECONDS = 2.0  # for the rest of a body that is dropped
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
            await self.drop()
            raise BodyRefused(413, "This request is too large.")
        return message

    async def drop(self) -> None:
        """Take the rest and keep nothing: a client that still sends does not read its answer."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(DROP_SECONDS):
                while not self._whole and self._size <= DRAINED:
                    message = await self._receive()
                    self._size += len(message.get("body", b""))
                    self._whole = not message.get("more_body", False)
