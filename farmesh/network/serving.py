"""What a peer answers to others' calls: streams and unary calls, handed to the node's handler."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from hivemind.p2p import P2P, P2PContext, PeerID
from hivemind.p2p.p2p_daemon_bindings.datastructures import StreamInfo
from hivemind.proto import runtime_pb2

from farmesh.core import PeerId
from farmesh.errors import ProtocolError, QuotaExceeded, StreamBroken
from farmesh.hivemind import pack
from farmesh.network.failures import public_error, quiet
from farmesh.network.frames import Frames, LibP2PPeerStream, OwnStream
from farmesh.network.shared import Channel, SharedConnection, run_connection
from farmesh.network.transport import NodeHandler, PeerStream
from farmesh.wire.messages import HANDLER_NAME, Step, decode_step, max_message_bytes

RPC_INFERENCE = f"{HANDLER_NAME}.rpc_inference"
RPC_SHARED = f"{HANDLER_NAME}.rpc_shared"  # many inference streams in one; ours alone
RPC_PUSH = f"{HANDLER_NAME}.rpc_push"
RPC_INFO = f"{HANDLER_NAME}.rpc_info"
# Open at once per peer, whether or not a session came of them (those have a limit of their own).
_MAX_OWN_STREAMS = 2048
_MAX_SHARED_STREAMS = 8


class Serving:
    """Answers calls of other peers with a node's handler."""

    def __init__(self, handler: NodeHandler) -> None:
        self._handler = handler
        self._own = StreamQuota(_MAX_OWN_STREAMS)
        self._shared = StreamQuota(_MAX_SHARED_STREAMS)

    def __repr__(self) -> str:
        return f"<Serving {self._own.open} streams, {self._shared.open} shared>"

    async def start(self, p2p: P2P) -> None:
        await p2p.add_binary_stream_handler(RPC_INFERENCE, self._inference)
        await p2p.add_binary_stream_handler(RPC_SHARED, self._many)
        await p2p.add_protobuf_handler(RPC_PUSH, quiet(self._push), runtime_pb2.ExpertRequest)
        await p2p.add_protobuf_handler(RPC_INFO, quiet(self._info), runtime_pb2.ExpertUID)

    async def _inference(
        self, info: StreamInfo, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        frames = OwnStream(reader, writer, max_message_bytes(self._handler.max_elements))
        with self._own.one_more(info.peer_id) as allowed:
            await serve_stream(self._handler if allowed else _REFUSED, info.peer_id, frames)

    async def _many(
        self, info: StreamInfo, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        serving: set[asyncio.Task[None]] = set()

        def accept(channel: Channel) -> None:
            channel.max_bytes = max_message_bytes(self._handler.max_elements)
            task = asyncio.create_task(serve_stream(self._handler, info.peer_id, channel))
            serving.add(task)
            task.add_done_callback(serving.discard)

        with self._shared.one_more(info.peer_id) as allowed:
            if not allowed:
                writer.close()
                return
            await run_connection(SharedConnection(reader, writer, accept))
            await asyncio.gather(*serving, return_exceptions=True)

    async def _push(
        self, request: runtime_pb2.ExpertRequest, context: P2PContext
    ) -> runtime_pb2.ExpertResponse:
        step = decode_step(request, max_elements=self._handler.max_elements)
        if step is None:
            raise ProtocolError("an empty push")
        await self._handler.push(_text(context.remote_id), step)
        return runtime_pb2.ExpertResponse()

    async def _info(
        self, request: runtime_pb2.ExpertUID, context: P2PContext
    ) -> runtime_pb2.ExpertInfo:
        answer = await self._handler.info(_text(context.remote_id), request.uid)
        return runtime_pb2.ExpertInfo(serialized_info=pack(dict(answer)))


class StreamQuota:
    """How many streams of a kind each peer has open; more than ``most`` are refused."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._open: Counter[PeerID] = Counter()

    @property
    def open(self) -> int:
        """Streams of all peers."""
        return self._open.total()

    @contextlib.contextmanager
    def one_more(self, peer_id: PeerID) -> Iterator[bool]:
        """Whether the peer may have another one; counted for as long as the scope lasts."""
        self._open[peer_id] += 1
        try:
            yield self._open[peer_id] <= self._most
        finally:
            self._open[peer_id] -= 1
            if not self._open[peer_id]:
                del self._open[peer_id]


class _Refusal:
    """Answers a stream that is one too many."""

    max_elements = 0

    async def inference(self, stream: PeerStream) -> None:
        raise QuotaExceeded("streams", "this peer has too many streams open here; try again later")

    async def push(self, peer_id: PeerId, step: Step) -> None:
        """Streams alone are counted."""

    async def info(self, peer_id: PeerId, uid: str) -> Mapping[str, Any]:
        return {}


_REFUSED = _Refusal()


async def serve_stream(handler: NodeHandler, peer_id: PeerID, frames: Frames) -> None:
    """Run one inference stream; whatever ends it badly reaches the peer as one sentence."""
    stream = LibP2PPeerStream(_text(peer_id), frames, handler.max_elements)
    try:
        await handler.inference(stream)
    except StreamBroken:
        pass
    except Exception as error:  # noqa: BLE001 - the peer gets a sentence
        with contextlib.suppress(StreamBroken):
            await stream.send_error(public_error(error))
    finally:
        await stream.close()


def _text(peer_id: PeerID) -> PeerId:
    return str(peer_id.to_base58())
