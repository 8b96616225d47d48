"""Slices of many sessions, packed into one tensor per span."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import zip_longest

import torch

from farmesh.core import Span
from farmesh.node.attention import PackedBatch, Segment
from farmesh.node.cache import KVCache
from farmesh.node.tick import Slice


@dataclass(frozen=True, slots=True)
class Group:
    """What one forward runs: slices that go through the same span."""

    span: Span
    slices: list[Slice]
    packed: PackedBatch

    def hidden_states(self) -> torch.Tensor:
        """``[1, tokens, hidden]``, batch rows one behind the other."""
        rows = [
            item.work.hidden_states[:, item.work.done : item.work.done + item.tokens].flatten(0, 1)
            for item in self.slices
        ]
        return (rows[0] if len(rows) == 1 else torch.cat(rows))[None]

    def parts(self, output: torch.Tensor) -> Iterator[tuple[Slice, torch.Tensor]]:
        """Of ``[1, tokens, hidden]`` each slice's own ``[batch, tokens, hidden]``."""
        row = 0
        for item in self.slices:
            count = item.work.batch * item.tokens
            yield item, output[:, row : row + count].reshape(item.work.batch, item.tokens, -1)
            row += count


def pack(slices: Iterable[Slice], cache: KVCache, device: torch.device) -> list[Group]:
    """One group per span; nearly always all sessions use the node's whole span."""
    by_span: dict[Span, list[Slice]] = {}
    for item in slices:
        by_span.setdefault(item.work.session.span, []).append(item)
    return [
        Group(span, group, PackedBatch(_segments(group), cache, device))
        for span, group in by_span.items()
    ]


def _segments(group: list[Slice]) -> list[Segment]:
    # Those of one LoRA beside one another: it then runs once for all of them.
    group.sort(key=lambda item: item.work.session.adapter or "")
    segments, row = [], 0
    for item in group:
        session, position = item.work.session, item.work.position + item.work.done
        for extent, states in zip_longest(session.rows, session.states):
            version = states.version if states else 0
            segments.append(
                Segment(row, item.tokens, extent.base, position, session.adapter, states, version)
            )
            row += item.tokens
    return segments
