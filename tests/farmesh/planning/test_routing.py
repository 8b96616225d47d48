"""Routes: optimal against brute force, whatever the swarm looks like."""

from __future__ import annotations

import time
from collections import Counter
from itertools import pairwise, product
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from farmesh.core import Hop, NodeInfo, NodeState, Route, Span, SwarmSnapshot
from farmesh.errors import MissingBlocks
from farmesh.planning import routing
from farmesh.planning.routing import RouteHints, RouteTable, find_route
from tests.support.values import node


def snapshot(*nodes: NodeInfo, blocks: int = 4) -> SwarmSnapshot:
    return SwarmSnapshot("p", blocks, nodes)


def peers(route: Route) -> list[str]:
    return [hop.peer_id for hop in route.hops]


def hops_of(span: Span, choice: tuple[str, ...]) -> list[Hop]:
    hops: list[Hop] = []
    for block, peer in zip(span, choice, strict=True):
        if hops and hops[-1].peer_id == peer:
            hops[-1] = Hop(peer, Span(hops[-1].span.start, block + 1))
        else:
            hops.append(Hop(peer, Span(block, block + 1)))
    return hops


def seconds_of(hops: list[Hop], nodes: dict[str, NodeInfo], hints: RouteHints) -> float:
    """The documented cost of a route: the definition, not the search."""
    table = RouteTable(snapshot(*nodes.values()))
    costs = table.costs(hints)  # with the jitter that this salt gives
    rtts = [hints.rtts.get(hop.peer_id, routing.DEFAULT_RTT) for hop in (hops[0], hops[-1])]
    total = sum(rtts) / 2
    for hop in hops:
        left = nodes[hop.peer_id].context_tokens_left
        total += 10.0 if left is not None and left < hints.tokens else 0.0
        total += len(hop.span) * costs.block[table.index[hop.peer_id]]
    for one, other in pairwise(hops):
        rtt = nodes[one.peer_id].next_pings.get(other.peer_id, table.unmeasured)
        total += min(rtt, 5.0) / 2 + routing.HOP_OVERHEAD
    return total


def cheapest(nodes: tuple[NodeInfo, ...], span: Span, hints: RouteHints) -> float | None:
    table = {one.peer_id: one for one in nodes if one.state is NodeState.ONLINE}
    table = {peer: one for peer, one in table.items() if peer not in hints.avoid}
    serving = [[peer for peer, one in table.items() if block in one.span] for block in span]
    choices = [hops_of(span, choice) for choice in product(*serving)]
    return min((seconds_of(hops, table, hints) for hops in choices), default=None)


NAMES = "abcde"
pings = st.dictionaries(
    st.sampled_from(NAMES), st.sampled_from([0.0, 0.01, 0.3, 4.0, float("inf")]), max_size=5
)


@st.composite
def swarms(draw: Any) -> tuple[NodeInfo, ...]:
    nodes = []
    for name in NAMES[: draw(st.integers(1, 5))]:
        start = draw(st.integers(0, 3))
        nodes.append(
            node(
                name,
                f"{start}:{draw(st.integers(start + 1, 4))}",
                inference_rps=draw(st.sampled_from([None, 0.0, 1.0, 100.0, 1000.0, 5e-324])),
                cache_tokens_left=draw(st.sampled_from([None, 0, 80, 8000])),
                next_pings=draw(pings),
                state=draw(st.sampled_from([NodeState.ONLINE] * 4 + [NodeState.JOINING])),
            )
        )
    return tuple(nodes)


@settings(max_examples=400, deadline=None)
@given(
    swarms(),
    st.builds(
        RouteHints,
        rtts=st.dictionaries(st.sampled_from(NAMES), st.floats(0, 1)),
        block_seconds=st.dictionaries(st.sampled_from(NAMES), st.floats(0, 1)),
        avoid=st.frozensets(st.sampled_from(NAMES), max_size=2),
        tokens=st.sampled_from([0, 50]),
        salt=st.integers(0, 9),
    ),
)
def test_a_route_costs_what_brute_force_finds(
    nodes: tuple[NodeInfo, ...], hints: RouteHints
) -> None:
    """Prevents detours: the search must agree with trying every assignment of blocks."""
    span, table = Span(0, 4), {one.peer_id: one for one in nodes}
    best = cheapest(nodes, span, hints)
    if best is None:
        with pytest.raises(MissingBlocks):
            find_route(snapshot(*nodes), span, hints)
        return
    route = find_route(snapshot(*nodes), span, hints)
    assert route.span == span
    for hop in route.hops:
        assert table[hop.peer_id].span.covers(hop.span)
        assert hop.peer_id not in hints.avoid
    assert seconds_of(list(route.hops), table, hints) == pytest.approx(best)


def test_the_cheapest_unmeasured_neighbour_is_found_behind_badly_measured_ones() -> None:
    """Prevents looking at the two cheapest origins only, when both are known to be far away."""
    far = {"p": 5.0}
    nodes = [
        node(name, "0:1", inference_rps=rate, next_pings=far if name in "ab" else {})
        for name, rate in (("a", 1000.0), ("b", 900.0), ("c", 100.0))
    ]
    assert peers(find_route(snapshot(*nodes, node("p", "1:2"), blocks=2), Span(0, 2))) == ["c", "p"]


def test_a_hostile_speed_cannot_break_the_search() -> None:
    """Prevents a KeyError from a record whose announced speed makes every cost infinite."""
    slow = node("a", "0:2", inference_rps=5e-324)
    route = find_route(snapshot(slow, node("b", "2:4")), Span(0, 4))
    assert peers(route) == ["a", "b"]


def test_the_first_gap_is_named() -> None:
    """Prevents telling the user to serve blocks that are served."""
    nodes = snapshot(node("a", "0:1"), node("b", "3:4"), node("c", "5:6"), blocks=7)
    with pytest.raises(MissingBlocks) as caught:
        find_route(nodes, Span(0, 7))
    assert caught.value.missing == Span(1, 3)
    assert "1:3" in str(caught.value)


def test_avoided_nodes_leave_a_gap_rather_than_being_used() -> None:
    """Prevents a node that was just lost from being chosen again."""
    nodes = snapshot(node("a", "0:4"), node("b", "0:2"))
    with pytest.raises(MissingBlocks) as caught:
        find_route(nodes, Span(0, 4), RouteHints(avoid=frozenset({"a"})))
    assert caught.value.missing == Span(2, 4)


def test_a_full_node_is_the_last_resort() -> None:
    """Prevents new chats from queueing at a full node while another one has room."""
    full = node("a", "0:4", cache_tokens_left=8, inference_rps=1000.0)
    free = node("b", "0:4", cache_tokens_left=80_000, inference_rps=10.0)
    hints = RouteHints(tokens=100)
    assert peers(find_route(snapshot(full, free), Span(0, 4), hints)) == ["b"]
    assert peers(find_route(snapshot(full), Span(0, 4), hints)) == ["a"]


def test_equal_nodes_share_the_sessions_and_a_salt_always_chooses_alike() -> None:
    """Prevents all chats from gathering on the alphabetically first node."""
    nodes = snapshot(*(node(name, "0:4") for name in "abcd"))
    chosen = [peers(find_route(nodes, Span(0, 4), RouteHints(salt=salt)))[0] for salt in range(400)]
    assert min(Counter(chosen).values()) > 50
    again = [peers(find_route(nodes, Span(0, 4), RouteHints(salt=salt)))[0] for salt in range(9)]
    assert again == chosen[:9]


def test_measured_speed_counts_more_than_the_announced_one() -> None:
    """Prevents a boastful record from drawing all traffic."""
    nodes = snapshot(node("a", "0:4", inference_rps=1e9), node("b", "0:4", inference_rps=100.0))
    hints = RouteHints(block_seconds={"a": 0.5})
    assert peers(find_route(nodes, Span(0, 4))) == ["a"]
    assert peers(find_route(nodes, Span(0, 4), hints)) == ["b"]


def test_an_unmeasured_way_is_no_better_than_most_measured_ones() -> None:
    """Prevents hope: routes over the world took twice the least time, by ways nobody had tried."""
    ends = [f"e{index}" for index in range(40)]
    far = node("far", "0:1", next_pings=dict.fromkeys(ends, 0.3))
    near = node("near", "0:1", inference_rps=50.0, next_pings={"goal": 0.1})
    nodes = snapshot(far, near, node("goal", "1:2"), *(node(e, "2:3") for e in ends), blocks=2)
    table = RouteTable(nodes)
    assert table.unmeasured == pytest.approx(0.3)
    assert peers(table.find(Span(0, 2))) == ["near", "goal"]
    few = snapshot(far, near, node("goal", "1:2"), blocks=2)
    assert RouteTable(few).unmeasured == routing.DEFAULT_RTT, "two figures tell nothing yet"


def test_many_nodes_are_routed_quickly() -> None:
    """Prevents a search that holds the app's loop for a second at every new chat of a big swarm."""
    nodes = snapshot(
        *(node(f"n{index}", f"{index % 60}:{index % 60 + 20}") for index in range(4000)), blocks=80
    )
    table = RouteTable(nodes)
    started = time.process_time()  # others' work does not count
    assert table.find(Span(0, 79)).span == Span(0, 79)
    assert time.process_time() - started < 1.0


def test_one_table_serves_many_searches() -> None:
    """Prevents hints of one search from leaking into the next one's costs."""
    nodes = snapshot(node("a", "0:4", inference_rps=1000.0), node("b", "0:4", inference_rps=10.0))
    table = RouteTable(nodes)
    assert peers(table.find(Span(0, 4), RouteHints(avoid=frozenset("a")))) == ["b"]
    assert peers(table.find(Span(0, 4), RouteHints(block_seconds={"a": 5.0}))) == ["b"]
    assert peers(table.find(Span(0, 4))) == ["a"]
