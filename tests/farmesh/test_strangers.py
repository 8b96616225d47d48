"""What a node answers to malformed messages: one sentence, on that stream alone."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from typing import Any

import pytest
import torch
from hivemind.p2p import PeerID

from farmesh.errors import ProtocolError, RemoteError
from farmesh.network import frames
from farmesh.network.frames import LibP2PNodeStream, OwnStream
from farmesh.network.serving import StreamQuota, serve_stream
from farmesh.network.shared import ERROR, MESSAGE
from farmesh.wire.messages import Step, encode_step
from farmesh.wire.metadata import StepMetadata
from farmesh.wire.uids import chain_uid
from tests.farmesh.harness import PREFIX, generate, greedy, service, swarm_of
from tests.farmesh.test_multiplex import Pair, connected

STRANGER = PeerID(b"a peer that nobody knows")
LIMIT = 1 << 20


def first_step(node: Any, **metadata: Any) -> Step:
    fields = {"session_id": "s", "step_id": "1", "max_length": 32, **metadata}
    uid = chain_uid(PREFIX, node._stack.span)
    return Step(torch.zeros(1, 2, 64), StepMetadata(**fields), uid=uid)


async def serve(pair: Pair, node: Any, count: int) -> list[LibP2PNodeStream]:
    """Streams to the node, on channels of one connection."""
    streams = []
    for _ in range(count):
        near, far = await pair.channel()
        pair.serving.append(asyncio.create_task(serve_stream(node, STRANGER, far)))
        streams.append(LibP2PNodeStream(near, LIMIT))
    return streams


@pytest.mark.parametrize(
    "nonsense",
    [
        b"\xff\xff\xff",
        b"\x0a\x02\xff\xfe",
        encode_step(Step(torch.zeros(1, 1, 8), StepMetadata())).SerializeToString()[:-3],
        encode_step(Step(torch.zeros(1, 1, 8), StepMetadata(max_length=4))).SerializeToString(),
    ],
)
async def test_a_malformed_message_ends_its_stream_alone(checkpoint: Path, nonsense: bytes) -> None:
    """Bug prevented: one bad message breaks the chats beside it, or gets no answer."""
    async with swarm_of(checkpoint, "a=0:4") as swarm, connected() as pair:
        node = service(swarm.nodes["a"])
        good, bad = await serve(pair, node, 2)
        await good.send(first_step(node))
        await good.receive()
        await bad._frames.write(MESSAGE, nonsense)
        with pytest.raises(RemoteError) as refused:
            await bad.receive()
        assert refused.value.code == "invalid"
        assert "Traceback" not in str(refused.value)
        assert ".py" not in str(refused.value)
        await good.send(first_step(node, step_id="2", start_from_position=2))
        assert (await good.receive()).position == 4


async def test_a_bug_of_the_node_is_no_news_for_its_peers(
    checkpoint: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Bug prevented: paths and values of the node's insides travel to strangers."""
    async with swarm_of(checkpoint, "a=0:4") as swarm, connected() as pair:
        node = service(swarm.nodes["a"])
        node._session_for = lambda *_: {}["secret of the node"]
        (stream,) = await serve(pair, node, 1)
        await stream.send(first_step(node))
        with pytest.raises(RemoteError) as refused:
            await stream.receive()
        assert (refused.value.code, "secret" in str(refused.value)) == ("internal", False)
        assert any(record.exc_info for record in caplog.records)  # the operator learns of it


@pytest.mark.parametrize(
    "data", [b"\x07" + bytes(8), b"\x00" + b"\xff" * 8, b"\x00" + bytes(5) + b"\x01" + bytes(2)]
)
async def test_a_frame_is_bounded_before_it_is_read(data: bytes) -> None:
    """Bug prevented: a length off the wire becomes memory."""
    reader = asyncio.StreamReader()
    reader.feed_data(data)
    with pytest.raises(ProtocolError):
        await OwnStream(reader, None, 1024).read()  # type: ignore[arg-type]


def test_streams_of_one_peer_are_counted_and_given_back() -> None:
    """Bug prevented: a peer opens streams that never become sessions, without end."""
    quota = StreamQuota(1)
    with quota.one_more(STRANGER) as first, quota.one_more(STRANGER) as second:
        assert (first, second) == (True, False)
        with quota.one_more(PeerID(b"another")) as other:
            assert other
    with quota.one_more(STRANGER) as again:
        assert again


async def test_no_log_holds_a_prompt(checkpoint: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Bug prevented: token ids or activations of a chat in a node's log, even at its loudest."""
    caplog.set_level(logging.DEBUG, logger="farmesh")
    prompt = [431, 277, 389, 311]
    async with swarm_of(checkpoint, "a=0:2 b=2:4") as swarm:
        client = await swarm.client()
        reply = await generate(client.session(), prompt, greedy(4))
    for record in caplog.records:
        text = record.getMessage()
        assert "tensor(" not in text
        assert ", ".join(map(str, prompt[:2])) not in text
        assert ", ".join(map(str, reply.tokens[:2])) not in text


class Goodbye:
    """Frames of a client that says goodbye, and writes its end mark when ``marked`` is set."""

    def __init__(self) -> None:
        self.marked = asyncio.Event()
        self.ended = asyncio.Event()
        self._said = False

    async def read(self) -> tuple[int, bytes]:
        if self._said:
            await self.marked.wait()
        kind, self._said = (ERROR if self._said else MESSAGE), True
        return kind, b""

    def end(self) -> None:
        self.ended.set()


class Listener:
    """A node that listens to one client until it says goodbye."""

    max_elements = 1

    def __init__(self) -> None:
        self.heard = asyncio.Event()

    async def inference(self, stream: Any) -> None:
        assert await stream.receive() is None
        self.heard.set()


async def test_a_stream_ends_after_the_clients_end_mark(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bug prevented: upstream's ``close()`` fails 16 times in 1,000, because the stream is closed
    when it writes its end mark, and such a client can hang for ever when it is garbage."""
    monkeypatch.setattr(frames, "_END_SECONDS", 60.0)  # however busy this machine is
    node, client = Listener(), Goodbye()
    serving = asyncio.create_task(serve_stream(node, STRANGER, client))  # type: ignore[arg-type]
    await node.heard.wait()
    assert not client.ended.is_set()
    client.marked.set()
    await serving
    assert client.ended.is_set()


async def test_nobody_waits_for_long_for_an_end_mark(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bug prevented: clients that never write it keep their streams here for good."""
    monkeypatch.setattr(frames, "_END_SECONDS", 0.01)
    client = Goodbye()
    await serve_stream(Listener(), STRANGER, client)  # type: ignore[arg-type]
    assert client.ended.is_set()
