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


def better_span(
    others: list[float], current: Span, throughput: float, *, quality: float = 0.75
) -> Span | None:
    """Where a node should move, or None to stay.

    ``others`` is the throughput per block without this node. A move must lift the swarm's weakest
    block clearly (a swarm at ``quality`` of what it could be is left alone: moving costs every
    session on the node a replay), and must not leave a block unserved that is served now.
    """
    target = choose_span(others, len(current))
    if target == current:
        return None
    now = _with_node(others, current, throughput)
    then = _with_node(others, target, throughput)
    if any(before > 0 and after == 0 for before, after in zip(now, then, strict=True)):
        return None
    return target if min(then) * quality > min(now) else None


def _with_node(others: list[float], span: Span, throughput: float) -> list[float]:
    return [total + (throughput if block in span else 0.0) for block, total in enumerate(others)]
