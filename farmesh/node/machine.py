"""What a node takes from the machine it runs on; simulations put something else in its place."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass, field

from farmesh.checkpoint.reader import Checkpoint
from farmesh.node.speed import Speed, measure_speed
from farmesh.node.stacks import Stack, make_stack
from farmesh.node.tick import INLINE_SECONDS


def _one_thread() -> Executor:
    return ThreadPoolExecutor(1, "farmesh-blocks")


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """Time, threads, chance, and how weights come into its memory and how fast they are there."""

    clock: Callable[[], float] = time.monotonic  # seconds, as the event loop counts them
    executor: Callable[[], Executor] = _one_thread  # forwards run in it, one at a time
    inline_seconds: float = INLINE_SECONDS  # ticks shorter than this run on the event loop
    random: random.Random = field(default_factory=random.Random)
    open_checkpoint: Callable[..., Checkpoint] = Checkpoint
    make_stack: Callable[..., Stack] = make_stack
    measure: Callable[[Stack, int], Speed] = measure_speed
    shortest_record: float = 3.0  # seconds that an announcement holds; upstream's floor
