"""Value types: spans, snapshots, routes, sampling limits."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from farmesh.core import Hop, NodeInfo, NodeState, Route, Span, SwarmSnapshot, spans_of
from farmesh.errors import FarMeshError, InvalidSampling
from farmesh.events import GenerationStats
from farmesh.params import SamplingParams


def node(peer_id: str, span: str, **fields: Any) -> NodeInfo:
    defaults: dict[str, Any] = {"state": NodeState.ONLINE, "throughput": 1.0}
    return NodeInfo(peer_id, Span.parse(span), **{**defaults, **fields})


@pytest.mark.parametrize("text", ["", "4", "4:", ":4", "4:4", "5:4", "-1:3", "a:b", "1:2:3", "1,2"])
def test_a_span_that_is_none_is_refused(text: str) -> None:
    """Prevents ``--blocks 4`` or ``5:4`` from being served as something else."""
    with pytest.raises(ValueError, match=r"span of blocks"):
        Span.parse(text)


@given(st.integers(0, 50), st.integers(0, 50), st.integers(0, 50), st.integers(0, 50))
def test_clip_covers_and_length_agree_with_sets(a: int, b: int, c: int, d: int) -> None:
    """Prevents off-by-one errors at the borders of spans."""
    one, other = Span(min(a, b), max(a, b)), Span(min(c, d), max(c, d))
    assert set(one.clip(other)) == set(one) & set(other)
    assert len(one.clip(other)) == len(set(one) & set(other))
    if len(other):
        assert one.covers(other) == (set(other) <= set(one))
    assert all((block in one) == (block in set(one)) for block in range(52))


@given(st.sets(st.integers(0, 40)))
def test_spans_of_joins_neighbours_and_nothing_else(blocks: set[int]) -> None:
    """Prevents a wrong list of missing blocks in the message to the user."""
    spans = list(spans_of(sorted(blocks)))
    assert [block for span in spans for block in span] == sorted(blocks)
    assert all(before.end < after.start for before, after in pairwise(spans))


def test_replicas_and_gaps_count_online_nodes_only() -> None:
    """Prevents a joining or leaving node from counting as service."""
    nodes = (
        node("a", "0:2"),
        node("b", "1:3", state=NodeState.JOINING),
        node("c", "3:9"),
        node("d", "0:2", state=NodeState.OFFLINE),
    )
    snapshot = SwarmSnapshot("p", 5, nodes)
    assert snapshot.replicas == (1, 1, 0, 1, 1)  # clipped to the model
    assert snapshot.gaps == (Span(2, 3),)
    assert not snapshot.is_complete
    assert [n.peer_id for n in snapshot.online] == ["a", "c"]


def test_context_tokens_left_undoes_the_doubled_unit() -> None:
    """Prevents reading upstream's ``2 x tokens x blocks`` as tokens."""
    assert node("a", "2:6", cache_tokens_left=800).context_tokens_left == 100
    assert node("a", "2:6").context_tokens_left is None


@pytest.mark.parametrize(
    ("first", "second"), [((0, 2), (3, 4)), ((0, 2), (1, 4)), ((2, 4), (0, 2))]
)
def test_a_route_with_a_gap_or_an_overlap_cannot_be_made(
    first: tuple[int, int], second: tuple[int, int]
) -> None:
    """Prevents blocks that are skipped or run twice."""
    with pytest.raises(ValueError, match="gap or an overlap"):
        Route((Hop("a", Span(*first)), Hop("b", Span(*second))))


def test_tokens_per_second_of_short_replies_is_zero() -> None:
    """Prevents a division by zero for replies of one token."""
    stats = GenerationStats(1, 0, 1, ttft=0.5, duration=0.5, hops=1)
    assert stats.tokens_per_second == 0.0


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("temperature", -0.1),
        ("temperature", float("nan")),
        ("temperature", float("inf")),
        ("temperature", "hot"),
        ("temperature", True),
        ("top_p", 0),
        ("top_p", 1.01),
        ("top_k", -1),
        ("top_k", 1.5),
        ("min_p", 2),
        ("typical_p", 0.0),
        ("repetition_penalty", 0),
        ("presence_penalty", 3),
        ("frequency_penalty", -3),
        ("no_repeat_ngram_size", -1),
        ("max_new_tokens", 0),
        ("seed", -1),
        ("seed", 2**63),
        ("seed", 1.0),
        ("stop", ("",)),
        ("stop", tuple("abcdefghijklmnopq")),
    ],
)
def test_sampling_values_out_of_range_name_their_field(field: str, value: Any) -> None:
    """Prevents a bad slider value from reaching torch, where it would be a traceback."""
    with pytest.raises(InvalidSampling) as caught:
        SamplingParams(**{field: value})
    assert caught.value.field == field
    assert isinstance(caught.value, FarMeshError)
    assert field in str(caught.value)


@pytest.mark.parametrize(
    "params",
    [
        SamplingParams(temperature=0),
        SamplingParams(temperature=1e-40),
        SamplingParams(top_k=1),
    ],
)
def test_what_leaves_one_choice_is_greedy(params: SamplingParams) -> None:
    """Prevents a division of logits by a temperature that overflows float32."""
    assert params.greedy
