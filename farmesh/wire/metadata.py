"""Metadata: msgpack maps, bounded in size, and the one of a step, checked key by key."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from farmesh.core import PeerId, Span
from farmesh.errors import ProtocolError
from farmesh.hivemind import unpack

MAX_METADATA_BYTES = 64 * 2**10


def unpack_map(data: bytes) -> dict[str, Any]:
    """A msgpack map with text keys.

    Raises:
        ProtocolError: the bytes are too many, not msgpack, or not such a map.
    """
    if len(data) > MAX_METADATA_BYTES:
        raise ProtocolError(f"metadata of {len(data)} bytes exceeds {MAX_METADATA_BYTES}")
    if not data:
        return {}
    value = unpack(data)
    if not isinstance(value, dict) or not all(isinstance(key, str) for key in value):
        raise ProtocolError("metadata is not a map with text keys")
    return value


@dataclass(frozen=True, slots=True)
class NextServer:
    """Where a hop shall push its output: the next hop's peer, session and blocks."""

    peer_id: PeerId
    session_id: str
    span: Span


@dataclass(frozen=True, slots=True)
class StepMetadata:
    """The metadata map of one rpc_inference or rpc_push message, validated."""

    session_id: str | None = None
    step_id: str | None = None
    max_length: int | None = None  # tokens; required on a session's first message
    start_from_position: int | None = None  # tokens kept before this step is written
    next_servers: tuple[NextServer, ...] = ()
    pushed: bool = False
    active_adapter: str | None = None
    alloc_timeout: float | None = None  # seconds to wait for KV cache; None: the node's default
    resume: bool = False
    epoch: int | None = None
    push_ack: bool = False
    points: float = 0.0
    args_structure: Any = None

    def to_map(self) -> dict[str, Any]:
        """The msgpack map; keys at their neutral value are left out."""
        fields: dict[str, Any] = {
            "session_id": self.session_id,
            "step_id": self.step_id,
            "max_length": self.max_length,
            "start_from_position": self.start_from_position,
            "active_adapter": self.active_adapter,
            "alloc_timeout": self.alloc_timeout,
            "epoch": self.epoch,
            "args_structure": self.args_structure,
        }
        wire = {key: value for key, value in fields.items() if value is not None}
        for flag in ("pushed", "resume", "push_ack"):
            if getattr(self, flag):
                wire[flag] = True
        if self.max_length is not None:
            wire["points"] = float(self.points)
        if self.next_servers:
            wire["next_servers"] = [
                (hop.peer_id, hop.session_id, hop.span.start, hop.span.end)
                for hop in self.next_servers
            ]
        return wire

    @classmethod
    def from_map(cls, wire: Mapping[str, Any]) -> StepMetadata:
        """Check types and bounds of what a peer sent; unknown keys are ignored.

        Raises:
            ProtocolError: a known key has a value of the wrong type or out of bounds.
        """
        return cls(
            session_id=text_of(wire, "session_id", 128),
            step_id=text_of(wire, "step_id", 128),
            max_length=integer_of(wire, "max_length"),
            start_from_position=integer_of(wire, "start_from_position"),
            next_servers=_next_servers(wire.get("next_servers")),
            pushed=flag_of(wire, "pushed"),
            active_adapter=text_of(wire, "active_adapter", 512) or None,
            alloc_timeout=seconds_of(wire, "alloc_timeout"),
            resume=flag_of(wire, "resume"),
            epoch=integer_of(wire, "epoch"),
            push_ack=flag_of(wire, "push_ack"),
        )


def text_of(wire: Mapping[str, Any], key: str, limit: int) -> str | None:
    value = wire.get(key)
    if value is None:
        return None
    if not isinstance(value, str) or len(value) > limit:
        raise ProtocolError(f"{key} must be text of at most {limit} characters")
    return value


def integer_of(wire: Mapping[str, Any], key: str) -> int | None:
    value = wire.get(key)
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 2**31:
        raise ProtocolError(f"{key} must be a whole number from 0 to 2^31 - 1")
    return value


def seconds_of(wire: Mapping[str, Any], key: str) -> float | None:
    value = wire.get(key)
    if value is None:
        return None
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value < math.inf:
        raise ProtocolError(f"{key} must be a finite number of seconds, at least 0")
    return float(value)


def flag_of(wire: Mapping[str, Any], key: str) -> bool:
    return wire.get(key) is True


def _next_servers(value: Any) -> tuple[NextServer, ...]:
    if value is None:
        return ()
    if not isinstance(value, list | tuple) or len(value) > 1024:
        raise ProtocolError("next_servers must be a list")
    hops = []
    for entry in value:
        match entry:
            case (str(peer_id), str(session_id), int(start), int(end)) if (
                len(peer_id) <= 128 and len(session_id) <= 128 and 0 <= start < end < 2**20
            ):
                hops.append(NextServer(peer_id, session_id, Span(start, end)))
            case _:
                raise ProtocolError("an entry of next_servers is malformed")
    return tuple(hops)
