"""How fast a node is, measured before it announces itself."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass

import torch

from farmesh.node.attention import PackedBatch, Segment
from farmesh.node.stacks import Stack
from farmesh.node.threads import ROWS, ThreadPlan, alone_on_this_machine, plan_threads

logger = logging.getLogger(__name__)

_LONG_STEP = 128  # rows of which a forward takes long enough to be timed
_DEFAULT_NETWORK_RPS = 100e6 / (16 * 1024)  # tokens/s: 100 Mbit/s, hidden size 1024, 16 bit


@dataclass(frozen=True, slots=True)
class Speed:
    """What a node's blocks can do; all rates in tokens per second."""

    inference_rps: float  # one block, one-token steps
    forward_rps: float  # one block, long steps
    throughput: float  # the announced figure that routing and placement weigh
    network_rps: float
    threads: ThreadPlan  # with which they were measured

    @property
    def announced(self) -> dict[str, float]:
        """Fields of a NodeInfo."""
        return {
            "inference_rps": self.inference_rps,
            "forward_rps": self.forward_rps,
            "throughput": self.throughput,
            "network_rps": self.network_rps,
        }


def measure_speed(stack: Stack, threads: int = 0) -> Speed:
    """Time the blocks; also warms them up, since a first forward pays for lazy initialisation."""
    cache = stack.make_cache(256)
    before = torch.get_num_threads()
    taken: dict[tuple[int, int], float] = {}

    def seconds(rows: int, count: int) -> float:
        """The least of some forwards: others' work only adds to it."""
        torch.set_num_threads(count)
        hidden_states = torch.zeros(1, rows, stack.hidden_size)
        packed = PackedBatch([Segment(0, rows, 0, 0)], cache, stack.device)
        stack.forward(hidden_states, stack.span, packed)
        runs = []
        for _ in range(6 if rows < _LONG_STEP else 2):
            started = time.perf_counter()
            stack.forward(hidden_states, stack.span, packed)
            runs.append(time.perf_counter() - started)
        taken[rows, count] = min(runs)
        return min(runs)

    most = 1 if stack.device.type != "cpu" else threads or before
    with alone_on_this_machine():
        plan = plan_threads(most, seconds)
    torch.set_num_threads(before)
    logger.info("threads for ticks of %s rows: %s", ROWS, plan.threads)

    blocks = len(stack.span)
    inference, forward = (
        rows * blocks / taken[rows, count]
        for rows, count in ((ROWS[0], plan.threads[0]), (ROWS[-1], plan.threads[-1]))
    )
    # Upstream's rule: a random request enters in the middle of a span on average.
    throughput = min(forward / ((blocks + 1) / 2), _DEFAULT_NETWORK_RPS)
    return Speed(inference, forward, throughput, _DEFAULT_NETWORK_RPS, plan)
