"""Model families: which architectures can be cut into blocks, and where their parts live.

A family whose attention goes through transformers' ``AttentionInterface`` needs one entry here
and nothing else: nodes run its own decoder layers (DESIGN, decision 1).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from transformers import AutoModelForCausalLM, PreTrainedConfig

from farmesh.errors import UnsupportedModel


def _prefix_llama(name: str) -> str:
    short = name.split("/")[-1].replace(".", "-").replace(" ", "-")
    return short if short.endswith("-hf") else f"{short}-hf"


@dataclass(frozen=True, slots=True)
class Family:
    """Where a model family keeps its blocks and the client's part, as attribute paths.

    The paths are also the tensors' names in checkpoints.
    """

    model_type: str
    blocks: str = "model.layers"
    embeddings: str = "model.embed_tokens"
    final_norm: str = "model.norm"
    rotary: str = "model.rotary_emb"
    lm_head: str = "lm_head"
    dht_prefix: Callable[[str], str] = _prefix_llama

    def skeleton(self, config: PreTrainedConfig, attention: str = "eager") -> torch.nn.Module:
        """The whole model without memory: all parameters on the meta device.

        ``attention`` is the name under which nodes registered theirs with transformers.
        """
        with torch.device("meta"):
            model: torch.nn.Module = AutoModelForCausalLM.from_config(
                config, attn_implementation=attention
            )
        return model.eval()

    def rotary_embedding(self, skeleton: torch.nn.Module, config: PreTrainedConfig) -> Any:
        """A fresh rotary embedding: its buffers are computed, not stored in checkpoints."""
        return type(skeleton.get_submodule(self.rotary))(config=config)


_FAMILIES: dict[str, Family] = {"llama": Family("llama")}


def supported_models() -> tuple[str, ...]:
    """The model types that can be served, as ``config.json`` names them."""
    return tuple(sorted(_FAMILIES))


def family_of(config: PreTrainedConfig) -> Family:
    """Raises: UnsupportedModel, naming the architecture and those that work."""
    family = _FAMILIES.get(config.model_type)
    if family is None:
        raise UnsupportedModel(
            f"Models of type {config.model_type!r} cannot be cut into blocks here. "
            f"Supported: {', '.join(supported_models())}."
        )
    return family
