"""FarNode: a peer that serves a span of blocks, from loading to the last goodbye."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import os
import random
import time
from collections.abc import Iterable, Mapping
from dataclasses import replace
from types import TracebackType
from typing import Any

import torch

from farmesh.checkpoint.device import resolve_device, resolve_dtype
from farmesh.checkpoint.reader import Checkpoint
from farmesh.config import NodeConfig, Relay
from farmesh.core import NodeInfo, NodeState, PeerId, Span
from farmesh.errors import FarMeshError, RemoteError, TransportError
from farmesh.hub.progress import Progress
from farmesh.network.libp2p import libp2p_network
from farmesh.network.transport import Network, NetworkFactory, PeerStream
from farmesh.node.blocks import BlockStack
from farmesh.node.lora import open_adapters
from farmesh.node.quantize import block_bytes, check_quantization
from farmesh.node.service import VERSION, NodeService
from farmesh.node.speed import measure_speed
from farmesh.planning.pings import choose_pings
from farmesh.planning.placement import better_span, block_throughputs, blocks_that_fit, choose_span
from farmesh.wire.failures import CODE_CLOSING
from farmesh.wire.messages import EXTENSIONS, Step

logger = logging.getLogger(__name__)

_GOODBYE_SECONDS = 1.0
_NEXT_HOPS = 5  # nodes measured for next_pings
_LOOK_SECONDS = 2.0  # for another peer under this node's id
_RANDOM = random.Random()
_MIN_LIFETIME = 3.0  # seconds; upstream's floor for a record


class FarNode:
    """Serves a span of blocks; an ``async with`` scope.

    Entering joins the swarm, loads the blocks and announces them; leaving says goodbye.

    Raises on entry:
        CheckpointError: the checkpoint cannot be used, or has no such blocks.
        ConfigError: an address cannot be parsed, or the port is in use.
        SwarmUnreachable: no bootstrap peer answers.
    """

    def __init__(
        self,
        config: NodeConfig,
        *,
        network: NetworkFactory | None = None,
        progress: Progress | None = None,
    ) -> None:
        """
        Args:
            progress: told, in another thread, how many bytes of how many have come from the hub.
        """
        self.config = config
        self._progress = progress
        self.checkpoint = Checkpoint(
            config.checkpoint, revision=config.revision, cache_dir=config.cache_dir
        )
        self.prefix = config.dht_prefix or self.checkpoint.default_prefix
        self._device = resolve_device(config.device)
        self._dtype = resolve_dtype(config.dtype, self._device)
        check_quantization(config.quantize, self.checkpoint)
        self._adapters = open_adapters(self.checkpoint, config.adapters, config.cache_dir)
        if config.span is not None:
            self.checkpoint.check_span(config.span)
        self._join = network or libp2p_network(
            initial_peers=config.initial_peers,
            host=config.host,
            port=config.port,
            announce=config.announce,
            identity_path=config.identity_path,
            relay=config.relay,
        )
        self._scope = contextlib.AsyncExitStack()
        self._serving = contextlib.AsyncExitStack()  # the service of the present span
        self._switch = _Switch()
        self._joined: Network | None = None
        self._info: NodeInfo | None = None
        self._announced: NodeInfo | None = None  # last
        self._settled_at = math.inf  # monotonic; what an earlier process announced is gone then
        self._said_double = False
        self.service: NodeService | None = None

    def __repr__(self) -> str:
        state = self._info.state.name if self._info else "NEW"
        span = self._info.span if self._info else self.config.span
        return f"<FarNode {state} {self.prefix} {span}>"

    @property
    def info(self) -> NodeInfo:
        """What this node announces, with the cache left at this moment."""
        if self._info is None:
            raise FarMeshError("The node has not joined a swarm yet.")
        info = replace(self._info, using_relay=self._network.whereabouts.relayed.is_set())
        if self.service is None:
            return info
        return replace(info, cache_tokens_left=self.service.cache_tokens_left)

    @property
    def addresses(self) -> tuple[str, ...]:
        """Where others reach this node; usable as their ``initial_peers``."""
        return self._network.whereabouts.addresses

    @property
    def lost(self) -> asyncio.Event:
        """Set when the node broke for good (its daemon died) and its process should end."""
        return self._network.whereabouts.lost

    @property
    def cut_off(self) -> asyncio.Event:
        """Set when no relay takes this node in any more; only joining anew helps."""
        return self._network.whereabouts.cut_off

    @property
    def _network(self) -> Network:
        if self._joined is None:
            raise FarMeshError("The node has not joined a swarm yet.")
        return self._joined

    async def __aenter__(self) -> FarNode:
        async with self._scope:
            self._joined = await self._scope.enter_async_context(self._join())
            span = self.config.span or await self._choose_span()
            self._scope.push_async_callback(self._stop_serving)
            self._info = self._describe(span)
            # From the start: a record would expire while gigabytes are fetched.
            self._scope.callback(asyncio.create_task(self._keep_announcing()).cancel)
            await self._serve(span)
            await self._network.transport.serve(self._switch)
            await self._go_online()
            self._scope.callback(asyncio.create_task(self._keep_balanced()).cancel)
            self._scope = self._scope.pop_all()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._scope.aclose()

    # --- serving one span -----------------------------------------------------------------------

    async def _serve(self, span: Span) -> None:
        """Load a span's blocks and stand ready to answer for them; announced as joining."""
        self._info = self._describe(span)
        self._settled_at = time.monotonic() + self._lifetime
        await self._announce()
        stack = BlockStack(
            self.checkpoint,
            span,
            self._device,
            self._dtype,
            quantize=self.config.quantize,
            adapters=self._adapters,
        )
        await asyncio.to_thread(self._load, stack)
        cache = stack.make_cache(self.config.cache_tokens)
        speed = await asyncio.to_thread(measure_speed, stack, self.config.threads)
        self._info = speed.applied_to(self._info)
        if self.config.throughput is not None:
            self._info = replace(self._info, throughput=float(self.config.throughput))
        service = NodeService(
            self.config, self.prefix, stack, cache, self._network.transport, speed.threads
        )
        self.service = await self._serving.enter_async_context(service)
        self._switch.service = service

    def _load(self, stack: BlockStack) -> None:
        self.checkpoint.fetch(stack.prefixes, self._progress)
        stack.load(_log_progress)

    async def _go_online(self) -> None:
        """Announced only once calls are answered, and can arrive."""
        if self.config.relay is Relay.ALWAYS and not self._network.whereabouts.relayed.is_set():
            logger.warning(
                "Waiting for a relay to take this node in; where fewer than four peers could, "
                "this takes three minutes."
            )
            await self._network.whereabouts.relayed.wait()
        self._info = replace(self.info, state=NodeState.ONLINE)
        await self._announce()

    async def _stop_serving(self) -> None:
        """Say goodbye first, so that new sessions go elsewhere; then end the running ones."""
        if self._info is not None:
            self._info = replace(self.info, state=NodeState.OFFLINE)
            with contextlib.suppress(FarMeshError, TimeoutError, OSError):
                async with asyncio.timeout(_GOODBYE_SECONDS):
                    await self._announce()
        self._switch.service = self.service = None
        await self._serving.aclose()

    async def move(self, span: Span) -> None:
        """Serve other blocks. Running sessions end; their clients go on elsewhere."""
        logger.info("moving from blocks %s to %s", self.info.span, span)
        await self._stop_serving()
        await self._serve(span)
        await self._go_online()

    def _describe(self, span: Span) -> NodeInfo:
        return NodeInfo(
            peer_id=self._network.transport.peer_id,
            span=span,
            state=NodeState.JOINING,
            throughput=1.0,
            public_name=self.config.public_name,
            version=VERSION,
            torch_dtype=str(self._dtype).removeprefix("torch."),
            quant_type=self.config.quantize,
            adapters=tuple(adapter.name for adapter in self._adapters),
            using_relay=False,
            extensions=EXTENSIONS,
        )

    # --- the swarm ------------------------------------------------------------------------------

    async def _choose_span(self) -> Span:
        """The blocks that the swarm serves worst, as many as fit."""
        total = self.checkpoint.num_blocks
        width = self.config.num_blocks or blocks_that_fit(
            _available_memory(self._device), self._bytes_per_block(), total
        )
        nodes = await self._network.directory.lookup(self.prefix, total)
        return choose_span(block_throughputs(nodes, total), width)

    def _bytes_per_block(self) -> int:
        kv = self.checkpoint.family.kv_shape(self.checkpoint.config)
        cache = 2 * self.config.cache_tokens * kv.heads * kv.head_dim * self._dtype.itemsize
        weights = block_bytes(self.checkpoint, self.config.quantize, self._dtype)
        return cache + weights + sum(adapter.bytes_per_block for adapter in self._adapters)

    @property
    def _lifetime(self) -> float:
        """Seconds that an announcement holds."""
        return max(2 * self.config.update_period, _MIN_LIFETIME)

    async def _announce(self) -> None:
        self._announced = self.info
        await self._network.directory.announce(self.prefix, self._announced, self._lifetime)

    async def _keep_announcing(self) -> None:
        directory = self._network.directory
        while True:
            try:
                await directory.register_model(
                    self.prefix, self.checkpoint.num_blocks, self._lifetime
                )
                await self._measure_next_hops()
                await asyncio.sleep(self.config.update_period)
                await directory.rejoin()
                await self._look_for_a_double()
                await self._announce()
            except (FarMeshError, TimeoutError, OSError) as error:
                # The swarm may be gone for a while; the next round tries again.
                logger.warning("announcing failed: %s", error or type(error).__name__)
                await asyncio.sleep(min(5.0, self.config.update_period))

    async def _measure_next_hops(self) -> None:
        """Round trips to nodes that routes may take behind this one, announced for routing."""
        total, end = self.checkpoint.num_blocks, self.info.span.end
        if end == total:
            return  # nobody comes behind the last block
        # That block's records alone: in a large swarm all of them are megabytes.
        nodes = await self._network.directory.lookup(self.prefix, total, only=end)
        self._notice_double(nodes, self._announced)
        behind = [
            node.peer_id
            for node in nodes
            if node.state is NodeState.ONLINE and node.peer_id != self._me
        ]
        chosen = choose_pings(behind, self.info.next_pings, _NEXT_HOPS, _RANDOM)
        rtts = await asyncio.gather(*(self._ping(peer_id) for peer_id in chosen))
        pings = {peer_id: rtt for peer_id, rtt in zip(chosen, rtts, strict=True) if rtt is not None}
        self._info = replace(self.info, next_pings=pings)

    async def _look_for_a_double(self) -> None:
        """Look at one block's records for another peer with this node's id."""
        announced, total = self._announced, self.checkpoint.num_blocks
        block = _RANDOM.randrange(total)
        # Nothing depends on it, and this node's announcement waits for it.
        with contextlib.suppress(FarMeshError, TimeoutError, OSError):
            async with asyncio.timeout(_LOOK_SECONDS):
                nodes = await self._network.directory.lookup(self.prefix, total, only=block)
            self._notice_double(nodes, announced)

    def _notice_double(self, nodes: Iterable[NodeInfo], announced: NodeInfo | None) -> None:
        """Say so once when another peer announces under this node's id: a copied identity file.

        Of two such peers others see the one that spoke last.
        """
        if announced is None or announced is not self._announced:
            return  # it said something new meanwhile
        if self._said_double or time.monotonic() < self._settled_at:
            return
        for node in nodes:
            mine = node.peer_id == self._me and node.state is NodeState.ONLINE
            if mine and _speeds(node) != _speeds(announced):
                self._said_double = True
                logger.warning(
                    "Another peer uses this node's identity (…%s) and serves blocks %s; others "
                    "cannot tell the two apart. Give each an identity file of its own.",
                    self._me[-6:],
                    node.span,
                )

    @property
    def _me(self) -> PeerId:
        return self._network.transport.peer_id

    async def _ping(self, peer_id: PeerId) -> float | None:
        try:  # within a limit: this node's own announcement waits for it
            async with asyncio.timeout(self.config.push_timeout):
                return await self._network.transport.ping(peer_id)
        except (TransportError, TimeoutError):
            return None

    async def _keep_balanced(self) -> None:
        """Move to blocks that the swarm serves worse, unless the span was given."""
        if self.config.span is not None or not self.config.rebalance_period:
            return
        while True:
            # At random times, so that nodes do not all jump into the same gap.
            await asyncio.sleep(random.uniform(0.0, 2 * self.config.rebalance_period))
            try:
                target = await self._find_better_span()
                if target is not None:
                    await self.move(target)
            except (FarMeshError, TimeoutError, OSError) as error:
                logger.warning("rebalancing failed: %s", error or type(error).__name__)

    async def _find_better_span(self) -> Span | None:
        total = self.checkpoint.num_blocks
        nodes = await self._network.directory.lookup(self.prefix, total)
        others = [node for node in nodes if node.peer_id != self._me]
        return better_span(
            block_throughputs(others, total),
            self.info.span,
            self.info.throughput,
            quality=self.config.balance_quality,
        )


def _speeds(node: NodeInfo) -> tuple[Any, ...]:
    """What tells two announcements of one id apart: nobody measures the same twice."""
    return node.span, node.inference_rps, node.forward_rps, node.throughput


class _Switch:
    """Answers with the service of the moment; between two spans there is none."""

    def __init__(self) -> None:
        self.service: NodeService | None = None

    @property
    def _current(self) -> NodeService:
        if self.service is None:
            raise RemoteError(CODE_CLOSING, "the node is changing its blocks or shutting down")
        return self.service

    @property
    def max_elements(self) -> int:
        return self.service.max_elements if self.service else 0

    async def inference(self, stream: PeerStream) -> None:
        await self._current.inference(stream)

    async def push(self, peer_id: PeerId, step: Step) -> None:
        await self._current.push(peer_id, step)

    async def info(self, peer_id: PeerId, uid: str) -> Mapping[str, Any]:
        return await self._current.info(peer_id, uid)


def _log_progress(done: int, total: int) -> None:
    logger.info("loaded block %d of %d", done, total)


def _available_memory(device: torch.device) -> int:
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    return int(os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
