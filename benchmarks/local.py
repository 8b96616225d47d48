"""The yardstick: ``transformers`` alone, in one process of its own.

As a module it is the handle that the benchmark holds; as a program it is the worker:
one JSON request per line in, one JSON answer per line out.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.processes import ask

THREADS = 2


@dataclass(frozen=True, slots=True)
class LocalRun:
    """One measured generation: when each lock-step token was there, seconds from the request."""

    times: list[float]
    tokens: list[list[int]]  # per batch row

    @property
    def ttft(self) -> float:
        return self.times[0]

    @property
    def tokens_per_second(self) -> float:
        """Of one row, first token excluded."""
        return (len(self.times) - 1) / (self.times[-1] - self.times[0])

    @property
    def total_per_second(self) -> float:
        """Over all rows, prefill included."""
        return len(self.tokens) * len(self.times) / self.times[-1]


class Local:
    """The worker process; a ``with`` scope."""

    def __init__(self, checkpoint: Path) -> None:
        self._checkpoint = checkpoint
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Local:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.local", str(self._checkpoint)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None and self._process.stdin is not None:
            self._process.stdin.close()
            self._process.wait()

    def generate(self, prompts: list[list[int]], new_tokens: int) -> LocalRun:
        """Greedy continuation of prompts of equal length. Blocks: nothing else shall run."""
        if self._process is None:
            raise RuntimeError("the local worker was not started")
        request = {"prompts": prompts, "new_tokens": new_tokens}
        return LocalRun(**ask(self._process, request))


def _work(checkpoint: str) -> None:
    import torch
    from transformers import AutoModelForCausalLM, DynamicCache

    torch.set_num_threads(THREADS)
    model: Any = AutoModelForCausalLM.from_pretrained(
        checkpoint, dtype=torch.float32, attn_implementation="sdpa"
    ).eval()

    @torch.inference_mode()
    def generate(prompts: list[list[int]], new_tokens: int) -> tuple[list[float], Any]:
        cache = DynamicCache(config=model.config)
        ids = torch.tensor(prompts)
        times, columns = [], []
        started = time.perf_counter()
        for _ in range(new_tokens):
            logits = model(
                input_ids=ids, past_key_values=cache, use_cache=True, logits_to_keep=1
            ).logits
            ids = logits[:, -1].argmax(dim=-1, keepdim=True)
            columns.append(ids[:, 0].tolist())
            times.append(time.perf_counter() - started)
        return times, [list(row) for row in zip(*columns, strict=True)]

    for line in sys.stdin:
        times, tokens = generate(**json.loads(line))
        print(json.dumps({"times": times, "tokens": tokens}), flush=True)


if __name__ == "__main__":
    _work(sys.argv[1])
