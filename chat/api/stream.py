"""Answers that notice when nobody is there any more.

A reply costs other people's nodes work: a client that goes away, or that stops reading, ends it.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine
from contextlib import aclosing
from typing import Any, TypeVar

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

T = TypeVar("T")

FIRST_SECONDS = 2.0  # a failure within them is an answer with its own status, not a stream
QUIET_SECONDS = 15.0  # of silence until a comment is sent, so that no proxy gives up
READ_SECONDS = 60.0  # a client that takes nothing for so long is gone

DONE = b"data: [DONE]\n\n"
_COMMENT = b": waiting\n\n"


class ClientLeft(Exception):
    """The client closed its connection; nobody is there to be told."""


def event(data: dict[str, Any]) -> bytes:
    """One server-sent event."""
    return f"data: {json.dumps(data, ensure_ascii=False, separators=(',', ':'))}\n\n".encode()


def named_event(name: str, data: dict[str, Any]) -> bytes:
    """One server-sent event with its name."""
    return f"event: {name}\n".encode() + event(data)


async def while_there(request: Request, work: Coroutine[Any, Any, T]) -> T:
    """What ``work`` returns; it is cancelled when the client goes away.

    Raises:
        ClientLeft: it did.
    """
    working = asyncio.ensure_future(work)
    leaving = asyncio.ensure_future(_left(request.receive))
    try:
        await asyncio.wait({working, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise ClientLeft
        return working.result()
    finally:
        await _end(working, leaving)


class EventStream(Response):
    """Server-sent events from a generator, which is closed whatever happens.

    Args:
        source: yields whole events.
        failed: the answer to an error of ``source`` before anything was sent, and the event for
            one that came later.
    """

    def __init__(
        self,
        source: AsyncGenerator[bytes, None],
        failed: Callable[[Exception], tuple[Response, bytes]],
    ) -> None:
        super().__init__(
            media_type="text/event-stream",
            headers={"cache-control": "no-store", "x-accel-buffering": "no"},
        )
        del self.headers["content-length"]
        self._source = source
        self._failed = failed

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        pumping = asyncio.ensure_future(self._pump(scope, receive, send))
        leaving = asyncio.ensure_future(_left(receive))
        try:
            await asyncio.wait({pumping, leaving}, return_when=asyncio.FIRST_COMPLETED)
            if pumping.done():
                pumping.result()
        finally:
            await _end(pumping, leaving)

    async def _pump(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with aclosing(self._source):
            coming = asyncio.ensure_future(anext(self._source, None))
            try:
                await asyncio.wait({coming}, timeout=FIRST_SECONDS)
                if coming.done() and (error := coming.exception()) is not None:
                    if not isinstance(error, Exception):
                        raise error
                    await self._failed(error)[0](scope, receive, send)
                    return
                headers = {"type": "http.response.start", "status": 200}
                await send({**headers, "headers": self.raw_headers})
                while (chunk := await self._next(coming, send)) is not None:
                    await _send(send, chunk)
                    coming = asyncio.ensure_future(anext(self._source, None))
            except ClientLeft:
                return
            finally:
                await _end(coming)
        await send({"type": "http.response.body", "body": b""})

    async def _next(self, coming: asyncio.Future[bytes | None], send: Send) -> bytes | None:
        """The next event; comments go out while it is being waited for."""
        while not (await asyncio.wait({coming}, timeout=QUIET_SECONDS))[0]:
            await _send(send, _COMMENT)
        try:
            return coming.result()
        except Exception as error:  # noqa: BLE001 - becomes the stream's last event
            await _send(send, self._failed(error)[1])
            return None


async def _send(send: Send, chunk: bytes) -> None:
    try:
        async with asyncio.timeout(READ_SECONDS):
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
    except TimeoutError:
        raise ClientLeft from None


async def _left(receive: Callable[[], Awaitable[Message]]) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _end(*tasks: asyncio.Future[Any]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
