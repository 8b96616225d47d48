"""The client's part of a checkpoint: token embeddings, final norm, LM head, and their batching."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import torch

from farmesh.checkpoint.linear import packed_linear
from farmesh.checkpoint.reader import Checkpoint
from farmesh.client.sampling import SamplingRow, choose_tokens, token_logprobs
from farmesh.core import TokenLogprobs

_INLINE_SECONDS = 0.002
_SMOOTHING = 0.2  # weight of the newest observation
_MAX_COPIED = 2**26  # elements of a tied weight that may be kept twice: as rows, and packed


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


@dataclass(frozen=True, slots=True)
class NextToken:
    """A sampled token with its embedding ``[1, 1, hidden]``, ready for the next step."""

    token_id: int
    embedding: torch.Tensor
    logprobs: TokenLogprobs | None = None


@dataclass(eq=False, slots=True)
class _Request:
    hidden_states: torch.Tensor  # [hidden], a last position
    row: SamplingRow
    result: asyncio.Future[NextToken]


class HeadBatcher:
    """Runs norm, LM head, sampling and the next embedding for all sessions that wait, together.

    While one batch is computed the next one gathers; nobody waits for a timer. Batches that have
    been short run on the event loop itself: two wake-ups of a thread would take as long.
    """

    def __init__(self, stem: Stem, executor: ThreadPoolExecutor) -> None:
        self._stem = stem
        self._executor = executor
        self._waiting: list[_Request] = []
        self._running: asyncio.Task[None] | None = None
        self._seconds = math.inf  # that a row takes, smoothed

    async def next_token(self, hidden_states: torch.Tensor, row: SamplingRow) -> NextToken:
        """The next token for the last position's ``[hidden]``."""
        request = _Request(hidden_states, row, asyncio.get_running_loop().create_future())
        self._waiting.append(request)
        if self._running is None:
            self._running = asyncio.create_task(self._run(), name="farmesh-head")
        return await request.result

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            while self._waiting:
                batch, self._waiting = self._waiting, []
                started = time.perf_counter()
                if self._seconds * len(batch) < _INLINE_SECONDS:
                    outcomes = self._outcomes(batch)
                else:
                    outcomes = await loop.run_in_executor(self._executor, self._outcomes, batch)
                self._observe((time.perf_counter() - started) / len(batch))
                for request, outcome in zip(batch, outcomes, strict=True):
                    if request.result.done():
                        continue
                    if isinstance(outcome, Exception):
                        request.result.set_exception(outcome)
                    else:
                        request.result.set_result(outcome)
        finally:
            self._running = None

    def _observe(self, seconds: float) -> None:
        known = math.isfinite(self._seconds)
        self._seconds = self._seconds + _SMOOTHING * (seconds - self._seconds) if known else seconds

    def _outcomes(self, batch: list[_Request]) -> list[NextToken | Exception]:
        """A token for each request; one that cannot be computed fails alone."""
        try:
            return list(self._compute(batch))
        except Exception as error:  # noqa: BLE001 - its session reports it
            if len(batch) == 1:
                return [error]
        return [outcome for request in batch for outcome in self._outcomes([request])]

    def _compute(self, batch: list[_Request]) -> list[NextToken]:
        hidden_states = torch.stack([request.hidden_states for request in batch])
        with torch.inference_mode():
            logits = self._stem.logits(hidden_states)
            rows = [request.row for request in batch]
            token_ids = choose_tokens(logits, rows)
            embeddings = self._stem.embed(token_ids)
            told = token_logprobs(logits, token_ids, rows)
        return [
            NextToken(token_id, embeddings[:, index : index + 1], logprobs)
            for index, (token_id, logprobs) in enumerate(zip(token_ids, told, strict=True))
        ]
