"""What a client decides, from values alone: whom to avoid, what is slow, what is worth a try."""

from __future__ import annotations

import math
import random
from dataclasses import replace
from typing import Any

import pytest
import torch

from farmesh.client.passage import fault_of
from farmesh.client.patience import too_slow
from farmesh.client.repair import giving_up, may_hold_on, waiting_for
from farmesh.client.view import SwarmView
from farmesh.config import ClientConfig
from farmesh.core import Hop, NodeInfo, NodeState, Span
from farmesh.errors import (
    HopCorrupt,
    HopLost,
    HopRefused,
    HopSilent,
    MissingBlocks,
    RemoteError,
    StreamBroken,
    SwarmBusy,
)
from farmesh.events import WaitingForBlocks, WaitingForCache
from farmesh.planning.chunks import Chunk, first_starts, plan_chunks
from farmesh.wire.failures import CODE_BUSY, CODE_CLOSING, CODE_EVICTED, CODE_INTERNAL, CODE_INVALID

HOP = Hop("a", Span(0, 2))
WHOLE = Span(0, 4)


def node(peer: str, span: str, **claims: Any) -> NodeInfo:
    return NodeInfo(peer, Span.parse(span), NodeState.ONLINE, 1.0, **claims)


def view_of(*nodes: NodeInfo, **settings: Any) -> SwarmView:
    config = ClientConfig(checkpoint="x", **{"ban_seconds": 10.0, "push_gain": 0.005, **settings})
    view = SwarmView("p", 4, config)
    view.see(nodes)
    return view


SPARES = (node("a", "0:2"), node("A", "0:2"), node("b", "2:4"))


def first_hop(view: SwarmView, now: float) -> set[str]:
    """Whom routes begin with, over many salts."""
    return {view.find_route(WHOLE, 1, salt, now).hops[0].peer_id for salt in range(40)}


# --- The view ---------------------------------------------------------------------------------


def test_bans_grow_with_every_failure_and_end() -> None:
    """Bug prevented: a node that fails at once is tried again at once, or never again."""
    view, now = view_of(*SPARES), 100.0
    assert first_hop(view, now) == {"a", "A"}
    for seconds in (10.0, 20.0, 40.0, 80.0, 160.0, 300.0, 300.0):
        assert view.blame(HopLost(HOP, "x"), now)
        assert not view.blame(HopLost(HOP, "x"), now + seconds - 0.1), "known already"
        assert first_hop(view, now + seconds - 0.1) == {"A"}
        assert first_hop(view, now + seconds) == {"a", "A"}
        now += seconds


def test_a_node_that_works_again_is_forgiven() -> None:
    """Bug prevented: one failure long ago makes the next ban twice as long."""
    view = view_of(*SPARES)
    view.blame(HopLost(HOP, "x"), 0.0)
    view.observe(HOP, 1, 0.1, 9.0)
    assert view.bans, "it is still in its time"
    view.observe(HOP, 1, 0.1, 10.5)
    assert not view.bans


@pytest.mark.parametrize(
    ("code", "until"), [(CODE_BUSY, 1.0), (CODE_CLOSING, 1.0), (CODE_EVICTED, 0.0)]
)
def test_a_refusal_is_no_failure(code: str, until: float) -> None:
    """Bug prevented: a full node is demoted for minutes, or asked again without a pause."""
    view = view_of(*SPARES)
    assert not view.blame(HopRefused(HOP, "x", code), 0.0)
    assert [ban.failures for ban in view.bans.values()] == [0] * (until > 0)
    assert first_hop(view, 0.5) == ({"A"} if until else {"a", "A"})
    assert first_hop(view, 1.5) == {"a", "A"}


def test_a_refusal_does_not_shorten_a_ban() -> None:
    """Bug prevented: a lost node comes back early because it was full when it was tried."""
    view = view_of(*SPARES)
    view.blame(HopLost(HOP, "x"), 0.0)
    view.blame(HopRefused(HOP, "x", CODE_BUSY), 1.0)
    assert first_hop(view, 5.0) == {"A"}


def test_the_only_node_is_used_although_it_failed() -> None:
    """Bug prevented: "nobody serves these blocks" while a node that came back waits for work."""
    view = view_of(node("a", "0:2"), node("b", "2:4"))
    view.blame(HopLost(HOP, "x"), 0.0)
    assert first_hop(view, 1.0) == {"a"}
    assert not view.has_alternative(HOP, 1.0)
    assert view_of(*SPARES).has_alternative(HOP, 0.0)


def test_a_node_that_was_started_again_is_pardoned() -> None:
    """Bug prevented: a restarted node stays banned for what its predecessor did."""
    view = view_of(*SPARES)
    view.blame(HopLost(HOP, "x"), 0.0)
    view.see(SPARES[1:])
    assert view.bans, "gone is not pardoned"
    view.see(SPARES)
    assert not view.bans


def test_silent_nodes_are_avoided_until_they_answer() -> None:
    """Bug prevented: new sessions open on a machine that was switched off a moment ago."""
    view = view_of(*SPARES)
    view.pinged("a", 0.05)
    view.pinged("a", None)
    assert first_hop(view, 0.0) == {"A"}
    assert "a" not in view.snapshot.rtts
    view.pinged("a", 0.05)  # as far as the other one is taken for
    assert first_hop(view, 0.0) == {"a", "A"}


def test_the_least_of_the_last_pings_counts() -> None:
    """Bug prevented: a busy node looks far away, and its route is changed for no reason."""
    view = view_of(*SPARES)
    for rtt in (0.03, 0.01, *[0.05] * 6):
        view.pinged("a", rtt)
    assert view.snapshot.rtts == {"a": 0.01}
    view.pinged("a", 0.05)
    view.pinged("a", 0.05)
    assert view.snapshot.rtts == {"a": 0.05}


def test_an_empty_look_is_believed_the_fourth_time() -> None:
    """Bug prevented: a DHT that misses its records for a moment takes the whole swarm away."""
    view = view_of(*SPARES)
    assert [view.see(()) for _ in range(4)] == [False, False, False, True]
    assert not view.snapshot.nodes


def test_only_nodes_with_the_adapter_are_seen() -> None:
    """Bug prevented: half of an answer is the plain model's."""
    view = view_of(replace(SPARES[0], adapters=("one",)), *SPARES[1:], active_adapter="one")
    assert [known.peer_id for known in view.snapshot.nodes] == ["a"]
    with pytest.raises(MissingBlocks, match="with the adapter 'one'"):
        view.find_route(WHOLE, 1, 0, 0.0)


def test_figures_of_nodes_that_left_are_forgotten() -> None:
    """Bug prevented: a client that runs for weeks keeps a figure of everybody it ever met."""
    view = view_of(*SPARES)
    view.pinged("a", 0.01)
    view.pinged("A", None)
    view.see(SPARES[2:])
    view.see(SPARES)
    assert not view.snapshot.rtts
    assert first_hop(view, 0.0) == {"a", "A"}


def test_a_look_is_due_sooner_while_something_is_wrong() -> None:
    """Bug prevented: a missing block is found a quarter of a minute after it came."""
    view = view_of(*SPARES, refresh_period=15.0)
    assert view.seconds_to_next_look == 15.0
    view.blame(HopLost(HOP, "x"), 0.0)
    assert view.seconds_to_next_look == 1.0
    assert view_of(SPARES[0], refresh_period=15.0).seconds_to_next_look == 1.0
    assert view_of(refresh_period=0.05).seconds_to_next_look == 0.05


def test_of_a_large_swarm_only_the_ends_are_measured() -> None:
    """Bug prevented: a client of a thousand nodes pings all of them at every look."""
    few = [node(f"n{i}", f"{i % 4}:{i % 4 + 1}") for i in range(20)]
    assert set(view_of(*few).peers_to_ping(random.Random(0))) == {one.peer_id for one in few}
    many = [node(f"n{i}", f"{i % 4}:{i % 4 + 1}") for i in range(200)]
    chosen = view_of(*many).peers_to_ping(random.Random(0))
    assert len(chosen) == 32
    assert {int(peer[1:]) % 4 for peer in chosen} == {0, 3}


@pytest.mark.parametrize(
    ("direct", "use_push", "pays"),
    [(0.01, True, True), (0.08, True, True), (0.095, True, False), (0.01, False, False)],
)
def test_a_push_must_save_something(direct: float, use_push: bool, pays: bool) -> None:
    """Bug prevented: neighbours push over a way that is longer than the one over the client."""
    source = replace(SPARES[0], next_pings={"b": direct})
    view = view_of(source, SPARES[2], use_push=use_push)
    view.pinged("a", 0.06)
    view.pinged("b", 0.04)
    assert view.push_pays("a", "b") is pays
    assert view_of(*SPARES, push_gain=-math.inf).push_pays("b", "a"), "measured or not"


def test_a_step_is_slow_by_what_its_node_did_before() -> None:
    """Bug prevented: a phone is given up for the pace that it always had."""
    view = view_of(*SPARES, step_timeout_floor=1.0, step_timeout_factor=10.0)
    assert view.step_deadline(HOP, 1) == pytest.approx(10 * (0.1 * 2 + 0.1))
    assert view.step_deadline(HOP, 50) == pytest.approx(10 * (0.02 * 2 * 50 + 0.1))
    view.pinged("a", 0.0)
    view.observe(HOP, 1, 1.0, 0.0)  # half a second a block
    assert view.step_deadline(HOP, 1) == pytest.approx(10 * 1.0)
    assert view.step_deadline(HOP, 50) == pytest.approx(10 * 2.0), "prefill is another figure"
    view.observe(HOP, 1, 2.0, 0.0)
    assert view.step_deadline(HOP, 1) == pytest.approx(10 * (1.0 + 0.2))
    for _ in range(100):
        view.observe(HOP, 1, 0.0, 0.0)
    assert view.step_deadline(HOP, 1) == 1.0


# --- Lost hops --------------------------------------------------------------------------------


def lost_by(cause: Exception | None) -> HopLost:
    lost = HopLost(HOP, "x")
    lost.__cause__ = cause
    return lost


@pytest.mark.parametrize(
    ("lost", "losses", "worth_a_try"),
    [
        (lost_by(StreamBroken("x")), 1, True),
        (lost_by(StreamBroken("x")), 5, True),
        (lost_by(None), 1, True),
        (lost_by(RemoteError(CODE_INVALID, "x")), 1, True),
        (lost_by(RemoteError(CODE_INVALID, "x")), 2, False),
        (lost_by(RemoteError(CODE_INTERNAL, "x")), 1, False),
        (HopRefused(HOP, "x", CODE_EVICTED), 1, False),
        (HopSilent(HOP, "x"), 1, False),
        (HopCorrupt(HOP, "x"), 1, False),
    ],
)
def test_when_a_new_stream_is_worth_a_try(lost: HopLost, losses: int, worth_a_try: bool) -> None:
    """Bug prevented: a full replay for a dropped stream, or retries that cannot succeed."""
    assert may_hold_on(lost, losses) is worth_a_try


def test_what_is_told_while_a_session_waits() -> None:
    """Bug prevented: a full swarm is told as one with missing blocks, or the other way round."""
    missing = MissingBlocks(Span(2, 4))
    assert waiting_for(missing, 3.0) == WaitingForBlocks(Span(2, 4), 3.0)
    assert waiting_for(HopRefused(HOP, "x", CODE_BUSY), 3.0) == WaitingForCache("a", 3.0)
    assert waiting_for(HopRefused(HOP, "x", CODE_CLOSING), 3.0) == WaitingForBlocks(HOP.span, 3.0)
    assert giving_up(missing) is missing
    assert isinstance(giving_up(HopRefused(HOP, "x", CODE_BUSY)), SwarmBusy)
    assert str(giving_up(HopLost(HOP, "gone"))).startswith(
        "No node of the swarm serves blocks 0:2 at present (gone)."
    )


def test_a_node_that_is_full_is_not_silent() -> None:
    """Bug prevented: a node whose cache is full for a moment is banned as one that hangs."""
    full = too_slow(HOP, {"cache_full_ago": 2.0}, slow=3.0, deadline=1.5)
    assert isinstance(full, HopRefused)
    assert full.code == CODE_BUSY
    for says in ({}, {"cache_full_ago": 4.0}, {"cache_full_ago": "now"}):
        silent = too_slow(HOP, says, slow=3.0, deadline=1.5)
        assert isinstance(silent, HopSilent)
        assert silent.reason == "it takes longer than 1.5 s"


def test_outputs_that_cannot_be_right() -> None:
    """Bug prevented: nonsense goes on to the next hop and blames that one."""
    good = torch.zeros(1, 2, 3)
    assert fault_of(good, (1, 2, 3)) is None
    assert fault_of(good, (1, 1, 3)) == "it answered with shape (1, 2, 3)"
    assert fault_of(good / 0, (1, 2, 3)) == "it answered with numbers that are not finite"


def test_where_each_hop_starts_again() -> None:
    """Bug prevented: a hop that must be rewound is not recognised as one."""
    chunks = plan_chunks([9, 0, 9], 10, 100)
    assert chunks == [Chunk(0, 9, 1), Chunk(9, 10, 2)]
    assert first_starts(chunks, 3) == [0, 0, 9]
