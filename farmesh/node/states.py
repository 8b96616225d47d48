"""Recurrent states: what linear attention, convolutions and the like keep instead of keys.

A state is of one position only. So that a session can go back, states are kept as snapshots at the
places where people go back to: before and at the end of every prompt's piece, and every few hundred
tokens of a long one. Going back means the nearest snapshot at or before the place asked for, for
all blocks alike; the client runs what is between again.

How modules come to their states: :mod:`farmesh.node.recurrent`.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch

from farmesh.node.cache import KEPT

EVERY = 256  # tokens between snapshots of a long prompt


@dataclass(eq=False, slots=True)
class BlockState:
    """One block's state in one row; what transformers' modules ask of a cache, for one layer."""

    conv: dict[int, torch.Tensor] = field(default_factory=dict)
    recurrent: dict[int, torch.Tensor] = field(default_factory=dict)

    def copy(self) -> BlockState:
        """Modules change states in place."""
        return BlockState(
            {index: state.clone() for index, state in self.conv.items()},
            {index: state.clone() for index, state in self.recurrent.items()},
        )

    @property
    def nbytes(self) -> int:
        return sum(state.nbytes for state in (*self.conv.values(), *self.recurrent.values()))

    def get_conv_state(self, layer_idx: int, state_idx: int = 0) -> torch.Tensor | None:
        return self.conv.get(state_idx)

    def get_recurrent_state(self, layer_idx: int, state_idx: int = 0) -> torch.Tensor | None:
        return self.recurrent.get(state_idx)

    def is_recording_past(self, layer_idx: int) -> bool:
        return False

    def update_conv_state(
        self,
        new: torch.Tensor,
        layer_idx: int,
        state_idx: int = 0,
        conv_kernel_size: int | None = None,
        **_: Any,
    ) -> torch.Tensor:
        """Append ``[1, channels, tokens]``; all that the convolution has to see of it."""
        before = self.conv.get(state_idx)
        kept = conv_kernel_size or (new if before is None else before).shape[-1]
        seen = new if before is None else torch.cat([before, new], dim=-1)
        last = seen[..., -kept:]
        if last.shape[-1] < kept:
            last = torch.nn.functional.pad(last, (kept - last.shape[-1], 0))
            seen = last if before is None else seen
        self.conv[state_idx] = last.clone()
        return seen

    def update_recurrent_state(
        self, new: torch.Tensor, layer_idx: int, state_idx: int = 0, **_: Any
    ) -> torch.Tensor:
        self.recurrent[state_idx] = new.clone()
        return self.recurrent[state_idx]


class RowStates:
    """The states of one batch row of one session, in all blocks of its span.

    A forward runs in another thread than rewinds: each block's part of a forward is one piece, and
    a forward that was packed before a rewind goes on with states that are thrown away.
    """

    def __init__(self) -> None:
        self.version = 0  # goes up with every rewind
        self._now: dict[int, BlockState] = {}  # by block
        self._snapshots: dict[int, dict[int, BlockState]] = {}  # by position, then by block
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        return f"<RowStates {len(self._now)} blocks, snapshots at {sorted(self._snapshots)}>"

    def rewind(self, position: int) -> int:
        """Go back to the nearest snapshot at or before ``position``; where that is."""
        with self._lock:
            self.version += 1
            blocks = self._now.keys()
            whole = [at for at, saved in self._snapshots.items() if saved.keys() >= blocks]
            nearest = max((at for at in whole if at <= position), default=0)
            found = self._snapshots.get(nearest, {})
            self._now = {block: state.copy() for block, state in found.items()}
            self._snapshots = {at: saved for at, saved in self._snapshots.items() if at <= nearest}
            return nearest

    def run(
        self, block: int, version: int, work: Callable[[BlockState, RowStates | None], Any]
    ) -> Any:
        """Do one block's part of a forward on its state.

        ``work`` gets these states too, for its snapshots; None: the session was rewound since.
        """
        with self._lock:
            if version != self.version:
                return work(BlockState(), None)
            return work(self._now.setdefault(block, BlockState()), self)

    def save(self, block: int, position: int) -> None:
        """Keep a block's state, which is that of ``position`` tokens. Called inside :meth:`run`."""
        if position == 0:
            return
        self._snapshots.setdefault(position, {})[block] = self._now[block].copy()
        while len(self._snapshots) > KEPT:
            del self._snapshots[_spared(sorted(self._snapshots))]


def _spared(positions: list[int]) -> int:
    """Which of these snapshots is missed least: the one nearest behind another, not of the newest.

    What is lost is the replay of the tokens between the two.
    """
    older = positions[: -KEPT // 2]
    gaps = {at: at - before for before, at in zip([0, *older], older, strict=False)}
    return min(gaps, key=lambda at: (gaps[at], at))
