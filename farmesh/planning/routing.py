"""Routes through the swarm. Pure: everything known is given, nothing is asked or timed.

The search is a shortest path over blocks, with all nodes of one block as one array: a swarm of
10,000 nodes is routed in some tens of milliseconds (docs/scaling.md).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from farmesh.core import Hop, NodeInfo, PeerId, Route, Span, SwarmSnapshot
from farmesh.errors import MissingBlocks

HOP_OVERHEAD = 0.002  # seconds per hop beside network and compute
DEFAULT_RTT = 0.05  # seconds, for a peer that was not measured yet, at least
ENOUGH = 30  # measured figures; so many tell what the unmeasured ones may be like
PESSIMISM = 0.9  # quantile of the measured that an unmeasured one is taken for
MAX_RTT = 5.0  # seconds between neighbours, whatever a record claims
DEFAULT_BLOCK_SECONDS = 1 / 300  # per decode step, for a node that announces no speed
MAX_BLOCK_SECONDS = 10.0  # whatever a record claims: costs stay finite
FULL_CACHE_PENALTY = 10.0  # seconds: a node without room is a last resort
JITTER = 0.1  # relative; equal nodes share the load

Floats = npt.NDArray[np.float64]
Indices = npt.NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class RouteHints:
    """What this client knows beyond the nodes' own claims."""

    rtts: Mapping[PeerId, float] = field(default_factory=dict)  # seconds, measured
    block_seconds: Mapping[PeerId, float] = field(default_factory=dict)  # per block, measured
    avoid: frozenset[PeerId] = frozenset()  # lost or full a moment ago
    tokens: int = 0  # of context that the route's nodes will have to hold
    salt: int = 0  # spreads equally good choices over sessions


@dataclass(frozen=True, slots=True)
class Costs:
    """What a route pays, per node of a table, in seconds."""

    block: Floats  # to compute one block in a decode step
    entry: Floats  # to be entered at all
    client: Floats  # half a round trip to the client

    def without(self, nodes: list[int]) -> Costs:
        """The same with nodes that no route may enter."""
        entry = self.entry.copy()
        entry[nodes] = np.inf
        return Costs(self.block, entry, self.client)


class RouteTable:
    """The online nodes of a snapshot as arrays, in peer order, for any number of searches."""

    def __init__(self, snapshot: SwarmSnapshot) -> None:
        nodes = sorted(snapshot.online, key=lambda node: node.peer_id)
        self.peers = [node.peer_id for node in nodes]
        self.index = {peer: row for row, peer in enumerate(self.peers)}
        self._starts = np.array([node.span.start for node in nodes], np.intp)
        self._ends = np.array([node.span.end for node in nodes], np.intp)
        self._seconds = np.array([_announced_seconds(node) for node in nodes])
        left = [node.context_tokens_left for node in nodes]
        self._room = np.array([np.inf if tokens is None else tokens for tokens in left])
        self._hashes = np.array([_hash(peer) for peer in self.peers], np.uint64)
        self._links = _Links.between(nodes, self.index)
        self.unmeasured = unmeasured_rtt([2 * (way - HOP_OVERHEAD) for way in self._links.seconds])

    def __repr__(self) -> str:
        return f"<RouteTable {len(self.peers)} nodes, {len(self._links.source)} measured links>"

    def costs(self, hints: RouteHints) -> Costs:
        block = self._seconds.copy()
        client = np.full(len(self.peers), unmeasured_rtt([*hints.rtts.values()]) / 2)
        for peer, seconds in hints.block_seconds.items():
            if (row := self.index.get(peer)) is not None:
                block[row] = seconds  # measured counts more than announced
        for peer, rtt in hints.rtts.items():
            if (row := self.index.get(peer)) is not None:
                client[row] = rtt / 2
        block *= 1.0 + JITTER * _draws(self._hashes, hints.salt)
        full = self._room < hints.tokens
        return Costs(block, np.where(full, FULL_CACHE_PENALTY, 0.0), client)

    def find(self, span: Span, hints: RouteHints | None = None) -> Route:
        """The hops over ``span`` with the least time per decode step.

        Time = half a round trip in and out, one hop's overhead and half a round trip between
        neighbours, and every block's compute time. Nodes may be entered and left at any block.

        Raises:
            MissingBlocks: nobody (who is not avoided) serves some block; the first such span.
        """
        hints = hints or RouteHints()
        avoided = [self.index[peer] for peer in hints.avoid if peer in self.index]
        costs = self.costs(hints).without(avoided)
        self._check_complete(span, avoided)

        # costs_at[i][row]: least time up to and including block i when that node computes it.
        costs_at = [self._outside(span.start, costs.client + costs.entry + costs.block)]
        for block in range(span.start + 1, span.end):
            costs_at.append(self._next_block(block, costs_at[-1], costs))
        rows = [int(np.argmin(costs_at[-1] + costs.client))]
        for before in reversed(costs_at[:-1]):
            rows.append(self._origin(rows[-1], before, costs))
        return self._joined(span, rows[::-1])

    def _outside(self, block: int, values: Floats) -> Floats:
        """``values`` where a node serves the block, infinity elsewhere."""
        return np.where((self._starts <= block) & (block < self._ends), values, np.inf)

    def _check_complete(self, span: Span, avoided: list[int]) -> None:
        alive = np.ones(len(self.peers), bool)
        alive[avoided] = False
        edges = np.zeros(len(span) + 1, np.intp)
        starts = np.clip(self._starts[alive], span.start, span.end) - span.start
        ends = np.clip(self._ends[alive], span.start, span.end) - span.start
        np.add.at(edges, starts, 1)
        np.add.at(edges, ends, -1)
        served = np.cumsum(edges[:-1]) > 0
        if not served.all():
            first = int(np.argmin(served))
            length = int(np.argmax(served[first:])) or len(span) - first
            raise MissingBlocks(Span(span.start + first, span.start + first + length))

    def _next_block(self, block: int, cost: Floats, costs: Costs) -> Floats:
        """One block further. Unmeasured pairs share one default, so of those origins only the
        cheapest has to be tried, and beside it the measured ones.

        Whether an origin is its own target needs no look: for the cheapest node of all, to stay
        costs less than to come from anywhere else.
        """
        cheapest = int(np.argmin(cost))
        unmeasured = self.unmeasured / 2 + HOP_OVERHEAD
        through = np.full(len(cost), cost[cheapest] + unmeasured)
        for target in self._links.targets(cheapest):  # its way there is not the default one
            through[target] = self._cheapest_unmeasured(target, cost)[0] + unmeasured
        self._links.improve(through, cost)
        return self._outside(block, np.minimum(cost, through + costs.entry) + costs.block)

    def _cheapest_unmeasured(self, target: int, cost: Floats) -> tuple[float, int]:
        """Of the nodes that have not measured their way to the target; infinity: all have."""
        elsewhere = cost.copy()
        elsewhere[self._links.sources(target)] = np.inf
        row = int(np.argmin(elsewhere))
        return float(elsewhere[row]), row

    def _origin(self, row: int, before: Floats, costs: Costs) -> int:
        """Where the least cost of a node came from, one block earlier; staying wins a tie."""
        least, other = self._cheapest_unmeasured(row, before)
        ways = [(least + self.unmeasured / 2 + HOP_OVERHEAD, other)]
        ways += [(before[source] + seconds, source) for source, seconds in self._links.into(row)]
        through, origin = min(ways)
        return row if before[row] <= through + costs.entry[row] else origin

    def _joined(self, span: Span, rows: list[int]) -> Route:
        """Equal neighbours are one hop."""
        hops: list[Hop] = []
        for block, row in zip(span, rows, strict=True):
            start = block
            if hops and hops[-1].peer_id == self.peers[row]:
                start = hops.pop().span.start
            hops.append(Hop(self.peers[row], Span(start, block + 1)))
        return Route(tuple(hops))


@dataclass(frozen=True, slots=True)
class _Links:
    """Measured ways from node to node, sorted by target; ``seconds`` holds a hop's overhead."""

    source: Indices
    seconds: Floats
    ends: Indices  # the targets that have any, in order ...
    first: Indices  # ... and where the links of each begin
    outgoing: Mapping[int, list[int]]  # targets of each source
    incoming: Mapping[int, list[tuple[int, float]]]  # sources of each target, with the seconds

    @classmethod
    def between(cls, nodes: Sequence[NodeInfo], index: Mapping[PeerId, int]) -> _Links:
        outgoing: dict[int, list[int]] = {}
        incoming: dict[int, list[tuple[int, float]]] = {}
        for source, node in enumerate(nodes):
            for peer, rtt in node.next_pings.items():
                target = index.get(peer, source)
                if target != source:
                    outgoing.setdefault(source, []).append(target)
                    way = source, min(rtt, MAX_RTT) / 2 + HOP_OVERHEAD
                    incoming.setdefault(target, []).append(way)
        ends = sorted(incoming)
        ways = [way for target in ends for way in incoming[target]]
        counts = [len(incoming[target]) for target in ends]
        return cls(
            source=np.array([source for source, _ in ways], np.intp),
            seconds=np.array([seconds for _, seconds in ways], np.float64),
            ends=np.array(ends, np.intp),
            first=np.cumsum([0, *counts], dtype=np.intp)[:-1],
            outgoing=outgoing,
            incoming=incoming,
        )

    def targets(self, source: int) -> Sequence[int]:
        return self.outgoing.get(source, ())

    def into(self, target: int) -> Sequence[tuple[int, float]]:
        return self.incoming.get(target, ())

    def sources(self, target: int) -> list[int]:
        return [source for source, _ in self.into(target)]

    def improve(self, through: Floats, cost: Floats) -> None:
        """Lower ``through`` where a measured way is shorter."""
        if len(self.ends):
            least = np.minimum.reduceat(cost[self.source] + self.seconds, self.first)
            through[self.ends] = np.minimum(through[self.ends], least)


def find_route(snapshot: SwarmSnapshot, span: Span, hints: RouteHints | None = None) -> Route:
    """:meth:`RouteTable.find`, for one search."""
    return RouteTable(snapshot).find(span, hints)


def unmeasured_rtt(measured: Sequence[float]) -> float:
    """What to reckon with where nothing was measured: no better than most that was.

    Hope would be punished: of many unmeasured ways, the search takes those that turn out longest.
    """
    if len(measured) < ENOUGH:
        return DEFAULT_RTT
    return max(DEFAULT_RTT, float(np.quantile(measured, PESSIMISM)))


def _announced_seconds(node: NodeInfo) -> float:
    """Compute time of one block in one decode step, as the node claims."""
    rate = node.inference_rps
    return min(1 / rate, MAX_BLOCK_SECONDS) if rate else DEFAULT_BLOCK_SECONDS


def _hash(peer: PeerId) -> int:
    """The same in every process, unlike ``hash``."""
    return int.from_bytes(hashlib.blake2b(peer.encode(), digest_size=8).digest(), "little")


def _draws(hashes: npt.NDArray[np.uint64], salt: int) -> Floats:
    """A number in [0, 1) for each node and this salt (splitmix64's mixing)."""
    mixed = hashes ^ np.uint64(_hash(str(salt)))
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return (mixed ^ (mixed >> np.uint64(31))) / np.float64(2**64)
