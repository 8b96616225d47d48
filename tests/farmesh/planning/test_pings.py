"""Whom to measure in a swarm that is too large to measure everybody."""

from __future__ import annotations

import random

from farmesh.planning.pings import choose_pings

MANY = [f"p{number:03d}" for number in range(200)]


def test_a_small_swarm_is_measured_whole() -> None:
    """Prevents chance from leaving out one of two nodes."""
    assert choose_pings(MANY[:5], {}, 5, random.Random(0)) == MANY[:5]


def test_the_nearest_are_measured_again_and_strangers_beside_them() -> None:
    """Prevents clients that know the first nodes of the list alone, all of them the same ones."""
    known = {peer: float(number) for number, peer in enumerate(MANY[:50])}
    chosen = choose_pings(MANY, known, 30, random.Random(0))
    assert chosen[:20] == MANY[:20]
    assert len(set(chosen)) == 30


def test_round_by_round_the_nearest_are_found() -> None:
    """Prevents a choice that is stuck with whom it met first."""
    distances = {peer: random.Random(peer).uniform(0.0, 0.2) for peer in MANY}
    known: dict[str, float] = {}
    state = random.Random(1)
    for _ in range(200):
        known |= {peer: distances[peer] for peer in choose_pings(MANY, known, 12, state)}
    nearest = sorted(MANY, key=distances.__getitem__)[:4]
    assert set(nearest) <= known.keys()
    assert set(nearest) <= set(choose_pings(MANY, known, 12, state)[:8])


def test_those_who_left_are_not_measured() -> None:
    """Prevents pings of peers that are known but gone."""
    assert set(choose_pings(MANY[:40], {"gone": 0.0}, 10, random.Random(0))) <= {*MANY[:40]}
