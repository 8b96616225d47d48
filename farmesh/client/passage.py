"""One chunk's way through the hops of a route."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from itertools import pairwise, takewhile

import torch

from farmesh.client.dialling import Dialler
from farmesh.client.link import HopLink
from farmesh.client.patience import WATCH_SECONDS, Patience, Suspect
from farmesh.errors import HopCorrupt
from farmesh.planning.chunks import Chunk
from farmesh.wire.messages import Step, StepReply
from farmesh.wire.metadata import NextServer, StepMetadata

_SMALL_STEP = 8  # tokens whose activations always fit into the transport's buffers


@dataclass(eq=False, repr=False, slots=True)
class Passage:
    """Carries one chunk through ``links``: :meth:`enter` the first hop, then :meth:`finish`.

    Each hop the client feeds is told which hops follow, and pushes to them; the client only
    waits for the last. A hop that could not push answers with its output, which the client
    carries on itself under the same step id, so that nothing is computed twice.
    """

    _dialler: Dialler
    _links: list[HopLink]
    _chunk: Chunk
    _step_id: str
    _epoch: int
    _relay_only: bool  # no pushes
    _replies: list[asyncio.Future[StepReply]] = field(default_factory=list)  # one of each hop
    _fed: int = 0  # hops that have the chunk, or get it from the one before them

    def __repr__(self) -> str:
        chunk = self._chunk
        return f"<Passage [{chunk.start}, {chunk.end}) at hops {self._fed} of {len(self._links)}>"

    async def enter(self, hidden_states: torch.Tensor) -> None:
        """Give the chunk's ``[1, tokens, hidden]`` to the first hop.

        Raises: HopLost, Suspect.
        """
        for link in self._links:  # those that hold more are rewound by this very step
            link.position = min(link.position, self._chunk.start)
            link.reach = max(link.reach, self._chunk.end)
        self._replies = [link.expect(self._step_id) for link in self._links]
        await self._feed(0, hidden_states)

    async def finish(self) -> torch.Tensor:
        """The last hop's ``[1, tokens, hidden]``.

        Raises: HopLost, Suspect.
        """
        stage = 0  # hops [stage, fed) are at work
        while True:
            stage, reply = await self._next_reply(stage)
            stage += 1
            if reply.pushed and stage < self._fed:
                continue
            hidden_states = self._checked(stage - 1, reply)
            if stage == len(self._links):
                return hidden_states
            await self._feed(stage, hidden_states)

    async def _feed(self, stage: int, hidden_states: torch.Tensor) -> None:
        targets = self._push_targets(self._links[stage:])
        link = self._links[stage]
        metadata = StepMetadata(
            session_id=link.session_id,
            step_id=self._step_id,
            start_from_position=self._chunk.start,
            next_servers=targets,
            push_ack=bool(targets),
            epoch=self._epoch if link.has("epoch") else None,
        )
        await self._send(link, Step(hidden_states, metadata))
        self._fed = stage + 1 + len(targets)

    def _push_targets(self, links: list[HopLink]) -> tuple[NextServer, ...]:
        """The hops behind the first of them, as far as each should push to the next."""
        pairs = () if self._relay_only else takewhile(self._should_push, pairwise(links))
        return tuple(
            NextServer(link.hop.peer_id, link.session_id, link.hop.span) for _, link in pairs
        )

    def _should_push(self, pair: tuple[HopLink, HopLink]) -> bool:
        before, after = pair
        able = before.has("push_ack") and after.has("push_ack")
        return able and self._dialler.view.push_pays(before.hop.peer_id, after.hop.peer_id)

    async def _send(self, link: HopLink, step: Step) -> None:
        """Send a step; a large one may have to wait until the hop takes it.

        Raises: HopLost, Suspect.
        """
        if step.tokens <= _SMALL_STEP:
            await link.send(step)
            return
        patience = Patience(self._dialler, [link], self._chunk)
        sending = asyncio.create_task(link.send(step))
        try:
            while not (await asyncio.wait([sending], timeout=WATCH_SECONDS))[0]:
                await patience.check()
            sending.result()
        finally:
            sending.cancel()

    async def _next_reply(self, stage: int) -> tuple[int, StepReply]:
        """The reply of the first hop at work, or already of the last; and which of them it is.

        Raises:
            HopLost: one of the hops that are still to answer is gone, or silent for too long.
            Suspect: one of several that push to each other takes too long.
        """
        last, waited_for = self._fed - 1, self._replies[stage:]
        first_reply, last_reply = self._replies[stage], self._replies[last]
        patience = Patience(self._dialler, self._links[stage : self._fed], self._chunk)
        while True:
            if not first_reply.done() and not last_reply.done():
                await asyncio.wait(
                    [reply for reply in waited_for if not reply.done()],
                    timeout=WATCH_SECONDS,
                    return_when=asyncio.FIRST_COMPLETED,
                )
            for reply in waited_for:
                if reply.done() and not reply.cancelled() and (error := reply.exception()):
                    raise error
            if last_reply.done():
                return last, self._observed(last, last_reply.result(), patience)
            if first_reply.done():
                return stage, self._observed(stage, first_reply.result(), patience)
            await patience.check()

    def _observed(self, stage: int, reply: StepReply, patience: Patience) -> StepReply:
        """Learn from a reply how fast its hop is."""
        now, seconds = self._dialler.clock(), reply.compute_seconds
        if seconds is None:
            seconds = now - patience.started
        self._dialler.view.observe(self._links[stage].hop, len(self._chunk), seconds, now)
        return reply

    def _checked(self, stage: int, reply: StepReply) -> torch.Tensor:
        """A hop's output, if it can be right.

        Raises:
            HopCorrupt: wrong shape or numbers that are not finite, by this very hop.
            Suspect: the same, but any of several hops may have begun it.
        """
        output = reply.hidden_states
        fault = fault_of(output, (1, len(self._chunk), self._dialler.hidden_size))
        if fault is None:
            return output
        if stage and not self._relay_only:
            raise Suspect(self._chunk)
        raise HopCorrupt(self._links[stage].hop, fault)


def fault_of(output: torch.Tensor, shape: tuple[int, ...]) -> str | None:
    """Why a hop's output cannot be right; None when it can."""
    if tuple(output.shape) != shape:
        return f"it answered with shape {tuple(output.shape)}"
    if not bool(torch.isfinite(output).all()):
        return "it answered with numbers that are not finite"
    return None
