"""Model families: which architectures can be cut into blocks, and where their parts live.

A family whose attention goes through transformers' ``AttentionInterface`` needs one entry here
and nothing else: nodes run its own decoder layers (docs/decisions/0013). The others name a
runner of :mod:`farmesh.node.runners`. docs/families.md shows how to add one.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from transformers import AutoModelForCausalLM, PreTrainedConfig

from farmesh.errors import UnsupportedModel

Tensors = Mapping[str, torch.Tensor]


@dataclass(frozen=True, slots=True)
class KVShape:
    """What one token's keys (or values) look like in one block's cache."""

    heads: int
    head_dim: int


@dataclass(frozen=True, slots=True)
class Family:
    """Where a model family keeps its blocks and the client's part, as attribute paths.

    The paths are also the tensors' names in checkpoints; ``convert`` covers the exceptions.
    """

    model_type: str
    blocks: str = "model.layers"
    embeddings: str = "model.embed_tokens"
    embeddings_norm: str | None = None  # applied by the client right after the embeddings
    final_norm: str = "model.norm"
    rotary: str | None = "model.rotary_emb"  # None: positions enter otherwise
    lm_head: str = "lm_head"
    runner: str = "interface"  # of farmesh.node.runners
    dht_prefix: Callable[[str], str] = lambda name: name
    kv_shape: Callable[[PreTrainedConfig], KVShape] = lambda config: _grouped_heads(config)
    # From a block's tensors as stored to those of transformers' module, both without the prefix.
    convert: Callable[[Tensors], Tensors] | None = None

    def skeleton(self, config: PreTrainedConfig, attention: str = "eager") -> torch.nn.Module:
        """The whole model without memory: all parameters on the meta device.

        ``attention`` is the name under which nodes registered theirs with transformers.
        """
        with torch.device("meta"):
            model: torch.nn.Module = AutoModelForCausalLM.from_config(
                copy.deepcopy(config),  # transformers writes the attention into it
                attn_implementation=attention,
            )
        return model.eval()

    def rotary_embedding(self, skeleton: torch.nn.Module, config: PreTrainedConfig) -> Any:
        """A fresh rotary embedding: its buffers are computed, not stored in checkpoints."""
        if self.rotary is None:
            return None
        return type(skeleton.get_submodule(self.rotary))(config=config)


# --- DHT prefixes: upstream's rules, so that both kinds of nodes find one another ---------------


def _clean(name: str) -> str:
    return name.replace(".", "-").replace(" ", "-")


def _last_part(name: str) -> str:
    return _clean(name.split("/")[-1])


def _last_part_hf(name: str) -> str:
    short = _last_part(name)
    return short if short.endswith("-hf") else f"{short}-hf"


def _bloom_prefix(name: str) -> str:
    return f"{_clean(name)}-petals"


# --- Shapes of keys and values ------------------------------------------------------------------


def _grouped_heads(config: PreTrainedConfig) -> KVShape:
    heads = int(config.num_attention_heads)
    head_dim = getattr(config, "head_dim", None) or config.hidden_size // heads
    return KVShape(int(getattr(config, "num_key_value_heads", None) or heads), int(head_dim))


def _all_heads(config: PreTrainedConfig) -> KVShape:
    heads = int(config.num_attention_heads)
    return KVShape(heads, int(config.hidden_size) // heads)


def _falcon_heads(config: PreTrainedConfig) -> KVShape:
    heads = int(config.num_attention_heads)
    head_dim = int(config.hidden_size) // heads
    if config.new_decoder_architecture or not config.multi_query:
        return KVShape(int(config.num_kv_heads), head_dim)
    return KVShape(1, head_dim)


# --- Tensors that are stored in another form ------------------------------------------------------

_EXPERT = re.compile(r"block_sparse_moe\.experts\.(\d+)\.w([123])\.weight")


def _fuse_experts(stored: Tensors) -> Tensors:
    """Mixtral: per-expert w1, w3 and w2 become two stacked tensors.

    gate_up_proj is ``[experts, 2 x inner, hidden]``, down_proj ``[experts, hidden, inner]``.
    """
    experts: dict[str, dict[int, torch.Tensor]] = {"1": {}, "2": {}, "3": {}}
    fused: dict[str, torch.Tensor] = {}
    for name, tensor in stored.items():
        match = _EXPERT.fullmatch(name)
        if match:
            experts[match[2]][int(match[1])] = tensor
        else:
            fused[name.replace("block_sparse_moe.", "mlp.")] = tensor
    if experts["1"]:
        gate, down, up = (
            torch.stack([tensor for _, tensor in sorted(experts[which].items())]) for which in "123"
        )
        fused["mlp.experts.gate_up_proj"] = torch.cat([gate, up], dim=1)
        fused["mlp.experts.down_proj"] = down
    return fused


# --- The families -------------------------------------------------------------------------------

_FAMILIES: dict[str, Family] = {
    family.model_type: family
    for family in (
        Family("llama", dht_prefix=_last_part_hf),
        Family("mistral", dht_prefix=_last_part),
        Family("mixtral", dht_prefix=_clean, convert=_fuse_experts),
        Family("qwen2", dht_prefix=_last_part),
        Family("qwen3", dht_prefix=_last_part),
        Family("gemma2", dht_prefix=_last_part),
        Family("gemma3_text", dht_prefix=_last_part),
        Family("phi3", dht_prefix=_last_part),
        Family(
            "falcon",
            blocks="transformer.h",
            embeddings="transformer.word_embeddings",
            final_norm="transformer.ln_f",
            rotary="transformer.rotary_emb",
            runner="falcon",
            dht_prefix=_last_part,
            kv_shape=_falcon_heads,
        ),
        Family(
            "bloom",
            blocks="transformer.h",
            embeddings="transformer.word_embeddings",
            final_norm="transformer.ln_f",
            embeddings_norm="transformer.word_embeddings_layernorm",
            rotary=None,
            runner="bloom",
            dht_prefix=_bloom_prefix,
            kv_shape=_all_heads,
        ),
    )
}


def supported_models() -> tuple[str, ...]:
    """The model types that can be served, as ``config.json`` names them."""
    return tuple(sorted(_FAMILIES))


def prefixes_of(name: str) -> frozenset[str]:
    """The DHT keys that a model of this name may have, whatever its family."""
    return frozenset(family.dht_prefix(name) for family in _FAMILIES.values())


def family_of(config: Mapping[str, Any]) -> Family:
    """The family of a ``config.json``.

    Raises: UnsupportedModel, naming the architecture and those that work.
    """
    model_type = config.get("model_type")
    family = _FAMILIES.get(str(model_type))
    if family is None:
        raise UnsupportedModel(
            f"Models of type {model_type!r} cannot be cut into blocks here. "
            f"Supported: {', '.join(supported_models())}."
        )
    return family
