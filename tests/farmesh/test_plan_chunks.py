"""How hops that hold different numbers of tokens are brought to the same one."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from farmesh.planning.chunks import Chunk, plan_chunks


@given(st.lists(st.integers(0, 60), min_size=1, max_size=5), st.integers(1, 40), st.integers(1, 30))
def test_following_the_chunks_brings_every_hop_there(
    positions: list[int], ahead: int, size: int
) -> None:
    """Prevents a replay that leaves a hole in some hop's KV cache, or fills one twice."""
    upto = max(positions) + ahead
    held = list(positions)
    for chunk in plan_chunks(positions, upto, size):
        assert 0 < chunk.end - chunk.start <= size
        for hop in range(chunk.last_hop + 1):
            assert chunk.start <= held[hop]  # a rewind, never a gap
            held[hop] = chunk.end
    assert held == [upto] * len(positions)
    last = plan_chunks(positions, upto, size)[-1]
    assert (last.end, last.last_hop) == (upto, len(positions) - 1)  # whose output is sampled


@given(st.lists(st.integers(0, 60), min_size=1, max_size=5), st.integers(1, 40), st.integers(1, 30))
def test_no_hop_computes_what_nobody_behind_it_needs(
    positions: list[int], ahead: int, size: int
) -> None:
    """Prevents a replay from recomputing hops that are full."""
    upto = max(positions) + ahead
    computed = [0] * len(positions)
    for chunk in plan_chunks(positions, upto, size):
        for hop in range(chunk.last_hop + 1):
            computed[hop] += chunk.end - chunk.start
    needed = [upto - min(positions[hop:]) for hop in range(len(positions))]
    assert computed == needed


def test_a_fresh_hop_in_the_middle_is_refilled_through_the_hops_before_it() -> None:
    """Prevents a replacement in the middle from being fed with nothing."""
    assert plan_chunks([9, 0, 9], 10, 100) == [Chunk(0, 9, 1), Chunk(9, 10, 2)]
