"""One stateless completion: token ids in, pieces of text out, through the same line as the page.

Knows nothing of HTTP. Closing the generator stops the nodes' work within one step and keeps the
session for the caller's next request.
"""

from __future__ import annotations

import asyncio
from array import array
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any, Literal

from chat.live.limits import Caller
from chat.live.pool import Lease
from chat.live.store import ChatStore
from chat.models.backend import Engine
from farmesh.errors import ContextOverflow
from farmesh.events import Event, FinishReason, GenerationFinished, PrefillProgress, TokenGenerated
from farmesh.params import SamplingParams
from farmesh.text import TextStream

LONG_TEXT = 20_000  # characters; longer prompts are tokenised in a thread


@dataclass(frozen=True, slots=True)
class Wanted:
    """One reply that is asked for."""

    token_ids: tuple[int, ...]
    params: SamplingParams
    exact: bool = False  # a piece for every token, also for those without text
    salt: str = ""  # names one conversation, whose inference session serves no other


@dataclass(frozen=True, slots=True)
class Piece:
    """New text, and the tokens that stand for it."""

    text: str
    tokens: tuple[TokenGenerated, ...]


@dataclass(frozen=True, slots=True)
class Noted:
    """Something that happened on the way to the next token."""

    event: Event


@dataclass(frozen=True, slots=True)
class Ended:
    """The last part of every reply, with what it took."""

    reason: Literal["stop", "length"]
    prompt_tokens: int
    cached_tokens: int
    generated_tokens: int


Part = Piece | Noted | Ended


async def encode(engine: Engine, text: str) -> tuple[int, ...]:
    """The ids of a prompt; a long one does not hold up the others."""
    if len(text) < LONG_TEXT:
        return _encode(engine.tokenizer, text)
    return await asyncio.to_thread(_encode, engine.tokenizer, text)


def _encode(tokenizer: Any, text: str) -> tuple[int, ...]:
    return tuple(tokenizer.encode(text, add_special_tokens=False))


def check_length(engine: Engine, token_ids: Sequence[int]) -> None:
    """
    Raises:
        ContextOverflow: the prompt leaves no room for a reply; nothing was sent.
    """
    if len(token_ids) >= engine.context:
        raise ContextOverflow(len(token_ids) + 1, engine.context)


async def complete(
    store: ChatStore, engine: Engine, caller: Caller, wanted: Wanted
) -> AsyncGenerator[Part, None]:
    """Stream one reply; ends with :class:`Ended`.

    Raises:
        LineFull: too many wait already.
        FarMeshError: the swarm cannot; what came before stands.
    """
    async with (
        store.line.admit(caller, lambda _: None),
        store.pool.lease(
            engine.client,
            f"{caller.cache_key} {wanted.salt}",
            wanted.token_ids,
            own=wanted.salt != "",
        ) as lease,
    ):
        reply = _Reply(engine, wanted)
        async with aclosing(reply.follow(lease)) as parts:
            async for part in parts:
                yield part


@dataclass(slots=True)
class _Reply:
    """A reply in the making."""

    engine: Engine
    wanted: Wanted
    tokens: list[TokenGenerated] = field(default_factory=list)  # those with text
    told: int = 0  # of them given out
    generated: int = 0
    cached: int | None = None
    ends: frozenset[int] = frozenset()  # tokens without text that end the reply

    def __post_init__(self) -> None:
        params = self.wanted.params
        own = () if params.ignore_eos else self.engine.client.eos_token_ids
        self.ends = frozenset((*own, *params.stop_token_ids))

    async def follow(self, lease: Lease) -> AsyncGenerator[Part, None]:
        ids, params = self.wanted.token_ids, self.wanted.params
        room = self.engine.context - len(ids)
        stream = TextStream(self.engine.tokenizer, params.stop)
        reason: FinishReason | None = None
        lease.token_ids = array("q", ids)
        try:
            async with aclosing(lease.session.generate(ids, params)) as events:
                async for event in events:
                    match event:
                        case PrefillProgress(reused=reused):
                            self.cached = reused if self.cached is None else self.cached
                            yield Noted(event)
                        case TokenGenerated():
                            if piece := self._take(event, stream, lease):
                                yield piece
                            if stream.stopped or self.generated >= room:
                                break
                        case GenerationFinished(reason=reason):
                            pass
                        case _:
                            yield Noted(event)
        except Exception:
            lease.spoilt = True
            raise
        ended = reason is FinishReason.END_OF_SEQUENCE
        if piece := self._rest(stream, cut=not (ended or stream.stopped)):
            yield piece
        cached = len(ids) - 1 if self.cached is None else self.cached
        by_itself: Literal["stop", "length"] = "stop" if ended or stream.stopped else "length"
        yield Ended(by_itself, len(ids), cached, self.generated)

    def _take(self, event: TokenGenerated, stream: TextStream, lease: Lease) -> Piece | None:
        self.generated += 1
        lease.token_ids.append(event.token_id)
        text = ""
        if event.token_id not in self.ends:
            self.tokens.append(event)
            text = stream.push(event.token_id)
        if self.wanted.exact:
            self.told = len(self.tokens)
            return Piece(text, (event,))
        return self._piece(text, stream)

    def _piece(self, text: str, stream: TextStream) -> Piece | None:
        if not text:
            return None
        before, self.told = self.told, max(self.told, stream.tokens_shown)
        return Piece(text, tuple(self.tokens[before : self.told]))

    def _rest(self, stream: TextStream, *, cut: bool) -> Piece | None:
        """What was held back, and the token of which a stop string left the beginning."""
        text = stream.finish(drop_partial=cut)
        before = self.told
        self.told = max(before, stream.tokens_shown + bool(stream.text_beyond_tokens))
        tokens = tuple(self.tokens[before : self.told])
        return Piece(text, tokens) if text or tokens else None
