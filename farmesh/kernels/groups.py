"""Weights as whole numbers: groups of 32 inputs with a scale each, and perhaps a minimum.

That is what most formats of GGUF files are, so that they come here without loss; and what is made
of any matrix in floating point. A weight is ``scale * number + minimum``.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

Numbers = npt.NDArray[np.int8]
Floats = npt.NDArray[np.float32]

GROUP = 32  # inputs that share a scale
FOUR_BITS, MINIMA, WIDE, CENTERED = 1, 2, 4, 8  # of a matrix, as kernels.c has them
_SHRINKS = np.linspace(1.0, 0.8, 9, dtype=np.float32)  # of a group's range, tried for four bits
_PIECE = 256  # rows that are rounded at once


@dataclass(frozen=True, slots=True, eq=False)
class Grouped:
    """A matrix of ``[outs, ins]`` weights, one per output in a row.

    ``numbers`` are as large as ``bits`` says: from 0 to 15 (``centered``: 8 less), or any int8.
    ``wide`` scales and minima need float32; others are float16 numbers exactly.
    """

    numbers: Numbers  # [outs, ins]
    scales: Floats  # [outs, ins / GROUP]
    minima: Floats | None = None  # the same
    bits: int = 8  # or 4
    centered: bool = False
    wide: bool = False

    @property
    def shape(self) -> tuple[int, int]:
        outs, ins = self.numbers.shape
        return outs, ins

    @property
    def flags(self) -> int:
        chosen = (
            (FOUR_BITS, self.bits == 4),
            (MINIMA, self.minima is not None),
            (WIDE, self.wide),
            (CENTERED, self.centered),
        )
        return sum(flag for flag, holds in chosen if holds)

    def rows(self, order: npt.NDArray[np.intp] | slice) -> Grouped:
        """Some of its outputs, in another order perhaps."""
        minima = None if self.minima is None else self.minima[order]
        return replace(self, numbers=self.numbers[order], scales=self.scales[order], minima=minima)

    def floats(self) -> Floats:
        """The weights, ``[outs, ins]``."""
        outs, ins = self.shape
        numbers = self.numbers.reshape(outs, -1, GROUP).astype(np.float32)
        if self.centered:
            numbers -= 8
        weights = numbers * self.scales[..., None]
        if self.minima is not None:
            weights += self.minima[..., None]
        return weights.reshape(outs, ins)


def can_be_grouped(ins: int) -> bool:
    """Whether a matrix of so many inputs has whole groups."""
    return ins > 0 and ins % GROUP == 0


def packed_bytes(shape: tuple[int, int], bits: int) -> int:
    """What :func:`grouped` makes of a matrix takes in memory."""
    outs, ins = shape
    return outs * (ins // GROUP) * (GROUP * bits // 8 + (2 if bits == 8 else 4))


def grouped(weights: Floats, bits: int) -> Grouped:
    """Round a matrix ``[outs, ins]`` to 8 bits (symmetric) or 4 (between minimum and maximum)."""
    outs, ins = weights.shape
    rounded = _in_eight if bits == 8 else _in_four
    numbers = np.empty((outs, ins), np.int8)
    scales = np.empty((outs, ins // GROUP), np.float32)
    minima = None if bits == 8 else np.empty_like(scales)
    for start in range(0, outs, _PIECE):
        piece = slice(start, start + _PIECE)
        part = weights[piece].astype(np.float32).reshape(-1, ins // GROUP, GROUP)
        whole, scales[piece], least = rounded(part)
        numbers[piece] = whole.reshape(-1, ins)
        if minima is not None:
            minima[piece] = least
    return Grouped(numbers, scales, minima, bits)


def _in_eight(weights: Floats) -> tuple[Numbers, Floats, Floats]:
    """``[outs, groups, GROUP]`` to numbers from -127 to 127, scales and no minima."""
    scales = _half(np.abs(weights).max(axis=-1) / 127)
    return _divided(weights, scales, -127, 127), scales, np.zeros_like(scales)


def _in_four(weights: Floats) -> tuple[Numbers, Floats, Floats]:
    """``[outs, groups, GROUP]`` to numbers from 0 to 15, scales and minima.

    Of some narrower ranges around each group's middle the one with the least square error.
    """
    low, high = weights.min(axis=-1), weights.max(axis=-1)
    middle, reach = (low + high) / 2, (high - low) / 2
    best: tuple[Numbers, Floats, Floats] | None = None
    least = np.full_like(low, np.inf)
    for shrink in _SHRINKS:
        scales, minima = _half(reach * shrink * 2 / 15), _half(middle - reach * shrink)
        numbers = _divided(weights - minima[..., None], scales, 0, 15)
        made = numbers * scales[..., None] + minima[..., None]
        error = np.square(made - weights).sum(axis=-1)
        better = error < least
        least = np.where(better, error, least)
        if best is None:
            best = numbers, scales, minima
        else:
            best = (
                np.where(better[..., None], numbers, best[0]),
                np.where(better, scales, best[1]),
                np.where(better, minima, best[2]),
            )
    return best if best is not None else _in_eight(weights)


def _divided(weights: Floats, scales: Floats, low: int, high: int) -> Numbers:
    inverse = np.divide(1, scales, out=np.zeros_like(scales), where=scales != 0)
    return np.clip(np.rint(weights * inverse[..., None]), low, high).astype(np.int8)


def _half(numbers: Floats) -> Floats:
    """Rounded to float16, in which they are kept."""
    return numbers.astype(np.float16).astype(np.float32)
