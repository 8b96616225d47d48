"""The events of one reply, in the order in which they can occur."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from farmesh.core import Hop, PeerId, Route, Span

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
