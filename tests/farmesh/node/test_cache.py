"""KV cache pages: nobody's tokens are lost, shared or overwritten, whatever the order of events."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from farmesh.core import Span
from farmesh.node.cache import (
    PAGE_TOKENS,
    Extent,
    KVCache,
    KVShape,
    Move,
    OutOfPages,
    PageAllocator,
)

PAGES = 12


class Pages(RuleBasedStateMachine):
    """A memory of slots beside the allocator: moves are carried out as the worker would."""

    extents = Bundle("extents")

    def __init__(self) -> None:
        super().__init__()
        self.pages = PageAllocator(PAGES)
        self.slots: list[object] = [None] * (PAGES * PAGE_TOKENS)
        self.contents: dict[int, list[object]] = {}
        self.alive: dict[int, Extent] = {}

    @rule(target=extents)
    def open(self) -> Extent:
        extent = Extent()
        self.alive[id(extent)] = extent
        self.contents[id(extent)] = []
        return extent

    @rule(extent=extents, tokens=st.integers(1, 80))
    def grow(self, extent: Extent, tokens: int) -> None:
        held = self.contents[id(extent)]
        needed = -(-(len(held) + tokens) // PAGE_TOKENS) - extent.pages
        layout = [(other.start, other.pages) for other in self.alive.values()]
        try:
            moves = self.pages.grow(extent, len(held) + tokens)
        except OutOfPages:
            assert needed > self.pages.free
            assert layout == [(other.start, other.pages) for other in self.alive.values()]
            return
        assert needed <= 0 or self.pages.used <= PAGES
        for move in moves:
            self._copy(move)
        for index in range(len(held), len(held) + tokens):
            value = object()
            held.append(value)
            self.slots[extent.base + index] = value

    @rule(extent=extents, keep=st.floats(0, 1))
    def rewind(self, extent: Extent, keep: float) -> None:
        held = self.contents[id(extent)]
        del held[int(len(held) * keep) :]
        self.pages.shrink(extent, len(held))

    @rule(extent=consumes(extents))
    def close(self, extent: Extent) -> None:
        self.pages.release(extent)
        assert extent.pages == 0
        del self.alive[id(extent)], self.contents[id(extent)]

    def _copy(self, move: Move) -> None:
        part = self.slots[move.source : move.source + move.tokens]
        assert len(part) == move.tokens
        self.slots[move.target : move.target + move.tokens] = part

    @invariant()
    def nothing_overlaps_and_the_sums_agree(self) -> None:
        ranges = sorted(
            (extent.start, extent.end) for extent in self.alive.values() if extent.pages
        )
        assert all(one[1] <= other[0] for one, other in pairwise(ranges))
        assert not ranges or ranges[-1][1] <= PAGES
        assert self.pages.used == sum(end - start for start, end in ranges)
        assert self.pages.free == PAGES - self.pages.used
        starts = [extent.start for extent in self.pages.extents]
        assert starts == sorted(starts)
        assert {id(extent) for extent in self.pages.extents} == {
            key for key, extent in self.alive.items() if extent.pages
        }

    @invariant()
    def everybody_still_holds_their_tokens(self) -> None:
        for key, extent in self.alive.items():
            held = self.contents[key]
            assert len(held) <= extent.capacity
            assert self.slots[extent.base : extent.base + len(held)] == held


Pages.TestCase.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)


class TestPages(Pages.TestCase):
    """Prevents extents that overlap, pages that leak, and moves that overwrite unread tokens."""


def filled(allocator: PageAllocator, *pages: int) -> list[Extent]:
    extents = [Extent() for _ in pages]
    for extent, count in zip(extents, pages, strict=True):
        allocator.grow(extent, count * PAGE_TOKENS)
    return extents


def test_every_page_can_be_used() -> None:
    """Prevents refusals while pages are free but scattered."""
    allocator = PageAllocator(PAGES)
    extents = filled(allocator, *[1] * PAGES)
    assert allocator.free == 0
    for extent in extents[::2]:
        allocator.release(extent)
    (wide,) = filled(allocator, PAGES // 2)
    assert wide.pages == PAGES // 2
    assert allocator.free == 0


def test_a_refusal_changes_nothing() -> None:
    """Prevents a half-done growth that loses the caller's pages."""
    allocator = PageAllocator(4)
    one, _ = filled(allocator, 2, 1)
    before = (one.start, one.pages, allocator.used)
    with pytest.raises(OutOfPages):
        allocator.grow(one, 4 * PAGE_TOKENS)
    assert (one.start, one.pages, allocator.used) == before


def test_growing_alone_never_moves() -> None:
    """Prevents copies that grow with the context while nobody is in the way."""
    allocator = PageAllocator(64)
    extent = Extent()
    for tokens in range(1, 64 * PAGE_TOKENS + 1, 7):
        assert allocator.grow(extent, tokens) == []


def test_interleaved_decoding_moves_rarely() -> None:
    """Prevents eight chats that grow in turn from copying their caches at every page."""
    allocator = PageAllocator(1024)
    extents = [Extent() for _ in range(8)]
    moved = 0
    for tokens in range(1, 1000):
        for extent in extents:
            moved += sum(move.tokens for move in allocator.grow(extent, tokens))
    assert moved < 8 * 1000  # each token copied less than once


@pytest.mark.parametrize("distance", [-16, -5, 5, 16, 100])
def test_overlapping_moves_copy_what_was_there(distance: int) -> None:
    """Prevents a copy that reads what it has just written."""
    cache = KVCache(
        Span(1, 3),
        tokens=256,
        shapes=[KVShape(2, 4, 4)] * 2,
        dtype=torch.float32,
        device=torch.device("cpu"),
    )
    keys, values = cache.block(2)
    keys.copy_(torch.randn_like(keys))
    values.copy_(torch.randn_like(values))
    wanted = keys[:, 20:60].clone(), values[:, 20:60].clone()
    cache.apply([Move(20, 20 + distance, 40)])
    assert torch.equal(keys[:, 20 + distance : 60 + distance], wanted[0])
    assert torch.equal(values[:, 20 + distance : 60 + distance], wanted[1])
