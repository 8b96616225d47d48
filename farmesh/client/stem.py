"""The client's part of a checkpoint: token embeddings, final norm, LM head."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import torch

from farmesh.checkpoint.linear import TallLinear, packed_linear
from farmesh.checkpoint.reader import Checkpoint

_MAX_COPIED = 2**23  # elements of a tied weight that may be kept twice: as rows, and packed


def stem_prefixes(checkpoint: Checkpoint) -> list[str]:
    """The tensors that a client needs, by the beginnings of their names."""
    family = checkpoint.family
    parts = (family.embeddings, family.embeddings_norm, family.final_norm, family.lm_head)
    return [f"{part}." for part in parts if part is not None]


class Stem:
    """Embeddings, final norm and LM head of one model, in float32 on the CPU."""

    def __init__(self, checkpoint: Checkpoint) -> None:
        family, config = checkpoint.family, checkpoint.config
        skeleton = family.skeleton(config)
        self.hidden_size = checkpoint.hidden_size
        self.embeddings: Any = skeleton.get_submodule(family.embeddings)
        self.norm: Any = skeleton.get_submodule(family.final_norm)
        self.lm_head: Any = skeleton.get_submodule(family.lm_head)
        dtype = torch.float32
        checkpoint.load_module(self.embeddings, f"{family.embeddings}.", dtype)
        if hasattr(self.embeddings, "scalar_embed_scale"):  # Gemma: a buffer that is not stored
            self.embeddings.embed_scale = torch.tensor(self.embeddings.scalar_embed_scale)
        self._embeddings_norm: Any = torch.nn.Identity()
        if family.embeddings_norm is not None:
            self._embeddings_norm = skeleton.get_submodule(family.embeddings_norm)
            checkpoint.load_module(self._embeddings_norm, f"{family.embeddings_norm}.", dtype)
        checkpoint.load_module(self.norm, f"{family.final_norm}.", dtype)
        tied = not checkpoint.has(f"{family.lm_head}.weight")
        if tied:
            self.lm_head.weight = self.embeddings.weight
        else:
            checkpoint.load_module(self.lm_head, f"{family.lm_head}.", dtype)
        if not tied or checkpoint.hidden_size * config.vocab_size <= _MAX_COPIED:
            self.lm_head = packed_linear(self.lm_head) or self.lm_head
        elif getattr(self.lm_head, "bias", None) is None:
            self.lm_head = TallLinear(cast(torch.Tensor, self.embeddings.weight))
        self._softcap = getattr(config, "final_logit_softcapping", None)

    @torch.inference_mode()
    def embed(self, token_ids: Sequence[int]) -> torch.Tensor:
        """``[1, tokens, hidden]``"""
        ids = torch.tensor([list(token_ids)], dtype=torch.long)
        hidden_states: torch.Tensor = self._embeddings_norm(self.embeddings(ids))
        return hidden_states

    @torch.inference_mode()
    def logits(self, hidden_states: torch.Tensor) -> torch.Tensor:
        """``[rows, hidden]`` of last positions to ``[rows, vocabulary]``."""
        logits: torch.Tensor = self.lm_head(self.norm(hidden_states.float()))
        if self._softcap is not None:
            logits = torch.tanh(logits / self._softcap) * self._softcap
        return logits
