"""The scheduler of a node: one packed forward per tick over all sessions that have work.

:func:`plan_tick` decides (pure); :class:`Scheduler` owns the queue, the KV cache's pages and the
one worker thread in which torch runs.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections import Counter
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType

import torch

from farmesh.core import PeerId, Span
from farmesh.errors import QuotaExceeded, RemoteError
from farmesh.node.attention import PackedBatch, Segment
from farmesh.node.blocks import BlockStack
from farmesh.node.cache import PAGE_TOKENS, Extent, KVCache, Move, OutOfPages
from farmesh.node.session import NodeSession
from farmesh.node.threads import ThreadPlan
from farmesh.node.tick import LIVE_SECONDS, Slice, Superseded, TickTimes, Work, plan_tick
from farmesh.wire.failures import CODE_BUSY, CODE_EVICTED, CODE_INTERNAL

logger = logging.getLogger(__name__)

_IDLE_SECONDS = 1.0  # ... and one that had no work for this long gives way to those that have


class Scheduler:
    """Runs works in ticks; an ``async with`` scope."""

    def __init__(
        self,
        stack: BlockStack,
        cache: KVCache,
        *,
        max_batch_tokens: int = 512,
        prefill_tokens_beside_decodes: int = 64,
        max_waiting: int = 64,
        max_waiting_per_peer: int = 32,
        max_tokens_per_peer: int = 0,
        threads: ThreadPlan | None = None,
    ) -> None:
        self._stack = stack
        self._cache = cache
        self._max_batch_tokens = max_batch_tokens
        self._prefill_tokens = prefill_tokens_beside_decodes
        self._max_waiting = max_waiting
        self._max_waiting_per_peer = max_waiting_per_peer
        self._max_pages_per_peer = -(-max_tokens_per_peer // PAGE_TOKENS)  # 0: no limit
        self._works: list[Work] = []
        self._sessions: dict[int, NodeSession] = {}
        self._wakeup = asyncio.Event()
        self._times = TickTimes()
        self._threads = threads or ThreadPlan()
        self._executor = ThreadPoolExecutor(1, "farmesh-blocks")
        self._task: asyncio.Task[None] | None = None
        self.tokens_computed = 0  # over all sessions, each block span once; tests count on it
        self.ticks = 0
        self.full_at: float | None = None  # monotonic; when a work last found no room

    def __repr__(self) -> str:
        return f"<Scheduler {len(self._works)} waiting, {self.ticks} ticks, {self._cache!r}>"

    @property
    def queue_length(self) -> int:
        return len(self._works)

    async def __aenter__(self) -> Scheduler:
        self._task = asyncio.create_task(self._loop(), name="farmesh-scheduler")
        self._task.add_done_callback(self._on_end)
        return self

    def _on_end(self, task: asyncio.Task[None]) -> None:
        """A bug ended the loop: say so and fail what waits, rather than hang for ever."""
        if task.cancelled() or task.exception() is None:
            return
        logger.error("The scheduler ended", exc_info=task.exception())
        for work in list(self._works):
            self._finish(work, RemoteError(CODE_INTERNAL, "the node met an internal error"))

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        for work in self._works:
            work.result.cancel()
        self._works.clear()
        self._executor.shutdown(wait=True)

    # --- sessions and their pages -------------------------------------------------------------

    def admit(self, session: NodeSession) -> None:
        """Make a session known, so that its pages can be evicted when others need them."""
        self._sessions[id(session)] = session

    def forget(self, session: NodeSession) -> None:
        """Free a session's pages and drop its work."""
        self._sessions.pop(id(session), None)
        self.cancel(session)
        for row in session.rows:
            self._cache.allocator.release(row)
        self._wakeup.set()

    def rewind(self, session: NodeSession, position: int) -> None:
        """Shorten a session to its first ``position`` tokens."""
        session.position = min(session.position, position)
        for row in session.rows:
            self._cache.allocator.shrink(row, session.position)
        self._wakeup.set()

    def cancel(self, session: NodeSession) -> None:
        """Drop the session's queued work; what runs in this tick is not waited for."""
        for work in self._works:
            if work.session is session:
                work.cancelled = True
        self._wakeup.set()

    # --- work ---------------------------------------------------------------------------------

    async def run(
        self, session: NodeSession, hidden_states: torch.Tensor, *, alloc_timeout: float
    ) -> torch.Tensor:
        """Run one step at the session's position and advance it.

        Shapes: ``[batch, tokens, hidden]`` in and out.

        Raises:
            Superseded: cancelled by a newer epoch; the session holds what had been computed.
            RemoteError: ``busy``, no cache came free within ``alloc_timeout`` seconds, or
                ``evicted``, the session's pages went to an older one.
            QuotaExceeded: the session's peer waits for cache, or holds it, as much as one may.
        """
        if self._task is None or self._task.done():
            raise RemoteError(CODE_INTERNAL, "the node met an internal error")
        starved = [work.session.peer_id for work in self._works if work.session.starved]
        if starved.count(session.peer_id) >= self._max_waiting_per_peer:
            sentence = "too many sessions of this peer wait for cache here; try again later"
            raise QuotaExceeded("queue", sentence)
        if len(starved) >= self._max_waiting:
            raise RemoteError(CODE_BUSY, "the node's queue for cache is full; try again later")
        work = Work(
            session,
            hidden_states,
            session.position,
            time.monotonic() + alloc_timeout,
            asyncio.get_running_loop().create_future(),
        )
        self._works.append(work)
        self._wakeup.set()
        try:
            return await work.result
        except asyncio.CancelledError:
            work.cancelled = True
            raise

    async def _loop(self) -> None:
        while True:
            self._drop_cancelled()
            slices, moves = self._plan()
            if not slices and not moves:
                await self._sleep()
                continue
            groups = self._pack(slices)
            inline = self._times.is_short(slices)
            started = time.perf_counter()
            try:
                if inline:
                    outputs = self._run(moves, groups)
                else:
                    loop = asyncio.get_running_loop()
                    outputs = await loop.run_in_executor(self._executor, self._run, moves, groups)
            except Exception as error:  # noqa: BLE001 - these works fail, the node lives on
                for work in {id(s.work): s.work for s in slices}.values():
                    self._finish(work, error)
                continue
            self.ticks += 1
            self._times.observe(slices, time.perf_counter() - started)
            for (_, _, group), output in zip(groups, outputs, strict=True):
                self._scatter(group, output)
            if inline:
                await asyncio.sleep(0)  # answers leave, and what arrived meanwhile is read

    async def _sleep(self) -> None:
        """Wait for news; with starved works in the queue look again soon (their deadlines)."""
        self._wakeup.clear()
        timeout = 0.05 if self._works else None
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                await self._wakeup.wait()

    def _drop_cancelled(self) -> None:
        for work in [work for work in self._works if work.cancelled]:
            self._finish(work, Superseded())

    def _plan(self) -> tuple[list[Slice], list[Move]]:
        now = time.monotonic()
        prompts = [work for work in self._works if not work.is_decode]
        planned = plan_tick(
            self._works,
            max_tokens=self._max_batch_tokens,
            prefill_tokens=self._times.prefill_beside_decodes(len(prompts), self._prefill_tokens),
            decodes_live=bool(prompts) and self._somebody_decodes(prompts, now),
        )
        slices: list[Slice] = []
        moves: list[Move] = []
        for item in planned:
            if item.work.result.done():  # evicted for an older one, a moment ago
                continue
            try:
                self._reserve(item, moves)
                item.work.session.starved = False
                slices.append(item)
            except OutOfPages:
                item.work.session.starved = True
                self.full_at = now
                if now > item.work.deadline:
                    self._finish(item.work, self._no_cache(item))
        slices = [item for item in slices if not item.work.result.done()]
        for item in slices:
            if item.work.is_decode:
                item.work.session.last_decoded = now
        return slices, moves

    def _somebody_decodes(self, prompts: Iterable[Work], now: float) -> bool:
        """Whether a reply is being made whose next step is on its way here.

        Not those whose sessions are gone, or have a new prompt of their own.
        """
        prefilling = {id(work.session) for work in prompts}
        return any(
            now - session.last_decoded < LIVE_SECONDS and id(session) not in prefilling
            for session in self._sessions.values()
        )

    def _reserve(self, item: Slice, moves: list[Move]) -> None:
        """Pages for one slice; idle sessions give way, oldest use first, then younger waiters,
        then the peer that holds most.

        Rows that grew before the cache ran out keep their pages (and their ``moves`` stand): the
        next try needs them.

        Raises:
            OutOfPages: nobody is left who should give way.
        """
        session = item.work.session
        while self._over_quota(item):
            mine = session.peer_id
            if not (self._evict_idle(session, mine) or self._evict_younger(session, mine)):
                raise OutOfPages
        while True:
            try:
                for row in session.rows:
                    moves += self._cache.allocator.grow(row, session.position + item.tokens)
                return
            except OutOfPages:
                if not self._evict_for(session):
                    raise

    def _over_quota(self, item: Slice) -> bool:
        """Whether a slice would take its peer over what one peer may hold."""
        if not self._max_pages_per_peer:
            return False
        session = item.work.session
        needed = -(-(session.position + item.tokens) // PAGE_TOKENS)
        more = sum(max(0, needed - row.pages) for row in session.rows)
        return more > 0 and self._held()[session.peer_id] + more > self._max_pages_per_peer

    def _held(self) -> Counter[PeerId]:
        """Pages of each peer."""
        held: Counter[PeerId] = Counter()
        for session in self._sessions.values():
            held[session.peer_id] += sum(row.pages for row in session.rows)
        return held

    def _no_cache(self, item: Slice) -> RemoteError:
        """Why a work that waited for cache gets none."""
        if self._over_quota(item):
            sentence = "this peer holds as much of the node's cache as one may; try again later"
            return QuotaExceeded("cache", sentence)
        return RemoteError(CODE_BUSY, "the node's cache is full; try again later")

    def _evict_for(self, session: NodeSession) -> bool:
        """Free the pages of one other session; False when nobody should give way."""
        return (
            self._evict_idle(session)
            or self._evict_younger(session)
            or self._evict_greediest(session)
        )

    def _evict_younger(self, session: NodeSession, of_peer: PeerId | None = None) -> bool:
        """Everybody is at work: younger sessions that starve too only hold each other up."""
        return session.starved and self._evict_youngest(
            other
            for other in self._holders(session)
            if other.starved and other.opened > session.opened and of_peer in (None, other.peer_id)
        )

    def _evict_greediest(self, session: NodeSession) -> bool:
        """While others wait for cache, no peer holds more than an equal share of it."""
        if not session.starved:
            return False
        held = self._held()
        share = self._cache.allocator.total / len(held)
        greediest, pages = held.most_common(1)[0]
        if held[session.peer_id] >= share or pages <= share:
            return False
        return self._evict_youngest(
            other for other in self._holders(session) if other.peer_id == greediest
        )

    def _evict_youngest(self, sessions: Iterable[NodeSession]) -> bool:
        youngest = max(sessions, key=lambda other: other.opened, default=None)
        if youngest is not None:
            self._evict(youngest)
        return youngest is not None

    def _evict_idle(self, session: NodeSession, of_peer: PeerId | None = None) -> bool:
        """Free the pages of the session that has been idle for longest, if any is."""
        busy = {id(work.session) for work in self._works}
        # A session that decodes has no work here while its step is at the other nodes.
        limit = time.monotonic() - _IDLE_SECONDS
        idle = [
            other
            for other in self._holders(session)
            if id(other) not in busy
            and other.last_used < limit
            and of_peer in (None, other.peer_id)
        ]
        if idle:
            self._evict(min(idle, key=lambda other: other.last_used))
        return bool(idle)

    def _holders(self, session: NodeSession) -> list[NodeSession]:
        """The other sessions that hold pages."""
        return [
            other
            for other in self._sessions.values()
            if other is not session and any(row.pages for row in other.rows)
        ]

    def _evict(self, session: NodeSession) -> None:
        error = RemoteError(CODE_EVICTED, "the session's cache went to somebody else")
        for work in [work for work in self._works if work.session is session]:
            self._finish(work, error)
        for row in session.rows:
            self._cache.allocator.release(row)
        session.position = 0
        session.evict(error)

    def _finish(self, work: Work, outcome: torch.Tensor | Exception) -> None:
        self._works.remove(work)
        if work.result.done():
            return
        if isinstance(outcome, Exception):
            work.result.set_exception(outcome)
        else:
            work.result.set_result(outcome)

    # --- packing ------------------------------------------------------------------------------

    def _pack(self, slices: Iterable[Slice]) -> list[tuple[Span, PackedBatch, list[Slice]]]:
        """One packed batch per span; nearly always all sessions use the node's whole span."""
        by_span: dict[Span, list[Slice]] = {}
        for item in slices:
            by_span.setdefault(item.work.session.span, []).append(item)
        groups = []
        for span, group in by_span.items():
            # Those of one LoRA beside one another: it then runs once for all of them.
            group.sort(key=lambda item: item.work.session.adapter or "")
            segments, row = [], 0
            for item in group:
                for extent in item.work.session.rows:
                    segments.append(_segment(row, item, extent))
                    row += item.tokens
            groups.append((span, PackedBatch(segments, self._cache, self._stack.device), group))
        return groups

    def _run(
        self, moves: list[Move], groups: list[tuple[Span, PackedBatch, list[Slice]]]
    ) -> list[torch.Tensor]:
        """In the worker thread: carry out copies, then the forwards."""
        self._cache.apply(moves)
        outputs = []
        for span, packed, group in groups:
            rows = [
                item.work.hidden_states[:, item.work.done : item.work.done + item.tokens].reshape(
                    1, -1, self._stack.hidden_size
                )
                for item in group
            ]
            hidden_states = rows[0] if len(rows) == 1 else torch.cat(rows, dim=1)
            _use_threads(self._threads.for_rows(packed.tokens))
            outputs.append(self._stack.forward(hidden_states, span, packed))
        return outputs

    def _scatter(self, group: list[Slice], output: torch.Tensor) -> None:
        """Hand each work its rows of ``[1, tokens, hidden]``."""
        row = 0
        for item in group:
            work, count = item.work, item.work.batch * item.tokens
            part = output[:, row : row + count].reshape(work.batch, item.tokens, -1)
            row += count
            if work.result.done() or work.cancelled:
                continue  # its session may have been rewound meanwhile
            work.outputs.append(part)
            work.done += item.tokens
            work.session.position = work.position + work.done
            work.session.last_used = time.monotonic()
            self.tokens_computed += count
            if work.remaining == 0:
                whole = work.outputs[0] if len(work.outputs) == 1 else torch.cat(work.outputs, 1)
                self._finish(work, whole)


def _segment(row: int, item: Slice, extent: Extent) -> Segment:
    session = item.work.session
    position = item.work.position + item.work.done
    return Segment(row, item.tokens, extent.base, position, session.adapter)


def _use_threads(threads: int | None) -> None:
    """For the calling thread; a change makes torch forget some of what it prepared."""
    if threads is not None and threads != torch.get_num_threads():
        torch.set_num_threads(threads)
