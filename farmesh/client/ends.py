"""The model's two ends, which the client computes itself."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from functools import partial

import torch

from farmesh.checkpoint.reader import Checkpoint
from farmesh.client.head import INLINE_SECONDS, HeadBatcher, NextToken
from farmesh.client.sampling import SamplingRow
from farmesh.client.stem import Stem, stem_prefixes
from farmesh.errors import FarMeshError
from farmesh.hub.progress import Progress
from farmesh.lean import return_memory

_DIRECT_EMBED = 16  # tokens; more are embedded in the worker thread


class Ends:
    """Embeddings at one end of the blocks; norm, LM head and sampling at the other.

    All sessions of a client share them, and one worker thread.
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        *,
        threads: int = 1,
        executor: Executor | None = None,
        make_stem: Callable[[Checkpoint], Stem] = Stem,
        clock: Callable[[], float] = time.monotonic,
        inline_seconds: float = INLINE_SECONDS,
    ) -> None:
        """
        Args:
            threads: torch's, in the worker thread.
            executor: does the long work instead of such a thread; is shut down at the end.
            inline_seconds: what takes less is done by the event loop itself.
        """
        self.checkpoint = checkpoint
        self._executor = executor or ThreadPoolExecutor(
            1, "farmesh-stem", initializer=torch.set_num_threads, initargs=(threads,)
        )
        self._make_stem = make_stem
        self._make_head = partial(
            HeadBatcher, executor=self._executor, clock=clock, inline_seconds=inline_seconds
        )
        self._loaded: tuple[Stem, HeadBatcher] | None = None

    def __repr__(self) -> str:
        return f"<Ends {'LOADED' if self._loaded else 'NOT LOADED'} of {self.checkpoint!r}>"

    async def load(self, progress: Progress | None = None) -> None:
        """Read this part of the checkpoint, fetched first if it is not here.

        Raises: CheckpointError.
        """
        loop = asyncio.get_running_loop()
        stem = await loop.run_in_executor(self._executor, self._load, progress)
        self._loaded = stem, self._make_head(stem)

    def _load(self, progress: Progress | None) -> Stem:
        self.checkpoint.fetch(stem_prefixes(self.checkpoint), progress)
        _ = self.checkpoint.eos_token_ids  # read from a file, that may have to come: not later
        stem = self._make_stem(self.checkpoint)
        return_memory()
        return stem

    async def embed(self, token_ids: Sequence[int]) -> torch.Tensor:
        """``[1, tokens, hidden]``"""
        stem, _ = self._parts
        if len(token_ids) <= _DIRECT_EMBED:
            return stem.embed(token_ids)
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._executor, stem.embed, token_ids)

    async def next_token(self, hidden_states: torch.Tensor, row: SamplingRow) -> NextToken:
        """Sample after the last position's ``[hidden]``, together with all other sessions."""
        _, head = self._parts
        return await head.next_token(hidden_states, row)

    def close(self) -> None:
        self._executor.shutdown(wait=True)

    @property
    def _parts(self) -> tuple[Stem, HeadBatcher]:
        if self._loaded is None:
            raise FarMeshError("The client is used outside its scope (async with FarMeshClient).")
        return self._loaded
