"""What Prometheus scrapes: histograms of waiting, and the totals that others keep, read when asked.

Labels carry peer ids and nothing of any person; a node's name is its own claim and is cut short.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    GCCollector,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    generate_latest,
)
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from chat.live.store import ChatStore
from chat.models.health import NAME_LENGTH
from chat.models.ledger import Ledger, Outcome
from farmesh.core import NodeState, SwarmSnapshot

__all__ = ["CONTENT_TYPE_LATEST", "Metrics"]

FIRST = (0.05, 0.1, 0.2, 0.35, 0.5, 0.75, 1, 1.5, 2, 3, 5, 8, 13, 30, 60, 120)  # seconds
NEXT = (0.002, 0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.25, 0.5, 1, 2.5, 10)  # seconds


class Metrics:
    """One app's registry; the observer of its ledger."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._first = Histogram(
            "farmesh_time_to_first_token_seconds",
            "From the call of the engine to the first token of a reply",
            buckets=FIRST,
            registry=self.registry,
        )
        self._next = Histogram(
            "farmesh_time_per_output_token_seconds",
            "From one token of a reply to the next",
            buckets=NEXT,
            registry=self.registry,
        )
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        GCCollector(registry=self.registry)

    def read(self, store: ChatStore, ledger: Ledger) -> None:
        """Report these two as well; called once, when both are there."""
        self.registry.register(_Numbers(store, ledger))

    def text(self) -> bytes:
        """Everything in Prometheus' text format."""
        return generate_latest(self.registry)

    def first_token(self, seconds: float) -> None:
        self._first.observe(seconds)

    def next_token(self, seconds: float) -> None:
        self._next.observe(seconds)

    def ended(self, outcome: Outcome) -> None:
        """Counted by the ledger itself."""


class _Numbers(Collector):
    """The state of store, ledger and swarm at the moment of a scrape."""

    def __init__(self, store: ChatStore, ledger: Ledger) -> None:
        self._store, self._ledger = store, ledger

    def describe(self) -> list[Metric]:
        return []  # nothing is read at registration

    def collect(self) -> Iterator[Metric]:
        yield from self._load()
        yield from self._totals()
        swarms = [
            (backend.id, snapshot)
            for backend in self._store.backends
            if (snapshot := backend.snapshot) is not None
        ]
        yield from self._swarms(swarms)
        yield from self._nodes([snapshot for _, snapshot in swarms])

    def _load(self) -> Iterator[Metric]:
        line, ledger = self._store.line, self._ledger
        yield _gauge("turns_running", "Replies that are being made", line.running)
        yield _gauge("turns_waiting", "Turns that wait in line", line.waiting)
        yield _gauge("chats", "Chats that the app keeps", len(self._store))
        yield _gauge("cached_tokens", "Tokens that the nodes hold for all", ledger.cached_tokens)
        sessions = GaugeMetricFamily("farmesh_sessions", "Inference sessions", labels=["state"])
        running = sum(account.running for account, _ in ledger.open_accounts)
        sessions.add_metric(["running"], running)
        sessions.add_metric(["idle"], len(ledger.open_accounts) - running)
        yield sessions

    def _totals(self) -> Iterator[Metric]:
        totals = self._ledger.totals
        yield _counter("prompt_tokens", "Tokens of prompts", totals.prompt_tokens)
        yield _counter(
            "cached_prompt_tokens", "Of them, held by the nodes already", totals.cached_tokens
        )
        yield _counter("generated_tokens", "Tokens of replies", totals.generated_tokens)
        yield _counter("reroutes", "Hops that were lost and replaced", totals.reroutes)
        replies = CounterMetricFamily("farmesh_replies", "Replies that ended", labels=["outcome"])
        for outcome in Outcome:
            replies.add_metric([outcome], self._ledger.outcomes[outcome])
        yield replies

    def _swarms(self, swarms: Sequence[tuple[str, SwarmSnapshot]]) -> Iterator[Metric]:
        ready = _by_model("ready", "1 when every block is served")
        blocks = _by_model("blocks", "Blocks of the model")
        missing = _by_model("blocks_missing", "Blocks that nobody serves")
        for model, snapshot in swarms:
            ready.add_metric([model], int(snapshot.is_complete))
            blocks.add_metric([model], snapshot.num_blocks)
            missing.add_metric([model], sum(map(len, snapshot.gaps)))
        yield from (ready, blocks, missing)

    def _nodes(self, snapshots: Sequence[SwarmSnapshot]) -> Iterator[Metric]:
        state = _by_node("state", "1 for the state that a node says it is in", "name", "state")
        blocks = _by_node("blocks", "Blocks that a node serves")
        room = _by_node("cache_tokens_left", "Tokens that still fit into a node's KV cache")
        rtt = _by_node("rtt_seconds", "Round trip to a node")
        tokens = CounterMetricFamily(
            "farmesh_node_tokens", "Tokens that went through a node for this app", labels=["node"]
        )
        # A peer serves one model; should one claim to be in two swarms, the first one counts.
        nodes = {
            node.peer_id: (node, swarm) for swarm in reversed(snapshots) for node in swarm.nodes
        }
        for peer_id, (node, swarm) in nodes.items():
            name = (node.public_name or "")[:NAME_LENGTH]
            for one in NodeState:
                state.add_metric([peer_id, name, one.name.lower()], int(node.state is one))
            blocks.add_metric([peer_id], len(node.span))
            if node.context_tokens_left is not None:
                room.add_metric([peer_id], node.context_tokens_left)
            if peer_id in swarm.rtts:
                rtt.add_metric([peer_id], swarm.rtts[peer_id])
            tokens.add_metric([peer_id], self._ledger.node_tokens.get(peer_id, 0))
        yield from (state, blocks, room, rtt, tokens)


def _gauge(name: str, meaning: str, value: float) -> Metric:
    return GaugeMetricFamily(f"farmesh_{name}", meaning, value=value)


def _counter(name: str, meaning: str, value: float) -> Metric:
    return CounterMetricFamily(f"farmesh_{name}", meaning, value=value)


def _by_model(name: str, meaning: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"farmesh_{name}", meaning, labels=["model"])


def _by_node(name: str, meaning: str, *labels: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"farmesh_node_{name}", meaning, labels=["node", *labels])
