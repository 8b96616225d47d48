"""Nodes as the DHT would describe them."""

from __future__ import annotations

from typing import Any

from farmesh.core import NodeInfo, NodeState, Span


def node(peer_id: str, span: str, **fields: Any) -> NodeInfo:
    defaults: dict[str, Any] = {"state": NodeState.ONLINE, "throughput": 1.0}
    return NodeInfo(peer_id, Span.parse(span), **{**defaults, **fields})
