"""Announces and looks up nodes in hivemind's DHT."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Mapping, Sequence

from hivemind.dht import DHTNode
from hivemind.p2p import PeerID
from hivemind.utils import get_dht_time

from farmesh.core import NodeInfo
from farmesh.errors import SwarmUnreachable
from farmesh.network.records import MAX_BLOCKS, encode_record, entries_of, merge_records
from farmesh.wire.uids import block_uid

logger = logging.getLogger(__name__)
_REGISTRY_KEYS = ("_farmesh.models", "_petals.models")  # dashboards of both brands


class DHTDirectory:
    """Announces and looks up nodes in hivemind's DHT; implements ``transport.Directory``."""

    def __init__(
        self, dht: DHTNode, bootstrap_peers: Sequence[PeerID] = (), *, rpc_timeout: float = 10.0
    ) -> None:
        self._dht = dht
        self._bootstrap_peers = tuple(bootstrap_peers)
        self._timeout = rpc_timeout

    async def announce(self, prefix: str, info: NodeInfo, lifetime: float) -> None:
        value, expires = encode_record(info), get_dht_time() + lifetime
        keys = [block_uid(prefix, block) for block in info.span]
        async with asyncio.timeout(self._timeout):
            stored = await self._dht.store_many(
                keys,
                [value] * len(keys),
                [expires] * len(keys),
                subkeys=[info.peer_id] * len(keys),
            )
        if not any(stored.values()):
            raise SwarmUnreachable("No peer of the swarm stored this node's announcement.")

    async def rejoin(self) -> None:
        async with asyncio.timeout(self._timeout):
            await asyncio.gather(
                *(self._dht.protocol.call_ping(peer) for peer in self._bootstrap_peers)
            )

    async def lookup(
        self, prefix: str, num_blocks: int, only: int | None = None
    ) -> tuple[NodeInfo, ...]:
        blocks = range(min(num_blocks, MAX_BLOCKS)) if only is None else (only,)
        keys = {block_uid(prefix, block): block for block in blocks}
        async with asyncio.timeout(self._timeout):
            found = await self._dht.get_many(list(keys), sufficient_expiration_time=math.inf)
        return merge_records(
            {keys[str(key)]: entries_of(entry) for key, entry in found.items()}, num_blocks
        )

    async def register_model(self, prefix: str, num_blocks: int, lifetime: float) -> None:
        if prefix.startswith("_"):
            return
        value = {"num_blocks": int(num_blocks), "repository": None}
        expires = get_dht_time() + lifetime
        async with asyncio.timeout(self._timeout):
            await self._dht.store_many(
                list(_REGISTRY_KEYS),
                [value] * len(_REGISTRY_KEYS),
                [expires] * len(_REGISTRY_KEYS),
                subkeys=[prefix] * len(_REGISTRY_KEYS),
            )

    async def models(self) -> dict[str, int]:
        async with asyncio.timeout(self._timeout):
            found = await self._dht.get_many(_REGISTRY_KEYS, sufficient_expiration_time=math.inf)
        return {
            prefix: blocks
            for entries in map(entries_of, found.values())
            for prefix, entry in entries.items()
            if (blocks := _blocks_of(entry.value))
        }


def _blocks_of(value: object) -> int:
    """What a model's listing says of its size; 0 when it is none."""
    blocks = value.get("num_blocks") if isinstance(value, Mapping) else None
    return blocks if type(blocks) is int and 0 < blocks <= MAX_BLOCKS else 0
