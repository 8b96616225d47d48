"""Who gives way when the KV cache is full: the idle, then the young, then who holds too much."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from farmesh.node.eviction import IDLE_SECONDS, Activity, Holding, choose_victim

NOW = 100.0
PAGES = 12


def holding(name: str, **facts: Any) -> Holding:
    """``"a3"``: session 3 of peer a, opened at second 3; it works, and used its cache just now."""
    given: dict[str, Any] = {"pages": 2, "last_used": NOW, "activity": Activity.WORKING, **facts}
    return Holding(int(name[1:]), name[0], opened=float(name[1:]), **given)


def idle(name: str, since: float, **facts: Any) -> Holding:
    return holding(name, last_used=NOW - since, activity=Activity.NONE, **facts)


def starved(name: str, **facts: Any) -> Holding:
    return holding(name, activity=Activity.STARVED, **facts)


def victim(needy: Holding, *others: Holding, own_peer: bool = False) -> str | None:
    chosen = choose_victim(needy, others, now=NOW, pages=PAGES, own_peer=own_peer)
    return None if chosen is None else f"{chosen.peer}{chosen.session}"


def test_the_longest_idle_goes_first() -> None:
    """Prevents a chat from losing its cache while another one's was left for hours."""
    assert victim(holding("a1"), idle("b2", 5.0), idle("b3", 9.0), holding("b4")) == "b3"


def test_whose_step_is_at_another_node_is_not_idle() -> None:
    """Prevents two streams from evicting one another between any two tokens."""
    assert victim(starved("a1"), idle("a2", IDLE_SECONDS)) is None
    assert victim(starved("a1"), idle("a2", IDLE_SECONDS + 0.1)) == "a2"


def test_who_holds_nothing_has_nothing_to_give() -> None:
    """Prevents a loop that evicts empty sessions for ever."""
    assert victim(starved("a1"), idle("a2", 9.0, pages=0), starved("a3", pages=0)) is None


def test_of_those_who_starve_the_youngest_gives_way_to_the_oldest() -> None:
    """Prevents sessions that each hold a part and wait for the rest until all of them fail."""
    others = starved("a2"), starved("a3"), holding("a4")
    assert victim(starved("a1"), *others) == "a3"
    assert victim(starved("a5"), *others) is None
    assert victim(holding("a1"), *others) is None, "it has not waited yet"


def test_a_peer_shares_once_others_wait() -> None:
    """Prevents who came first with many busy sessions from shutting everybody else out."""
    crowd = [holding(f"a{number}") for number in range(1, 7)]  # all 12 pages
    assert victim(starved("b9", pages=0), *crowd) == "a6"
    assert victim(holding("b9", pages=0), *crowd) is None, "it has not waited yet"
    assert victim(starved("a9", pages=0), *crowd) is None, "a peer does not share with itself"
    fair = holding("a1", pages=6), holding("b2", pages=6)
    assert victim(starved("b9", pages=0), *fair) is None, "each holds an equal share"
    third = starved("c9", pages=0)
    assert victim(third, holding("a1", pages=4), holding("b2", pages=8)) == "b2"


def test_within_a_quota_only_the_peers_own_give_way() -> None:
    """Prevents a peer beyond its quota from taking the cache of others."""
    others = idle("b1", 50.0), starved("b8"), holding("b9", pages=8)
    assert victim(starved("a1"), *others, own_peer=True) is None
    assert victim(starved("a1"), *others, idle("a2", 5.0), own_peer=True) == "a2"
    assert victim(starved("a1"), *others, starved("a3"), own_peer=True) == "a3"


holdings = st.lists(
    st.builds(
        Holding,
        st.integers(),
        st.sampled_from("abc"),
        st.integers(0, 5),
        st.floats(0.0, NOW),
        st.floats(0.0, NOW),
        st.sampled_from(Activity),
    ),
    min_size=1,
    max_size=8,
    unique_by=lambda one: one.session,
)


@given(holdings, st.booleans())
def test_evicting_comes_to_an_end_and_frees_pages(sessions: list[Holding], own_peer: bool) -> None:
    """Prevents a tick that evicts for ever, or evicts the session that asks."""
    needy, *others = sessions
    while True:
        chosen = choose_victim(needy, others, now=NOW, pages=PAGES, own_peer=own_peer)
        if chosen is None:
            break
        assert chosen is not needy
        assert chosen.pages
        assert chosen.peer == needy.peer or not own_peer
        others.remove(chosen)
