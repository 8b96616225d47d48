"""A GGUF file's metadata as transformers' configuration.

The names are mapped by transformers' own table. It leaves out what follows here: llama.cpp keeps
scaled rotary positions as tensors of divisors, and a few facts that make a family's large models
differ from its small ones only in its code.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from transformers.integrations.ggml import GGUF_CONFIG_MAPPING

from farmesh.checkpoint.gguf_model import GgufModel, Numbers
from farmesh.errors import CheckpointError, UnsupportedModel

# Architectures that have been compared with transformers, and what it calls them.
MODEL_TYPES = {
    "llama": "llama",
    "qwen2": "qwen2",
    "qwen3": "qwen3",
    "gemma2": "gemma2",
    "gemma3": "gemma3_text",
    "phi3": "phi3",
    "bloom": "bloom",
}
_EMBEDDINGS = "token_embd.weight"
ROPE_FREQS = "rope_freqs.weight"
ROPE_LONG, ROPE_SHORT = "rope_factors_long.weight", "rope_factors_short.weight"
_LLAMA3 = {"low_freq_factor": 1.0, "high_freq_factor": 4.0}  # of all Llama 3.1 and newer
_SIZES = ("embedding_length", "attention.head_count", "context_length")
_OPTIONAL_SIZES = ("attention.head_count_kv", "feed_forward_length", "rope.dimension_count")
# Models whose attention is scaled by hidden size / heads: llama.cpp knows them by their blocks.
_SCALED_BY_HIDDEN = {("gemma2", 46), ("gemma3", 62)}  # the ones of 27B


def describe(model: GgufModel) -> dict[str, Any]:
    """What ``config.json`` would say.

    Raises:
        UnsupportedModel: files of this architecture, or of this variant, cannot be served.
        CheckpointError: the metadata cannot be right.
    """
    arch = model.architecture
    if arch not in MODEL_TYPES:
        raise UnsupportedModel(
            f"GGUF files of the architecture {arch!r} cannot be served here. "
            f"Supported: {', '.join(sorted(MODEL_TYPES))}."
        )
    if model.metadata.get(f"{arch}.expert_count"):
        raise UnsupportedModel(
            f"{model.name} is a mixture of experts, which cannot be served from GGUF files."
        )
    return (
        _mapped(model)
        | _sizes(model)
        | _special_tokens(model)
        | {
            "model_type": MODEL_TYPES[arch],
            "tie_word_embeddings": arch == "bloom" or "output.weight" not in model.tensors,
        }
        | _ADDED.get(arch, lambda model: {})(model)
        | _rope(model)
    )


def _mapped(model: GgufModel) -> dict[str, Any]:
    """What transformers' table knows."""
    found: dict[str, Any] = {}
    for key, name in GGUF_CONFIG_MAPPING[model.architecture].items():
        value = model.metadata.get(f"{model.architecture}.{key}")
        if name is not None and isinstance(value, int | float):
            found[name] = value
    return found


def _sizes(model: GgufModel) -> dict[str, Any]:
    """Sizes that must be there and agree with the tensors."""
    arch = model.architecture
    names = GGUF_CONFIG_MAPPING[arch]
    wanted = [*_SIZES, *(k for k in _OPTIONAL_SIZES if f"{arch}.{k}" in model.metadata)]
    sizes = {names[key]: model.size(key) for key in wanted if names.get(key)}
    sizes[names["block_count"]] = model.num_blocks
    embeddings = model.tensors.get(_EMBEDDINGS)
    if embeddings is None or embeddings.shape[1:] != (sizes["hidden_size"],):
        raise CheckpointError(
            f"{model.first} cannot be used: its embeddings are missing, or of another width than "
            "it says."
        )
    return {**sizes, "vocab_size": embeddings.shape[0]}


def _special_tokens(model: GgufModel) -> dict[str, int | None]:
    """None where the file names none that there is: the defaults are those of another model."""
    found: dict[str, int | None] = {}
    for key, name in GGUF_CONFIG_MAPPING["tokenizer"].items():
        value = model.metadata.get(f"tokenizer.{key}")
        known = isinstance(value, int) and 0 <= value < model.tensors[_EMBEDDINGS].shape[0]
        found[name] = value if known and isinstance(value, int) else None
    return found


# --- What transformers' table leaves out ----------------------------------------------------------


def _llama(model: GgufModel) -> dict[str, Any]:
    bias = {"attention_bias": "blk.0.attn_q.bias" in model.tensors}
    return bias | _head_dim(model)


def _head_dim(model: GgufModel) -> dict[str, Any]:
    key = "attention.key_length"
    known = f"{model.architecture}.{key}" in model.metadata
    return {"head_dim": model.size(key)} if known else {}


def _gemma(model: GgufModel) -> dict[str, Any]:
    arch = model.architecture
    head_dim = model.size("attention.key_length")
    by_hidden = (arch, model.num_blocks) in _SCALED_BY_HIDDEN
    scaled_by = model.size("embedding_length") // model.size("attention.head_count")
    found: dict[str, Any] = {
        "head_dim": head_dim,
        "query_pre_attn_scalar": scaled_by if by_hidden else head_dim,
    }
    for key in ("attn_logit_softcapping", "final_logit_softcapping"):
        value = model.metadata.get(f"{arch}.{key}")
        if isinstance(value, float) and value > 0:
            found[key] = value
    local = model.metadata.get(f"{arch}.rope.freq_base_swa")
    return found | ({"rope_local_base_freq": local} if isinstance(local, float) else {})


def _phi3(model: GgufModel) -> dict[str, Any]:
    head_dim = model.size("embedding_length") // model.size("attention.head_count")
    rotated = model.metadata.get("phi3.rope.dimension_count", head_dim)
    window = model.metadata.get("phi3.attention.sliding_window")
    found: dict[str, Any] = {}
    if rotated != head_dim:
        found["partial_rotary_factor"] = model.size("rope.dimension_count") / head_dim
    if window:
        found["sliding_window"] = model.size("attention.sliding_window")
    return found


_ADDED: dict[str, Callable[[GgufModel], dict[str, Any]]] = {
    "llama": _llama,
    "qwen3": _head_dim,
    "gemma2": _gemma,
    "gemma3": _gemma,
    "phi3": _phi3,
}


# --- Scaled rotary positions ----------------------------------------------------------------------


def _rope(model: GgufModel) -> dict[str, Any]:
    arch, metadata = model.architecture, model.metadata
    if arch == "bloom":  # its positions are in its attention's scores
        return {}
    if ROPE_LONG in model.tensors or ROPE_SHORT in model.tensors:
        return _longrope(model)
    if ROPE_FREQS in model.tensors:
        theta = metadata.get(f"{arch}.rope.freq_base", 10000.0)
        return _llama3(model, _divisors(model, ROPE_FREQS), theta)
    kind = metadata.get(f"{arch}.rope.scaling.type", "none")
    factor = metadata.get(f"{arch}.rope.scaling.factor", metadata.get(f"{arch}.rope.scale_linear"))
    if kind == "yarn" and isinstance(factor, float):
        original = model.size("rope.scaling.original_context_length")
        return _scaling("yarn", factor=factor, original_max_position_embeddings=original)
    if kind == "linear" or (kind == "none" and factor not in (None, 0.0, 1.0)):
        if not isinstance(factor, float) or not factor > 0:
            raise _unknown_positions(model)
        return _scaling("linear", factor=factor) if factor != 1.0 else {}
    if kind != "none":
        raise _unknown_positions(model)
    return {}


def _scaling(kind: str, **options: Any) -> dict[str, Any]:
    return {"rope_scaling": {"rope_type": kind, **options}}


def _divisors(model: GgufModel, name: str) -> Numbers:
    if len(model.tensors[name].shape) != 1 or model.tensors[name].shape[0] > 1024:
        raise _unknown_positions(model)
    return model.numbers(name)


def _longrope(model: GgufModel) -> dict[str, Any]:
    if not {ROPE_LONG, ROPE_SHORT} <= model.tensors.keys() or model.architecture != "phi3":
        raise _unknown_positions(model)
    original = model.size("rope.scaling.original_context_length")
    return {"original_max_position_embeddings": original} | _scaling(
        "longrope",
        long_factor=_divisors(model, ROPE_LONG).tolist(),
        short_factor=_divisors(model, ROPE_SHORT).tolist(),
        original_max_position_embeddings=original,
    )


def _llama3(model: GgufModel, divisors: Numbers, theta: Any) -> dict[str, Any]:
    """The settings of Llama 3.1's positions, found again from what they make of each frequency.

    With s rising from 0 to 1 between two wavelengths, original context / low_freq_factor and
    original context / high_freq_factor, a frequency is divided by 1 / ((1 - s) / factor + s).
    """
    low, high = _LLAMA3["low_freq_factor"], _LLAMA3["high_freq_factor"]
    factor = float(divisors.max())
    if not isinstance(theta, int | float) or not theta > 1 or not math.isfinite(factor):
        raise _unknown_positions(model)
    if not divisors.min() >= 1:
        raise _unknown_positions(model)
    if factor == 1:
        return {}
    wavelengths = 2 * math.pi * theta ** (np.arange(len(divisors)) / len(divisors))
    share = (1 / divisors.astype(float) - 1 / factor) / (1 - 1 / factor)
    between = (share > 0.01) & (share < 0.99)
    if not between.any():
        raise _unknown_positions(model)
    original = round(float(np.median(((low + share * (high - low)) * wavelengths)[between])))
    share = np.clip((original / wavelengths - low) / (high - low), 0, 1)
    if not np.allclose(1 / ((1 - share) / factor + share), divisors, rtol=1e-3):
        raise _unknown_positions(model)
    return _scaling("llama3", factor=factor, original_max_position_embeddings=original, **_LLAMA3)


def _unknown_positions(model: GgufModel) -> UnsupportedModel:
    return UnsupportedModel(
        f"{model.name} scales its rotary positions in a way that is not known here."
    )
