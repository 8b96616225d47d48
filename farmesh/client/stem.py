"""The client's part of a checkpoint: token embeddings, final norm, LM head.

Large matrices that a file has in 8 or 4 bits stay so, in the kernels' layout, where there are
kernels; all others are float32.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, cast

import torch

from farmesh.checkpoint.linear import TallLinear, packed_linear
from farmesh.checkpoint.reader import Checkpoint
from farmesh.kernels.compiling import kernels, usable_cores
from farmesh.kernels.groups import can_be_grouped, grouped
from farmesh.kernels.matrix import PackedMatrix, Workspace

_MOST_THREADS = 4  # of a packed head: memory gives no more
_MAX_COPIED = 2**23  # elements of a tied weight that may be kept twice: as rows, and packed


def stem_prefixes(checkpoint: Checkpoint) -> list[str]:
    """The tensors that a client needs, by the beginnings of their names."""
    family = checkpoint.family
    parts = (family.embeddings, family.embeddings_norm, family.final_norm, family.lm_head)
    return [f"{part}." for part in parts if part is not None]


class PackedEmbedding(torch.nn.Module):
    """``nn.Embedding`` on packed weights."""

    def __init__(self, matrix: PackedMatrix) -> None:
        super().__init__()
        self.matrix = matrix

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        """``[..., tokens]`` to ``[..., tokens, hidden]``"""
        return self.matrix.rows(ids.flatten()).view(*ids.shape, -1)


class PackedHead(torch.nn.Module):
    """``nn.Linear`` on packed weights."""

    def __init__(self, matrix: PackedMatrix, threads: int) -> None:
        super().__init__()
        self._matrix = matrix
        self._threads = threads
        self._workspace = Workspace()

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        """``[rows, hidden]`` to ``[rows, vocabulary]``; each row as if it were alone."""
        return self._matrix.linear(rows, self._workspace, self._threads)


class Stem:
    """Embeddings, final norm and LM head of one model, on the CPU."""

    def __init__(self, checkpoint: Checkpoint, *, quantize: str = "auto", threads: int = 0) -> None:
        """
        Args:
            quantize: int8: large matrices are rounded to 8 bits; auto: they are as a file has
                them; none: float32. (In 4 bits of our own rounding a head loses too much.)
            threads: of a packed head; 0: one for each core, but few.
        """
        pack = partial(_packed, checkpoint, quantize)
        family, config = checkpoint.family, checkpoint.config
        skeleton = family.skeleton(config)
        self.hidden_size = checkpoint.hidden_size
        self.embeddings: Any = skeleton.get_submodule(family.embeddings)
        self.norm: Any = skeleton.get_submodule(family.final_norm)
        self.lm_head: Any = skeleton.get_submodule(family.lm_head)
        dtype = torch.float32
        tied = not checkpoint.has(f"{family.lm_head}.weight")
        packed = pack(self.embeddings, f"{family.embeddings}.weight")
        if packed is not None:
            self.embeddings = PackedEmbedding(packed)
        else:
            checkpoint.load_module(self.embeddings, f"{family.embeddings}.", dtype)
        if hasattr(self.embeddings, "scalar_embed_scale"):  # Gemma: a buffer that is not stored
            self.embeddings.embed_scale = torch.tensor(self.embeddings.scalar_embed_scale)
        self._embeddings_norm: Any = torch.nn.Identity()
        if family.embeddings_norm is not None:
            self._embeddings_norm = skeleton.get_submodule(family.embeddings_norm)
            checkpoint.load_module(self._embeddings_norm, f"{family.embeddings_norm}.", dtype)
        checkpoint.load_module(self.norm, f"{family.final_norm}.", dtype)
        if not tied:
            packed = pack(self.lm_head, f"{family.lm_head}.weight")
        if packed is not None:
            self.lm_head = PackedHead(packed, threads or min(usable_cores(), _MOST_THREADS))
        else:
            self._load_head(checkpoint, tied)
        self._softcap = getattr(config, "final_logit_softcapping", None)

    def _load_head(self, checkpoint: Checkpoint, tied: bool) -> None:
        """In float32."""
        if tied:
            self.lm_head.weight = self.embeddings.weight
        else:
            checkpoint.load_module(self.lm_head, f"{checkpoint.family.lm_head}.", torch.float32)
        if not tied or self.lm_head.weight.numel() <= _MAX_COPIED:
            self.lm_head = packed_linear(self.lm_head) or self.lm_head
        elif getattr(self.lm_head, "bias", None) is None:
            self.lm_head = TallLinear(cast(torch.Tensor, self.embeddings.weight))

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


def _packed(checkpoint: Checkpoint, quantize: str, module: Any, name: str) -> PackedMatrix | None:
    """A matrix in few bits; None: it is to be loaded in float32.

    Raises: CheckpointError.
    """
    plain = type(module) in (torch.nn.Embedding, torch.nn.Linear)
    if not plain or getattr(module, "bias", None) is not None or quantize == "none":
        return None
    if quantize == "auto" and not checkpoint.stored_bytes(name):
        return None
    outs, ins = module.weight.shape
    library = kernels() if can_be_grouped(ins) else None
    if library is None:
        return None
    weights = checkpoint.grouped(name)
    if weights is None:
        weights = grouped(checkpoint.read([name], torch.float32)[name].numpy(), 8)
    checkpoint.check_shape(name, weights.shape, (outs, ins))
    return PackedMatrix(library, weights)
