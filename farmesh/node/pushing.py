"""From node to node: outputs that go straight to the next hop."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from dataclasses import replace

import torch

from farmesh.errors import StreamBroken, TransportError
from farmesh.network.transport import PeerStream, Transport
from farmesh.wire.messages import Step, StepReply
from farmesh.wire.metadata import StepMetadata
from farmesh.wire.uids import chain_uid

logger = logging.getLogger(__name__)


class Pusher:
    """Hands outputs to the next hops, beside whatever is computed next."""

    def __init__(self, transport: Transport, prefix: str, timeout: float) -> None:
        self._transport = transport
        self._prefix = prefix
        self._timeout = timeout  # seconds for the next hop to take it
        self._tasks: set[asyncio.Task[None]] = set()

    def __repr__(self) -> str:
        return f"<Pusher {len(self._tasks)} on their way>"

    async def close(self) -> None:
        """Give up what is on its way."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def push(self, stream: PeerStream, step: Step, reply: StepReply) -> None:
        """Push a step's output and tell its peer.

        A peer that asked for ``push_ack`` is told later that the push arrived, or gets the output
        to carry it on itself. Any other peer gets the output first, as upstream does.
        """
        if not step.metadata.push_ack:
            await stream.send(reply)
        task = asyncio.create_task(self._push(stream, step, reply))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _push(self, stream: PeerStream, step: Step, reply: StepReply) -> None:
        target = step.metadata.next_servers[0]
        pushed = False
        try:
            async with asyncio.timeout(self._timeout):
                await self._transport.push(
                    target.peer_id, _pushed_step(step, reply.hidden_states, self._prefix)
                )
            pushed = True
        except (TransportError, TimeoutError) as error:
            logger.info("push to …%s failed: %s", target.peer_id[-4:], error)
        if step.metadata.push_ack:
            if pushed:
                reply = replace(reply, hidden_states=reply.hidden_states[:, :0], pushed=True)
            with contextlib.suppress(StreamBroken):
                await stream.send(reply)


def _pushed_step(step: Step, output: torch.Tensor, prefix: str) -> Step:
    """The message for the next hop: this step's metadata, addressed to its session there."""
    target, *rest = step.metadata.next_servers
    metadata = StepMetadata(
        session_id=target.session_id,
        step_id=step.metadata.step_id,
        start_from_position=step.metadata.start_from_position,
        next_servers=tuple(rest),
        pushed=True,
        alloc_timeout=step.metadata.alloc_timeout,
        epoch=step.metadata.epoch,
        push_ack=step.metadata.push_ack,
    )
    return Step(output, metadata, uid=chain_uid(prefix, target.span), hypo_ids=step.hypo_ids)
