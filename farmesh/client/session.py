"""InferenceSession: one conversation's token ids, kept in the KV caches of a route's hops.

One rule serves every kind of turn: :meth:`InferenceSession.generate` is given the full list of
token ids wanted; what the hops hold beyond the longest common prefix is rewound, only the rest is
prefilled. A lost hop is replaced and refilled by the same rule, since a fresh hop simply holds
nothing yet: the session keeps ids (8 bytes per token), never activations.
"""

from __future__ import annotations

import asyncio
import enum
import random
from array import array
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass

import torch

from farmesh.client.dialling import Dialler
from farmesh.client.ends import Ends
from farmesh.client.head import NextToken
from farmesh.client.hops import Hops
from farmesh.client.lookout import Lookout
from farmesh.client.patience import Suspect
from farmesh.client.repair import Repair
from farmesh.client.sampling import SamplingRow, uniform
from farmesh.core import Route, Span
from farmesh.errors import ContextOverflow, HopLost, InvalidGrammar, SessionBusy, SessionClosed
from farmesh.events import (
    Event,
    FinishReason,
    GenerationFinished,
    GenerationStats,
    PrefillProgress,
    TokenGenerated,
)
from farmesh.guides import Guide, Guides
from farmesh.params import Grammar, SamplingParams
from farmesh.planning.chunks import Chunk
from farmesh.tokens import common_prefix

_EVENTS_AHEAD = 1  # events the engine may be ahead of its reader


class SessionState(enum.Enum):
    """NEW: no hops yet. READY: between replies. RUNNING: a reply is made. CLOSED: for good."""

    NEW = "new"
    READY = "ready"
    RUNNING = "running"
    CLOSED = "closed"


@dataclass(slots=True)
class _Reply:
    """A reply while it is made; moments of the session's clock."""

    sampling: SamplingParams
    seed: int
    prompt_length: int  # tokens
    started: float
    first_token_at: float
    guide: Guide | None = None  # holds it to a grammar
    moving: bool = False  # a step has succeeded
    reused: int = 0  # prompt tokens that no hop had to compute


class InferenceSession:
    """One route with its KV caches; lives across turns. Made by ``FarMeshClient.session()``."""

    def __init__(
        self,
        lookout: Lookout,
        dialler: Dialler,
        ends: Ends,
        max_length: int,
        guides: Guides | None = None,
    ) -> None:
        self._clock = lookout.clock
        self._ends = ends
        self._guides = guides
        self._ids = array("q")  # what the hops hold, up to each link's position
        self._newest: NextToken | None = None  # the last of _ids, when it was sampled here
        self._state = SessionState.NEW
        self._events: asyncio.Queue[Event | None] = asyncio.Queue(_EVENTS_AHEAD)
        self._producer: asyncio.Task[None] | None = None  # of the newest reply
        self._hops = Hops(dialler, max_length, self._embed)
        self._repair = Repair(lookout, dialler, self._hops, self._tell)

    def __repr__(self) -> str:
        return f"<InferenceSession {self._state.name} {self.position} tokens | {self._hops}>"

    @property
    def position(self) -> int:
        """Tokens held in every hop's KV cache."""
        return self._hops.position

    @property
    def token_ids(self) -> list[int]:
        """The tokens of this session, those of the last reply included."""
        return self._ids.tolist()

    @property
    def max_length(self) -> int:
        """Tokens that the session can hold: what was asked for, within its nodes' limits."""
        return self._hops.max_length

    @property
    def route(self) -> Route | None:
        return self._hops.route if self._hops.links else None

    @property
    def state(self) -> SessionState:
        return self._state

    # --- replies ------------------------------------------------------------------------------

    async def generate(
        self, token_ids: Sequence[int], sampling: SamplingParams | None = None
    ) -> AsyncGenerator[Event, None]:
        """Continue ``token_ids`` (the full list wanted) and stream what happens.

        Ends after ``GenerationFinished``. Closing the generator, or cancelling its task, stops
        the nodes' work within one step and leaves the session ready for the next call.

        Raises:
            ContextOverflow: the prompt leaves no room for a single token; nothing was sent.
            SessionBusy: another reply is running.
            SessionClosed: the session was closed.
            InvalidGrammar: the reply cannot be held to this grammar; nothing was sent.
            GrammarTooComplex: the grammar outgrew its limits on the way.
            MissingBlocks, SwarmBusy, SwarmUnreachable, RetriesExhausted: the swarm cannot.
        """
        self._check_ready(token_ids)
        self._state = SessionState.RUNNING
        self._events = asyncio.Queue(_EVENTS_AHEAD)
        producer = self._producer = asyncio.create_task(
            self._produce(array("q", token_ids), sampling or SamplingParams()),
            name="farmesh-generate",
        )
        try:
            while (event := await self._events.get()) is not None:
                self._events.task_done()
                yield event
            await asyncio.wait([producer])
            if producer.cancelled():
                raise SessionClosed("The session was closed while its reply was made.")
            producer.result()
        finally:
            producer.cancel()
            await asyncio.gather(producer, return_exceptions=True)
            if self._state is SessionState.RUNNING:
                self._state = SessionState.READY

    def _check_ready(self, token_ids: Sequence[int]) -> None:
        if self._state is SessionState.CLOSED:
            raise SessionClosed("This session was closed.")
        if self._state is SessionState.RUNNING:
            raise SessionBusy("A reply is being made in this session; wait for it or stop it.")
        if not token_ids:
            raise ValueError("token_ids is empty")
        if len(token_ids) >= self.max_length:
            raise ContextOverflow(len(token_ids) + 1, self.max_length)

    async def _produce(self, token_ids: array[int], sampling: SamplingParams) -> None:
        """One reply's events, and None behind the last."""
        try:
            await self._reply(token_ids, sampling)
        except asyncio.CancelledError:
            await self._hops.stop_work()
            # The reader may be gone, with the queue full: make room for the end mark.
            if self._events.full():
                self._events.get_nowait()
            self._events.put_nowait(None)
            raise
        except BaseException:
            await self._events.put(None)
            raise
        await self._events.put(None)

    async def _tell(self, event: Event) -> None:
        await self._events.put(event)

    async def _reply(self, token_ids: array[int], sampling: SamplingParams) -> None:
        guide = await self._guide(sampling.grammar) if sampling.grammar else None
        now = self._clock()
        self._hops.relay_only = False
        self._repair.begin_reply()
        self._rewind(token_ids)
        seed = sampling.seed if sampling.seed is not None else random.getrandbits(63)
        reply = _Reply(sampling, seed, len(token_ids), started=now, first_token_at=now, guide=guide)
        reason = await self._make_tokens(reply)
        await self._tell(GenerationFinished(reason, self._stats(reply)))

    async def _guide(self, grammar: Grammar) -> Guide:
        if self._guides is None:
            raise InvalidGrammar("This client knows no vocabulary, which a grammar needs.")
        return await self._guides.start(grammar)

    def _rewind(self, token_ids: array[int]) -> None:
        """Keep what the hops hold of the new list; at least the last token is computed again."""
        self._hops.rewind(min(common_prefix(self._ids, token_ids), len(token_ids) - 1))
        self._ids = token_ids
        self._newest = None

    async def _make_tokens(self, reply: _Reply) -> FinishReason:
        sampling = reply.sampling
        stops = set(sampling.stop_token_ids)
        if not sampling.ignore_eos:
            stops |= self._ends.checkpoint.eos_token_ids
        for index in range(sampling.max_new_tokens):
            if len(self._ids) >= self.max_length:
                return FinishReason.CONTEXT_FULL
            await self._events.join()  # while nobody reads, the hops rest
            token_id = await self._make_token(reply, index)
            if token_id is None or token_id in stops:
                return FinishReason.END_OF_SEQUENCE
        return FinishReason.MAX_NEW_TOKENS

    async def _make_token(self, reply: _Reply, index: int) -> int | None:
        """The next token; None when the reply's grammar is at its end."""
        hidden_states = await self._advance(reply, len(self._ids))
        banned = None
        if reply.guide is not None:  # has worked on it while the hops did
            banned = await reply.guide.banned()
            if banned is None:
                return None
        draw = uniform(reply.seed, index)
        row = SamplingRow(reply.sampling, self._ids, reply.prompt_length, draw, banned)
        self._newest = newest = await self._ends.next_token(hidden_states, row)
        if index == 0:
            reply.first_token_at = self._clock()
        if reply.guide is not None:
            reply.guide.take(newest.token_id)
        self._ids.append(newest.token_id)
        self._repair.token_came()
        position = len(self._ids) - 1
        await self._tell(TokenGenerated(newest.token_id, position, index, newest.logprobs))
        return newest.token_id

    def _stats(self, reply: _Reply) -> GenerationStats:
        return GenerationStats(
            prompt_tokens=reply.prompt_length,
            reused_tokens=reply.reused,
            generated_tokens=len(self._ids) - reply.prompt_length,
            ttft=reply.first_token_at - reply.started,
            duration=self._clock() - reply.started,
            hops=len(self._hops),
            reroutes=self._repair.reroutes,
            seed=reply.seed,
        )

    # --- bringing the hops forward --------------------------------------------------------------

    async def _advance(self, reply: _Reply, upto: int) -> torch.Tensor:
        """Bring all hops to ``upto`` tokens; the last position's ``[hidden]`` at the last hop.

        Lost hops are repaired on the way, as often as the configuration allows.
        """
        while True:
            try:
                if not self._hops.links:
                    whole = Span(0, self._ends.checkpoint.num_blocks)
                    await self._repair.open_all(whole, len(self._ids))
                if upto >= self.max_length:  # a hop that was opened now may take less
                    raise ContextOverflow(upto + 1, self.max_length)
                output = await self._advance_once(reply, upto)
                reply.moving = True
                return output[0, -1]
            except Suspect as suspect:
                # Some hop is at fault. Without pushes, for the rest of this reply, each is seen.
                self._hops.relay_only = True
                self._hops.let_go()
                self._hops.rewind(suspect.chunk.start)
            except HopLost as lost:
                await self._repair.replace(lost, len(self._ids))

    async def _advance_once(self, reply: _Reply, upto: int) -> torch.Tensor:
        """Raises: HopLost, Suspect."""
        await self._hops.make_rewindable(upto)
        if not reply.moving:  # counted anew after each repair, until something has worked
            reply.reused = self._hops.held(upto)

        async def prefilled(done: int) -> None:
            await self._tell(PrefillProgress(done, upto, reply.reused))

        return await self._hops.advance(upto, prefilled)

    async def _embed(self, chunk: Chunk) -> torch.Tensor:
        """``[1, tokens, hidden]``; that of the newest token came with it."""
        newest = self._newest
        if newest is not None and len(chunk) == 1 and chunk.end == len(self._ids):
            return newest.embedding
        return await self._ends.embed(self._ids[chunk.start : chunk.end])

    # --- the end ----------------------------------------------------------------------------------

    async def close(self) -> None:
        """Free the nodes' caches; a running reply ends with ``SessionClosed``."""
        self._state = SessionState.CLOSED
        if self._producer is not None:
            self._producer.cancel()
            await asyncio.gather(self._producer, return_exceptions=True)
        await self._hops.close()

    async def __aenter__(self) -> InferenceSession:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()
