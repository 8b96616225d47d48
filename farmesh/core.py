"""The nouns of the engine: spans, nodes, hops, routes, the swarm at one moment.

Plain frozen values: no I/O, no clock, no torch. Facts that follow from fields are properties.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

PeerId = str  # a libp2p identity in base58


@dataclass(frozen=True, slots=True, order=True)
class Span:
    """A half-open range of blocks ``[start, end)``."""

    start: int
    end: int

    def __post_init__(self) -> None:
        if not 0 <= self.start <= self.end:
            raise ValueError(f"not a span of blocks: [{self.start}, {self.end})")

    @classmethod
    def parse(cls, text: str) -> Span:
        """Read ``"4:8"``.

        Raises:
            ValueError: the text is not two non-negative integers in rising order.
        """
        start, separator, end = text.partition(":")
        if not separator or not start.strip().isdigit() or not end.strip().isdigit():
            raise ValueError(f"{text!r} is not a span of blocks; write it like 0:4")
        span = cls(int(start), int(end))
        if not len(span):
            raise ValueError(f"{text!r} is an empty span of blocks")
        return span

    def __len__(self) -> int:
        return self.end - self.start

    def __contains__(self, block: object) -> bool:
        return isinstance(block, int) and self.start <= block < self.end

    def __iter__(self) -> Iterator[int]:
        return iter(range(self.start, self.end))

    def __str__(self) -> str:
        return f"{self.start}:{self.end}"

    def covers(self, other: Span) -> bool:
        """Whether every block of ``other`` is in this span."""
        return self.start <= other.start and other.end <= self.end

    def clip(self, other: Span) -> Span:
        """The blocks that both spans hold; empty when they do not meet."""
        start = max(self.start, other.start)
        return Span(start, max(start, min(self.end, other.end)))


class NodeState(enum.IntEnum):
    """What a node says of itself in the DHT (the numbers are the wire's)."""

    OFFLINE = 0
    JOINING = 1
    ONLINE = 2


@dataclass(frozen=True, slots=True)
class NodeInfo:
    """One node as the DHT describes it. Everything but ``peer_id`` is the node's own claim."""

    peer_id: PeerId
    span: Span
    state: NodeState
    throughput: float  # blocks x tokens per second, announced
    public_name: str | None = None
    version: str | None = None
    network_rps: float | None = None  # tokens/s
    forward_rps: float | None = None  # tokens/s of one block, prefill
    inference_rps: float | None = None  # tokens/s of one block, one-token decode steps
    adapters: tuple[str, ...] = ()
    torch_dtype: str | None = None
    quant_type: str | None = None
    using_relay: bool | None = None
    cache_tokens_left: int | None = None  # in the DHT's unit, see cache_tokens()
    next_pings: Mapping[PeerId, float] = field(default_factory=dict)  # seconds
    extensions: frozenset[str] = frozenset()  # abilities beyond upstream's protocol

    @property
    def context_tokens_left(self) -> int | None:
        """Tokens of context that still fit into this node's KV cache, None when not announced."""
        if self.cache_tokens_left is None or not len(self.span):
            return None
        return self.cache_tokens_left // cache_tokens(1, self.span)


def cache_tokens(context: int, span: Span) -> int:
    """``context`` tokens in the DHT's unit: K and V of each block of a span counted apart."""
    return 2 * context * len(span)


@dataclass(frozen=True, slots=True)
class SwarmSnapshot:
    """All nodes known to serve one model at one moment."""

    prefix: str
    num_blocks: int
    nodes: tuple[NodeInfo, ...] = ()
    rtts: Mapping[PeerId, float] = field(default_factory=dict)  # seconds, measured from here

    @property
    def online(self) -> tuple[NodeInfo, ...]:
        return tuple(node for node in self.nodes if node.state is NodeState.ONLINE)

    @property
    def replicas(self) -> tuple[int, ...]:
        """How many online nodes serve each block; ``len == num_blocks``."""
        counts = [0] * self.num_blocks
        for node in self.online:
            for block in node.span.clip(Span(0, self.num_blocks)):
                counts[block] += 1
        return tuple(counts)

    @property
    def gaps(self) -> tuple[Span, ...]:
        """Maximal spans of blocks that nobody serves, in order."""
        return tuple(spans_of(block for block, count in enumerate(self.replicas) if count == 0))

    @property
    def is_complete(self) -> bool:
        return self.num_blocks > 0 and all(self.replicas)

    def node(self, peer_id: PeerId) -> NodeInfo | None:
        return next((node for node in self.nodes if node.peer_id == peer_id), None)


def spans_of(blocks: Iterable[int]) -> Iterator[Span]:
    """Join block indices, given in rising order, into maximal spans."""
    start = end = -1
    for block in blocks:
        if block != end:
            if end > start:
                yield Span(start, end)
            start = block
        end = block + 1
    if end > start:
        yield Span(start, end)


@dataclass(frozen=True, slots=True)
class Hop:
    """The part of a node's span that one route uses."""

    peer_id: PeerId
    span: Span

    def __str__(self) -> str:
        return f"{self.span} …{self.peer_id[-4:]}"


@dataclass(frozen=True, slots=True)
class Route:
    """Hops that cover a range of blocks without gap or overlap."""

    hops: tuple[Hop, ...]

    def __post_init__(self) -> None:
        for before, after in zip(self.hops, self.hops[1:], strict=False):
            if before.span.end != after.span.start:
                raise ValueError(f"a route with a gap or an overlap: {self}")

    @property
    def span(self) -> Span:
        return Span(self.hops[0].span.start, self.hops[-1].span.end) if self.hops else Span(0, 0)

    def __len__(self) -> int:
        return len(self.hops)

    def __str__(self) -> str:
        return " → ".join(map(str, self.hops))
