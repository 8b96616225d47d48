"""What happens on the way to a token, as JSON: routes, progress, waiting.

Streams of ``/v1`` carry it when asked (``return_events``), and a gateway reads it back. Values are
checked on the way in: they come from another machine.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, TypeAdapter

from farmesh.core import Hop, Route, Span
from farmesh.events import (
    Event,
    GenerationFinished,
    PrefillProgress,
    Rerouted,
    RouteFound,
    TokenGenerated,
    WaitingForBlocks,
    WaitingForCache,
)

ID_NAME = "token_id:"  # before the number of a token that is told by its id

Count = Annotated[int, Field(ge=0, lt=2**31)]
Seconds = Annotated[float, Field(ge=0, lt=1e6)]
PeerName = Annotated[str, Field(max_length=200)]


class Blocks(BaseModel):
    """A half-open range of blocks."""

    start: Count
    end: Count

    @classmethod
    def of(cls, span: Span) -> Blocks:
        return cls(start=span.start, end=span.end)

    @property
    def span(self) -> Span:
        """
        Raises:
            ValueError: it ends before it starts.
        """
        return Span(self.start, self.end)


class _Hop(BaseModel):
    peer_id: PeerName
    blocks: Blocks

    @classmethod
    def of(cls, hop: Hop) -> _Hop:
        return cls(peer_id=hop.peer_id, blocks=Blocks.of(hop.span))

    @property
    def hop(self) -> Hop:
        return Hop(self.peer_id, self.blocks.span)


_Hops = Annotated[list[_Hop], Field(max_length=1000)]


class _Found(BaseModel):
    type: Literal["route"] = "route"
    hops: _Hops

    def event(self) -> Event:
        return RouteFound(Route(tuple(hop.hop for hop in self.hops)))


class _Reading(BaseModel):
    type: Literal["prefill"] = "prefill"
    done: Count
    total: Count
    reused: Count

    def event(self) -> Event:
        return PrefillProgress(self.done, self.total, self.reused)


class _Rerouted(BaseModel):
    type: Literal["reroute"] = "reroute"
    lost: _Hop
    reason: Annotated[str, Field(max_length=1000)]
    hops: _Hops

    def event(self) -> Event:
        return Rerouted(self.lost.hop, self.reason, Route(tuple(hop.hop for hop in self.hops)))


class _NoBlocks(BaseModel):
    type: Literal["waiting_for_blocks"] = "waiting_for_blocks"
    blocks: Blocks
    seconds_left: Seconds

    def event(self) -> Event:
        return WaitingForBlocks(self.blocks.span, self.seconds_left)


class _NoCache(BaseModel):
    type: Literal["waiting_for_cache"] = "waiting_for_cache"
    peer_id: PeerName
    seconds_left: Seconds

    def event(self) -> Event:
        return WaitingForCache(self.peer_id, self.seconds_left)


_Any = _Found | _Reading | _Rerouted | _NoBlocks | _NoCache
_ANY: TypeAdapter[_Any] = TypeAdapter(Annotated[_Any, Field(discriminator="type")])


def to_data(event: Event) -> dict[str, Any]:
    """
    Raises:
        ValueError: a token or the end, which streams carry as OpenAI describes.
    """
    told: _Any
    match event:
        case RouteFound(route):
            told = _Found(hops=[_Hop.of(hop) for hop in route.hops])
        case PrefillProgress(done, total, reused):
            told = _Reading(done=done, total=total, reused=reused)
        case Rerouted(lost, reason, route):
            hops = [_Hop.of(hop) for hop in route.hops]
            told = _Rerouted(lost=_Hop.of(lost), reason=reason[:1000], hops=hops)
        case WaitingForBlocks(missing, left):
            told = _NoBlocks(blocks=Blocks.of(missing), seconds_left=max(0.0, left))
        case WaitingForCache(peer_id, left):
            told = _NoCache(peer_id=peer_id, seconds_left=max(0.0, left))
        case TokenGenerated() | GenerationFinished():
            raise ValueError(f"not on the way to a token: {event}")
    return told.model_dump()


def from_data(data: object) -> Event:
    """
    Raises:
        ValueError: this is none of the events above.
    """
    return _ANY.validate_python(data).event()
