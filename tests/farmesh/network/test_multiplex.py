"""Channels on one connection: order, fairness, ends, and what a stranger may send."""

from __future__ import annotations

import asyncio
import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from farmesh.errors import ProtocolError, StreamBroken
from farmesh.network import shared
from farmesh.network.shared import ABORT, ERROR, MESSAGE, PART, Channel, SharedConnection
from tests.support.pairs import connected
from tests.support.waiting import until


async def test_each_channel_gets_its_own_messages_whole_and_in_order() -> None:
    """Prevents one chat's activations from reaching another's session."""
    async with connected() as pair:
        ends = [await pair.channel() for _ in range(20)]
        sizes = [0, 1, 16 * 1024, 16 * 1024 + 1, 300_000]

        async def send(index: int, near: Channel) -> None:
            for size in sizes:
                await near.write(MESSAGE, bytes([index]) * size)

        sending = asyncio.gather(*(send(i, near) for i, (near, _) in enumerate(ends)))
        for index, (_, far) in enumerate(ends):
            for size in sizes:
                assert await far.read() == (MESSAGE, bytes([index]) * size)
        await sending


async def test_what_is_sent_in_one_turn_leaves_in_one_write(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Prevents sixteen chats from costing sixteen messages through the daemons."""
    async with connected() as pair:
        ends = [await pair.channel() for _ in range(16)]
        writes: list[int] = []
        writer = pair.client._writer
        write = writer.write
        monkeypatch.setattr(writer, "write", lambda data: (writes.append(len(data)), write(data)))
        await asyncio.gather(*(near.write(MESSAGE, b"x" * 1000) for near, _ in ends))
        for _, far in ends:
            assert await far.read() == (MESSAGE, b"x" * 1000)
        assert len(writes) == 1


async def test_a_token_overtakes_a_prompt() -> None:
    """Prevents a long prefill message from holding up everybody on the same connection."""
    async with connected() as pair:
        (long, long_far), (short, short_far) = await pair.channel(), await pair.channel()
        prompt = asyncio.create_task(long.write(MESSAGE, b"p" * 20_000_000))
        await asyncio.sleep(0)
        reading = asyncio.create_task(long_far.read())
        await short.write(MESSAGE, b"token")
        assert await short_far.read() == (MESSAGE, b"token")
        assert not reading.done()
        assert (await reading)[1] == b"p" * 20_000_000
        await prompt


async def test_a_broken_connection_breaks_every_channel() -> None:
    """Prevents sessions from waiting for ever on a connection that is gone."""
    async with connected() as pair:
        ends = [await pair.channel() for _ in range(3)]
        stuck = asyncio.create_task(ends[0][0].write(MESSAGE, b"x" * 50_000_000))
        await asyncio.sleep(0)
        pair.node._writer.transport.abort()
        for near, far in ends:
            for end in (near, far):
                with pytest.raises(StreamBroken):
                    await end.read()
        with pytest.raises(StreamBroken):
            await stuck
        with pytest.raises(StreamBroken):
            await ends[1][0].write(MESSAGE, b"late")


async def test_ends_and_errors_reach_the_other_side() -> None:
    """Prevents a node's refusal, or a client's goodbye, from being taken for a lost connection."""
    async with connected() as pair:
        near, far = await pair.channel()
        await far.write(ERROR, b"a sentence")
        far.end()
        assert await near.read() == (ERROR, b"a sentence")
        with pytest.raises(StreamBroken):
            await near.read()
        other, other_far = await pair.channel()
        other.abort()
        with pytest.raises(StreamBroken):
            await other_far.read()
        again, _ = await pair.channel()  # the connection itself lives
        assert again.number == 3


async def test_late_frames_of_an_ended_channel_vanish() -> None:
    """Prevents a reply that crossed an abort from opening a ghost session on the node."""
    async with connected() as pair:
        near, far = await pair.channel()
        far.end()
        with pytest.raises(StreamBroken):
            await near.read()
        pair.client._queue(near, MESSAGE, b"late", None)
        await pair.channel()
        assert pair.accepted.empty()


async def test_a_channel_nobody_answered_retires_the_connection() -> None:
    """Prevents new sessions from queueing on a connection whose other side hangs."""
    async with connected() as pair:
        near, _ = await pair.channel()
        silent = pair.client.open()
        await silent.write(MESSAGE, b"anybody?")
        silent.abort()
        assert pair.client.retired
        assert not pair.client.broken  # the channel that works stays
        near.end()
        await pair.client_run
        assert pair.client.broken


async def test_a_flood_costs_one_channel_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """Prevents a peer from filling a node's memory with messages that nobody reads yet."""
    monkeypatch.setattr(shared, "_MAX_WAITING", 10)
    async with connected() as pair:
        (flooding, _), (near, far) = await pair.channel(), await pair.channel()
        for _ in range(50):
            await flooding.write(MESSAGE, b"x")
        with pytest.raises(StreamBroken):
            await flooding.read()
        await near.write(MESSAGE, b"still here")
        assert await far.read() == (MESSAGE, b"still here")


@pytest.mark.parametrize(
    "data",
    [
        shared._HEADER.pack(1, 9, 0),
        shared._HEADER.pack(1, MESSAGE, 2**31),
        b"".join(shared._HEADER.pack(1, PART, 1000) + bytes(1000) for _ in range(20)),
        b"".join(shared._HEADER.pack(n, MESSAGE, 0) for n in range(1, 20)),
    ],
    ids=["unknown kind", "long fragment", "endless message", "too many channels"],
)
async def test_a_stranger_cannot_break_the_bounds(
    data: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Prevents one peer from taking a node's memory before a session is even open."""
    monkeypatch.setattr(shared, "MAX_STREAM_BYTES", 10_000)
    monkeypatch.setattr(shared, "_MAX_CHANNELS", 10)
    async with connected() as pair:
        pair.client._writer.write(data)
        with pytest.raises(ProtocolError):
            await pair.node_run
        await pair.client_run  # closed by the node


class _Nowhere:
    """A writer for what is answered to nonsense."""

    transport = None

    def write(self, data: bytes) -> None: ...

    def close(self) -> None: ...


@given(st.lists(st.binary(max_size=64), max_size=20))
def test_any_bytes_are_frames_or_a_protocol_error(pieces: list[bytes]) -> None:
    """Prevents a decoder's own exception, or one that depends on how bytes were cut."""

    def outcome(parts: list[bytes]) -> list[tuple[int, int, bytes]]:
        taken: list[tuple[int, int, bytes]] = []
        connection = SharedConnection(None, _Nowhere(), lambda channel: None)  # type: ignore[arg-type]
        connection._take = lambda *frame: taken.append(frame)  # type: ignore[method-assign]
        with contextlib.suppress(ProtocolError):
            for part in parts:
                connection.feed(part)
        return taken

    assert outcome(pieces) == outcome([b"".join(pieces)])
    assert all(kind <= ABORT for _, kind, _ in outcome(pieces))


async def test_a_message_that_is_too_long_ends_its_channel_alone() -> None:
    """Prevents one flooded session from ending all chats of the same app."""
    async with connected() as pair:
        (near, far), (other, its_far) = [await pair.channel() for _ in range(2)]
        far.max_bytes = 100_000
        sending = asyncio.create_task(near.write(MESSAGE, b"x" * 200_000))
        with pytest.raises(ProtocolError, match="longer"):
            await far.read()
        far.end()
        await other.write(MESSAGE, b"still here")
        assert await its_far.read() == (MESSAGE, b"still here")
        await asyncio.gather(sending, return_exceptions=True)
        await until(lambda: pair.node.held == 0)


async def test_what_nobody_reads_is_bounded_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Prevents whole messages that wait unread from filling the memory beyond any limit."""
    async with connected() as pair:
        near, far = await pair.channel()
        await near.write(MESSAGE, b"x" * 5000)
        await until(lambda: pair.node.held == 5000)
        assert await far.read() == (MESSAGE, b"x" * 5000)
        assert pair.node.held == 0
        monkeypatch.setattr(shared, "MAX_STREAM_BYTES", 10_000)
        for _ in range(3):
            await near.write(MESSAGE, b"x" * 5000)
        with pytest.raises(ProtocolError):
            await pair.node_run
