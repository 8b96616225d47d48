"""Tiny Llama checkpoints with random weights, and plain transformers as the judge of replies.

The weights are larger than transformers' own initial ones: greedy decoding then has no near ties,
so replies can be compared token for token although packed and single forwards round differently.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
from transformers import LlamaConfig, LlamaForCausalLM

WEIGHT_SCALE = 0.12  # standard deviation; transformers' default is 0.02


@dataclass(frozen=True, slots=True)
class Shape:
    """What a tiny checkpoint looks like."""

    blocks: int = 4
    hidden: int = 64
    heads: int = 4
    kv_heads: int = 4
    vocab: int = 512
    context: int = 1024
    tied: bool = False
    eos: int | None = None
    seed: int = 1


def make_checkpoint(path: Path, shape: Shape | None = None) -> Path:
    """Write config and safetensors of a random Llama to ``path``; the same every time."""
    shape = shape or Shape()
    config = LlamaConfig(
        vocab_size=shape.vocab,
        hidden_size=shape.hidden,
        intermediate_size=2 * shape.hidden,
        num_hidden_layers=shape.blocks,
        num_attention_heads=shape.heads,
        num_key_value_heads=shape.kv_heads,
        max_position_embeddings=shape.context,
        initializer_range=WEIGHT_SCALE,
        tie_word_embeddings=shape.tied,
        bos_token_id=None,
        eos_token_id=shape.eos,
        pad_token_id=None,
    )
    with torch.random.fork_rng():
        torch.manual_seed(shape.seed)
        model = LlamaForCausalLM(config)
    model.save_pretrained(path)
    return path


@dataclass(eq=False)
class Oracle:
    """Greedy decoding by transformers in this process; every next token is remembered."""

    path: Path
    _next: dict[tuple[int, ...], int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.model = LlamaForCausalLM.from_pretrained(self.path, dtype=torch.float32).eval()
        self.model.generation_config.pad_token_id = 0
        self.vocab = int(self.model.config.vocab_size)

    @torch.inference_mode()
    def greedy(self, token_ids: Sequence[int], count: int) -> list[int]:
        """The ``count`` tokens that follow ``token_ids``."""
        ids = list(token_ids)
        while len(ids) < len(token_ids) + count:
            known = self._next.get(tuple(ids))
            if known is None:
                self._decode(ids, len(token_ids) + count - len(ids))
            else:
                ids.append(known)
        return ids[len(token_ids) :]

    def _decode(self, ids: list[int], count: int) -> None:
        """Let transformers continue ``ids`` and remember each step."""
        whole = self.model.generate(
            torch.tensor([ids]),
            attention_mask=torch.ones(1, len(ids), dtype=torch.long),
            max_new_tokens=count,
            min_new_tokens=count,
            do_sample=False,
        )[0].tolist()
        for end in range(len(ids), len(whole)):
            self._next[tuple(whole[:end])] = whole[end]

    @torch.inference_mode()
    def logits(self, token_ids: Sequence[int]) -> torch.Tensor:
        """``[vocabulary]`` after the last token."""
        logits: torch.Tensor = self.model(torch.tensor([list(token_ids)])).logits[0, -1]
        return logits
