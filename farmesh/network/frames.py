"""Frames of a stream: hivemind's form, with the bound on their length that it lacks."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any, Protocol

from google.protobuf.message import DecodeError
from hivemind.proto import p2pd_pb2, runtime_pb2

from farmesh.core import PeerId
from farmesh.errors import ProtocolError, RemoteError, StreamBroken
from farmesh.network.shared import ERROR, MESSAGE
from farmesh.wire.failures import parse_error
from farmesh.wire.messages import (
    Step,
    StepReply,
    decode_reply,
    decode_step,
    encode_reply,
    encode_step,
)

_HEADER = 9  # marker (MESSAGE or ERROR) and length
_CLOSE_SECONDS = 2.0  # for a node to end its side of a stream that we closed
_END_SECONDS = 0.5  # for a client that said goodbye to end its side
BROKEN = (OSError, asyncio.IncompleteReadError)


class Frames(Protocol):
    """One stream of frames between two peers: a libp2p stream, or a channel of a shared one."""

    async def read(self) -> tuple[int, bytes]:
        """Kind (``MESSAGE`` or ``ERROR``) and payload of the next frame.

        Raises:
            StreamBroken: the stream ended.
            ProtocolError: an unknown kind, or a length above the bound.
        """

    async def write(self, kind: int, payload: bytes) -> None:
        """Raises: StreamBroken."""

    def end(self) -> None:
        """Nothing more is written; what was written still travels."""

    def abort(self) -> None:
        """Drop the stream."""


class OwnStream:
    """Frames on a libp2p stream of their own, as hivemind writes them."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, max_bytes: int
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._max_bytes = max_bytes  # of one frame

    async def read(self) -> tuple[int, bytes]:
        try:
            header = await self._reader.readexactly(_HEADER)
            kind, length = header[0], int.from_bytes(header[1:], "big")
            if kind not in (MESSAGE, ERROR):
                raise ProtocolError("a malformed frame")
            if length > self._max_bytes:
                raise ProtocolError(f"a message of {length} bytes exceeds {self._max_bytes}")
            return kind, await self._reader.readexactly(length)
        except BROKEN as error:
            raise StreamBroken("the connection was closed") from error

    async def write(self, kind: int, payload: bytes) -> None:
        try:
            self._writer.write(bytes((kind,)) + len(payload).to_bytes(8, "big") + payload)
            await self._writer.drain()
        except BROKEN as error:
            raise StreamBroken("the connection was closed") from error

    def end(self) -> None:
        self._writer.close()

    abort = end


class LibP2PNodeStream:
    """The client's end of an inference stream."""

    def __init__(self, frames: Frames, max_elements: int) -> None:
        self._frames = frames
        self._max_elements = max_elements

    async def send(self, step: Step) -> None:
        await self._frames.write(MESSAGE, encode_step(step).SerializeToString())

    async def receive(self) -> StepReply:
        kind, payload = await self._frames.read()
        if kind == ERROR:
            raise RemoteError(*parse_error(parse_message(p2pd_pb2.RPCError, payload).message))
        return decode_reply(
            parse_message(runtime_pb2.ExpertResponse, payload), max_elements=self._max_elements
        )

    async def close(self) -> None:
        # The node may close first: a broken pipe here means that the session is over as wanted.
        with contextlib.suppress(StreamBroken, ProtocolError, RemoteError, TimeoutError):
            async with asyncio.timeout(_CLOSE_SECONDS):
                await self._frames.write(MESSAGE, b"")  # a request without uid and tensors ...
                await self._frames.write(ERROR, b"")  # ... and the end of all requests
                while True:
                    await self.receive()
        self.abort()

    def abort(self) -> None:
        self._frames.abort()


class LibP2PPeerStream:
    """The node's end of an inference stream."""

    def __init__(self, peer_id: PeerId, frames: Frames, max_elements: int) -> None:
        self.peer_id = peer_id
        self._frames = frames
        self._max_elements = max_elements
        self._leaving = False  # said goodbye, and has an end mark to write

    def __repr__(self) -> str:
        return f"<LibP2PPeerStream {'LEAVING' if self._leaving else 'OPEN'} {self.peer_id}>"

    async def receive(self) -> Step | None:
        kind, payload = await self._frames.read()
        if kind == ERROR:  # end of requests without the empty message
            return None
        request = parse_message(runtime_pb2.ExpertRequest, payload)
        step = decode_step(request, max_elements=self._max_elements)
        self._leaving = step is None
        return step

    async def send(self, reply: StepReply) -> None:
        await self._frames.write(MESSAGE, encode_reply(reply).SerializeToString())

    async def send_error(self, text: str) -> None:
        await self._frames.write(ERROR, p2pd_pb2.RPCError(message=text).SerializeToString())

    async def close(self) -> None:
        """End the stream, but not before the end mark of a client that said goodbye has come.

        Upstream's client writes that mark after the empty message; on a stream that is closed by
        then its ``close()`` fails, and can hang for ever when it is garbage.
        """
        if self._leaving:
            with contextlib.suppress(StreamBroken, ProtocolError, TimeoutError):
                async with asyncio.timeout(_END_SECONDS):
                    await self._frames.read()
        self._frames.end()


def parse_message(message_type: Any, payload: bytes) -> Any:
    message = message_type()
    try:
        message.ParseFromString(payload)
    except DecodeError as error:
        raise ProtocolError("a malformed protobuf message") from error
    return message
