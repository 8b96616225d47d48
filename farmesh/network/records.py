"""Records of the DHT: who serves which blocks."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from dataclasses import replace
from itertools import islice
from typing import Annotated, Any, NamedTuple

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, field_validator

from farmesh.core import NodeInfo, NodeState, PeerId, Span
from farmesh.hivemind import MAX_ENTRIES

logger = logging.getLogger(__name__)

MAX_BLOCKS = 4096  # of one model; bounds what a lookup asks for
_MAX_NAME = 128  # characters of any text in a record
_MAX_ITEMS = 64  # of any list or map in a record


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
        for peer_id, entry in islice(found.value.items(), MAX_ENTRIES)
        if isinstance(peer_id, str) and len(peer_id) <= _MAX_NAME
    }
