"""The scheduler of a node: one packed forward per tick over all sessions that have work.

:func:`plan_tick` decides what runs and :func:`choose_victim` who gives way (both pure);
:class:`Scheduler` owns the queue, the KV cache's pages and the one worker thread in which torch
runs.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from types import TracebackType

import torch

from farmesh.config import NodeConfig
from farmesh.core import PeerId
from farmesh.errors import QuotaExceeded, RemoteError
from farmesh.node.cache import PAGE_TOKENS, KVCache, Move, OutOfPages
from farmesh.node.eviction import Activity, Holding, choose_victim
from farmesh.node.machine import Machine
from farmesh.node.packing import Group, pack
from farmesh.node.session import NodeSession
from farmesh.node.stacks import Stack
from farmesh.node.threads import ThreadPlan
from farmesh.node.tick import LIVE_SECONDS, Slice, Superseded, TickTimes, Work, plan_tick
from farmesh.wire.failures import CODE_BUSY, CODE_EVICTED, CODE_INTERNAL

logger = logging.getLogger(__name__)


@dataclass(eq=False, slots=True)
class _Seat:
    """A session that the scheduler knows, and when it ran."""

    session: NodeSession
    last_used: float
    last_decoded: float = -math.inf  # when a one-token step of it was planned

    @property
    def pages(self) -> int:
        return sum(row.pages for row in self.session.rows)

    def holding(self, activity: Activity) -> Holding:
        session = self.session
        return Holding(
            id(session), session.peer_id, self.pages, session.opened, self.last_used, activity
        )


class Scheduler:
    """Runs works in ticks; an ``async with`` scope."""

    def __init__(
        self,
        stack: Stack,
        cache: KVCache,
        config: NodeConfig,
        threads: ThreadPlan,
        machine: Machine,
    ) -> None:
        self._stack = stack
        self._cache = cache
        self._config = config
        self._max_pages_per_peer = _pages(config.max_cache_tokens_per_peer)  # 0: no limit
        self._works: list[Work] = []
        self._seats: dict[int, _Seat] = {}  # by id(session)
        self._wakeup = asyncio.Event()
        self._clock = machine.clock
        self._times = TickTimes(machine.inline_seconds)
        self._threads = threads
        self._executor = machine.executor()
        self._task: asyncio.Task[None] | None = None
        self.tokens_computed = 0  # over all sessions, each block span once; tests count on it
        self.ticks = 0
        self.full_at: float | None = None  # by the machine's clock; when a work found no room

    def __repr__(self) -> str:
        return f"<Scheduler {len(self._works)} waiting, {self.ticks} ticks, {self._cache!r}>"

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
        """Make a session known; only such ones can run, and give way to others."""
        self._seats[id(session)] = _Seat(session, session.opened)

    def forget(self, session: NodeSession) -> None:
        """Free a session's pages and drop its work."""
        self._seats.pop(id(session), None)
        self.cancel(session)
        self._release(session)

    def rewind(self, session: NodeSession, position: int) -> None:
        """Shorten a session to its first ``position`` tokens."""
        session.rewind(position)
        for row in session.rows:
            self._cache.allocator.shrink(row, session.position)
        self._wakeup.set()

    def evict(self, session: NodeSession) -> None:
        """Give a session's pages to others; whoever works with it is told."""
        error = RemoteError(CODE_EVICTED, "the session's cache went to somebody else")
        for work in [work for work in self._works if work.session is session]:
            self._finish(work, error)
        self._release(session)
        session.evict(error)

    def cancel(self, session: NodeSession) -> None:
        """Drop the session's queued work; what runs in this tick is not waited for."""
        for work in self._works:
            if work.session is session:
                work.cancelled = True
        self._wakeup.set()

    def _release(self, session: NodeSession) -> None:
        for row in session.rows:
            self._cache.allocator.release(row)
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
        if id(session) not in self._seats:  # its stream is ending
            raise RemoteError(CODE_EVICTED, "the session was closed")
        self._check_queue(session.peer_id)
        work = Work(
            session,
            hidden_states,
            session.position,
            self._clock() + alloc_timeout,
            asyncio.get_running_loop().create_future(),
        )
        self._works.append(work)
        self._wakeup.set()
        try:
            return await work.result
        except asyncio.CancelledError:
            work.cancelled = True
            raise

    def _check_queue(self, peer: PeerId) -> None:
        starved = [work.session.peer_id for work in self._works if work.starved]
        if starved.count(peer) >= self._config.max_queued_sessions_per_peer:
            sentence = "too many sessions of this peer wait for cache here; try again later"
            raise QuotaExceeded("queue", sentence)
        if len(starved) >= self._config.max_queued_sessions:
            raise RemoteError(CODE_BUSY, "the node's queue for cache is full; try again later")

    async def _loop(self) -> None:
        while True:
            self._drop_cancelled()
            slices, moves = self._plan()
            if not slices and not moves:
                await self._sleep()
                continue
            groups = pack(slices, self._cache, self._stack.device)
            inline = self._times.is_short(slices)
            started = self._clock()
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
            self._times.observe(slices, self._clock() - started)
            for group, output in zip(groups, outputs, strict=True):
                for item, part in group.parts(output):
                    self._account(item, part)
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

    def _run(self, moves: list[Move], groups: list[Group]) -> list[torch.Tensor]:
        """In the worker thread: carry out copies, then the forwards."""
        self._cache.apply(moves)
        outputs = []
        for group in groups:
            _use_threads(self._threads.for_rows(group.packed.tokens))
            outputs.append(self._stack.forward(group.hidden_states(), group.span, group.packed))
        return outputs

    def _account(self, item: Slice, output: torch.Tensor) -> None:
        """Note what a slice computed, ``[batch, tokens, hidden]``; the last one ends its work."""
        work = item.work
        if work.result.done() or work.cancelled:
            return  # its session may have been rewound meanwhile
        work.outputs.append(output)
        work.done += item.tokens
        work.session.advance(work.position + work.done)
        self._seats[id(work.session)].last_used = self._clock()
        self.tokens_computed += work.batch * item.tokens
        if work.remaining == 0:
            whole = work.outputs[0] if len(work.outputs) == 1 else torch.cat(work.outputs, 1)
            self._finish(work, whole)

    def _finish(self, work: Work, outcome: torch.Tensor | Exception) -> None:
        self._works.remove(work)
        if work.result.done():
            return
        if isinstance(outcome, Exception):
            work.result.set_exception(outcome)
        else:
            work.result.set_result(outcome)

    # --- what runs next, and with whose pages ---------------------------------------------------

    def _plan(self) -> tuple[list[Slice], list[Move]]:
        now = self._clock()
        prompts = [work for work in self._works if not work.is_decode]
        planned = plan_tick(
            self._works,
            max_tokens=self._config.max_batch_tokens,
            prefill_tokens=self._times.prefill_beside_decodes(
                len(prompts), self._config.prefill_tokens_beside_decodes
            ),
            decodes_live=bool(prompts) and self._somebody_decodes(prompts, now),
        )
        slices: list[Slice] = []
        moves: list[Move] = []
        for item in planned:
            if item.work.result.done():  # evicted for an older one, a moment ago
                continue
            try:
                self._reserve(item, moves)
                item.work.starved = False
                slices.append(item)
            except OutOfPages:
                item.work.starved = True
                self.full_at = now
                if now > item.work.deadline:
                    self._finish(item.work, self._no_cache(item))
        slices = [item for item in slices if not item.work.result.done()]
        for item in slices:
            if item.work.is_decode:
                self._seats[id(item.work.session)].last_decoded = now
        return slices, moves

    def _somebody_decodes(self, prompts: Iterable[Work], now: float) -> bool:
        """Whether a reply is being made whose next step is on its way here.

        Not those whose sessions are gone, or have a new prompt of their own.
        """
        prefilling = {id(work.session) for work in prompts}
        return any(
            now - seat.last_decoded < LIVE_SECONDS and key not in prefilling
            for key, seat in self._seats.items()
        )

    def _reserve(self, item: Slice, moves: list[Move]) -> None:
        """Pages for one slice; others give way as :func:`choose_victim` says.

        Rows that grew before the cache ran out keep their pages (and their ``moves`` stand): the
        next try needs them.

        Raises:
            OutOfPages: nobody is left who should give way.
        """
        session = item.work.session
        while self._over_quota(item):
            self._make_room(item.work, own_peer=True)
        while True:
            try:
                for row in session.rows:
                    moves += self._cache.allocator.grow(row, session.position + item.tokens)
                return
            except OutOfPages:
                self._make_room(item.work)

    def _make_room(self, needy: Work, *, own_peer: bool = False) -> None:
        """Evict one session. Raises: OutOfPages: nobody should give way."""
        activities = {
            id(work.session): Activity.STARVED if work.starved else Activity.WORKING
            for work in self._works
        }
        holdings = {
            key: seat.holding(activities.get(key, Activity.NONE))
            for key, seat in self._seats.items()
        }
        victim = choose_victim(
            holdings.pop(id(needy.session)),
            list(holdings.values()),
            now=self._clock(),
            pages=self._cache.allocator.total,
            own_peer=own_peer,
        )
        if victim is None:
            raise OutOfPages
        self.evict(self._seats[victim.session].session)

    def _over_quota(self, item: Slice) -> bool:
        """Whether a slice would take its peer over what one peer may hold."""
        if not self._max_pages_per_peer:
            return False
        session = item.work.session
        needed = _pages(session.position + item.tokens)
        more = sum(max(0, needed - row.pages) for row in session.rows)
        held: Counter[PeerId] = Counter()
        for seat in self._seats.values():
            held[seat.session.peer_id] += seat.pages
        return more > 0 and held[session.peer_id] + more > self._max_pages_per_peer

    def _no_cache(self, item: Slice) -> RemoteError:
        """Why a work that waited for cache gets none."""
        if self._over_quota(item):
            sentence = "this peer holds as much of the node's cache as one may; try again later"
            return QuotaExceeded("cache", sentence)
        return RemoteError(CODE_BUSY, "the node's cache is full; try again later")


def _pages(tokens: int) -> int:
    return -(-tokens // PAGE_TOKENS)


def _use_threads(threads: int | None) -> None:
    """For the calling thread; a change makes torch forget some of what it prepared."""
    if threads is not None and threads != torch.get_num_threads():
        torch.set_num_threads(threads)
