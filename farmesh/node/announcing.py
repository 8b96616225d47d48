"""What a node says of itself to the swarm, and who else says so under its name."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

from farmesh.config import NodeConfig
from farmesh.core import NodeInfo, NodeState, PeerId, Span
from farmesh.errors import FarMeshError, TransportError
from farmesh.network.transport import Network
from farmesh.node.machine import Machine
from farmesh.planning.pings import choose_pings

logger = logging.getLogger(__name__)

NEXT_HOPS = 5  # nodes measured for next_pings
_LOOK_SECONDS = 2.0  # for another peer under this node's id


class Announcer:
    """Keeps the swarm's record of this node true and alive."""

    def __init__(
        self,
        network: Network,
        prefix: str,
        num_blocks: int,
        described: NodeInfo,
        cache_left: Callable[[], int | None],
        config: NodeConfig,
        machine: Machine,
    ) -> None:
        """
        Args:
            described: what stays true of this node whichever blocks it serves.
            cache_left: what the KV cache holds at the moment, in the DHT's unit.
        """
        self.network = network
        self._prefix = prefix
        self._num_blocks = num_blocks
        self._described = described
        self._cache_left = cache_left
        self._config = config
        self._machine = machine
        self._info = described
        self._announced: NodeInfo | None = None  # last
        self._settled_at = math.inf  # by the clock; what an earlier process announced is gone then
        self._said_double = False

    def __repr__(self) -> str:
        return f"<Announcer {self._info.state.name} {self._prefix} {self._info.span}>"

    @property
    def info(self) -> NodeInfo:
        """What this node announces, with the cache left at this moment."""
        return replace(
            self._info,
            using_relay=self.network.whereabouts.relayed.is_set(),
            cache_tokens_left=self._cache_left(),
        )

    @property
    def lifetime(self) -> float:
        """Seconds that an announcement holds."""
        return max(2 * self._config.update_period, self._machine.shortest_record)

    def change(self, **facts: Any) -> None:
        """Facts (fields of NodeInfo) that the next announcement tells."""
        self._info = replace(self._info, **facts)

    async def begin(self, span: Span) -> None:
        """Announce that this node is about to serve ``span``.

        Raises: SwarmUnreachable: nobody stored it.
        """
        self._info = replace(self._described, span=span, state=NodeState.JOINING)
        self._settled_at = self._machine.clock() + self.lifetime
        await self.announce()

    async def announce(self, **facts: Any) -> None:
        """Raises: SwarmUnreachable: nobody stored it."""
        self.change(**facts)
        self._announced = self.info
        await self.network.directory.announce(self._prefix, self._announced, self.lifetime)

    async def keep_announcing(self) -> None:
        """For ever; whatever fails is tried again in the next round."""
        directory = self.network.directory
        while True:
            try:
                await directory.register_model(self._prefix, self._num_blocks, self.lifetime)
                await self.measure_next_hops()
                await asyncio.sleep(self._config.update_period)
                await directory.rejoin()
                await self._look_for_a_double()
                await self.announce()
            except (FarMeshError, TimeoutError, OSError) as error:
                # The swarm may be gone for a while; the next round tries again.
                logger.warning("announcing failed: %s", error or type(error).__name__)
                await asyncio.sleep(min(5.0, self._config.update_period))

    # --- the ways from here -----------------------------------------------------------------------

    async def measure_next_hops(self) -> None:
        """Round trips to nodes that routes may take behind this one, announced for routing."""
        end = self._info.span.end
        if end == self._num_blocks:
            return  # nobody comes behind the last block
        # That block's records alone: in a large swarm all of them are megabytes.
        announced = self._announced
        nodes = await self._lookup(end)
        self._notice_double(nodes, announced)
        behind = [
            node.peer_id
            for node in nodes
            if node.state is NodeState.ONLINE and node.peer_id != self._info.peer_id
        ]
        known, random = self._info.next_pings, self._machine.random
        chosen = choose_pings(behind, known, NEXT_HOPS, random)
        rtts = await asyncio.gather(*(self._ping(peer_id) for peer_id in chosen))
        pings = {peer_id: rtt for peer_id, rtt in zip(chosen, rtts, strict=True) if rtt is not None}
        self.change(next_pings=pings)

    async def _ping(self, peer_id: PeerId) -> float | None:
        try:  # within a limit: this node's own announcement waits for it
            async with asyncio.timeout(self._config.push_timeout):
                return await self.network.transport.ping(peer_id)
        except (TransportError, TimeoutError):
            return None

    async def _lookup(self, block: int) -> tuple[NodeInfo, ...]:
        return await self.network.directory.lookup(self._prefix, self._num_blocks, only=block)

    # --- a copied identity ------------------------------------------------------------------------

    async def _look_for_a_double(self) -> None:
        """Look at one block's records for another peer with this node's id."""
        announced = self._announced
        block = self._machine.random.randrange(self._num_blocks)
        # Nothing depends on it, and this node's announcement waits for it.
        with contextlib.suppress(FarMeshError, TimeoutError, OSError):
            async with asyncio.timeout(_LOOK_SECONDS):
                nodes = await self._lookup(block)
            self._notice_double(nodes, announced)

    def _notice_double(self, nodes: Iterable[NodeInfo], announced: NodeInfo | None) -> None:
        """Say once that another peer announces under this node's id.

        ``announced`` is what this node had last said when ``nodes`` were looked up.
        """
        if announced is None or announced is not self._announced:
            return  # it said something new meanwhile
        if self._said_double or self._machine.clock() < self._settled_at:
            return
        double = find_double(nodes, announced)
        if double is not None:
            self._said_double = True
            logger.warning(
                "Another peer uses this node's identity (…%s) and serves blocks %s; others "
                "cannot tell the two apart. Give each an identity file of its own.",
                double.peer_id[-6:],
                double.span,
            )


def find_double(nodes: Iterable[NodeInfo], announced: NodeInfo) -> NodeInfo | None:
    """The record of another peer with this node's id: somebody copied the identity file.

    Under one id there is one record, of the peer that announced last.
    """
    return next(
        (
            node
            for node in nodes
            if node.peer_id == announced.peer_id
            and node.state is NodeState.ONLINE
            and _speeds(node) != _speeds(announced)
        ),
        None,
    )


def _speeds(node: NodeInfo) -> tuple[Any, ...]:
    """What tells two announcements of one id apart: nobody measures the same twice."""
    return node.span, node.inference_rps, node.forward_rps, node.throughput
