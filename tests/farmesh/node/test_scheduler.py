"""What runs in a tick: decodes always, prefill within its budget, everybody moves."""

from __future__ import annotations

import asyncio

import torch
from hypothesis import given
from hypothesis import strategies as st

from farmesh.core import Span
from farmesh.node.session import NodeSession
from farmesh.node.tick import Slice, TickTimes, Work, plan_tick


def work(tokens: int, *, batch: int = 1, done: int = 0) -> Work:
    session = NodeSession(("peer", f"s{tokens}"), Span(0, 1), batch=batch, max_length=10_000)
    loop = asyncio.new_event_loop()
    future: asyncio.Future[torch.Tensor] = loop.create_future()
    loop.close()
    return Work(session, torch.empty(batch, tokens, 1), 0, 0.0, future, done=done)


def plan(works: list[Work], *, max_tokens: int = 64, prefill: int = 16, live: bool = False):
    slices = plan_tick(works, max_tokens=max_tokens, prefill_tokens=prefill, decodes_live=live)
    return [(works.index(item.work), item.tokens) for item in slices]


def test_all_decodes_run_together() -> None:
    """Prevents chats that wait for one another's tokens."""
    assert plan([work(1), work(1), work(1)]) == [(0, 1), (1, 1), (2, 1)]


def test_a_lone_prompt_takes_the_whole_tick() -> None:
    """Prevents a slow first token while nobody else is there."""
    assert plan([work(500)]) == [(0, 64)]
    assert plan([work(10)]) == [(0, 10)]


def test_prefill_beside_decodes_is_bounded() -> None:
    """Prevents a long prompt from stalling somebody else's stream."""
    assert plan([work(500), work(1)]) == [(1, 1), (0, 16)]
    assert plan([work(500)], live=True) == [(0, 16)]


def test_prefill_beside_decodes_fits_the_machine() -> None:
    """Prevents gaps of many steps where a token of prefill costs much against a decode tick."""
    times = TickTimes()
    assert times.prefill_beside_decodes(1, 64) == 64  # nothing known yet
    times.observe([Slice(work(1), 1)], 0.010)
    times.observe([Slice(work(512), 512)], 0.010 + 512 * 0.0005)
    assert times.prefill_beside_decodes(1, 64) == 10
    assert times.prefill_beside_decodes(1, 4) == 4
    slow, fast = TickTimes(), TickTimes()
    for observed, token in ((slow, 0.01), (fast, 0.000_01)):
        observed.observe([Slice(work(1), 1)], 0.010)
        observed.observe([Slice(work(512), 512)], 0.010 + 512 * token)
    assert slow.prefill_beside_decodes(1, 64) == 8  # long prompts still move
    assert fast.prefill_beside_decodes(1, 64) == 64
    # Prevents sixteen newcomers from waiting for one another while few streams run.
    assert times.prefill_beside_decodes(8, 64) == 80


def test_short_prompts_overtake_and_the_oldest_still_moves() -> None:
    """Prevents a 2,000-token prompt from delaying a greeting, and greetings from starving it."""
    assert plan([work(2000), work(100), work(8)]) == [(0, 32), (2, 8), (1, 24)]


def test_what_is_done_does_not_run_again() -> None:
    """Prevents a prompt's part from being computed twice."""
    assert plan([work(100, done=90)]) == [(0, 10)]


def test_wide_batches_count_all_their_rows() -> None:
    """Prevents a beam search from taking many times the budget."""
    assert plan([work(100, batch=8)]) == [(0, 8)]
    assert plan([work(100, batch=64)], max_tokens=10) == [(0, 1)]  # more than a tick, but alone
    assert plan([work(1, batch=40), work(1, batch=40)]) == [(0, 1)]


works = st.lists(
    st.builds(work, st.integers(1, 300), batch=st.integers(1, 5)), min_size=1, max_size=12
)


@given(works, st.integers(1, 100), st.integers(1, 50), st.booleans())
def test_a_plan_moves_somebody_and_keeps_to_its_budget(
    chosen: list[Work], max_tokens: int, prefill: int, live: bool
) -> None:
    """Prevents ticks that do nothing for ever, and ticks that take longer than planned."""
    slices = plan_tick(chosen, max_tokens=max_tokens, prefill_tokens=prefill, decodes_live=live)
    assert slices
    assert len({id(item.work) for item in slices}) == len(slices)
    assert all(1 <= item.tokens <= item.work.remaining for item in slices)
    rows = [item.tokens * item.work.batch for item in slices]
    assert sum(rows) <= max_tokens or len(slices) == 1
    prefills = [item for item in slices if not item.work.is_decode]
    if live or len(prefills) < len(slices):
        taken = sum(item.tokens * item.work.batch for item in prefills)
        assert taken <= prefill or len(slices) == 1


@given(works)
def test_every_work_ends_within_a_bounded_number_of_ticks(chosen: list[Work]) -> None:
    """Prevents a prompt that starves behind shorter or older ones."""
    waiting = list(chosen)
    for _ in range(10 + sum(item.remaining * item.batch for item in chosen)):
        if not waiting:
            break
        for item in plan_tick(waiting, max_tokens=16, prefill_tokens=8, decodes_live=True):
            item.work.done += item.tokens
        waiting = [item for item in waiting if item.remaining]
    assert not waiting
