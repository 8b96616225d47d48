"""One stateless completion: token ids in, pieces of text out, through the same line as the page.

Knows nothing of HTTP. Closing the generator stops the nodes' work within one step and keeps the
session for the caller's next request.
"""

from __future__ import annotations

import asyncio
from array import array
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from chat.api.asked import Call
from chat.api.reading import CallBegun, CallMore, Reader, Spoken, Thought
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
    reader: Callable[[], Reader] | None = None  # takes thoughts and calls apart; None: all is text


@dataclass(frozen=True, slots=True)
class Piece:
    """New text, and the tokens that stand for it."""

    text: str
    tokens: tuple[TokenGenerated, ...]


@dataclass(frozen=True, slots=True)
class Made:
    """Something else than text: a thought, or a part of a call; and its tokens."""

    found: Thought | CallBegun | CallMore
    tokens: tuple[TokenGenerated, ...] = ()


@dataclass(frozen=True, slots=True)
class Noted:
    """Something that happened on the way to the next token."""

    event: Event


@dataclass(frozen=True, slots=True)
class Ended:
    """The last part of every reply, with what it took."""

    reason: Reason
    prompt_tokens: int
    cached_tokens: int
    generated_tokens: int
    thought_tokens: int = 0  # of the generated ones
    stop: str | None = None  # the stop string that ended it


Reason = Literal["stop", "length", "tool_calls"]
Part = Piece | Made | Noted | Ended


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
    reader: Reader | None = None
    thought: int = 0  # tokens of thoughts
    unread: list[TokenGenerated] = field(default_factory=list)  # of text that the reader holds back

    def __post_init__(self) -> None:
        self.reader = self.wanted.reader() if self.wanted.reader is not None else None
        params = self.wanted.params
        own = () if params.ignore_eos else self.engine.client.eos_token_ids
        self.ends = frozenset((*own, *params.stop_token_ids))

    async def follow(self, lease: Lease) -> AsyncGenerator[Part, None]:
        ids, params = self.wanted.token_ids, self.wanted.params
        room = self.engine.context - len(ids)
        stream = TextStream(self.engine.tokenizer, params.stop, special=self.reader is not None)
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
                                for part in self._read(piece):
                                    yield part
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
        rest = self._rest(stream, cut=not (ended or stream.stopped)) or Piece("", ())
        for part in self._read(rest, last=True):
            yield part
        cached = len(ids) - 1 if self.cached is None else self.cached
        by_itself: Reason = "stop" if ended or stream.stopped else "length"
        if by_itself == "stop" and self.reader is not None and self.reader.calls:
            by_itself = "tool_calls"
        yield Ended(by_itself, len(ids), cached, self.generated, self.thought, stream.met)

    def _read(self, piece: Piece, *, last: bool = False) -> list[Piece | Made]:
        """The piece taken apart; its tokens go with the first of what is made of it."""
        if self.reader is None:
            return [piece] if piece.text or piece.tokens else []
        thought = self.reader.thinks
        found = self.reader.take(piece.text)
        if last:
            found += self.reader.finish()
        self.thought += len(piece.tokens) if thought else 0
        self.unread += piece.tokens
        parts: list[Piece | Made] = []
        for one in found:
            tokens, self.unread = tuple(self.unread), []
            parts.append(Piece(one.text, tokens) if isinstance(one, Spoken) else Made(one, tokens))
        if self.unread and (last or self.wanted.exact) and not found:
            tokens, self.unread = tuple(self.unread), []
            parts.append(Piece("", tokens))
        return parts

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


@dataclass(slots=True)
class Gathered:
    """A whole reply, from its parts."""

    pieces: list[Piece | Made] = field(default_factory=list)
    text: str = ""
    thought: str = ""
    calls: list[Call] = field(default_factory=list)
    ended: Ended | None = None

    def take(self, part: Part) -> None:
        match part:
            case Piece(text):
                self.pieces.append(part)
                self.text += text
            case Made(Thought(text)):
                self.pieces.append(part)
                self.thought += text
            case Made(CallBegun(_, call_id, name)):
                self.pieces.append(part)
                self.calls.append(Call(call_id, name, ""))
            case Made(CallMore(_, text)):
                self.pieces.append(part)
                last = self.calls[-1]
                self.calls[-1] = replace(last, arguments=last.arguments + text)
            case Ended():
                self.ended = part
            case Noted():
                pass

    @property
    def end(self) -> Ended:
        """
        Raises:
            ValueError: it has not ended.
        """
        if self.ended is None:
            raise ValueError("a reply without an end")
        return self.ended
