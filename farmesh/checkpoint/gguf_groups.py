"""A GGUF file's own blocks as groups of whole numbers, for those formats where nothing is lost.

The layouts are those of ggml-common.h. Formats with scales for fewer than 32 weights (Q2_K, Q3_K,
Q6_K and most IQ ones) are not here.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from gguf import GGMLQuantizationType as Kind
from gguf.quants import IQ4_NL, Q4_K

from farmesh.kernels.groups import GROUP, Floats, Grouped, Numbers

Bytes = npt.NDArray[np.uint8]

_FORMATS: dict[Kind, Callable[[Bytes], Grouped]] = {}


def groups_in(kind: Kind, data: Bytes, shape: tuple[int, ...]) -> Grouped | None:
    """The matrix ``[outs, ins]`` in ``data``; None where the format has other groups."""
    read = _FORMATS.get(kind)
    if read is None or len(shape) != 2 or shape[1] % GROUP:
        return None
    outs = shape[0]
    return read(data.reshape(outs, -1))


def has_groups(kind: Kind) -> bool:
    """Whether tensors of this format come out of the file without loss."""
    return kind in _FORMATS


def _format(kind: Kind) -> Callable[[Callable[[Bytes], Grouped]], Callable[[Bytes], Grouped]]:
    def register(read: Callable[[Bytes], Grouped]) -> Callable[[Bytes], Grouped]:
        _FORMATS[kind] = read
        return read

    return register


@_format(Kind.Q8_0)
def _q8_0(rows: Bytes) -> Grouped:
    scales, numbers = _parts(rows, 2, 32)
    return Grouped(_flat(numbers.view(np.int8)), _halves(scales))


@_format(Kind.Q4_0)
def _q4_0(rows: Bytes) -> Grouped:
    scales, packed = _parts(rows, 2, 16)
    return Grouped(_flat(_nibbles(packed)), _halves(scales), bits=4, centered=True)


@_format(Kind.Q4_1)
def _q4_1(rows: Bytes) -> Grouped:
    scales, minima, packed = _parts(rows, 2, 2, 16)
    return Grouped(_flat(_nibbles(packed)), _halves(scales), _halves(minima), bits=4)


@_format(Kind.Q5_0)
def _q5_0(rows: Bytes) -> Grouped:
    scales, high, packed = _parts(rows, 2, 4, 16)
    return Grouped(_flat(_fives(packed, high) - np.int8(16)), _halves(scales))


@_format(Kind.Q5_1)
def _q5_1(rows: Bytes) -> Grouped:
    scales, minima, high, packed = _parts(rows, 2, 2, 4, 16)
    return Grouped(_flat(_fives(packed, high)), _halves(scales), _halves(minima))


@_format(Kind.IQ4_NL)
def _iq4_nl(rows: Bytes) -> Grouped:
    scales, packed = _parts(rows, 2, 16)
    values = np.array(IQ4_NL.kvalues, np.int8)
    return Grouped(_flat(values[_nibbles(packed)]), _halves(scales))


@_format(Kind.Q4_K)
def _q4_k(rows: Bytes) -> Grouped:
    steps, packed = _parts(rows, 16, 128)
    scales, minima = _scales_of_k(steps)
    # 64 weights in 32 bytes: the low halves are one group, the high ones the next.
    pairs = packed.reshape(*packed.shape[:-1], 4, 1, GROUP)
    numbers = np.concatenate([pairs & 15, pairs >> 4], axis=-2)
    return Grouped(_flat(numbers.view(np.int8)), scales, minima, bits=4, wide=True)


@_format(Kind.Q5_K)
def _q5_k(rows: Bytes) -> Grouped:
    steps, high, packed = _parts(rows, 16, 32, 128)
    scales, minima = _scales_of_k(steps)
    pairs = packed.reshape(*packed.shape[:-1], 4, 1, GROUP)
    low = np.concatenate([pairs & 15, pairs >> 4], axis=-2)
    low = low.reshape(*packed.shape[:-1], 8, GROUP)
    bits = np.arange(8, dtype=np.uint8)[:, None]
    fifth = (high[..., None, :] >> bits) & 1
    return Grouped(_flat((low | fifth << 4).view(np.int8)), scales, minima, wide=True)


def _parts(rows: Bytes, *sizes: int) -> list[Bytes]:
    """Each block's fields: ``[outs, blocks, size]`` for every size."""
    blocks = rows.reshape(len(rows), -1, sum(sizes))
    ends = np.cumsum(sizes)[:-1].tolist()
    return [np.ascontiguousarray(part) for part in np.split(blocks, ends, axis=-1)]


def _halves(fields: Bytes) -> Floats:
    return fields.view(np.float16)[..., 0].astype(np.float32)


def _nibbles(packed: Bytes) -> Numbers:
    """The low halves of 16 bytes, then their high halves."""
    return np.concatenate([packed & 15, packed >> 4], axis=-1).view(np.int8)


def _fives(packed: Bytes, high: Bytes) -> Numbers:
    fifth = np.unpackbits(high, axis=-1, bitorder="little")
    return _nibbles(packed) | (fifth << 4).view(np.int8)


def _scales_of_k(steps: Bytes) -> tuple[Floats, Floats]:
    """Of K-quants: ``[outs, groups]`` scales and minima, from two halves and 8 of 6 bits each."""
    outs, blocks, _ = steps.shape
    factors = steps[..., :4].copy().view(np.float16).astype(np.float32)
    scales, minima = Q4_K.get_scale_min(steps[..., 4:].reshape(outs * blocks, 12))
    scale = factors[..., :1] * scales.reshape(outs, blocks, 8).astype(np.float32)
    minimum = factors[..., 1:] * minima.reshape(outs, blocks, 8).astype(np.float32)
    return scale.reshape(outs, -1), -minimum.reshape(outs, -1)


def _flat(numbers: Numbers) -> Numbers:
    return numbers.reshape(len(numbers), -1)
