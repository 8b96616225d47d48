"""InferenceSession: one conversation's token ids, kept in the KV caches of a route's hops.

One rule serves every kind of turn: :meth:`InferenceSession.generate` is given the full list of
token ids wanted; what the hops hold beyond the longest common prefix is rewound, only the rest is
prefilled. A lost hop is replaced and refilled by the same rule, since a fresh hop simply holds
nothing yet: the session keeps ids (8 bytes per token), never activations.
"""

from __future__ import annotations

import asyncio
import contextlib
import enum
import itertools
import random
import time
from array import array
from collections.abc import AsyncGenerator, Sequence
from itertools import pairwise
from types import TracebackType
from typing import TYPE_CHECKING

import torch

from farmesh.client.link import HopLink
from farmesh.client.sampling import SamplingRow, uniform
from farmesh.core import Route, Span
from farmesh.errors import (
    ContextOverflow,
    HopCorrupt,
    HopLost,
    HopRefused,
    HopSilent,
    MissingBlocks,
    RemoteError,
    RetriesExhausted,
    SessionBusy,
    SessionClosed,
    SwarmBusy,
    SwarmUnreachable,
)
from farmesh.events import (
    Event,
    FinishReason,
    GenerationFinished,
    GenerationStats,
    PrefillProgress,
    Rerouted,
    RouteFound,
    TokenGenerated,
    WaitingForBlocks,
    WaitingForCache,
)
from farmesh.params import SamplingParams
from farmesh.wire.failures import CODE_BUSY, CODE_INVALID
from farmesh.wire.messages import Step, StepReply
from farmesh.wire.metadata import NextServer, StepMetadata

if TYPE_CHECKING:
    from farmesh.client.client import FarMeshClient
    from farmesh.client.head import NextToken
from farmesh.client.patience import WATCH_SECONDS, Patience, Suspect
from farmesh.planning.chunks import Chunk, plan_chunks

_CHUNKS_BETWEEN = 1  # prefill chunks on their way, beside one at each hop
_EVENTS_AHEAD = 1  # events the engine may be ahead of its reader
_QUIET_SECONDS = 1.0  # of waiting for nodes before anybody is told
_SMALL_STEP = 8  # tokens whose activations always fit into the transport's buffers


class SessionState(enum.Enum):
    """NEW: no hops yet. READY: between replies. RUNNING: a reply is made. CLOSED: for good."""

    NEW = "new"
    READY = "ready"
    RUNNING = "running"
    CLOSED = "closed"


def common_prefix(first: Sequence[int], second: Sequence[int]) -> int:
    """Length of the longest common prefix."""
    limit = min(len(first), len(second))
    for index in range(limit):
        if first[index] != second[index]:
            return index
    return limit


class InferenceSession:
    """One route with its KV caches; lives across turns. Made by ``FarMeshClient.session()``."""

    def __init__(self, client: FarMeshClient, max_length: int) -> None:
        self._client = client
        self._max_length = max_length
        self._ids = array("q")  # what the hops hold, up to each link's position
        self._links: list[HopLink] = []
        self._state = SessionState.NEW
        self._epoch = 0
        self._salt = random.getrandbits(32)
        # Unique within the session, which is all that nodes ask; a syscall per token is not free.
        self._step_ids = map(str, itertools.count())
        self._entry = asyncio.Lock()  # chunks enter the first hop in order
        self._events: asyncio.Queue[Event | None] = asyncio.Queue(_EVENTS_AHEAD)
        self._producer: asyncio.Task[None] | None = None  # of the newest reply
        self._losses = 0  # hops lost since the last token
        self._full_since: float | None = None  # when a node refused for lack of cache, since then
        self._reroutes = 0  # in this reply
        self._newest: NextToken | None = None  # the last of _ids, when it was sampled here
        self._reused = 0  # prompt tokens that this reply did not prefill
        self._started = False  # a step of this reply has succeeded
        self._relay_only = False  # no pushes: to find out which hop is slow or answers nonsense

    def __repr__(self) -> str:
        hops = " → ".join(str(link.hop) for link in self._links)
        return f"<InferenceSession {self._state.name} {self.position} tokens | {hops}>"

    @property
    def position(self) -> int:
        """Tokens held in every hop's KV cache."""
        return min((link.position for link in self._links), default=0)

    @property
    def token_ids(self) -> list[int]:
        """The tokens of this session, those of the last reply included."""
        return self._ids.tolist()

    @property
    def max_length(self) -> int:
        """Tokens that the session can hold: what was asked for, within its nodes' limits."""
        return min((link.max_length for link in self._links), default=self._max_length)

    @property
    def route(self) -> Route | None:
        return Route(tuple(link.hop for link in self._links)) if self._links else None

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
            MissingBlocks, SwarmBusy, SwarmUnreachable, RetriesExhausted: the swarm cannot.
        """
        sampling = sampling or SamplingParams()
        if self._state is SessionState.CLOSED:
            raise SessionClosed("This session was closed.")
        if self._state is SessionState.RUNNING:
            raise SessionBusy("A reply is being made in this session; wait for it or stop it.")
        if not token_ids:
            raise ValueError("token_ids is empty")
        if len(token_ids) >= self.max_length:
            raise ContextOverflow(len(token_ids) + 1, self.max_length)
        self._state = SessionState.RUNNING
        self._events = asyncio.Queue(_EVENTS_AHEAD)
        producer = self._producer = asyncio.create_task(
            self._produce(list(token_ids), sampling), name="farmesh-generate"
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

    async def _produce(self, token_ids: list[int], sampling: SamplingParams) -> None:
        try:
            await self._reply(token_ids, sampling)
        except asyncio.CancelledError:
            await self._stop_work()
            # The reader may be gone, with the queue full: make room for the end mark.
            if self._events.full():
                self._events.get_nowait()
            self._events.put_nowait(None)
            raise
        except BaseException:
            await self._events.put(None)
            raise
        await self._events.put(None)

    async def _reply(self, token_ids: list[int], sampling: SamplingParams) -> None:
        started = time.perf_counter()
        self._losses = self._reroutes = 0
        self._full_since = None
        self._reused, self._started, self._relay_only = 0, False, False
        self._rewind(token_ids)
        seed = sampling.seed if sampling.seed is not None else random.getrandbits(63)
        prompt_length, first_token_at = len(token_ids), started
        stops = set(sampling.stop_token_ids)
        if not sampling.ignore_eos:
            stops |= self._client.eos_token_ids
        reason = FinishReason.MAX_NEW_TOKENS
        for index in range(sampling.max_new_tokens):
            if len(self._ids) >= self.max_length:
                reason = FinishReason.CONTEXT_FULL
                break
            await self._events.join()  # while nobody reads, the hops rest
            hidden_states = await self._advance(len(self._ids))
            row = SamplingRow(sampling, self._ids, prompt_length, uniform(seed, index))
            self._newest = await self._client.next_token(hidden_states, row)
            token_id = self._newest.token_id
            if index == 0:
                first_token_at = time.perf_counter()
            self._ids.append(token_id)
            self._losses, self._full_since = 0, None
            logprobs = self._newest.logprobs
            await self._events.put(TokenGenerated(token_id, len(self._ids) - 1, index, logprobs))
            if token_id in stops:
                reason = FinishReason.END_OF_SEQUENCE
                break
        now = time.perf_counter()
        stats = GenerationStats(
            prompt_tokens=prompt_length,
            reused_tokens=self._reused,
            generated_tokens=len(self._ids) - prompt_length,
            ttft=first_token_at - started,
            duration=now - started,
            hops=len(self._links),
            reroutes=self._reroutes,
            seed=seed,
        )
        await self._events.put(GenerationFinished(reason, stats))

    def _rewind(self, token_ids: list[int]) -> None:
        """Keep what the hops hold of the new list; at least the last token is computed again."""
        keep = min(common_prefix(self._ids, token_ids), len(token_ids) - 1)
        for link in self._links:
            link.position = min(link.position, keep)
        self._ids = array("q", token_ids)
        self._newest = None

    async def _stop_work(self) -> None:
        """Tell the hops to drop what is still queued for this session; no answer is awaited."""
        self._epoch += 1
        busy = [link for link in self._links if link.in_flight]
        for link in busy:
            link.forget_in_flight()
        with contextlib.suppress(TimeoutError):  # a hop that hangs holds up nobody
            async with asyncio.timeout(WATCH_SECONDS):
                await asyncio.gather(
                    *(link.send(self._empty_step(link)) for link in busy if link.has("epoch")),
                    return_exceptions=True,
                )

    def _empty_step(self, link: HopLink) -> Step:
        metadata = StepMetadata(
            session_id=link.session_id,
            step_id=next(self._step_ids),
            start_from_position=link.position,
            epoch=self._epoch,
        )
        return Step(torch.empty(1, 0, self._client.hidden_size), metadata)

    # --- bringing the hops forward --------------------------------------------------------------

    async def _advance(self, upto: int) -> torch.Tensor:
        """Bring all hops to ``upto`` tokens; the last position's ``[hidden]`` at the last hop.

        Lost hops are repaired on the way, as often as the configuration allows.
        """
        while True:
            try:
                if not self._links:
                    self._links = await self._open_span(Span(0, self._client.num_blocks))
                    await self._events.put(RouteFound(self._current_route))
                if upto >= self.max_length:  # a hop that was opened now may take less
                    raise ContextOverflow(upto + 1, self.max_length)
                output = await self._advance_once(upto)
                self._started = True
                return output[0, -1]
            except Suspect as suspect:
                # Some hop is at fault. Without pushes, for the rest of this reply, each is seen.
                self._relay_only = True
                self._let_go()
                for link in self._links:
                    link.position = min(link.position, suspect.chunk.start)
            except HopLost as lost:
                await self._repair(lost)

    async def _advance_once(self, upto: int) -> torch.Tensor:
        await self._reopen_unrewindable(upto)
        positions = self._positions(upto)
        if not self._started:  # counted anew after each repair, until something has worked
            self._reused = min(positions)
        if min(positions) == upto - 1:  # a decode step
            return await self._run_chunk(Chunk(upto - 1, upto, len(self._links) - 1))
        return await self._prefill(plan_chunks(positions, upto, self._chunk_size), upto)

    def _positions(self, upto: int) -> list[int]:
        """How much of what is wanted each hop holds; the last token is always computed."""
        return [min(link.position, upto - 1) for link in self._links]

    async def _reopen_unrewindable(self, upto: int) -> None:
        """Open a new session on hops that would have to be rewound and cannot (Petals 2.2).

        Raises: HopLost.
        """
        if self._reorders:  # this engine's nodes: at every token
            return
        while stuck := [
            link
            for link in self._rewound_links(upto)
            if not await self._client.can_rewind(link.hop)
        ]:
            for link in stuck:
                fresh = self._client.make_link(link.hop, self._max_length)
                self._links[self._links.index(link)] = fresh
                await link.close()
                await self._client.open_link(fresh)

    def _rewound_links(self, upto: int) -> list[HopLink]:
        """Hops that may hold more than what the next step's start leaves them."""
        positions = self._positions(upto)
        chunks = plan_chunks(positions, upto, self._chunk_size)
        starts = [
            next(chunk.start for chunk in chunks if chunk.last_hop >= index)
            for index in range(len(self._links))
        ]
        return [link for link, start in zip(self._links, starts, strict=True) if link.reach > start]

    @property
    def _chunk_size(self) -> int:
        """Most tokens of a prefill message; fewer where the hops can work at several at once."""
        most = self._client.chunk_tokens
        if len(self._links) == 1 or not self._reorders:
            return most
        return min(most, self._client.config.pipelined_chunk)

    @property
    def _reorders(self) -> bool:
        """Whether chunks that overtake one another between the hops are put in order there."""
        return all(link.has("epoch") for link in self._links)

    async def _prefill(self, chunks: list[Chunk], upto: int) -> torch.Tensor:
        """Several chunks at once, each at another hop, where that is safe."""
        await self._events.put(PrefillProgress(chunks[0].start, upto, self._reused))
        while True:
            # A hop that still holds more than is wanted would run a chunk that overtook the one
            # that rewinds it, on top of the old tokens: until then one chunk at a time.
            rewound = all(link.reach <= link.position for link in self._links)
            together = chunks if self._reorders and rewound else chunks[:1]
            output = await self._run_chunks(together, upto)
            chunks = chunks[len(together) :]
            if not chunks:
                return output

    async def _run_chunks(self, chunks: list[Chunk], upto: int) -> torch.Tensor:
        """The last chunk's output; a failure or cancel stops them all."""
        window = asyncio.Semaphore(len(self._links) + _CHUNKS_BETWEEN)

        async def run(chunk: Chunk) -> torch.Tensor:
            async with window:
                return await self._run_chunk(chunk, alone=len(chunks) == 1)

        output = torch.empty(0)
        tasks = [asyncio.create_task(run(chunk)) for chunk in chunks]
        try:
            for chunk, task in zip(chunks, tasks, strict=True):
                output = await task
                await self._events.put(PrefillProgress(chunk.end, upto, self._reused))
        except BaseException:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            raise
        return output

    async def _run_chunk(self, chunk: Chunk, *, alone: bool = True) -> torch.Tensor:
        """One chunk through its hops; ``[1, tokens, hidden]`` from the last of them.

        Each hop the client feeds is told which hops follow, and pushes to them; the client only
        waits for the last. A hop that could not push answers with its output, which the client
        carries on itself under the same step id, so that nothing is computed twice.
        """
        links = self._links[: chunk.last_hop + 1]
        step_id = next(self._step_ids)
        async with self._entry:
            hidden_states = await self._embed(chunk)
            for link in links:  # those that hold more are rewound by this very step
                link.position = min(link.position, chunk.start)
                link.reach = max(link.reach, chunk.end)
            replies = [link.expect(step_id) for link in links]
            step = self._step(chunk, step_id, hidden_states, links)
            await self._send(links[0], step, chunk)
        stage, fed = 0, 1 + len(step.metadata.next_servers)  # hops [stage, fed) are at work
        while True:
            stage, reply = await self._next_reply(links, replies, range(stage, fed), chunk)
            stage += 1
            if reply.pushed and stage < fed:
                continue
            hidden_states = self._checked(links, stage - 1, reply, chunk)
            if stage == len(links):
                break
            step = self._step(chunk, step_id, hidden_states, links[stage:])
            await self._send(links[stage], step, chunk)
            fed = stage + 1 + len(step.metadata.next_servers)
        for link in links:
            link.position = chunk.end
            link.reach = chunk.end if alone else max(link.reach, chunk.end)
        return hidden_states

    async def _send(self, link: HopLink, step: Step, chunk: Chunk) -> None:
        """Send a step; a large one may have to wait until the hop takes it.

        Raises: HopLost.
        """
        if step.tokens <= _SMALL_STEP:
            await link.send(step)
            return
        patience = Patience(self._client, [link], chunk)
        sending = asyncio.create_task(link.send(step))
        try:
            while not (await asyncio.wait([sending], timeout=WATCH_SECONDS))[0]:
                await patience.check()
            sending.result()
        finally:
            sending.cancel()

    async def _embed(self, chunk: Chunk) -> torch.Tensor:
        """``[1, tokens, hidden]``; that of the newest token came with it."""
        newest = self._newest
        if newest is not None and chunk.end - chunk.start == 1 and chunk.end == len(self._ids):
            return newest.embedding
        return await self._client.embed(self._ids[chunk.start : chunk.end])

    def _step(
        self, chunk: Chunk, step_id: str, hidden_states: torch.Tensor, links: list[HopLink]
    ) -> Step:
        """The message for ``links[0]``, which pushes to those of the others that can take it."""
        first = links[0]
        targets: list[NextServer] = []
        if not self._relay_only:
            for before, link in pairwise(links):
                if not self._client.should_push(before, link):
                    break
                targets.append(NextServer(link.hop.peer_id, link.session_id, link.hop.span))
        metadata = StepMetadata(
            session_id=first.session_id,
            step_id=step_id,
            start_from_position=chunk.start,
            next_servers=tuple(targets),
            push_ack=bool(targets),
            epoch=self._epoch if first.has("epoch") else None,
        )
        return Step(hidden_states, metadata)

    async def _next_reply(
        self,
        links: list[HopLink],
        replies: list[asyncio.Future[StepReply]],
        at_work: range,
        chunk: Chunk,
    ) -> tuple[int, StepReply]:
        """The reply of the first hop at work, or already of the last; and which of them it is.

        Raises:
            HopLost: one of the hops that are still to answer is gone, or silent for too long.
            Suspect: one of several that push to each other takes too long.
        """
        stage, last = at_work[0], at_work[-1]
        patience = Patience(self._client, links[stage : last + 1], chunk)
        while True:
            waiting = [future for future in replies[stage:] if not future.done()]
            if not replies[stage].done() and not replies[last].done():
                await asyncio.wait(
                    waiting, timeout=WATCH_SECONDS, return_when=asyncio.FIRST_COMPLETED
                )
            for future in replies[stage:]:
                if future.done() and not future.cancelled() and future.exception():
                    raise future.exception()  # type: ignore[misc]  # checked the line above
            for index in (last, stage):
                if replies[index].done():
                    self._client.observe(links[index], replies[index].result(), chunk, patience)
                    return index, replies[index].result()
            await patience.check()

    def _checked(
        self, links: list[HopLink], index: int, reply: StepReply, chunk: Chunk
    ) -> torch.Tensor:
        """A hop's output, if it can be right.

        Raises:
            HopCorrupt: wrong shape or numbers that are not finite, by this very hop.
            Suspect: the same, but any of several hops may have begun it.
        """
        output = reply.hidden_states
        if tuple(output.shape) != (1, chunk.end - chunk.start, self._client.hidden_size):
            fault = f"it answered with shape {tuple(output.shape)}"
        elif not bool(torch.isfinite(output).all()):
            fault = "it answered with numbers that are not finite"
        else:
            return output
        if index and not self._relay_only:
            raise Suspect(chunk)
        raise HopCorrupt(links[index].hop, fault)

    # --- repairing the route --------------------------------------------------------------------

    def _let_go(self) -> None:
        """Whatever is still on its way belongs to an older epoch now."""
        self._epoch += 1
        for link in self._links:
            link.forget_in_flight()

    async def _repair(self, lost: HopLost) -> None:
        """Re-attach to the lost hop when only its stream dropped, else route around it.

        Raises:
            RetriesExhausted: too many hops were lost since the last token.
        """
        self._let_go()
        if isinstance(lost, HopRefused) and lost.code == CODE_BUSY:
            await self._wait_for_cache(lost)
        else:
            self._losses += 1
        if self._losses > self._client.config.max_reroutes:
            raise RetriesExhausted(
                f"The reply was given up after {self._losses} lost nodes in a row. {lost}"
            ) from lost
        index = next(i for i, link in enumerate(self._links) if link.hop == lost.hop)
        if await self._reattach(self._links[index], lost):
            return
        self._client.report(lost)
        self._links[index].abort()
        replacement = await self._open_span(lost.hop.span)
        self._links[index : index + 1] = replacement
        if [link.hop for link in replacement] == [lost.hop] and isinstance(lost, HopRefused):
            # Its cache had gone to somebody else while this session was idle: nothing was lost.
            await self._events.put(RouteFound(self._current_route))
            return
        self._reroutes += 1
        await self._events.put(Rerouted(lost.hop, lost.reason, self._current_route))

    async def _wait_for_cache(self, lost: HopRefused) -> None:
        """A full node is not a lost one: wait for it, or go elsewhere, within a time of its own.

        Raises: SwarmBusy.
        """
        now = time.monotonic()
        self._full_since = self._full_since or now
        left = self._full_since + self._client.config.missing_blocks_timeout - now
        if left <= 0:
            raise self._giving_up(lost) from lost
        await self._events.put(WaitingForCache(lost.hop.peer_id, left))
        if not self._client.has_alternative(lost.hop):
            await self._client.wait_for_news()

    async def _reattach(self, link: HopLink, lost: HopLost) -> bool:
        """Whether the hop still holds the session and takes a new stream for it."""
        if isinstance(lost, HopRefused | HopSilent | HopCorrupt) or not link.has("resume"):
            return False
        cause = lost.__cause__
        if isinstance(cause, RemoteError) and (cause.code != CODE_INVALID or self._losses > 1):
            return False  # it ended the session itself, and would again
        try:
            await self._client.open_link(link, resume=True)
        except HopLost:
            return False
        return True

    @property
    def _current_route(self) -> Route:
        return Route(tuple(link.hop for link in self._links))

    async def _open_span(self, span: Span) -> list[HopLink]:
        """Open links over ``span``; wait, within limits, for nodes that are missing or full.

        Raises:
            MissingBlocks, SwarmBusy, SwarmUnreachable: nothing came up in time.
        """
        started = time.monotonic()
        deadline = started + self._client.config.missing_blocks_timeout
        while True:
            try:
                route = await self._client.find_route(span, len(self._ids), self._salt)
                return await self._open_links(route)
            except MissingBlocks as error:
                failure: Exception = error
                event: Event = WaitingForBlocks(error.missing, deadline - time.monotonic())
            except HopLost as lost:
                self._client.report(lost)
                failure = lost
                event = self._waiting_for(lost, deadline - time.monotonic())
            if time.monotonic() > deadline:
                raise self._giving_up(failure) from failure
            if time.monotonic() - started > _QUIET_SECONDS:
                await self._events.put(event)
            await self._client.wait_for_news()

    def _waiting_for(self, lost: HopLost, seconds: float) -> Event:
        if isinstance(lost, HopRefused) and lost.code == CODE_BUSY:
            return WaitingForCache(lost.hop.peer_id, seconds)
        return WaitingForBlocks(lost.hop.span, seconds)

    def _giving_up(self, failure: Exception) -> Exception:
        if not self._client.joined:
            return self._client.join_error or SwarmUnreachable(
                "The swarm could not be joined: no bootstrap peer answers."
            )
        match failure:
            case HopRefused(code="busy"):
                return SwarmBusy("All nodes are full at the moment; please try again in a while.")
            case HopLost():
                return MissingBlocks(failure.hop.span, f" at present ({failure.reason})")
            case _:
                return failure

    async def _open_links(self, route: Route) -> list[HopLink]:
        """Open all hops of a route at once; all or none.

        Raises: HopLost, the first one that failed.
        """
        links = [self._client.make_link(hop, self._max_length) for hop in route.hops]
        try:
            results = await asyncio.gather(
                *(self._client.open_link(link) for link in links), return_exceptions=True
            )
            failures = [result for result in results if isinstance(result, BaseException)]
            if failures:
                raise failures[0]
        except BaseException:  # a cancel too: those already open must not stay so
            for link in links:
                link.abort()
            raise
        return links

    # --- the end ----------------------------------------------------------------------------------

    async def close(self) -> None:
        """Free the nodes' caches; a running reply ends with ``SessionClosed``."""
        self._state = SessionState.CLOSED
        if self._producer is not None:
            self._producer.cancel()
            await asyncio.gather(self._producer, return_exceptions=True)
        links, self._links = self._links, []
        await asyncio.gather(*(link.close() for link in links))

    async def __aenter__(self) -> InferenceSession:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()
