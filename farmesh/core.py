"""The nouns of the engine: spans, nodes, routes, sampling parameters and the events of a reply.

Plain frozen values: no I/O, no clock, no torch. Facts that follow from fields are properties.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from farmesh.errors import InvalidSampling

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
    cache_tokens_left: int | None = None  # 2 x tokens x blocks: K and V counted apart
    next_pings: Mapping[PeerId, float] = field(default_factory=dict)  # seconds
    extensions: frozenset[str] = frozenset()  # abilities beyond upstream's protocol

    @property
    def cached_tokens_left(self) -> int | None:
        """Tokens of context that still fit into this node's KV cache, None when not announced."""
        if self.cache_tokens_left is None or not len(self.span):
            return None
        return self.cache_tokens_left // (2 * len(self.span))


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


@dataclass(frozen=True, slots=True)
class SamplingParams:
    """How the next token is chosen and when to stop. Neutral values switch a control off.

    ``stop`` strings are matched by :class:`farmesh.text.TextStream`, where text exists; the
    engine itself sees only token ids.
    """

    max_new_tokens: int = 256
    temperature: float = 1.0  # 0 means greedy
    top_p: float = 1.0
    top_k: int = 0  # 0: off
    min_p: float = 0.0
    typical_p: float = 1.0
    repetition_penalty: float = 1.0
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    no_repeat_ngram_size: int = 0  # 0: off
    seed: int | None = None  # None: a fresh one for every reply
    stop: tuple[str, ...] = ()
    stop_token_ids: tuple[int, ...] = ()  # beside the checkpoint's own end-of-sequence tokens
    ignore_eos: bool = False
    logprobs: int | None = None  # None: not told; else of the token and of so many likeliest ones

    def __post_init__(self) -> None:
        for name, (low, high, unit) in _SAMPLING_LIMITS.items():
            value = getattr(self, name)
            if not isinstance(value, unit) or isinstance(value, bool):
                kind = "a whole number" if unit is int else "a number"
                raise InvalidSampling(name, f"{name} must be {kind}, not {value!r}.")
            number = float(getattr(self, name))
            if not (math.isfinite(number) and low <= number <= high):
                raise InvalidSampling(
                    name, f"{name} must be between {low:g} and {high:g}, not {number:g}."
                )
        if self.top_p == 0 or self.typical_p == 0:
            name = "top_p" if self.top_p == 0 else "typical_p"
            raise InvalidSampling(name, f"{name} must be greater than 0; 1 switches it off.")
        if self.repetition_penalty == 0:
            raise InvalidSampling(
                "repetition_penalty",
                "repetition_penalty must be greater than 0; 1 switches it off.",
            )
        if self.seed is not None and (
            not isinstance(self.seed, int)
            or isinstance(self.seed, bool)
            or not 0 <= self.seed < 2**63
        ):
            raise InvalidSampling("seed", "seed must be a whole number from 0 to 2^63 - 1.")
        if any(not text for text in self.stop) or len(self.stop) > MAX_STOP_STRINGS:
            raise InvalidSampling(
                "stop", f"stop takes at most {MAX_STOP_STRINGS} strings, none of them empty."
            )
        if self.logprobs is not None and (
            type(self.logprobs) is not int or not 0 <= self.logprobs <= MAX_LOGPROBS
        ):
            raise InvalidSampling(
                "logprobs", f"logprobs must be a whole number from 0 to {MAX_LOGPROBS}."
            )

    @property
    def greedy(self) -> bool:
        return self.temperature < MIN_TEMPERATURE or self.top_k == 1


MAX_STOP_STRINGS = 16
MAX_LOGPROBS = 20  # likeliest tokens that are told beside the chosen one
MIN_TEMPERATURE = 1e-5  # below it logits overflow float32 and only the best token is left anyway

# name: (lowest, highest, type accepted)
_SAMPLING_LIMITS: dict[str, tuple[float, float, type | tuple[type, ...]]] = {
    "max_new_tokens": (1, 1_000_000, int),
    "temperature": (0.0, 100.0, (int, float)),
    "top_p": (0.0, 1.0, (int, float)),
    "top_k": (0, 1_000_000, int),
    "min_p": (0.0, 1.0, (int, float)),
    "typical_p": (0.0, 1.0, (int, float)),
    "repetition_penalty": (0.0, 10.0, (int, float)),
    "presence_penalty": (-2.0, 2.0, (int, float)),
    "frequency_penalty": (-2.0, 2.0, (int, float)),
    "no_repeat_ngram_size": (0, 1000, int),
}


# --- The events of one reply, in the order in which they can occur ---------------------------


@dataclass(frozen=True, slots=True)
class RouteFound:
    """The session has hops for all blocks; sent once per newly opened route."""

    route: Route


@dataclass(frozen=True, slots=True)
class PrefillProgress:
    """``done`` of ``total`` wanted tokens are in every hop's KV cache, ``reused`` of them were."""

    done: int
    total: int
    reused: int


@dataclass(frozen=True, slots=True)
class TokenLogprobs:
    """How likely a token was in the model's own distribution, as natural logarithms.

    Before temperature, penalties and filters: what the model thought, not how it was drawn.
    """

    chosen: float
    likeliest: tuple[tuple[int, float], ...] = ()  # (token id, logarithm), best first


@dataclass(frozen=True, slots=True)
class TokenGenerated:
    """A new token; ``position`` is its index in the whole token list, ``index`` in the reply."""

    token_id: int
    position: int
    index: int
    logprobs: TokenLogprobs | None = None  # when the sampling parameters ask for them


@dataclass(frozen=True, slots=True)
class Rerouted:
    """A hop was lost and replaced; the reply goes on at the same position."""

    lost: Hop
    reason: str
    route: Route


@dataclass(frozen=True, slots=True)
class WaitingForBlocks:
    """Nobody serves ``missing`` at present; the session waits ``seconds_left`` more."""

    missing: Span
    seconds_left: float


@dataclass(frozen=True, slots=True)
class WaitingForCache:
    """The nodes that could serve are full; the session waits ``seconds_left`` more."""

    peer_id: PeerId
    seconds_left: float


class FinishReason(enum.StrEnum):
    """Why a reply ended."""

    END_OF_SEQUENCE = "end_of_sequence"
    MAX_NEW_TOKENS = "max_new_tokens"
    CONTEXT_FULL = "context_full"


@dataclass(frozen=True, slots=True)
class GenerationStats:
    """What one reply took."""

    prompt_tokens: int
    reused_tokens: int  # of the prompt, already in the nodes' KV caches
    generated_tokens: int
    ttft: float  # seconds from the call to the first token
    duration: float  # seconds from the call to the end
    hops: int
    reroutes: int = 0
    seed: int | None = None  # what was drawn with; the same seed gives the same text

    @property
    def tokens_per_second(self) -> float:
        """Decode speed, first token excluded; 0 for replies of one token."""
        decoding = self.duration - self.ttft
        return (self.generated_tokens - 1) / decoding if decoding > 0 else 0.0


@dataclass(frozen=True, slots=True)
class GenerationFinished:
    """The last event of every reply that was not cancelled and did not fail."""

    reason: FinishReason
    stats: GenerationStats


Event = (
    RouteFound
    | PrefillProgress
    | TokenGenerated
    | Rerouted
    | WaitingForBlocks
    | WaitingForCache
    | GenerationFinished
)
