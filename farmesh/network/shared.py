"""Many inference streams over one libp2p stream: what sessions send at once travels at once.

A message on a libp2p stream of its own costs its own way through two daemons, as much as a small
model's forward. So peers of this engine share one stream (extension ``shared``): sixteen chats that
were computed in one tick answer in one write. A long message goes in fragments, in turn with the
others', so that a prompt on its way never holds up somebody else's token.

A frame is ``channel u32 | kind u8 | length u32 | payload``, big-endian. Channels are numbered by
the side that opens them, in rising order; the first frame of a number opens it.
"""

from __future__ import annotations

import asyncio
import logging
import struct
from collections import deque
from collections.abc import Callable

from farmesh.errors import ProtocolError, StreamBroken
from farmesh.wire.messages import MAX_STREAM_BYTES

logger = logging.getLogger(__name__)

MESSAGE, ERROR, PART, END, ABORT = range(5)  # PART: more of the same message follows

_HEADER = struct.Struct("!IBI")
_FRAGMENT_BYTES = 16 * 2**10
_BATCH_BYTES = 64 * 2**10  # written at once
_CONGESTED_BYTES = 256 * 2**10  # waiting in the socket's buffer: then senders wait too
_READ_BYTES = 256 * 2**10
_MAX_CHANNELS = 8192  # open at once
_MAX_WAITING = 512  # messages of one channel that nobody has read yet

_CLOSED = "the connection was closed"


class Channel:
    """One stream of messages on a shared connection; frames as on a stream of its own."""

    def __init__(self, connection: SharedConnection, number: int) -> None:
        self.number = number
        self.max_bytes = MAX_STREAM_BYTES  # of one message
        self.heard = False  # whether the other side has ever said something here
        self.parts: list[bytes] = []  # of a message on its way in
        self.part_bytes = 0
        self.held = 0  # bytes of parts and of messages that nobody has read yet
        self.flooded = False  # by a message that is too long; what still comes is dropped
        self.outbox: deque[tuple[bytes, asyncio.Future[None] | None]] = deque()
        self.inbox: asyncio.Queue[tuple[int, bytes]] = asyncio.Queue()
        self._connection = connection
        self._ended = False

    def __repr__(self) -> str:
        return f"<Channel {'ENDED' if self._ended else 'OPEN'} {self.number}>"

    async def read(self) -> tuple[int, bytes]:
        """Kind (``MESSAGE`` or ``ERROR``) and payload of the next frame.

        Raises:
            StreamBroken: the stream ended.
            ProtocolError: the other side sent a longer message than it may.
        """
        kind, payload = await self.inbox.get()
        if kind in (MESSAGE, ERROR):
            self.free(len(payload))
            return kind, payload
        self.inbox.put_nowait((kind, payload))  # it stays ended
        if self.flooded:
            raise ProtocolError("a longer message than may be sent here")
        raise StreamBroken(_CLOSED)

    def hold(self, size: int) -> None:
        """So many bytes have come."""
        self.held += size
        self._connection.held += size

    def free(self, size: int) -> None:
        """So many bytes are somebody else's now."""
        size = min(size, self.held)  # none are held after the end
        self.held -= size
        self._connection.held -= size

    async def write(self, kind: int, payload: bytes) -> None:
        """Queue a message; returns at once unless it is long or the connection congested.

        Raises: StreamBroken.
        """
        if self._ended or self._connection.broken:
            raise StreamBroken(_CLOSED)
        await self._connection.send(self, kind, payload)

    def end(self) -> None:
        """Nothing more is sent or read here; what was sent before still travels."""
        self._end(END)

    def abort(self) -> None:
        """Drop the channel; the other side learns that it broke off."""
        if not self.heard:
            self._connection.retire()  # nobody answers there: the next channel tries anew
        self._end(ABORT)

    def _end(self, kind: int) -> None:
        if not self._ended:
            self._ended = True
            self._connection.leave(self, kind)
            self.inbox.put_nowait((END, b""))


class SharedConnection:
    """One libp2p stream that carries many channels; :meth:`run` reads it until it ends.

    ``accept`` is called with each channel that the other side opens; without it none may be opened.
    """

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        accept: Callable[[Channel], None] | None = None,
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._accept = accept
        self._channels: dict[int, Channel] = {}
        self._newest = 0  # highest channel number seen
        self._ready: deque[Channel] = deque()  # channels with something to send, in turn
        self._pending = bytearray()  # an incomplete frame at the end of what was read
        self.held = 0  # bytes of messages that are incomplete or that nobody has read yet
        self._flushing = False
        self._draining: asyncio.Task[None] | None = None
        self.broken = False
        self.retired = False  # kept for its channels, but not for new ones

    def __repr__(self) -> str:
        state = "BROKEN" if self.broken else "RETIRED" if self.retired else "OPEN"
        return f"<SharedConnection {state} {len(self._channels)} channels>"

    def open(self) -> Channel:
        """A new channel; the other side learns of it with its first message."""
        self._newest += 1
        channel = self._channels[self._newest] = Channel(self, self._newest)
        return channel

    async def run(self) -> None:
        """Hand out what arrives until the connection ends.

        Raises: ProtocolError, the other side does not keep to the format.
        """
        try:
            while data := await self._reader.read(_READ_BYTES):
                self.feed(data)
        except OSError:
            pass
        finally:
            self.close()

    def retire(self) -> None:
        """Take no new channels; end with the last one."""
        self.retired = True

    def close(self) -> None:
        """Break all channels off."""
        if self.broken:
            return
        self.broken = True
        if self._draining is not None:
            self._draining.cancel()
        for channel in self._channels.values():
            channel.inbox.put_nowait((ABORT, b""))
            for _, written in channel.outbox:
                if written is not None and not written.done():
                    written.set_exception(StreamBroken(_CLOSED))
            channel.outbox.clear()
        self._channels.clear()
        self._ready.clear()
        self._writer.close()

    # --- incoming -----------------------------------------------------------------------------

    def feed(self, data: bytes) -> None:
        """Take complete frames off the front of what was read so far."""
        buffer = bytes(self._pending) + data if self._pending else data
        self._pending.clear()
        start, size = 0, len(buffer)
        while size - start >= _HEADER.size:
            number, kind, length = _HEADER.unpack_from(buffer, start)
            if kind > ABORT or length > _FRAGMENT_BYTES:
                raise ProtocolError("a malformed frame")
            end = start + _HEADER.size + length
            if end > size:
                break
            self._take(number, kind, buffer[start + _HEADER.size : end])
            start = end
        self._pending += buffer[start:]

    def _take(self, number: int, kind: int, payload: bytes) -> None:
        channel = self._channels.get(number) or self._accepted(number, kind)
        if channel is None or channel.flooded:
            return  # what a channel that ended here still gets
        channel.heard = True
        channel.hold(len(payload))
        if self.held > MAX_STREAM_BYTES:
            raise ProtocolError("messages that are too long")
        if kind == PART:
            channel.parts.append(payload)
            channel.part_bytes += len(payload)
            if channel.part_bytes > channel.max_bytes:
                self._flooded(channel)
            return
        if channel.parts:
            payload = b"".join((*channel.parts, payload))
            channel.parts.clear()
            channel.part_bytes = 0
        if len(payload) > channel.max_bytes:
            self._flooded(channel)
            return
        if channel.inbox.qsize() >= _MAX_WAITING:  # nobody reads: nobody would say why
            channel.abort()
            return
        channel.inbox.put_nowait((kind, payload))
        if kind in (END, ABORT):
            self._channels.pop(number, None)

    @staticmethod
    def _drop(channel: Channel) -> None:
        """Nothing of what came is needed any more."""
        channel.parts.clear()
        channel.part_bytes = 0
        channel.free(channel.held)

    def _flooded(self, channel: Channel) -> None:
        """A message is longer than it may be: its channel alone ends, and its reader says why."""
        self._drop(channel)
        channel.flooded = True
        while not channel.inbox.empty():
            channel.inbox.get_nowait()
        channel.inbox.put_nowait((END, b""))

    def _accepted(self, number: int, kind: int) -> Channel | None:
        if self._accept is None or number <= self._newest or kind in (END, ABORT):
            return None
        if len(self._channels) >= _MAX_CHANNELS:
            raise ProtocolError("too many channels")
        self._newest = number
        channel = self._channels[number] = Channel(self, number)
        self._accept(channel)
        return channel

    # --- outgoing -----------------------------------------------------------------------------

    async def send(self, channel: Channel, kind: int, payload: bytes) -> None:
        """Queue one message of a channel, in fragments.

        Raises: StreamBroken, while it waits for a congested connection.
        """
        written: asyncio.Future[None] | None = None
        if len(payload) > _FRAGMENT_BYTES or self._congested:
            written = asyncio.get_running_loop().create_future()
        self._queue(channel, kind, payload, written)
        if written is not None:
            await written

    def leave(self, channel: Channel, kind: int) -> None:
        """A channel ends on this side: say so after what it has sent, and forget it."""
        if self._channels.pop(channel.number, None) is not None and not self.broken:
            self._drop(channel)
            self._queue(channel, kind, b"", None)
            if self.retired and not self._channels:
                asyncio.get_running_loop().call_soon(self.close)  # after that goodbye

    @property
    def _congested(self) -> bool:
        size: int = self._writer.transport.get_write_buffer_size()
        return size > _CONGESTED_BYTES

    def _queue(
        self, channel: Channel, kind: int, payload: bytes, written: asyncio.Future[None] | None
    ) -> None:
        if not channel.outbox:
            self._ready.append(channel)
        last = max(0, len(payload) - 1) // _FRAGMENT_BYTES * _FRAGMENT_BYTES
        for start in range(0, last, _FRAGMENT_BYTES):
            part = payload[start : start + _FRAGMENT_BYTES]
            channel.outbox.append((_HEADER.pack(channel.number, PART, len(part)) + part, None))
        rest = payload[last:]
        channel.outbox.append((_HEADER.pack(channel.number, kind, len(rest)) + rest, written))
        if not self._flushing:
            # Whoever else sends in this turn of the loop goes into the same write.
            self._flushing = True
            asyncio.get_running_loop().call_soon(self._flush)

    def _flush(self) -> None:
        """Write what waits, a fragment of each channel in turn, until the socket has enough."""
        while self._ready and not self.broken:
            if self._congested:
                self._draining = asyncio.create_task(self._drain())
                return
            self._write_batch()
        self._flushing = False

    def _write_batch(self) -> None:
        batch: list[bytes] = []
        size = 0
        while self._ready and size < _BATCH_BYTES:
            channel = self._ready.popleft()
            frame, written = channel.outbox.popleft()
            batch.append(frame)
            size += len(frame)
            if written is not None and not written.done():
                written.set_result(None)
            if channel.outbox:
                self._ready.append(channel)
        self._writer.write(b"".join(batch))

    async def _drain(self) -> None:
        try:
            await self._writer.drain()
        except OSError:
            self.close()
        else:
            self._flush()


async def run_connection(connection: SharedConnection) -> None:
    """Read a connection until it ends, or until its other side breaks the format."""
    try:
        await connection.run()
    except ProtocolError as error:
        logger.info("a shared connection was closed: %s", error)
