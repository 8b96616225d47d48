"""Everything the engine raises on purpose.

FarMeshError
├── ConfigError               a setting is wrong; the message says which and what to do
├── CheckpointError           a checkpoint cannot be used
│   ├── CheckpointNotFound    no such folder, or no such repository, revision or file on the hub
│   ├── CheckpointGated       the hub hands it out to some accounts only
│   ├── HubUnreachable        the hub does not answer, and its cache lacks what is needed
│   ├── IndexUnreachable      the package index does not answer, or breaks off
│   └── UnsupportedModel      an architecture without block support, refused by name
├── InvalidSampling           a sampling value is out of range
│   └── InvalidGrammar        a grammar that replies cannot be held to, with its reason
├── GrammarTooComplex         a grammar outgrew its limits in the middle of a reply
├── SwarmError                the swarm cannot do what is asked of it
│   ├── SwarmUnreachable      no bootstrap peer answers
│   │   └── ClockSkew         this machine's clock is too far from the swarm's
│   ├── MissingBlocks         nobody serves some blocks
│   └── SwarmBusy             every node that could serve is full
├── SessionError
│   ├── SessionBusy           a second reply was asked for while one is running
│   ├── SessionClosed         the session was closed by its owner
│   ├── ContextOverflow       more tokens than the session can ever hold
│   └── RetriesExhausted      hops were lost more often than the session may repair
├── HopLost                   one hop failed; the session repairs this itself
│   ├── HopRefused            the node lives and declined (full, evicted, shutting down)
│   ├── HopSilent             the node takes too long, or does not answer at all
│   └── HopCorrupt            the node answered with values that cannot be right
├── ProtocolError             a peer sent something malformed or out of bounds
└── TransportError            a message could not be carried
    ├── PeerUnreachable       no stream to the peer could be opened
    ├── StreamBroken          the stream ended before its conversation did
    └── RemoteError           the peer answered with an error; ``code`` classifies it
        └── QuotaExceeded     a node's refusal: the peer has all that one peer may have there
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from farmesh.core import Hop, Span


class FarMeshError(Exception):
    """Base of all errors raised on purpose; ``str(error)`` is a sentence for a person."""


class ConfigError(FarMeshError):
    """A setting is wrong; the message says which one and what to do."""


class CheckpointError(FarMeshError):
    """A checkpoint cannot be used; the message names the folder and the reason."""


class CheckpointNotFound(CheckpointError):
    """There is no such folder, or no such repository, revision or file on the hub."""


class CheckpointGated(CheckpointError):
    """The hub hands the checkpoint out to some accounts only, and this token is none of theirs."""


class HubUnreachable(CheckpointError):
    """The hub does not answer, and its cache on this machine lacks what is needed."""


class IndexUnreachable(CheckpointError):
    """The package index does not answer, or not to the end; later it may."""


class UnsupportedModel(CheckpointError):
    """The checkpoint's architecture has no block support."""


class InvalidSampling(FarMeshError, ValueError):
    """A sampling value is out of range; ``field`` names it."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


class InvalidGrammar(InvalidSampling):
    """Replies cannot be held to this grammar; the message has the reason."""

    def __init__(self, reason: str) -> None:
        super().__init__("grammar", reason)


class GrammarTooComplex(FarMeshError):
    """A grammar outgrew its limits in the middle of a reply."""


class SwarmError(FarMeshError):
    """The swarm cannot do what is asked of it."""


class SwarmUnreachable(SwarmError):
    """No bootstrap peer answers."""


class ClockSkew(SwarmUnreachable):
    """This machine's clock is too far from the swarm's: its peers would drop all it announces."""

    def __init__(self, ahead: float, limit: float) -> None:
        where = "ahead of" if ahead > 0 else "behind"
        super().__init__(
            f"This machine's clock is {abs(ahead):.1f} seconds {where} the swarm's; peers that "
            f"differ by more than {limit:.0f} drop one another. Set the clock (for example with "
            "timedatectl set-ntp true) and start again."
        )
        self.ahead = ahead


class MissingBlocks(SwarmError):
    """Nobody serves ``missing``."""

    def __init__(self, missing: Span, detail: str = "", *, adapter: str | None = None) -> None:
        which = f"block {missing.start}" if len(missing) == 1 else f"blocks {missing}"
        if adapter is not None:
            which += f" with the adapter {adapter!r}"
        super().__init__(
            f"No node of the swarm serves {which}{detail}. "
            f"Start one with: python -m farmesh serve CHECKPOINT --peers ADDRESS "
            f"--blocks {missing}" + (f" --adapters {adapter}" if adapter else "")
        )
        self.missing = missing


class SwarmBusy(SwarmError):
    """Every node that could serve is full; trying again later may work."""


class SessionError(FarMeshError):
    """An inference session cannot do what is asked of it."""


class SessionBusy(SessionError):
    """A second reply was asked for while one is running."""


class SessionClosed(SessionError):
    """The session was closed by its owner."""


class ContextOverflow(SessionError):
    """More tokens than the session can ever hold; nothing was sent."""

    def __init__(self, wanted: int, limit: int) -> None:
        super().__init__(f"{wanted} tokens do not fit into a context of {limit} tokens.")
        self.wanted = wanted
        self.limit = limit


class RetriesExhausted(SessionError):
    """Hops were lost more often than the session may repair."""


class HopLost(FarMeshError):
    """One hop failed; ``reason`` says how in a few words."""

    def __init__(self, hop: Hop, reason: str) -> None:
        super().__init__(f"The node …{hop.peer_id[-4:]} (blocks {hop.span}) was lost: {reason}.")
        self.hop = hop
        self.reason = reason


class HopRefused(HopLost):
    """The node lives and declined: full, session evicted, or shutting down."""

    def __init__(self, hop: Hop, reason: str, code: str) -> None:
        super().__init__(hop, reason)
        self.code = code


class HopSilent(HopLost):
    """The node takes too long, or does not answer at all."""


class HopCorrupt(HopLost):
    """The node answered with values that cannot be right (not finite, wrong shape)."""


class ProtocolError(FarMeshError):
    """A peer sent something malformed or out of bounds."""


class TransportError(FarMeshError):
    """A message could not be carried; the session turns this into :class:`HopLost`."""


class PeerUnreachable(TransportError):
    """No stream to the peer could be opened."""


class StreamBroken(TransportError):
    """The stream ended before its conversation did."""


class RemoteError(TransportError):
    """The peer answered with an error; ``code`` is a ``CODE_*`` of the wire or unknown."""

    def __init__(self, code: str, sentence: str) -> None:
        super().__init__(sentence)
        self.code = code


class QuotaExceeded(RemoteError):
    """What a node answers to a peer that has all it may have there; ``quota`` names of what.

    It travels as a node that is busy: the same peer may ask again when it has given something back.
    """

    def __init__(self, quota: str, sentence: str) -> None:
        super().__init__("busy", sentence)
        self.quota = quota
