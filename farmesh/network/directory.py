"""Records of the DHT: who serves which blocks. Upstream's schema, strictly typed both ways.

Key ``<prefix>.<block>``, subkey the announcing peer's id, value the msgpack tuple
``(state: int, throughput: float, map)``. Anyone may write any record, so what is read here is a
claim: malformed entries are dropped one by one, never with their neighbours.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from itertools import islice
from typing import Annotated, Any, NamedTuple

from hivemind.dht import DHTNode
from hivemind.dht.protocol import DHTProtocol
from hivemind.dht.storage import DictionaryDHTValue
from hivemind.dht.validation import DHTRecord, RecordValidatorBase
from hivemind.p2p import PeerID
from hivemind.utils import MSGPackSerializer, get_dht_time
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
)

from farmesh.core import NodeInfo, NodeState, PeerId, Span
from farmesh.errors import SwarmUnreachable
from farmesh.wire.messages import block_uid

logger = logging.getLogger(__name__)

MAX_BLOCKS = 4096  # of one model; bounds what a lookup asks for
_MAX_NAME = 128  # characters of any text in a record
_MAX_ITEMS = 64  # of any list or map in a record
_MAX_PEERS = 4096  # read per block
_MAX_RECORD_BYTES = 16 * 2**10
_MAX_SUBKEY_BYTES = 512
_MAX_RECORD_SECONDS = 24 * 3600.0  # upstream's live for minutes
_REGISTRY_KEYS = ("_farmesh.models", "_petals.models")  # dashboards of both brands


def _no_integer(value: Any) -> Any:
    """Reference readers drop records with whole numbers where floats belong; so do we."""
    if isinstance(value, int):
        raise ValueError("a whole number where a float belongs")
    return value


_Float = Annotated[float, BeforeValidator(_no_integer), Field(ge=0)]
_Rate = Annotated[_Float, Field(allow_inf_nan=False)]


class _NodeRecord(BaseModel):
    """The third element of a record; every key optional, unknown keys ignored."""

    model_config = ConfigDict(strict=True, extra="ignore", frozen=True)

    start_block: Annotated[int, Field(ge=0, le=MAX_BLOCKS)] | None = None
    end_block: Annotated[int, Field(ge=0, le=MAX_BLOCKS)] | None = None
    public_name: str | None = None
    version: str | None = None
    network_rps: _Rate | None = None
    forward_rps: _Rate | None = None
    inference_rps: _Rate | None = None
    adapters: tuple[str, ...] | None = None
    torch_dtype: str | None = None
    quant_type: str | None = None
    using_relay: bool | None = None
    cache_tokens_left: Annotated[int, Field(ge=0)] | None = None
    next_pings: dict[str, _Float] | None = None
    extensions: tuple[str, ...] | None = None

    @field_validator("adapters", "extensions", mode="before")
    @classmethod
    def _sequence(cls, value: Any) -> Any:
        return tuple(value[:_MAX_ITEMS]) if isinstance(value, list | tuple) else value


def encode_record(info: NodeInfo) -> tuple[int, float, dict[str, Any]]:
    """The value stored under every served block; plain Python numbers only."""
    fields = {
        "start_block": int(info.span.start),
        "end_block": int(info.span.end),
        "public_name": info.public_name,
        "version": info.version,
        "network_rps": _float(info.network_rps),
        "forward_rps": _float(info.forward_rps),
        "inference_rps": _float(info.inference_rps),
        "adapters": tuple(info.adapters),
        "torch_dtype": info.torch_dtype,
        "quant_type": info.quant_type,
        "using_relay": info.using_relay,
        "cache_tokens_left": None
        if info.cache_tokens_left is None
        else int(info.cache_tokens_left),
        "next_pings": {peer: float(rtt) for peer, rtt in info.next_pings.items()},
        "extensions": tuple(sorted(info.extensions)),
    }
    return int(info.state), float(info.throughput), fields


def _float(value: float | None) -> float | None:
    return None if value is None else float(value)


def decode_record(peer_id: PeerId, block: int, value: Any) -> NodeInfo | None:
    """What ``peer_id`` claims under ``block``; None when malformed (as reference readers do).

    Upstream's readers accept two-element records (span unknown: this block alone) and ignore
    elements after the third.
    """
    if not isinstance(value, tuple | list) or len(value) < 2:
        return None
    state, throughput, *rest = value
    extra = rest[0] if rest else {}
    if isinstance(state, bool) or state not in (0, 1, 2) or not isinstance(state, int):
        return None
    if not isinstance(throughput, float) or not math.isfinite(throughput) or throughput < 0:
        return None
    try:
        record = _NodeRecord.model_validate(extra)
    except ValidationError:
        return None
    start, end = record.start_block, record.end_block
    if start is None or end is None:
        start, end = block, block + 1
    elif not start <= block < end:
        return None
    return NodeInfo(
        peer_id=peer_id,
        span=Span(start, end),
        state=NodeState(state),
        throughput=throughput,
        public_name=_name(record.public_name),
        version=_name(record.version),
        network_rps=record.network_rps,
        forward_rps=record.forward_rps,
        inference_rps=record.inference_rps,
        adapters=_names(record.adapters),
        torch_dtype=_name(record.torch_dtype),
        quant_type=_name(record.quant_type),
        using_relay=record.using_relay,
        cache_tokens_left=record.cache_tokens_left,
        next_pings=dict(islice((record.next_pings or {}).items(), _MAX_ITEMS)),
        extensions=frozenset(_names(record.extensions)),
    )


def _names(texts: tuple[str, ...] | None) -> tuple[str, ...]:
    return tuple(text for text in texts or () if len(text) <= _MAX_NAME and text.isprintable())


def _name(text: str | None) -> str | None:
    return None if text is None else "".join(filter(str.isprintable, text))[:_MAX_NAME]


class Entry(NamedTuple):
    """One record as the DHT holds it."""

    value: Any
    expires: float  # absolute; a later one was written later


def merge_records(
    records: Mapping[int, Mapping[PeerId, Entry]], num_blocks: int
) -> tuple[NodeInfo, ...]:
    """One entry per peer from the records of all blocks, in peer order.

    A record that names its span counts for the whole span. Of several the newest counts, and of
    equally new ones the one with the higher state: a node that crashed and came back with other
    blocks has left records of the old ones. Peers whose records name no span get the blocks that
    list them.
    """
    newest: dict[PeerId, tuple[float, NodeInfo]] = {}
    for block in sorted(records):
        for peer_id, (value, expires) in sorted(records[block].items()):
            known = newest.get(peer_id)
            if (
                known is not None
                and (known[0], known[1].state) >= (expires, _state_of(value))
                and (block in known[1].span or _names_span(value))
            ):
                continue  # says nothing new: reading it costs more than all the rest here
            info = decode_record(peer_id, block, value)
            if info is None:
                logger.debug("dropped a malformed record of block %d", block)
                continue
            if known is not None and not _names_span(value) and known[1].span.end == block:
                info = replace(info, span=Span(known[1].span.start, block + 1))
            elif known is not None and (known[0], known[1].state) >= (expires, info.state):
                continue
            newest[peer_id] = expires, info
    whole = Span(0, num_blocks)
    nodes = (node for _, (_, node) in sorted(newest.items()))
    return tuple(node for node in nodes if len(node.span.clip(whole)))


def _state_of(value: Any) -> int:
    """What a record says first, unchecked; nothing when it does not look like one."""
    state = value[0] if isinstance(value, tuple | list) and value else None
    return state if isinstance(state, int) else 0


def _names_span(value: Any) -> bool:
    extra = value[2] if isinstance(value, tuple | list) and len(value) > 2 else None
    return (
        isinstance(extra, Mapping)
        and extra.get("start_block") is not None
        and extra.get("end_block") is not None
    )


def entries_of(found: Any) -> dict[PeerId, Entry]:
    """What the DHT found under one key, by peer; nothing when it is no block's."""
    if found is None or not isinstance(found.value, Mapping):
        return {}
    return {
        peer_id: Entry(entry.value, float(entry.expiration_time))
        for peer_id, entry in islice(found.value.items(), _MAX_PEERS)
        if isinstance(peer_id, str) and len(peer_id) <= _MAX_NAME
    }


class BoundedRecords(RecordValidatorBase):
    """Which records this peer stores for others, and takes from them.

    hivemind itself takes values of any size and type, kept for as long as their writer likes, and
    a single one that cannot be read ends the whole lookup.
    """

    def validate(self, record: DHTRecord) -> bool:
        return (
            isinstance(record.value, bytes)
            and len(record.value) <= _MAX_RECORD_BYTES
            and len(record.subkey) <= _MAX_SUBKEY_BYTES
            and isinstance(record.expiration_time, float)
            and record.expiration_time <= get_dht_time() + _MAX_RECORD_SECONDS  # not for NaN
            and isinstance(_unpacked(record.subkey), str | None)
            and (_readable if len(record.value) <= _KEPT_BYTES else _is_readable)(record.value)
        )

    def protect(self, protocol: DHTProtocol) -> None:
        """Where hivemind would refuse a block's records for one bad entry, drop that entry."""
        protocol._validate_dictionary = self.keep_valid

    def keep_valid(self, key: bytes, dictionary: DictionaryDHTValue) -> bool:
        """Leave only valid entries in what another peer sent; there may be none."""
        valid = [
            (subkey, *entry)
            for subkey, entry in islice(dictionary.data.items(), _MAX_PEERS)
            if isinstance(subkey, str)
            and self.validate(DHTRecord(key, MSGPackSerializer.dumps(subkey), *entry))
        ]
        dictionary.clear()
        dictionary.maxsize, dictionary.latest_expiration_time = math.inf, -math.inf
        with dictionary.freeze():
            for subkey, value, expires in valid:
                dictionary.store(subkey, value, expires)
        return True


_UNREADABLE = object()


def _unpacked(data: bytes) -> Any:
    try:
        return MSGPackSerializer.loads(data)
    except Exception:  # noqa: BLE001 - msgpack and its extension hooks raise many types
        return _UNREADABLE


def _is_readable(value: bytes) -> bool:
    return _unpacked(value) is not _UNREADABLE


_KEPT_BYTES = 2 * 2**10
_readable = lru_cache(maxsize=16384)(_is_readable)  # a node's record is the same under each block


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
