"""Which blocks a node takes: those that the swarm serves worst, now and later."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from random import Random

from farmesh.config import NodeConfig
from farmesh.core import NodeInfo, Span
from farmesh.errors import FarMeshError
from farmesh.network.transport import Directory
from farmesh.planning.placement import better_span, block_throughputs, choose_span

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Balancer:
    """Looks at the swarm and says where this node is needed most."""

    directory: Directory
    prefix: str
    num_blocks: int  # of the model
    config: NodeConfig
    random: Random

    async def choose(self, width: int) -> Span:
        """The ``width`` blocks that the swarm serves worst."""
        nodes = await self.directory.lookup(self.prefix, self.num_blocks)
        return choose_span(block_throughputs(nodes, self.num_blocks), width)

    async def better(self, own: NodeInfo) -> Span | None:
        """Where this node should move; None to stay."""
        nodes = await self.directory.lookup(self.prefix, self.num_blocks)
        others = [node for node in nodes if node.peer_id != own.peer_id]
        return better_span(
            block_throughputs(others, self.num_blocks),
            own.span,
            own.throughput,
            quality=self.config.balance_quality,
        )

    async def keep_balanced(
        self, own: Callable[[], NodeInfo], move: Callable[[Span], Awaitable[None]]
    ) -> None:
        """Move to blocks that the swarm serves worse, unless the span was given."""
        if self.config.span is not None or not self.config.rebalance_period:
            return
        while True:
            # At random times, so that nodes do not all jump into the same gap.
            await asyncio.sleep(self.random.uniform(0.0, 2 * self.config.rebalance_period))
            try:
                target = await self.better(own())
                if target is not None:
                    await move(target)
            except (FarMeshError, TimeoutError, OSError) as error:
                logger.warning("rebalancing failed: %s", error or type(error).__name__)
