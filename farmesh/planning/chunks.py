"""How to bring the hops of a route to the same position."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Chunk:
    """Tokens ``[start, end)`` to run through the hops up to and including ``last_hop``."""

    start: int
    end: int
    last_hop: int

    def __len__(self) -> int:
        return self.end - self.start


def plan_chunks(positions: Sequence[int], upto: int, size: int) -> list[Chunk]:
    """How to bring every hop to ``upto`` tokens, given the tokens each holds.

    A chunk starts where the emptiest hop ends and runs through all hops up to the last one that
    lacks it; the fuller ones before it are rewound to its start and recompute what they held,
    because the emptier ones behind need their output. Fuller hops behind are not bothered.
    """
    start = min(positions)
    bounds = sorted({position for position in positions if start < position < upto} | {upto})
    chunks = []
    for bound in bounds:
        while start < bound:
            end = min(bound, start + size)
            last = max(index for index, position in enumerate(positions) if position <= start)
            chunks.append(Chunk(start, end, last))
            start = end
    return chunks


def first_starts(chunks: Sequence[Chunk], hops: int) -> list[int]:
    """Where each hop's first chunk starts, of chunks whose last one runs through all hops."""
    return [next(one.start for one in chunks if one.last_hop >= hop) for hop in range(hops)]
