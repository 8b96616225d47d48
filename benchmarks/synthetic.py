"""Synthetic swarms for benchmarks/scaling.py: where nodes are, how fast, and how they come and go.

What is invented here, and nothing else is: places, speeds, spans' widths, lifetimes. Which blocks a
node takes, when it moves, whom it measures and how a client finds its route is the engine's own
code (``farmesh.planning.placement``, ``pings``, ``routing``, ``discovery``).
"""

from __future__ import annotations

import heapq
import itertools
import math
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np

from farmesh.config import NodeConfig
from farmesh.core import NodeInfo, NodeState, Route, Span, cache_tokens
from farmesh.planning.pings import choose_pings
from farmesh.planning.placement import better_span, choose_span
from farmesh.planning.routing import HOP_OVERHEAD, Floats

NEXT_HOPS = 5  # as farmesh.node.announcing measures
BLOCKS = 80  # of a model of 70 billion parameters
WIDTHS = (4, 8, 12, 16, 24, 40)  # blocks that a node has room for
LOAD_SECONDS = 60.0  # to read the blocks, announced as joining
CRASHES = 0.5  # share of the nodes that leave without goodbye

_DEFAULTS = NodeConfig(checkpoint="")
RECORD_SECONDS = 2 * _DEFAULTS.update_period  # a crashed node's records outlive it so long
ROUNDS = 20  # of measuring that a node has had: ten minutes


@dataclass(slots=True)
class Node:
    """One node's truth, of which its record says only a part."""

    name: str
    place: tuple[float, float]  # milliseconds on a map
    access: float  # seconds, its own line's part of every round trip
    rate: float  # tokens/s of one block, decode steps
    width: int
    span: Span = field(default_factory=lambda: Span(0, 0))
    state: NodeState = NodeState.JOINING
    alive: bool = True
    pings: dict[str, float] = field(default_factory=dict)

    @property
    def throughput(self) -> float:
        """Whole numbers: sums and differences of them are exact."""
        return float(round(self.rate))

    def info(self) -> NodeInfo:
        return NodeInfo(
            peer_id=self.name,
            span=self.span,
            state=self.state,
            throughput=self.throughput,
            public_name="a node",
            version="0.1.0",
            network_rps=6103.5,
            forward_rps=self.rate * 20,
            inference_rps=self.rate,
            torch_dtype="bfloat16",
            quant_type="none",
            using_relay=False,
            cache_tokens_left=cache_tokens(16384, self.span),
            next_pings=dict(self.pings),
            extensions=frozenset({"epoch", "resume", "mux", "drop"}),
        )


def make_node(number: int, rng: random.Random) -> Node:
    """Five regions of the world, lines from fibre to mobile, speeds from laptop to GPU."""
    x, y = rng.choice([(0, 0), (45, 10), (110, 20), (130, 90), (60, 120)])
    return Node(
        # as long as a real peer id, and in no order
        name=f"Qm{rng.getrandbits(160):040x}{number:04d}",
        place=(rng.gauss(x, 8), rng.gauss(y, 8)),
        access=rng.lognormvariate(math.log(0.004), 0.8),
        rate=min(5000.0, max(20.0, rng.lognormvariate(math.log(400), 1.0))),
        width=rng.choice(WIDTHS),
    )


def rtt(one: Node, other: Node) -> float:
    """Seconds for there and back: twice the way on the map, and both lines."""
    return 0.002 * math.dist(one.place, other.place) + one.access + other.access


# --- churn ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Coverage:
    """The swarm at one moment."""

    minute: float
    uncovered: float  # share of the blocks that no living online node serves
    believed: float  # the same as records say: who crashed a moment ago is still in them


class Swarm:
    """Nodes that come and go; events in order of time, decisions by the engine's placement."""

    def __init__(self, size: int, lifetime: float, seed: int = 0) -> None:
        """
        Args:
            lifetime: mean seconds between a node's coming and going; as many come as go.
        """
        self._rng = random.Random(seed)
        self._size, self._lifetime = size, lifetime
        self.time = 0.0
        self.moves = 0
        self.nodes: dict[str, Node] = {}  # alive, or with records that have not run out
        self._announced = [0.0] * BLOCKS  # what block_throughputs says, kept up to date
        self._serving = np.zeros(BLOCKS, int)
        self._recorded = np.zeros(BLOCKS, int)
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._number = 0
        for _ in range(size):
            self._after(self._rng.uniform(0, 600), self._join)

    def run(self, seconds: float, every: float = 10.0) -> Iterator[Coverage]:
        end, sample = self.time + seconds, self.time
        while sample <= end:
            while self._events and self._events[0][0] <= sample:
                self.time, _, act = heapq.heappop(self._events)
                act()
            self.time = sample
            served, recorded = self._serving == 0, self._recorded == 0
            yield Coverage(sample / 60, float(served.mean()), float(recorded.mean()))
            sample += every

    def _after(self, seconds: float, act: Callable[[], None]) -> None:
        self._number += 1
        heapq.heappush(self._events, (self.time + seconds, self._number, act))

    def _join(self) -> None:
        self._number += 1
        node = make_node(self._number, self._rng)
        self.nodes[node.name] = node
        self._take(node, choose_span(self._announced, node.width))
        self._after(self._rng.expovariate(1 / self._lifetime), lambda: self._leave(node))
        self._think_later(node)

    def _take(self, node: Node, span: Span) -> None:
        """Announce as joining, load, go online."""
        node.span, node.state = span, NodeState.JOINING
        self._count(node, 1)
        self._after(LOAD_SECONDS, lambda: self._go_online(node, span))

    def _go_online(self, node: Node, span: Span) -> None:
        if node.alive and node.state is NodeState.JOINING and node.span == span:
            node.state = NodeState.ONLINE
            self._serve(node, 1)

    def _leave(self, node: Node) -> None:
        """Gone; half of them with a goodbye, the others' records run out. Somebody else comes."""
        node.alive = False
        if node.state is NodeState.ONLINE:
            self._serving[node.span.start : node.span.end] -= 1
        crashed = self._rng.random() < CRASHES
        self._after(RECORD_SECONDS if crashed else 0.0, lambda: self._forget(node))
        self._after(self._rng.expovariate(1 / 60.0), self._join)

    def _forget(self, node: Node) -> None:
        self._count(node, -1)
        if node.state is NodeState.ONLINE:
            self._recorded[node.span.start : node.span.end] -= 1
        del self.nodes[node.name]

    def _think_later(self, node: Node) -> None:
        period = _DEFAULTS.rebalance_period
        self._after(self._rng.uniform(0.0, 2 * period), lambda: self._think(node))

    def _think(self, node: Node) -> None:
        if not node.alive:
            return
        if node.state is NodeState.ONLINE:
            others = list(self._announced)
            for block in node.span:
                others[block] -= node.throughput
            target = better_span(others, node.span, node.throughput)
            if target is not None:
                self.moves += 1
                self._count(node, -1)
                self._serve(node, -1)
                self._take(node, target)
        self._think_later(node)

    def _count(self, node: Node, sign: int) -> None:
        for block in node.span:
            self._announced[block] += sign * node.throughput

    def _serve(self, node: Node, sign: int) -> None:
        for counts in (self._serving, self._recorded):
            counts[node.span.start : node.span.end] += sign


# --- what is known of the network --------------------------------------------------------------


def measure_neighbours(nodes: list[Node], rng: random.Random, *, by_chance: bool) -> None:
    """Let every node measure those behind it, as ``FarNode`` does.

    Args:
        by_chance: with ``farmesh.planning.pings``; else the first five of the list, as it once was.
    """
    by_name = {node.name: node for node in nodes}
    ordered = sorted(nodes, key=lambda node: node.name)
    serving = [[n.name for n in ordered if block in n.span] for block in range(BLOCKS + 1)]
    for node in nodes:
        behind = [name for name in serving[node.span.end] if name != node.name]
        if not by_chance:
            node.pings = {name: rtt(node, by_name[name]) for name in behind[:NEXT_HOPS]}
            continue
        node.pings = {}
        for _ in range(min(ROUNDS, math.ceil(len(behind) / 2))):
            chosen = choose_pings(behind, node.pings, NEXT_HOPS, rng)
            node.pings = {name: rtt(node, by_name[name]) for name in chosen}


def true_seconds(route: Route, nodes: dict[str, Node], client: Node) -> float:
    """What a decode step really takes on a route, by the definition that the engine documents."""
    hops = [nodes[hop.peer_id] for hop in route.hops]
    total = (rtt(client, hops[0]) + rtt(client, hops[-1])) / 2
    total += sum(len(hop.span) / nodes[hop.peer_id].rate for hop in route.hops)
    for one, other in itertools.pairwise(hops):
        total += rtt(one, other) / 2 + HOP_OVERHEAD
    return total


def least_seconds(nodes: list[Node], client: Node) -> float:
    """The least that any route could take: shortest path over all nodes, all distances known.

    Exact: an origin is left out only where even with the shortest line it costs more than the
    way that is already known to every target.
    """
    places = np.array([node.place for node in nodes])
    access = np.array([node.access for node in nodes])
    seconds = np.array([1 / node.rate for node in nodes])
    starts = np.array([node.span.start for node in nodes])
    ends = np.array([node.span.end for node in nodes])
    to_client = np.array([rtt(client, node) / 2 for node in nodes])

    def between(origins: Floats, targets: Floats) -> Floats:
        way = np.linalg.norm(places[origins][:, None] - places[targets][None], axis=2)
        return 0.001 * way + (access[origins][:, None] + access[targets][None]) / 2 + HOP_OVERHEAD

    cost = np.where(starts == 0, to_client + seconds, np.inf)
    for block in range(1, BLOCKS):
        targets = np.flatnonzero((starts <= block) & (block < ends))
        cheapest = np.argmin(cost)
        bound = np.minimum(cost[targets], cost[cheapest] + between([cheapest], targets)[0])
        origins = np.flatnonzero(cost < bound.max())
        best = bound
        for part in np.array_split(origins, max(1, len(origins) // 256)):
            if len(part):
                best = np.minimum(best, (cost[part][:, None] + between(part, targets)).min(axis=0))
        cost = np.full(len(nodes), np.inf)
        cost[targets] = best + seconds[targets]
    return float((cost + to_client).min())
