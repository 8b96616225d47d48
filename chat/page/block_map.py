"""The swarm drawn in HTML: who serves which blocks, where there are gaps, which way a reply goes.

Everything that a node says of itself is a stranger's text and is escaped here.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any

from markupsafe import Markup

from chat import words
from chat.models.health import NAME_LENGTH
from chat.page.templates import render
from farmesh.core import NodeInfo, NodeState, Route, Span, SwarmSnapshot

MAX_NODES = 24  # drawn; the rest are counted
MAX_CELLS = 64  # a model with more blocks gets several blocks per cell


def block_map(
    snapshot: SwarmSnapshot,
    routes: Collection[Route] = (),
    *,
    join: str = "",
    trouble: bool = False,
) -> Markup:
    """The model's blocks as a row of cells, and a bar per node below it.

    Args:
        routes: of the viewer's running replies; the nodes they use are marked.
        join: the command that adds a node to this swarm, to copy.
        trouble: a node is known to have gone that the swarm has not noticed yet.
    """
    if not snapshot.num_blocks:
        return Markup('<p class="fm-quiet">No model is known yet.</p>')
    used = {hop.peer_id for route in routes for hop in route.hops}
    nodes = sorted(snapshot.nodes, key=lambda node: (node.span, node.peer_id))
    more = max(0, len(nodes) - MAX_NODES)
    gap = snapshot.gaps[0] if snapshot.gaps else None
    return render(
        "block_map",
        spoken=_spoken(snapshot),
        cells=list(_cells(snapshot)),
        spare="" if trouble else _spare(snapshot),
        nodes=[_node(node, snapshot, node.peer_id in used) for node in nodes[:MAX_NODES]],
        more=words.count(more, "node") if more else "",
        join=join,
        here="/ip4/127." in join or "/ip6/::1/" in join,
        gap=gap,
        gap_in_words=words.blocks(gap) if gap else "",
    )


def _cells(snapshot: SwarmSnapshot) -> Iterator[dict[str, str]]:
    replicas = snapshot.replicas
    per_cell = -(-len(replicas) // MAX_CELLS)
    for start in range(0, len(replicas), per_cell):
        span = Span(start, min(start + per_cell, len(replicas)))
        fewest = min(replicas[block] for block in span)
        kind = "gap" if fewest == 0 else "one" if fewest == 1 else "many"
        served = "nobody" if not fewest else words.count(fewest, "node")
        yield {"kind": kind, "title": f"{words.blocks(span)}: {served}"}


def _spare(snapshot: SwarmSnapshot) -> str:
    """In words, what would be missing if a node left."""
    replicas = snapshot.replicas
    fewest = min(replicas)
    if fewest == 0:
        return ""  # the gaps are said already
    if fewest > 1:
        return f"Every block is served at least {fewest} times: any node can be spared."
    if max(replicas) == 1:
        return "Every block is served once: no node can be spared."
    start = replicas.index(1)
    end = next((b for b in range(start, len(replicas)) if replicas[b] > 1), len(replicas))
    return f"Only one node serves {words.blocks(Span(start, end))}."


def _spoken(snapshot: SwarmSnapshot) -> str:
    """The map in one sentence, for those who do not see it."""
    total = words.count(snapshot.num_blocks, "block")
    if snapshot.is_complete:
        return f"{total}, all served"
    missing = ", ".join(words.blocks(gap) for gap in snapshot.gaps)
    return f"{total}; nobody serves {missing}"


def _node(node: NodeInfo, snapshot: SwarmSnapshot, used: bool) -> dict[str, Any]:
    span = node.span.clip(Span(0, snapshot.num_blocks))
    name = (node.public_name or "").strip()[:NAME_LENGTH]
    return {
        "state": node.state.name.lower() + (" used" if used else ""),
        "name": name or f"node …{node.peer_id[-4:]}",
        "facts": " · ".join(_facts(node, span, snapshot.rtts.get(node.peer_id))),
        "left": 100 * span.start / snapshot.num_blocks,
        "width": 100 * len(span) / snapshot.num_blocks,
    }


def _facts(node: NodeInfo, span: Span, rtt: float | None) -> Iterator[str]:
    yield words.blocks(span) if len(span) else "no blocks"
    if node.state is not NodeState.ONLINE:
        yield node.state.name.lower()
    if rtt is not None:
        yield f"{rtt * 1000:.0f} ms"
    if node.inference_rps and len(span):
        yield f"{node.inference_rps / len(span):.0f} tokens/s"
    if node.context_tokens_left is not None:
        yield f"room for {words.count(node.context_tokens_left, 'token')}"
    if node.version:
        yield f"v{' '.join(node.version.split())[:NAME_LENGTH]}"
