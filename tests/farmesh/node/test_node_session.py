"""A node's inbox of steps: order, duplicates, epochs, patience."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
import torch

from farmesh.core import Span
from farmesh.errors import ProtocolError, RemoteError
from farmesh.node.session import NodeSession
from farmesh.wire.failures import CODE_EVICTED
from farmesh.wire.messages import Step
from farmesh.wire.metadata import StepMetadata
from tests.support.simulation import simulated


def session_at(position: int, **options: Any) -> NodeSession:
    session = NodeSession(("peer", "session"), Span(0, 4), batch=1, max_length=100, **options)
    session.advance(position)
    return session


def step(name: str | None, start: int | None, epoch: int | None = None) -> Step:
    metadata = StepMetadata(step_id=name, start_from_position=start, epoch=epoch)
    return Step(torch.zeros(1, 1, 8), metadata)


async def taken(session: NodeSession) -> str | None:
    return (await session.next_step(patience=5.0)).metadata.step_id


async def test_steps_run_in_the_order_of_their_positions() -> None:
    """Prevents a pushed step that overtook another from being computed on a gap."""
    session = session_at(5)
    session.put(step("later", 6))
    session.put(step("now", 5))
    assert await taken(session) == "now"
    session.advance(6)
    assert await taken(session) == "later"


async def test_a_step_that_comes_twice_runs_once() -> None:
    """Prevents a doubled token when a push and the client's own copy both arrive."""
    session = session_at(5)
    session.put(step("one", 5))
    session.put(step("one", 5))
    session.put(step("two", 5))
    assert [await taken(session), await taken(session)] == ["one", "two"]


@simulated
async def test_a_new_epoch_drops_what_is_older_wherever_it_waits() -> None:
    """Prevents a stopped reply's steps from running on top of the next turn's."""
    dropped: list[NodeSession] = []
    session = session_at(5, superseded=dropped.append)
    session.put(step("old", 5, epoch=1))
    session.put(step("new", 3, epoch=2))
    session.put(step("late", 5, epoch=1))
    assert await taken(session) == "new"
    assert dropped == [session, session]
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(session.next_step(patience=5.0), 60.0)


async def test_a_question_outlives_a_new_epoch() -> None:
    """Prevents a healthy node's ban: its client, back with a new stream, asked whether the session
    is there, and a push of the new epoch, which came just then, swept the question away."""
    session = session_at(5)
    session.put(step("old", 5, epoch=1))
    session.put(step("are you there", None))
    session.put(step("new", 5, epoch=2))
    assert [await taken(session), await taken(session)] == ["are you there", "new"]


async def test_a_gap_that_nobody_fills_ends_with_a_sentence() -> None:
    """Prevents a session that waits for ever for a step that was lost."""
    session = session_at(5)
    session.put(step("far", 9))
    with pytest.raises(ProtocolError, match="beyond the 5 tokens"):
        await session.next_step(patience=0.05)


async def test_whoever_waits_learns_of_an_eviction() -> None:
    """Prevents a client that waits for a reply which its session can never give."""
    session = session_at(5)
    waiting = asyncio.create_task(session.next_step(patience=5.0))
    await asyncio.sleep(0)
    session.evict(RemoteError(CODE_EVICTED, "gone"))
    with pytest.raises(RemoteError, match="gone"):
        await waiting
    assert "EVICTED" in repr(session)


def test_a_peer_cannot_pile_up_steps() -> None:
    """Prevents a node's memory from filling with steps that can never run."""
    session = session_at(0)
    for index in range(256):
        session.put(step(str(index), 50))
    with pytest.raises(ProtocolError, match="too many"):
        session.put(step("one more", 50))
