"""Which blocks a node chooses."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from farmesh.core import NodeState, Span
from farmesh.planning.placement import better_span, block_throughputs, blocks_that_fit, choose_span
from tests.support.values import node


def test_joining_nodes_count_and_leaving_ones_do_not() -> None:
    """Prevents two nodes that start together from choosing the same blocks."""
    nodes = [
        node("a", "0:2", throughput=3.0),
        node("b", "1:9", throughput=2.0, state=NodeState.JOINING),
        node("c", "0:4", throughput=9.0, state=NodeState.OFFLINE),
    ]
    assert block_throughputs(nodes, 4) == [3.0, 5.0, 2.0, 2.0]


def test_the_weakest_window_is_chosen_leftmost_on_a_tie() -> None:
    """Prevents gaps that stay while well-served blocks get a third node (PROTOCOL section 5)."""
    assert choose_span([1.0, 1.0, 0.0, 0.0], 2) == Span(2, 4)
    assert choose_span([0.0, 0.0, 0.0, 0.0], 2) == Span(0, 2)
    assert choose_span([9.0, 0.0, 1.0, 9.0], 2) == Span(1, 3)


@given(st.lists(st.floats(0, 10), min_size=1, max_size=12), st.integers(1, 20))
def test_the_choice_holds_a_worst_served_block(throughputs: list[float], width: int) -> None:
    """Prevents a window beside the weakest block, or one that leaves the model."""
    span = choose_span(throughputs, width)
    assert len(span) == min(width, len(throughputs))
    assert span.end <= len(throughputs)
    assert min(throughputs[block] for block in span) == min(throughputs)


def test_nodes_that_choose_one_after_another_cover_the_model() -> None:
    """Prevents swarms that never become complete."""
    load = [0.0] * 10
    for _ in range(4):
        for block in choose_span(load, 3):
            load[block] += 1.0
    assert all(load)


def test_at_least_one_block_and_never_more_than_there_are() -> None:
    """Prevents a node that serves nothing, or blocks beyond the model."""
    assert blocks_that_fit(0, 10**9, 8) == 1
    assert blocks_that_fit(10**12, 1, 8) == 8
    assert blocks_that_fit(10 * 10**9, 10**9, 8) == 6
    assert blocks_that_fit(10**9, 0, 8) == 8


def test_a_move_has_to_be_worth_it() -> None:
    """Prevents nodes that move for nothing, leave a gap behind, or ignore --balance-quality."""
    first, last = Span(0, 2), Span(2, 4)
    assert better_span([5.0, 5.0, 0.0, 0.0], first, 1.0) == last
    assert better_span([0.0, 0.0, 0.0, 0.0], last, 1.0) is None, "nobody else serves 2:4"
    uneven = [3.0, 3.0, 2.0, 2.0]  # the weakest block has 2 now, and would have 3
    assert better_span(uneven, first, 1.0, quality=0.75) == last
    assert better_span(uneven, first, 1.0, quality=0.6) is None
    assert better_span([5.0, 5.0, 0.0, 0.0], first, 1.0, quality=0.0) is None
