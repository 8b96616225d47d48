"""A node's part of a model: from its settings to blocks that are loaded and measured."""

from __future__ import annotations

import asyncio
import logging
import os
from dataclasses import replace

import torch

from farmesh.checkpoint.device import resolve_device, resolve_dtype
from farmesh.config import NodeConfig
from farmesh.core import Span
from farmesh.hub.progress import Progress
from farmesh.node.lora import open_adapters
from farmesh.node.machine import Machine
from farmesh.node.speed import Speed
from farmesh.node.stacks import Stack, choose_weights, weight_bytes
from farmesh.planning.placement import blocks_that_fit

logger = logging.getLogger(__name__)


class Loader:
    """Checks at once that a checkpoint can be served as the settings say; loads spans of it.

    Raises:
        CheckpointError: the checkpoint or an adapter cannot be used, or has no such blocks.
        ConfigError: a setting is wrong, or needs an extra that is not installed.
    """

    def __init__(self, config: NodeConfig, machine: Machine, progress: Progress | None) -> None:
        self._config = config
        self._machine = machine
        self._progress = progress
        self.checkpoint = machine.open_checkpoint(
            config.checkpoint, revision=config.revision, cache_dir=config.cache_dir
        )
        self._device = resolve_device(config.device)
        self.dtype = resolve_dtype(config.dtype, self._device)
        self.adapters = open_adapters(self.checkpoint, config.adapters, config.cache_dir)
        self.weights = choose_weights(
            config.quantize, self.checkpoint, self._device, self.dtype, self.adapters
        )
        if config.span is not None:
            self.checkpoint.check_span(config.span)

    def __repr__(self) -> str:
        return f"<Loader {self.checkpoint!r} {self.dtype} on {self._device}>"

    def blocks_that_fit(self) -> int:
        """How many blocks the memory that is free now has room for, their caches included."""
        available = _available_memory(self._device)
        return blocks_that_fit(available, self._bytes_per_block(), self.checkpoint.num_blocks)

    def _bytes_per_block(self) -> int:
        kv = self.checkpoint.family.kv_shape(self.checkpoint.config)
        cache = 2 * self._config.cache_tokens * kv.heads * kv.head_dim * self.dtype.itemsize
        weights = weight_bytes(self.checkpoint, self.weights, self.dtype)
        return cache + weights + sum(adapter.bytes_per_block for adapter in self.adapters)

    async def load(self, span: Span) -> Stack:
        """Fetch what is missing of the blocks' weights and read them.

        Raises: CheckpointError.
        """
        stack = self._machine.make_stack(
            self.checkpoint,
            span,
            self._device,
            self.dtype,
            weights=self.weights,
            adapters=self.adapters,
        )
        await asyncio.to_thread(self._fill, stack)
        return stack

    def _fill(self, stack: Stack) -> None:
        self.checkpoint.fetch(stack.prefixes, self._progress)
        stack.load(_log_progress)

    async def measure(self, stack: Stack) -> Speed:
        """How fast it is; the throughput is what the settings say, where they do."""
        speed = await asyncio.to_thread(self._machine.measure, stack, self._config.threads)
        if self._config.throughput is not None:
            speed = replace(speed, throughput=float(self._config.throughput))
        return speed


def _available_memory(device: torch.device) -> int:
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    return int(os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))


def _log_progress(done: int, total: int) -> None:
    logger.info("loaded block %d of %d", done, total)
