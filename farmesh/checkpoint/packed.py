"""Weights as they are published, in 8 or 4 bits with scales beside them: unpacked as they are read.

A format says which stored tensors make up one weight, and makes numbers of them. Each weight is
unpacked on its own, so a block is held twice at the most in part, and a model never. What the
engine does not know is refused by name before anything is fetched.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch

from farmesh.errors import CheckpointError, UnsupportedModel

Read = Callable[[str], torch.Tensor]

# The 16 numbers of FP4 (E2M1; OCP Microscaling Formats v1.0, table 5).
_E2M1 = (0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0)
_FP4 = torch.tensor((*_E2M1, *(-number for number in _E2M1)))
_AWQ_ORDER = (0, 2, 4, 6, 1, 3, 5, 7)  # of the columns inside a word, as AutoAWQ packs them


@dataclass(frozen=True, slots=True)
class Format:
    """How weights of one kind are stored: beside ``name + suffixes[0]`` lie the other parts."""

    suffixes: tuple[str, ...]
    unpack: Callable[..., torch.Tensor]  # of the parts in order; None for one that is not there
    name: str = ""  # what takes the suffixes' place

    def weights(self, stored: Collection[str]) -> dict[str, list[str]]:
        """The stored parts of every weight in this format, by the weight's name."""
        first = self.suffixes[0]
        found = {}
        for key in stored:
            if key.endswith(first) and (len(self.suffixes) == 1 or self._beside(key, stored)):
                base = key.removesuffix(first)
                found[base + self.name] = [base + suffix for suffix in self.suffixes]
        return found

    def _beside(self, key: str, stored: Collection[str]) -> bool:
        return key.removesuffix(self.suffixes[0]) + self.suffixes[1] in stored


@dataclass(eq=False)
class Packing:
    """The weights of one checkpoint that are stored in parts; all others are read as they lie."""

    formats: tuple[Format, ...] = ()
    _parts: dict[str, tuple[Format, list[str]]] = field(default_factory=dict)

    def names(self, stored: Collection[str]) -> list[str]:
        """Of all tensors, with weights in the place of their parts."""
        known = frozenset(stored)
        used: set[str] = set()
        for kind in self.formats:
            for name, parts in kind.weights(known).items():
                self._parts[name] = kind, [part for part in parts if part in known]
                used |= set(parts)
        return [*(name for name in stored if name not in used), *self._parts]

    def parts(self, name: str) -> list[str]:
        """The stored tensors that make up one."""
        return self._parts[name][1] if name in self._parts else [name]

    def read(self, name: str, read: Read, dtype: torch.dtype) -> torch.Tensor:
        """One tensor; floating-point ones in ``dtype``.

        Raises: CheckpointError: it has a format that the configuration does not tell of.
        """
        if name not in self._parts:
            tensor = read(name)
            if tensor.is_floating_point() and tensor.itemsize < 2:
                raise CheckpointError(f"{name} is stored in 8 bits, and its scale is not known.")
            return tensor.to(dtype) if tensor.is_floating_point() else tensor
        kind, parts = self._parts[name]
        base = parts[0].removesuffix(kind.suffixes[0])
        values = [
            read(base + suffix) if base + suffix in parts else None for suffix in kind.suffixes
        ]
        return kind.unpack(*values).to(dtype)


def packing_of(described: Mapping[str, Any]) -> Packing:
    """How the weights of a ``config.json`` are stored.

    Raises: UnsupportedModel: in a way that is not known here.
    """
    told = described.get("quantization_config") or described.get("compression_config")
    if not told and isinstance(text := described.get("text_config"), Mapping):
        told = text.get("quantization_config")
    if not told:
        return Packing()
    method = str(told.get("quant_method"))
    if method not in _METHODS:
        raise UnsupportedModel(
            f"Weights packed by {method!r} cannot be read here; "
            f"known are {', '.join(sorted(_METHODS))}."
        )
    return Packing(_METHODS[method](told))


# --- FP8 with a scale per block of the weight (DeepSeek, Qwen) ------------------------------------


def _fp8(told: Mapping[str, Any]) -> tuple[Format, ...]:
    rows, columns = told.get("weight_block_size") or (128, 128)

    def unpack(weight: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
        """``[out, in]`` times a scale for each block, which at the edges may be cut off."""
        numbers = weight.float()
        if scale.dtype == torch.uint8:  # exponents alone
            scale = (scale.float() - 127.0).exp2()
        scale = scale.float()
        if scale.dim() == 2:
            scale = scale.repeat_interleave(rows, 0)[: weight.shape[0]]
            scale = scale.repeat_interleave(columns, 1)[:, : weight.shape[1]]
        return numbers.mul_(scale)

    return (Format((".weight", ".weight_scale_inv"), unpack, ".weight"),)


# --- MXFP4: 32 numbers share an exponent (gpt-oss) ------------------------------------------------


def _mxfp4(told: Mapping[str, Any]) -> tuple[Format, ...]:
    def unpack(blocks: torch.Tensor, scales: torch.Tensor) -> torch.Tensor:
        """``[experts, out, groups, 16]`` of two numbers a byte to ``[experts, in, out]``."""
        numbers = torch.empty(*blocks.shape[:-1], 2 * blocks.shape[-1])
        for expert, block in enumerate(blocks):
            numbers[expert, ..., 0::2] = _FP4[(block & 15).int()]
            numbers[expert, ..., 1::2] = _FP4[(block >> 4).int()]
        numbers *= (scales.float() - 127.0).exp2()[..., None]
        return numbers.flatten(2).transpose(1, 2).contiguous()

    return (Format(("_blocks", "_scales"), unpack),)


# --- compressed-tensors (Kimi, and what LLM Compressor makes) -------------------------------------


def _compressed(told: Mapping[str, Any]) -> tuple[Format, ...]:
    """
    Raises: UnsupportedModel: one of its formats that is not known here.
    """
    formats = {told.get("format")}
    for group in (told.get("config_groups") or {}).values():
        weights = group.get("weights") or {}
        formats.add(group.get("format"))
        bits = int(weights.get("num_bits") or 4)
        if not weights.get("symmetric", True):
            raise UnsupportedModel("compressed-tensors with zero points cannot be read here.")
    known = {None, "pack-quantized", "float-quantized", "int-quantized", "dense"}
    if formats - known:
        odd = ", ".join(str(name) for name in formats - known)
        raise UnsupportedModel(f"compressed-tensors in the format {odd} cannot be read here.")

    def unpack(
        packed: torch.Tensor, scale: torch.Tensor, shape: torch.Tensor | None
    ) -> torch.Tensor:
        """``[out, in / 8]`` words of eight 4-bit numbers, each 8 more than it means."""
        numbers = _from_words(packed, bits).float() - 2 ** (bits - 1)
        if shape is not None:
            numbers = numbers[:, : int(shape[1])]
        return _scaled(numbers, scale)

    return (
        Format((".weight_packed", ".weight_scale", ".weight_shape"), unpack, ".weight"),
        Format((".weight", ".weight_scale"), _scaled, ".weight"),
    )


def _scaled(weight: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
    """``[out, in]`` times ``[out, groups]``, ``[out, 1]`` or a single number."""
    numbers, scale = weight.float(), scale.float()
    if scale.dim() < 2 or scale.shape[1] == 1:
        return numbers.mul_(scale)
    return numbers.unflatten(1, (scale.shape[1], -1)).mul_(scale[..., None]).flatten(1)


# --- AWQ and GPTQ ---------------------------------------------------------------------------------


def _awq(told: Mapping[str, Any]) -> tuple[Format, ...]:
    """
    Raises: UnsupportedModel: another layout than that of AutoAWQ's GEMM kernels.
    """
    if str(told.get("version", "gemm")).lower() != "gemm" or int(told.get("bits", 4)) != 4:
        raise UnsupportedModel("AWQ weights are read in 4 bits and the layout 'gemm' only.")

    def unpack(words: torch.Tensor, scales: torch.Tensor, zeros: torch.Tensor) -> torch.Tensor:
        """``[in, out / 8]`` words to ``[out, in]``; scales ``[groups, out]``."""
        numbers, offsets = (_reordered(_from_words(part, 4)) for part in (words, zeros))
        size = numbers.shape[0] // scales.shape[0]
        offsets, scales = (part.repeat_interleave(size, 0) for part in (offsets, scales))
        return ((numbers - offsets).float() * scales.float()).T.contiguous()

    return (Format((".qweight", ".scales", ".qzeros"), unpack, ".weight"),)


def _reordered(numbers: torch.Tensor) -> torch.Tensor:
    """Columns of AWQ's words in their order."""
    words = numbers.unflatten(1, (-1, 8))
    ordered = torch.empty_like(words)
    ordered[..., list(_AWQ_ORDER)] = words
    return ordered.flatten(1)


def _gptq(told: Mapping[str, Any]) -> tuple[Format, ...]:
    """
    Raises: UnsupportedModel: a number of bits that does not divide a word.
    """
    bits = int(told.get("bits", 4))
    if bits not in (2, 4, 8):
        raise UnsupportedModel(f"GPTQ weights of {bits} bits cannot be read here.")
    # The first format stored zero points as one less than they are.
    less = 0 if told.get("checkpoint_format") == "gptq_v2" else 1

    def unpack(
        words: torch.Tensor, scales: torch.Tensor, zeros: torch.Tensor, groups: torch.Tensor | None
    ) -> torch.Tensor:
        """``[in / 8, out]`` words to ``[out, in]``; scales ``[groups, out]``, a group per input."""
        numbers = _from_words(words.T.contiguous(), bits).T
        offsets = (_from_words(zeros, bits) + less) & (2**bits - 1)
        if groups is None:
            groups = torch.arange(numbers.shape[0]) // (numbers.shape[0] // scales.shape[0])
        groups = groups.long()
        return ((numbers - offsets[groups]).float() * scales.float()[groups]).T.contiguous()

    return (Format((".qweight", ".scales", ".qzeros", ".g_idx"), unpack, ".weight"),)


def _from_words(words: torch.Tensor, bits: int) -> torch.Tensor:
    """``[rows, n]`` words of 32 bits to ``[rows, n x 32 / bits]`` numbers, lowest bits first."""
    shifts = torch.arange(0, 32, bits, dtype=torch.int32)
    return ((words.int()[..., None] >> shifts) & (2**bits - 1)).flatten(1)


_METHODS: dict[str, Callable[[Mapping[str, Any]], tuple[Format, ...]]] = {
    "fp8": _fp8,
    "mxfp4": _mxfp4,
    "compressed-tensors": _compressed,
    "awq": _awq,
    "gptq": _gptq,
}
