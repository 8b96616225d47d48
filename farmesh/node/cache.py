"""The KV cache of a node: one pool of pages, sessions admitted by the tokens they really hold.

Each session's tokens lie in one contiguous *extent* of pages per batch row, so attention reads
them in place, without a gather or a copy that grows with the context. An extent grows into the
free pages behind it; only when a neighbour is in the way does it move, once per collision.

:class:`PageAllocator` decides (pure); :class:`KVCache` holds the tensors.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial

import torch

from farmesh.core import Span

PAGE_TOKENS = 16  # internal waste is at most this per batch row
KEPT = 8  # snapshots of the states of one row of a session, at most
_LEAST = 1024  # bytes that a token counts as, where no block keeps keys


@dataclass(frozen=True, slots=True)
class KVShape:
    """What a block keeps of one token: keys and values of so many heads; or a state of all."""

    heads: int
    head_dim: int
    value_dim: int  # 0: the values are part of the keys
    state: int = 0  # bytes, however many the tokens

    @property
    def elements(self) -> int:
        return self.heads * (self.head_dim + self.value_dim)


@dataclass(eq=False, slots=True)
class Extent:
    """A run of pages that belongs to one batch row of one session."""

    start: int = 0  # page
    pages: int = 0

    @property
    def end(self) -> int:
        return self.start + self.pages

    @property
    def base(self) -> int:
        """The first token slot."""
        return self.start * PAGE_TOKENS

    @property
    def capacity(self) -> int:
        """Tokens that fit."""
        return self.pages * PAGE_TOKENS


@dataclass(frozen=True, slots=True)
class Move:
    """A copy of ``tokens`` slots that must happen before the next forward, in order."""

    source: int  # first slot
    target: int
    tokens: int


class OutOfPages(Exception):
    """Not enough free pages; the caller evicts, queues or refuses."""


@dataclass(slots=True)
class PageAllocator:
    """Which pages belong to whom. Extents are kept in address order."""

    total: int
    extents: list[Extent] = field(default_factory=list)
    used: int = 0
    lent: int = 0  # for what lies elsewhere, and takes the memory of so many

    @property
    def free(self) -> int:
        return self.total - self.used - self.lent

    def lend(self, pages: int) -> None:
        """Count pages as taken; a negative number gives them back.

        Raises:
            OutOfPages: fewer are free.
        """
        if pages > self.free:
            raise OutOfPages
        self.lent += pages

    def grow(self, extent: Extent, tokens: int) -> list[Move]:
        """Make ``extent`` hold at least ``tokens``; returns the copies this takes.

        Raises:
            OutOfPages: fewer pages are free than needed; nothing has changed.
        """
        pages = -(-tokens // PAGE_TOKENS)
        extra = pages - extent.pages
        if extra <= 0:
            return []
        if extra > self.free:
            raise OutOfPages
        if extent.pages and self._room_behind(extent) >= extra:
            extent.pages, self.used = pages, self.used + extra
            return []
        return self._relocate(extent, pages)

    def release(self, extent: Extent) -> None:
        """Give all pages back; the extent is empty afterwards."""
        if extent.pages:
            self.extents.remove(extent)
            self.used -= extent.pages
            extent.start = extent.pages = 0

    def shrink(self, extent: Extent, tokens: int) -> None:
        """Give back the pages behind the first ``tokens``."""
        pages = -(-tokens // PAGE_TOKENS)
        if pages >= extent.pages:
            return
        if pages == 0:
            self.release(extent)
        else:
            self.used -= extent.pages - pages
            extent.pages = pages

    def _room_behind(self, extent: Extent) -> int:
        index = self._index(extent)
        following = self.extents[index + 1].start if index + 1 < len(self.extents) else self.total
        return following - extent.end

    def _index(self, extent: Extent) -> int:
        return bisect_left(self.extents, extent.start, key=lambda other: other.start)

    def _relocate(self, extent: Extent, pages: int) -> list[Move]:
        """Move ``extent`` into the widest gap, or compact when no gap is wide enough."""
        source, held = extent.base, extent.pages
        if held:
            self.extents.remove(extent)
        start, width = self._widest_gap()
        if width < pages:
            if held:
                self.extents.insert(self._index(extent), extent)
            return self._compact_around(extent, pages)
        # Room on both sides, so that the left neighbour can grow in place too.
        extent.start = start + ((width - pages) // 2 if start else 0)
        extent.pages = pages
        self.extents.insert(self._index(extent), extent)
        self.used += pages - held
        if held and extent.base != source:
            return [Move(source, extent.base, held * PAGE_TOKENS)]
        return []

    def _widest_gap(self) -> tuple[int, int]:
        best, before = (0, 0), 0
        for extent in self.extents:
            if extent.start - before > best[1]:
                best = (before, extent.start - before)
            before = extent.end
        return (before, self.total - before) if self.total - before > best[1] else best

    def _compact_around(self, extent: Extent, pages: int) -> list[Move]:
        """Close all gaps, then open one of the wanted width behind ``extent`` (new: at the end)."""
        moves: list[Move] = []
        position = 0
        for other in self.extents:  # leftwards, in address order: nothing unread is overwritten
            self._slide(other, position, moves)
            position = other.end
        if not extent.pages:
            extent.start = position
            self.extents.append(extent)
        extra = pages - extent.pages
        for other in reversed(self.extents[self._index(extent) + 1 :]):  # rightwards, from the end
            self._slide(other, other.start + extra, moves)
        extent.pages = pages
        self.used += extra
        return moves

    @staticmethod
    def _slide(extent: Extent, start: int, moves: list[Move]) -> None:
        if extent.start != start:
            moves.append(Move(extent.base, start * PAGE_TOKENS, extent.capacity))
            extent.start = start


class KVCache:
    """Keys and values of a node's blocks: ``[kv_heads, slots, dim]`` each, as each block has them.

    On CPUs the pool is address space only until tokens are written to it.
    """

    def __init__(
        self,
        span: Span,
        *,
        tokens: int,
        shapes: Sequence[KVShape],
        dtype: torch.dtype,
        device: torch.device,
    ) -> None:
        pages = -(-tokens // PAGE_TOKENS)
        self.span = span
        self.allocator = PageAllocator(pages)
        slots = pages * PAGE_TOKENS
        make = partial(torch.empty, dtype=dtype, device=device)
        self._keys = [make((shape.heads, slots, shape.head_dim)) for shape in shapes]
        self._values = [make((shape.heads, slots, shape.value_dim)) for shape in shapes]
        kept = sum(shape.elements for shape in shapes) * dtype.itemsize  # of a token
        state = sum(shape.state for shape in shapes)
        # What a row's states take, its snapshots included, as if they were tokens.
        self.state_pages = -(-state * (1 + KEPT) // (max(kept, _LEAST) * PAGE_TOKENS))

    def __repr__(self) -> str:
        pages = self.allocator
        return f"<KVCache {pages.used}/{pages.total} pages of {PAGE_TOKENS} tokens, {self.span}>"

    @property
    def tokens_free(self) -> int:
        return self.allocator.free * PAGE_TOKENS

    @property
    def tokens_total(self) -> int:
        return self.allocator.total * PAGE_TOKENS

    def block(self, block: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Keys and values of one block (absolute index)."""
        index = block - self.span.start
        return self._keys[index], self._values[index]

    def apply(self, moves: list[Move]) -> None:
        """Carry out copies in order. Runs where the forwards run, between two of them."""
        for move in moves:
            overlap = abs(move.source - move.target) < move.tokens
            for pool in (*self._keys, *self._values):
                source = pool[:, move.source : move.source + move.tokens]
                target = pool[:, move.target : move.target + move.tokens]
                target.copy_(source.clone() if overlap else source)
