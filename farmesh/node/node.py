"""FarNode: a peer that serves a span of blocks, from loading to the last goodbye."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Coroutine
from types import TracebackType
from typing import Any

from farmesh.checkpoint.reader import Checkpoint
from farmesh.config import NodeConfig, Relay
from farmesh.core import NodeInfo, NodeState, PeerId, Span
from farmesh.errors import FarMeshError
from farmesh.hub.progress import Progress
from farmesh.network.libp2p import libp2p_network
from farmesh.network.transport import Network, NetworkFactory
from farmesh.node.announcing import Announcer
from farmesh.node.balancing import Balancer
from farmesh.node.loading import Loader
from farmesh.node.machine import Machine
from farmesh.node.service import VERSION, NodeService
from farmesh.node.switch import Switch
from farmesh.wire.messages import EXTENSIONS

logger = logging.getLogger(__name__)

_GOODBYE_SECONDS = 1.0


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
        machine: Machine | None = None,
    ) -> None:
        """
        Args:
            progress: told, in another thread, how many bytes of how many have come from the hub.
            machine: the clock, threads and memory to use instead of this machine's.
        """
        self.config = config
        self._machine = machine or Machine()
        self._loader = Loader(config, self._machine, progress)
        self.prefix = config.dht_prefix or self.checkpoint.default_prefix
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
        self._switch = Switch()
        self._joined: Announcer | None = None

    def __repr__(self) -> str:
        info = self._joined.info if self._joined else None
        state = info.state.name if info else "NEW"
        return f"<FarNode {state} {self.prefix} {info.span if info else self.config.span}>"

    @property
    def checkpoint(self) -> Checkpoint:
        return self._loader.checkpoint

    @property
    def service(self) -> NodeService | None:
        """What answers other peers at the moment."""
        return self._switch.service

    @property
    def info(self) -> NodeInfo:
        """What this node announces, with the cache left at this moment."""
        return self._announcer.info

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
        return self._announcer.network

    @property
    def _announcer(self) -> Announcer:
        if self._joined is None:
            raise FarMeshError("The node has not joined a swarm yet.")
        return self._joined

    async def __aenter__(self) -> FarNode:
        async with self._scope:
            network = await self._scope.enter_async_context(self._join())
            where = self.prefix, self.checkpoint.num_blocks
            announcer = self._joined = Announcer(
                network,
                *where,
                self._described(network.transport.peer_id),
                self._switch.cache_tokens_left,
                self.config,
                self._machine,
            )
            balancer = Balancer(network.directory, *where, self.config, self._machine.random)
            span = self.config.span or await balancer.choose(
                self.config.num_blocks or self._loader.blocks_that_fit()
            )
            self._scope.push_async_callback(self._stop_serving)
            # From the start: a record would expire while gigabytes are fetched.
            self._in_background(announcer.keep_announcing())
            await self._serve(span)
            await network.transport.serve(self._switch)
            await self._go_online()
            self._in_background(balancer.keep_balanced(lambda: self.info, self.move))
            self._scope = self._scope.pop_all()
        return self

    def _in_background(self, job: Coroutine[Any, Any, None]) -> None:
        self._scope.callback(asyncio.create_task(job).cancel)

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._scope.aclose()

    async def move(self, span: Span) -> None:
        """Serve other blocks. Running sessions end; their clients go on elsewhere."""
        logger.info("moving from blocks %s to %s", self.info.span, span)
        await self._stop_serving()
        await self._serve(span)
        await self._go_online()

    async def _serve(self, span: Span) -> None:
        """Load a span's blocks and stand ready to answer for them; announced as joining."""
        await self._announcer.begin(span)
        stack = await self._loader.load(span)
        cache = stack.make_cache(self.config.cache_tokens)
        speed = await self._loader.measure(stack)
        self._announcer.change(**speed.announced)
        self._switch.service = await self._serving.enter_async_context(
            NodeService(
                self.config,
                self.prefix,
                stack,
                cache,
                self._network.transport,
                speed.threads,
                self._machine,
            )
        )

    async def _go_online(self) -> None:
        """Announced only once calls are answered, and can arrive."""
        relayed = self._network.whereabouts.relayed
        if self.config.relay is Relay.ALWAYS and not relayed.is_set():
            logger.warning(
                "Waiting for a relay to take this node in; where fewer than four peers could, "
                "this takes three minutes."
            )
            await relayed.wait()
        await self._announcer.announce(state=NodeState.ONLINE)

    async def _stop_serving(self) -> None:
        """Say goodbye first, so that new sessions go elsewhere; then end the running ones."""
        with contextlib.suppress(FarMeshError, TimeoutError, OSError):
            async with asyncio.timeout(_GOODBYE_SECONDS):
                await self._announcer.announce(state=NodeState.OFFLINE)
        self._switch.service = None
        await self._serving.aclose()

    def _described(self, peer_id: PeerId) -> NodeInfo:
        """What this node says of itself whichever blocks it serves."""
        return NodeInfo(
            peer_id=peer_id,
            span=Span(0, 0),
            state=NodeState.JOINING,
            throughput=1.0,
            public_name=self.config.public_name,
            version=VERSION,
            torch_dtype=str(self._loader.dtype).removeprefix("torch."),
            quant_type=self._loader.weights.kind,
            adapters=tuple(adapter.name for adapter in self._loader.adapters),
            using_relay=False,
            extensions=EXTENSIONS,
        )
