"""GGUF files for tests, written as llama.cpp's converter writes them.

What is changed in names and tensors is written out here once more, against ``gguf``'s own tables,
so that it judges what the engine takes from transformers.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import numpy.typing as npt
import torch
from gguf import GGMLQuantizationType as Kind

Array = npt.NDArray[Any]
Fields = Mapping[str, Any]

ARCHITECTURES = {
    "llama": gguf.MODEL_ARCH.LLAMA,
    "mistral": gguf.MODEL_ARCH.LLAMA,
    "qwen2": gguf.MODEL_ARCH.QWEN2,
    "qwen3": gguf.MODEL_ARCH.QWEN3,
    "gemma2": gguf.MODEL_ARCH.GEMMA2,
    "gemma3_text": gguf.MODEL_ARCH.GEMMA3,
    "phi3": gguf.MODEL_ARCH.PHI3,
    "bloom": gguf.MODEL_ARCH.BLOOM,
}
_FLOATS = {Kind.F32: np.float32, Kind.F16: np.float16}


def write_gguf(
    path: Path,
    model: Any,
    kind: Kind = Kind.F32,
    *,
    fields: Fields | None = None,
    extra: Mapping[str, Array] | None = None,
    shards: int = 0,
) -> Any:
    """Write a model of transformers, and return it with its weights rounded as in the file.

    Args:
        kind: of the matrices; vectors stay in float32.
        fields: more metadata; None as a value takes a field out.
        extra: more tensors.
        shards: how many files, named ``…-00001-of-0000N.gguf``; 0: the one of the path.
    """
    arch = gguf.MODEL_ARCH_NAMES[ARCHITECTURES[model.config.model_type]]
    rounded = copy.deepcopy(model)
    tensors = dict(extra or {})
    kinds = dict.fromkeys(tensors, Kind.F32)
    parameters = dict(rounded.named_parameters())
    with torch.no_grad():
        for name, parameter in parameters.items():
            stored = _name(name, model.config)
            array = _to_stored(name, parameter.numpy().copy(), model.config)
            fits = array.ndim == 2 and array.shape[-1] % gguf.GGML_QUANT_SIZES[kind][0] == 0
            used = kind if fits else Kind.F32
            tensors[stored] = gguf.quantize(array, used)
            kinds[stored] = used
            back = gguf.dequantize(tensors[stored].view(np.uint8), used).reshape(array.shape)
            parameter.copy_(torch.from_numpy(_from_stored(name, back, model.config)))
    metadata = _metadata(arch, model.config) | dict(fields or {})
    write(path, arch, metadata, tensors, kinds, shards)
    return rounded


def write(
    path: Path,
    arch: str,
    metadata: Fields,
    tensors: Mapping[str, Array],
    kinds: Mapping[str, Kind],
    shards: int = 0,
) -> None:
    """Write metadata and tensors that are packed already."""
    paths = [path]
    if shards:
        stem = str(path).removesuffix(".gguf")
        paths = [Path(f"{stem}-{n + 1:05}-of-{shards:05}.gguf") for n in range(shards)]
    names = list(tensors)
    for number, file in enumerate(paths):
        writer = gguf.GGUFWriter(file, arch)
        if number == 0:
            for key, value in metadata.items():
                _add(writer, key, value)
        if shards:
            writer.add_uint16("split.no", number)
            writer.add_uint16("split.count", shards)
            writer.add_int32("split.tensors.count", len(names))
        share = names[number * len(names) // len(paths) : (number + 1) * len(names) // len(paths)]
        for name in share:
            kind = kinds[name]
            raw = None if kind in _FLOATS else kind
            writer.add_tensor(name, tensors[name], raw_dtype=raw)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()


def _add(writer: gguf.GGUFWriter, key: str, value: Any) -> None:
    match value:
        case None:
            return
        case bool():
            writer.add_bool(key, value)
        case int():
            writer.add_uint32(key, value)
        case float():
            writer.add_float32(key, value)
        case str():
            writer.add_string(key, value)
        case _:
            writer.add_array(key, list(value))


def _metadata(arch: str, config: Any) -> dict[str, Any]:
    heads = config.num_attention_heads
    found: dict[str, Any] = {
        "block_count": config.num_hidden_layers,
        "context_length": getattr(config, "max_position_embeddings", 2048),
        "embedding_length": config.hidden_size,
        "feed_forward_length": getattr(config, "intermediate_size", 4 * config.hidden_size),
        "attention.head_count": heads,
        "attention.head_count_kv": getattr(config, "num_key_value_heads", heads),
        "vocab_size": config.vocab_size,
    }
    if arch == "bloom":
        found["attention.layer_norm_epsilon"] = config.layer_norm_epsilon
        return {f"{arch}.{key}": value for key, value in found.items()}
    found["attention.layer_norm_rms_epsilon"] = config.rms_norm_eps
    rope = config.rope_parameters
    found["rope.freq_base"] = rope.get("full_attention", rope)["rope_theta"]
    head_dim = getattr(config, "head_dim", None) or config.hidden_size // heads
    found["rope.dimension_count"] = int(head_dim * rope.get("partial_rotary_factor", 1))
    found["attention.key_length"] = head_dim
    for key in ("attn_logit_softcapping", "final_logit_softcapping"):
        found[key] = getattr(config, key, None)
    if arch.startswith(("gemma", "phi")):
        found["attention.sliding_window"] = config.sliding_window
    return {f"{arch}.{key}": value for key, value in found.items()}


def _name(name: str, config: Any) -> str:
    names = gguf.get_tensor_name_map(
        ARCHITECTURES[config.model_type], int(config.num_hidden_layers)
    )
    base, _, suffix = name.rpartition(".")
    found = names.get_name(base) or names.get_name(base.removeprefix("transformer."))
    assert found is not None, name
    return f"{found}.{suffix}"


def _to_stored(name: str, array: Array, config: Any) -> Array:
    """What llama.cpp's converter makes of a tensor."""
    heads = config.num_attention_heads
    if config.model_type in ("llama", "mistral"):
        if "q_proj" in name:
            return _interleave(array, heads)
        if "k_proj" in name:
            return _interleave(array, config.num_key_value_heads)
    if config.model_type.startswith("gemma") and name.endswith("norm.weight"):
        return array + 1
    if config.model_type == "bloom" and "query_key_value" in name:
        parts = array.reshape(heads, 3, config.hidden_size // heads, -1)
        return np.concatenate([parts[:, n].reshape(-1, parts.shape[-1]) for n in range(3)]).reshape(
            array.shape
        )
    return array


def _from_stored(name: str, array: Array, config: Any) -> Array:
    heads = config.num_attention_heads
    if config.model_type in ("llama", "mistral"):
        if "q_proj" in name:
            return _halve(array, heads)
        if "k_proj" in name:
            return _halve(array, config.num_key_value_heads)
    if config.model_type.startswith("gemma") and name.endswith("norm.weight"):
        return array - 1
    if config.model_type == "bloom" and "query_key_value" in name:
        parts = array.reshape(3, heads, config.hidden_size // heads, -1)
        return np.ascontiguousarray(parts.swapaxes(0, 1)).reshape(array.shape)
    return array


def _interleave(array: Array, heads: int) -> Array:
    """Rows of each head from halves (0 1 2 | 3 4 5) to pairs (0 3, 1 4, 2 5)."""
    parts = array.reshape(heads, 2, -1, *array.shape[1:])
    return np.ascontiguousarray(parts.swapaxes(1, 2)).reshape(array.shape)


def _halve(array: Array, heads: int) -> Array:
    parts = array.reshape(heads, -1, 2, *array.shape[1:])
    return np.ascontiguousarray(parts.swapaxes(1, 2)).reshape(array.shape)


def llama3_divisors(rope: Mapping[str, Any], head_dim: int) -> Array:
    """``rope_freqs.weight`` of Llama 3.1's positions, one per pair of dimensions."""
    divisors = []
    for pair in range(head_dim // 2):
        wavelength = 2 * np.pi * rope["rope_theta"] ** (2 * pair / head_dim)
        original = rope["original_max_position_embeddings"]
        low, high = rope["low_freq_factor"], rope["high_freq_factor"]
        if wavelength < original / high:
            divisors.append(1.0)
        elif wavelength > original / low:
            divisors.append(rope["factor"])
        else:
            share = (original / wavelength - low) / (high - low)
            divisors.append(1 / ((1 - share) / rope["factor"] + share))
    return np.array(divisors, np.float32)


def byte_vocabulary(specials: Sequence[str]) -> dict[str, Any]:
    """Metadata of a byte-level tokenizer of single bytes, a few merges and special tokens."""
    from transformers.convert_slow_tokenizer import bytes_to_unicode

    letters = list(bytes_to_unicode().values())
    merges = ["h e", "l l", "he ll", "hell o", "Ġ w"]
    tokens = [*letters, *(merge.replace(" ", "") for merge in merges), *specials]
    kinds = [1] * (len(tokens) - len(specials)) + [3] * len(specials)
    return {
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.pre": "gpt-2",
        "tokenizer.ggml.tokens": tokens,
        "tokenizer.ggml.token_type": kinds,
        "tokenizer.ggml.merges": merges,
        "tokenizer.ggml.bos_token_id": tokens.index(specials[0]),
        "tokenizer.ggml.eos_token_id": tokens.index(specials[0]),
    }
