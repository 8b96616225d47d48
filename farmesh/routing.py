"""Routes through the swarm. Pure: everything known is given, nothing is asked or timed."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, field

from farmesh.core import Hop, NodeInfo, PeerId, Route, Span, SwarmSnapshot
from farmesh.errors import MissingBlocks

HOP_OVERHEAD = 0.002  # seconds per hop beside network and compute
DEFAULT_RTT = 0.05  # seconds, for a peer that was not measured yet
DEFAULT_BLOCK_SECONDS = 1 / 300  # per decode step, for a node that announces no speed
MAX_BLOCK_SECONDS = 10.0  # whatever a record claims: costs stay finite
FULL_CACHE_PENALTY = 10.0  # seconds: a node without room is a last resort
JITTER = 0.1  # relative; equal nodes share the load


@dataclass(frozen=True, slots=True)
class RouteHints:
    """What this client knows beyond the nodes' own claims."""

    rtts: Mapping[PeerId, float] = field(default_factory=dict)  # seconds, measured
    block_seconds: Mapping[PeerId, float] = field(default_factory=dict)  # per block, measured
    avoid: frozenset[PeerId] = frozenset()  # lost or full a moment ago
    tokens: int = 0  # of context that the route's nodes will have to hold
    salt: int = 0  # spreads equally good choices over sessions


def find_route(snapshot: SwarmSnapshot, span: Span, hints: RouteHints | None = None) -> Route:
    """The hops over ``span`` with the least time per decode step.

    Time = half a round trip in and out, one hop's overhead and half a round trip between
    neighbours, and every block's compute time. Nodes may be entered and left at any block.

    Raises:
        MissingBlocks: nobody (who is not avoided) serves some block; the first such span.
    """
    hints = hints or RouteHints()
    nodes = {node.peer_id: node for node in snapshot.online if node.peer_id not in hints.avoid}
    serving = [[peer for peer, node in nodes.items() if block in node.span] for block in span]
    _check_complete(span, serving)
    seconds = {peer: _block_seconds(node, hints) for peer, node in nodes.items()}
    entry = {peer: _entry_penalty(node, hints) for peer, node in nodes.items()}

    # cost[peer]: least time up to and including this block when peer computes it.
    cost = {peer: _rtt(peer, hints) / 2 + entry[peer] + seconds[peer] for peer in serving[0]}
    came_from: list[dict[PeerId, PeerId]] = [{peer: peer for peer in cost}]
    for peers in serving[1:]:
        cost, origins = _next_block(cost, peers, nodes, seconds, entry, hints)
        came_from.append(origins)
    last = min(cost, key=lambda peer: (cost[peer] + _rtt(peer, hints) / 2, peer))
    return _trace(span, last, came_from)


def _check_complete(span: Span, serving: list[list[PeerId]]) -> None:
    missing = [block for block, peers in zip(span, serving, strict=True) if not peers]
    if missing:
        end = missing[0]
        while end in missing:
            end += 1
        raise MissingBlocks(Span(missing[0], end))


def _next_block(
    cost: Mapping[PeerId, float],
    peers: list[PeerId],
    nodes: Mapping[PeerId, NodeInfo],
    seconds: Mapping[PeerId, float],
    entry: Mapping[PeerId, float],
    hints: RouteHints,
) -> tuple[dict[PeerId, float], dict[PeerId, PeerId]]:
    """One block further. Unmeasured pairs share one default, so of those origins only the cheapest
    has to be tried, and beside it the measured ones."""
    by_cost = sorted(cost, key=lambda peer: (cost[peer], peer))
    measured: dict[PeerId, list[PeerId]] = {}
    for origin in by_cost:
        for target in nodes[origin].next_pings:
            measured.setdefault(target, []).append(origin)
    new_cost: dict[PeerId, float] = {}
    origins: dict[PeerId, PeerId] = {}
    for peer in peers:
        best, best_origin = cost.get(peer, float("inf")), peer
        near = measured.get(peer, [])
        other = next((one for one in by_cost if one != peer and one not in near), None)
        for origin in near if other is None else (*near, other):
            if origin == peer:
                continue
            through = cost[origin] + _between(nodes[origin], peer) + entry[peer]
            if through < best:
                best, best_origin = through, origin
        new_cost[peer] = best + seconds[peer]
        origins[peer] = best_origin
    return new_cost, origins


def _rtt(peer: PeerId, hints: RouteHints) -> float:
    return hints.rtts.get(peer, DEFAULT_RTT)


def _between(origin: NodeInfo, target: PeerId) -> float:
    rtt = min(origin.next_pings.get(target, DEFAULT_RTT), 5.0)
    return rtt / 2 + HOP_OVERHEAD


def _block_seconds(node: NodeInfo, hints: RouteHints) -> float:
    """Compute time of one block in one decode step, measured before announced."""
    seconds = hints.block_seconds.get(node.peer_id)
    if seconds is None:
        rate = node.inference_rps
        seconds = min(1 / rate, MAX_BLOCK_SECONDS) if rate else DEFAULT_BLOCK_SECONDS
    spread = random.Random(f"{hints.salt}{node.peer_id}").uniform(1.0, 1.0 + JITTER)
    return seconds * spread


def _entry_penalty(node: NodeInfo, hints: RouteHints) -> float:
    left = node.cached_tokens_left
    return FULL_CACHE_PENALTY if left is not None and left < hints.tokens else 0.0


def _trace(span: Span, last: PeerId, came_from: list[dict[PeerId, PeerId]]) -> Route:
    """Follow the origins back and join equal neighbours into hops."""
    peers = [last]
    for origins in reversed(came_from[1:]):
        peers.append(origins[peers[-1]])
    peers.reverse()
    hops: list[Hop] = []
    for block, peer in zip(span, peers, strict=True):
        if hops and hops[-1].peer_id == peer:
            hops[-1] = Hop(peer, Span(hops[-1].span.start, block + 1))
        else:
            hops.append(Hop(peer, Span(block, block + 1)))
    return Route(tuple(hops))
