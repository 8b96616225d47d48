"""Which stack runs a node's blocks, and in how many bits their weights are kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from farmesh.checkpoint.reader import Checkpoint
from farmesh.core import Span
from farmesh.errors import ConfigError, UnsupportedModel
from farmesh.kernels.compiling import why_not
from farmesh.kernels.groups import packed_bytes
from farmesh.node.blocks import BlockStack
from farmesh.node.fast import FastStack, block_matrices, is_fast
from farmesh.node.lora import LoraAdapter
from farmesh.node.quantize import block_bytes, check_quantization

Stack = BlockStack | FastStack

KINDS = ("auto", "none", "int8", "int4", "nf4")
_BITS = {"int8": 8, "int4": 4}
_MOST_OF_FOUR = 6.5  # bits a weight, scales included: a file of so few is announced as int4


@dataclass(frozen=True, slots=True)
class Weights:
    """How a node keeps the weights of its blocks."""

    kind: str  # none | int8 | int4 | nf4, as it is announced
    bits: int | None = (
        None  # of the kernels' matrices that a file has in more; None: torch's layers
    )


def choose_weights(
    kind: str,
    checkpoint: Checkpoint,
    device: torch.device,
    dtype: torch.dtype,
    adapters: Sequence[LoraAdapter] = (),
) -> Weights:
    """What ``--quantize`` means for this model on this machine.

    Raises:
        ConfigError: there is no such kind, or it needs an extra that is not installed.
        UnsupportedModel: these weights cannot be kept so.
    """
    if kind not in KINDS:
        raise ConfigError(f"quantize must be one of {', '.join(KINDS)}, not {kind!r}.")
    if kind == "none":
        return Weights("none")
    if kind == "auto":
        return _as_stored(checkpoint, device, dtype, adapters)
    if kind in _BITS and not adapters and is_fast(checkpoint, device, dtype):
        return Weights(kind, _BITS[kind])
    if kind == "int4":
        raise UnsupportedModel(
            f"{checkpoint.name} cannot be kept in int4 here: that takes a CPU, float32, no "
            f"adapters, and blocks like Llama's. {why_not()}".strip()
        )
    check_quantization(kind, checkpoint)
    return Weights(kind)


def _as_stored(
    checkpoint: Checkpoint,
    device: torch.device,
    dtype: torch.dtype,
    adapters: Sequence[LoraAdapter],
) -> Weights:
    """A file's own 8 or 4 bits where the kernels take them, floating point for all else."""
    bits = _stored_bits(checkpoint)
    if bits is None or adapters or not is_fast(checkpoint, device, dtype):
        return Weights("none")
    return Weights("int4" if bits < _MOST_OF_FOUR else "int8", 8)


def weight_bytes(checkpoint: Checkpoint, weights: Weights, dtype: torch.dtype) -> int:
    """Memory for the weights of one block."""
    if weights.bits is None:
        return block_bytes(checkpoint, weights.kind, dtype)
    return sum(
        checkpoint.stored_bytes(name) or packed_bytes(shape, weights.bits)
        for name, shape in block_matrices(checkpoint).items()
    )


def make_stack(
    checkpoint: Checkpoint,
    span: Span,
    device: torch.device,
    dtype: torch.dtype,
    *,
    weights: Weights,
    adapters: Sequence[LoraAdapter] = (),
) -> Stack:
    if weights.bits is not None:
        return FastStack(checkpoint, span, bits=weights.bits)
    return BlockStack(checkpoint, span, device, dtype, quantize=weights.kind, adapters=adapters)


def _stored_bits(checkpoint: Checkpoint) -> float | None:
    """Bits a weight in the files; None where they hold matrices in floating point."""
    total = count = 0
    for name, (outs, ins) in block_matrices(checkpoint).items():
        size = checkpoint.stored_bytes(name)
        if size is None:
            return None
        total, count = total + size, count + outs * ins
    return 8 * total / count
