"""What happens to the steps of one stream: read, checked, computed in order, answered or pushed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

import torch

from farmesh.config import NodeConfig
from farmesh.errors import ProtocolError
from farmesh.network.transport import PeerStream
from farmesh.node.pushing import Pusher
from farmesh.node.scheduler import Scheduler
from farmesh.node.session import NodeSession
from farmesh.node.stacks import Stack
from farmesh.node.tick import Superseded
from farmesh.wire.messages import Step, StepReply
from farmesh.wire.tensors import is_dummy

_MAX_ALLOC_SECONDS = 600.0  # that a peer may let its step wait for cache
_GAP_PUSHES = 4  # times a push may take: how long a step waits for those before it


@dataclass(frozen=True, slots=True)
class StepRunner:
    """Runs the steps of any number of streams, each for a session."""

    config: NodeConfig
    stack: Stack
    scheduler: Scheduler
    pusher: Pusher
    cache_left: Callable[[], int]  # what replies say of this node's cache, in the DHT's unit
    clock: Callable[[], float]

    async def serve(self, stream: PeerStream, session: NodeSession, first: Step) -> None:
        """Until the peer closes its session.

        Raises:
            StreamBroken: the stream ended before.
            ProtocolError: the peer sent what makes no sense.
            RemoteError: the session cannot go on.
        """
        reader = asyncio.create_task(self._read(stream, session, first))
        worker = asyncio.create_task(self._work(stream, session))
        try:
            await asyncio.wait({reader, worker}, return_when=asyncio.FIRST_COMPLETED)
            if reader.done() and reader.exception() is None:
                return  # closed: nobody waits for what becomes of the last steps
            for task in (worker, reader):
                if task.done():
                    task.result()
        finally:
            for task in (reader, worker):
                task.cancel()
            await asyncio.gather(reader, worker, return_exceptions=True)

    def check(self, session: NodeSession, step: Step) -> None:
        """Raises: ProtocolError: the step cannot be one of this session."""
        batch, _, hidden_size = step.hidden_states.shape
        if hidden_size != self.stack.hidden_size or batch != session.batch:
            raise ProtocolError(
                f"hidden_states must be [{session.batch}, tokens, {self.stack.hidden_size}]"
            )
        if not is_dummy(step.prompts):
            raise ProtocolError("prompts inside a session are not supported by this node")

    async def _read(self, stream: PeerStream, session: NodeSession, first: Step) -> None:
        step: Step | None = first
        while step is not None:
            self.check(session, step)
            session.put(step)
            step = await stream.receive()

    async def _work(self, stream: PeerStream, session: NodeSession) -> None:
        while True:
            step = await session.next_step(patience=self.config.push_timeout * _GAP_PUSHES)
            started = self.clock()
            try:
                output = await self._compute(session, step)
            except Superseded:
                continue
            finally:
                session.release(step)
            reply = self._reply(session, step, output, self.clock() - started)
            if step.metadata.next_servers and step.tokens:
                await self.pusher.push(stream, step, reply)
            else:
                await stream.send(reply)

    async def _compute(self, session: NodeSession, step: Step) -> torch.Tensor:
        start = step.metadata.start_from_position
        if start is not None and start < session.position:
            self.scheduler.rewind(session, start)
        if not is_dummy(step.hypo_ids):
            session.reorder(step.hypo_ids)
        if step.tokens == 0:
            return step.hidden_states
        if session.position + step.tokens > session.max_length:
            raise ProtocolError(
                f"Maximum length exceeded: {session.position} + {step.tokens} tokens "
                f"do not fit into {session.max_length}"
            )
        asked, own = step.metadata.alloc_timeout, self.config.alloc_timeout
        return await self.scheduler.run(
            session,
            step.hidden_states.to(self.stack.dtype),
            alloc_timeout=own if asked is None else min(asked, _MAX_ALLOC_SECONDS),
        )

    def _reply(
        self, session: NodeSession, step: Step, output: torch.Tensor, seconds: float
    ) -> StepReply:
        return StepReply(
            output,
            step_id=step.metadata.step_id,
            position=session.position,
            compute_seconds=seconds,
            cache_tokens_left=self.cache_left(),
        )
