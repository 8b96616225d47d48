"""One open stream to one hop: what its KV cache is known to hold, and replies as they come."""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from collections import deque
from collections.abc import Callable

import torch

from farmesh.core import Hop
from farmesh.errors import (
    HopCorrupt,
    HopLost,
    HopRefused,
    PeerUnreachable,
    ProtocolError,
    RemoteError,
    StreamBroken,
)
from farmesh.network.transport import NodeStream, Transport
from farmesh.wire.failures import CODE_BUSY, CODE_CLOSING, CODE_EVICTED
from farmesh.wire.messages import THREE_TENSORS, Step, StepReply
from farmesh.wire.metadata import StepMetadata
from farmesh.wire.uids import chain_uid

_REFUSALS = {CODE_BUSY, CODE_EVICTED, CODE_CLOSING}


class HopLink:
    """The client's end of one hop.

    ``position`` is how many tokens the hop is *known* to hold for this session: what was
    acknowledged and not rewound. The node may hold more; every step says where it starts.
    """

    def __init__(
        self,
        hop: Hop,
        extensions: frozenset[str],
        prefix: str,
        max_length: int,
        *,
        adapter: str | None = None,
        clock: Callable[[], float],
    ) -> None:
        self.hop = hop
        self.extensions = extensions
        self.session_id = uuid.uuid4().hex
        self.position = 0
        self.reach = 0  # tokens that the hop may hold: more than ``position`` until it is rewound
        self.last_heard = clock()
        self.failure: HopLost | None = None
        self._clock = clock
        self._prefix = prefix
        self._adapter = adapter  # that the node applies to this session
        self.max_length = max_length  # tokens; lowered to the node's limit when it names one
        self._stream: NodeStream | None = None
        self._reader: asyncio.Task[None] | None = None
        self._expected: dict[str, asyncio.Future[StepReply]] = {}
        self._unnamed: deque[str] = deque()  # steps sent to a node whose replies name no step

    def __repr__(self) -> str:
        state = "LOST" if self.failure else "OPEN" if self._stream else "CLOSED"
        return f"<HopLink {state} {self.position} tokens | {self.hop}>"

    @property
    def in_flight(self) -> int:
        return len(self._expected)

    def has(self, extension: str) -> bool:
        return extension in self.extensions

    async def open(
        self, transport: Transport, hidden_size: int, *, resume: bool = False, timeout: float = 5.0
    ) -> None:
        """Open the session on the node, or with ``resume`` find out what it still holds.

        Raises:
            HopLost: it does not answer; HopRefused: it declines.
        """
        step_id = uuid.uuid4().hex
        metadata = StepMetadata(
            session_id=self.session_id,
            step_id=step_id,
            max_length=self.max_length,
            resume=resume,
            active_adapter=self._adapter,
            args_structure=THREE_TENSORS,
        )
        empty = torch.empty(1, 0, hidden_size)
        uid = chain_uid(self._prefix, self.hop.span)
        # A stream that is given up must not fail the new one when its reader hears of its end.
        if self._reader is not None:
            self._reader.cancel()
        if self._stream is not None:
            self._stream.abort()
        try:
            async with asyncio.timeout(timeout):
                self._stream = await transport.open_stream(
                    self.hop.peer_id,
                    max_elements=self.max_length * hidden_size,
                    shared=self.has("shared"),
                )
                self.failure = None
                reply = self.expect(step_id)
                self._unnamed = deque([step_id])
                self._reader = asyncio.create_task(self._read(self._stream))
                await self._stream.send(Step(empty, metadata, uid=uid))
                answer = await reply
        except TimeoutError as error:
            self.abort()
            raise HopLost(self.hop, "it did not answer in time") from error
        except (PeerUnreachable, StreamBroken, RemoteError, ProtocolError) as error:
            self.abort()
            raise self._lost(error) from error
        except (HopLost, asyncio.CancelledError):
            self.abort()
            raise
        self.position = min(self.position, answer.position or 0) if resume else 0
        self.reach = max(self.reach, answer.position or 0) if resume else 0

    def expect(self, step_id: str) -> asyncio.Future[StepReply]:
        """The reply to a step that is sent, or pushed by another hop, from now on."""
        future: asyncio.Future[StepReply] = asyncio.get_running_loop().create_future()
        # A failed link fails all its futures; those that nobody awaits any more stay silent.
        future.add_done_callback(_retrieve)
        if self.failure is not None:
            future.set_exception(self.failure)
        else:
            self._expected[step_id] = future
        return future

    async def send(self, step: Step) -> None:
        """Raises: HopLost."""
        if self.failure is not None or self._stream is None:
            raise self.failure or HopLost(self.hop, "its stream is closed")
        if not self.has("step_reply"):
            self._unnamed.append(step.metadata.step_id or "")
        try:
            await self._stream.send(step)
        except StreamBroken as error:
            lost = self._lost(error)
            self.fail(lost)
            raise lost from error

    def forget_in_flight(self) -> None:
        """Replies to steps sent so far are of no interest any more."""
        for future in self._expected.values():
            future.cancel()
        self._expected.clear()

    def fail(self, error: HopLost) -> None:
        """The hop is lost: everybody who waits for a reply learns it."""
        if self.failure is None:
            self.failure = error
        expected, self._expected = self._expected, {}
        for future in expected.values():
            if not future.done():
                future.set_exception(self.failure)

    async def close(self) -> None:
        """End the session in order: the node frees its cache at once."""
        stream, self._stream = self._stream, None
        await self._stop_reading()
        if stream is not None:
            await stream.close()

    def abort(self) -> None:
        """Drop the stream without ceremony."""
        if self._reader is not None:
            self._reader.cancel()
        if self._stream is not None:
            self._stream.abort()
        self._stream = None
        self.fail(self.failure or HopLost(self.hop, "its stream was dropped"))

    async def _stop_reading(self) -> None:
        if self._reader is not None:
            self._reader.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._reader

    async def _read(self, stream: NodeStream) -> None:
        """Match replies to steps: by step id, or in order with nodes that do not name it."""
        try:
            while True:
                reply = await stream.receive()
                self.last_heard = self._clock()
                step_id = reply.step_id or (self._unnamed.popleft() if self._unnamed else "")
                future = self._expected.pop(step_id, None)
                if future is not None and not future.done():
                    future.set_result(reply)
        except (StreamBroken, RemoteError, ProtocolError) as error:
            stream.abort()
            lost = self._lost(error)
            lost.__cause__ = error
            self.fail(lost)

    def _lost(self, error: Exception) -> HopLost:
        match error:
            case RemoteError() if error.code in _REFUSALS:
                return HopRefused(self.hop, str(error), error.code)
            case ProtocolError():
                return HopCorrupt(self.hop, f"it sent a malformed message ({error})")
            case _:
                return HopLost(self.hop, str(error).rstrip(".") or "the connection was closed")


def _retrieve(future: asyncio.Future[StepReply]) -> None:
    if not future.cancelled():
        future.exception()
