"""The checkpoints that are measured: random weights, made once into a folder ignored by git."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from transformers import LlamaConfig, LlamaForCausalLM

CACHE = Path(__file__).parent / ".cache"


@dataclass(frozen=True, slots=True)
class Shape:
    """One model shape and how many tokens a chat of it generates where a metric leaves it open."""

    name: str
    blocks: int
    hidden: int
    heads: int
    intermediate: int
    vocabulary: int
    new_tokens: int

    @property
    def middle(self) -> int:
        """Where the blocks are cut between two nodes."""
        return self.blocks // 2

    def checkpoint(self) -> Path:
        """The folder with this shape's weights; makes it when it is missing."""
        folder = CACHE / self.name
        if not (folder / "model.safetensors").is_file():
            torch.manual_seed(0)
            config = LlamaConfig(
                vocab_size=self.vocabulary,
                hidden_size=self.hidden,
                intermediate_size=self.intermediate,
                num_hidden_layers=self.blocks,
                num_attention_heads=self.heads,
                max_position_embeddings=4096,
                tie_word_embeddings=False,
                bos_token_id=1,
                eos_token_id=2,
            )
            LlamaForCausalLM(config).save_pretrained(folder)
        return folder


SHAPES = {
    "tiny": Shape("tiny", 8, 256, 4, 688, 2048, new_tokens=128),
    "small": Shape("small", 12, 768, 12, 2048, 8192, new_tokens=64),
}
