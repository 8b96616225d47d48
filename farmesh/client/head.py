"""The next tokens of all sessions, computed together."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass

import torch

from farmesh.client.sampling import SamplingRow, choose_tokens, token_logprobs
from farmesh.client.stem import Stem
from farmesh.events import TokenLogprobs

INLINE_SECONDS = 0.002  # shorter batches are no work for a thread
_SMOOTHING = 0.2  # weight of the newest observation


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

    def __init__(
        self,
        stem: Stem,
        executor: Executor,
        clock: Callable[[], float],
        inline_seconds: float,
    ) -> None:
        self._stem = stem
        self._executor = executor
        self._clock = clock
        self._inline_seconds = inline_seconds
        self._waiting: list[_Request] = []
        self._running: asyncio.Task[None] | None = None
        self._seconds = math.inf  # that a row takes, smoothed

    def __repr__(self) -> str:
        state = "IDLE" if self._running is None else "RUNNING"
        return f"<HeadBatcher {state} {len(self._waiting)} waiting>"

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
                started = self._clock()
                if self._seconds * len(batch) < self._inline_seconds:
                    outcomes = self._outcomes(batch)
                else:
                    outcomes = await loop.run_in_executor(self._executor, self._outcomes, batch)
                self._observe((self._clock() - started) / len(batch))
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
