"""Hypothesis drives chats and nodes in simulated time; what fails is shrunk to a short story.

``FARMESH_CHAOS_RUNS`` raises the number of examples: a fifth of it, drawn anew each time.
"""

from __future__ import annotations

import asyncio
import os

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from tests.support.models import Oracle
from tests.support.simulation import FAULTS, Chat, SimulatedLoop, World

RUNS = os.environ.get("FARMESH_CHAOS_RUNS")
MAX_CHATS = 3

tokens = st.lists(st.integers(0, 63), min_size=1, max_size=30)
counts = st.integers(1, 8)
parts = st.sampled_from([0.0, 0.3, 0.7, 0.95])
delays = st.floats(0.0, 0.3)
kinds = st.sampled_from(FAULTS)
indices = st.integers(0, 7)


class Swarms(RuleBasedStateMachine):
    """Open, turn, rewind, edit, cancel; kill, revive, slow, hang, drop, evict, leave."""

    chats = Bundle("chats")

    def __init__(self, judge: Oracle) -> None:
        super().__init__()
        self.judge = judge
        self.runner = asyncio.Runner(loop_factory=SimulatedLoop)
        self.world = World(judge, 0)

    @initialize(seed=st.integers(0, 1000))
    def begin(self, seed: int) -> None:
        self.world.seed = seed
        self.opened = self.world.open()
        self.runner.run(self.opened.__aenter__())

    @precondition(lambda self: len(self.world.chats) < MAX_CHATS)
    @rule(target=chats)
    def open(self) -> Chat:
        async def start() -> Chat:
            return self.world.start_chat()

        return self.runner.run(start())

    @rule(chat=chats, new=tokens, count=counts)
    def turn(self, chat: Chat, new: list[int], count: int) -> None:
        self.world.say(chat, 1.0, new, count)
        self.runner.run(self.world.reply(chat, count))

    @rule(chat=chats, keep=parts, new=tokens, count=counts)
    def edit(self, chat: Chat, keep: float, new: list[int], count: int) -> None:
        self.world.say(chat, keep, new, count)
        self.runner.run(self.world.reply(chat, count))

    @precondition(lambda self: any(chat.ids for chat in self.world.chats))
    @rule(chat=chats, keep=parts, count=counts)
    def rewind(self, chat: Chat, keep: float, count: int) -> None:
        self.world.say(chat, keep, chat.ids[:1] or [1], count)
        self.runner.run(self.world.reply(chat, count))

    @rule(chat=chats, new=tokens, after=delays)
    def cancel(self, chat: Chat, new: list[int], after: float) -> None:
        self.world.say(chat, 1.0, new, 8)
        self.runner.run(self.world.reply(chat, 8, stop_after=after))

    @rule(chat=chats, new=tokens, count=counts, kind=kinds, which=indices, after=delays)
    def trouble(
        self, chat: Chat, new: list[int], count: int, kind: str, which: int, after: float
    ) -> None:
        """Something happens during a reply."""

        async def both() -> None:
            async with asyncio.TaskGroup() as group:
                group.create_task(self.world.reply(chat, count))
                await asyncio.sleep(after)
                group.create_task(self.world.fault(kind, which))

        self.world.say(chat, 0.9, new, count)
        self.runner.run(both())

    @rule(kind=kinds, which=indices)
    def between(self, kind: str, which: int) -> None:
        """Something happens between replies."""
        self.runner.run(self.world.fault(kind, which))

    @rule(seconds=st.sampled_from([0.3, 2.0, 30.0]))
    def wait(self, seconds: float) -> None:
        self.runner.run(asyncio.sleep(seconds))

    @invariant()
    def sessions_are_ready(self) -> None:
        for chat in self.world.chats:
            assert "RUNNING" not in repr(chat.session)

    def teardown(self) -> None:
        with self.runner:
            if hasattr(self, "opened"):
                try:
                    self.runner.run(self.world.close())
                finally:
                    self.runner.run(self.opened.__aexit__(None, None, None))


def test_whatever_hypothesis_comes_up_with(judge: Oracle) -> None:
    """Prevents orders of events that break replies, leak pages or blame healthy nodes."""
    run_state_machine_as_test(
        lambda: Swarms(judge),
        settings=settings(
            max_examples=max(1, int(RUNS or 400) // 5),
            stateful_step_count=12,
            deadline=None,
            derandomize=RUNS is None,
            suppress_health_check=list(HealthCheck),
            database=None,
        ),
    )
