"""Which blocks a node should serve. Pure functions over what the DHT says."""

from __future__ import annotations

from collections.abc import Iterable

from farmesh.core import NodeInfo, NodeState, Span


def block_throughputs(nodes: Iterable[NodeInfo], num_blocks: int) -> list[float]:
    """Announced throughput per block, nodes that are still joining included."""
    total = [0.0] * num_blocks
    for node in nodes:
        if node.state is not NodeState.OFFLINE:
            for block in node.span.clip(Span(0, num_blocks)):
                total[block] += node.throughput
    return total


def choose_span(throughputs: list[float], num_blocks: int) -> Span:
    """The window of ``num_blocks`` blocks that the swarm serves worst; leftmost on a tie.

    Windows compare by their throughputs in rising order: the weakest block counts first, as in
    upstream's rule, so that nodes of both kinds spread the same way.
    """
    width = min(num_blocks, len(throughputs))
    windows = (
        (sorted(throughputs[start : start + width]), start)
        for start in range(len(throughputs) - width + 1)
    )
    _, start = min(windows)
    return Span(start, start + width)


def blocks_that_fit(available_bytes: int, block_bytes: int, num_blocks: int) -> int:
    """How many blocks a node takes when it is not told: what fits into 60 % of the memory."""
    return max(1, min(num_blocks, int(available_bytes * 0.6) // max(1, block_bytes)))
