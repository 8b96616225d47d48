"""A swarm of canned replies, and a tokenizer whose tokens are bytes."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, field
from typing import Any

from tokenizers import Tokenizer, decoders, models, pre_tokenizers

from chat.live.chat import Chat, ChatLimits
from chat.live.limits import Line, TurnRate
from chat.models.backend import Backend, Engine, Watch
from farmesh import Guides
from farmesh.core import Hop, Route, Span, SwarmSnapshot
from farmesh.events import (
    Event,
    FinishReason,
    GenerationFinished,
    GenerationStats,
    PrefillProgress,
    RouteFound,
    TokenGenerated,
)
from farmesh.params import SamplingParams

END = 256  # the fake model's end-of-sequence token
ROUTE = Route((Hop("QmFirst", Span(0, 4)), Hop("QmSecond", Span(4, 8))))


class FakeTokenizer:
    """Bytes are tokens; the template marks roles with one control character each."""

    def __len__(self) -> int:
        return END + 1

    @property
    def backend_tokenizer(self) -> Any:
        """The same tokens as the library of tokenizers knows them; for grammars."""
        printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
        others = (chr(256 + n) for n in range(256))
        names = {chr(b) if b in printable else next(others): b for b in range(256)}
        made = Tokenizer(models.BPE(vocab={**names, "<end>": END}, merges=[]))
        made.add_special_tokens(["<end>"])
        made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        made.decoder = decoders.ByteLevel()
        return made

    def encode(self, text: str, *, add_special_tokens: bool = False) -> list[int]:
        parts = text.split("\x03")
        ids: list[int] = []
        for i, part in enumerate(parts):
            ids += ([END] if i else []) + list(part.encode())
        return ids

    def decode(self, token_ids: Sequence[int], **_: bool) -> str:
        return bytes(i for i in token_ids if i != END).decode("utf-8", errors="replace")

    def apply_chat_template(
        self,
        turns: list[dict[str, str]],
        *,
        tokenize: bool,
        add_generation_prompt: bool,
        chat_template: str | None = None,
    ) -> str:
        marks = {"system": "S:", "user": "U:", "assistant": "A:"}
        text = "".join(marks[t["role"]] + t["content"].strip() + "\x03" for t in turns)
        return text + ("A:" if add_generation_prompt else "")


@dataclass
class Call:
    """One reply that was asked for."""

    token_ids: tuple[int, ...]
    params: SamplingParams
    produced: int = 0
    ended: bool = False  # its generator was closed

    @property
    def text(self) -> str:
        return FakeTokenizer().decode(self.token_ids)


class FakeSession:
    """Plays the next canned reply; keeps count like a session with a KV cache."""

    def __init__(self, client: FakeClient) -> None:
        self.client = client
        self.held: tuple[int, ...] = ()
        self.closed = False

    @property
    def position(self) -> int:
        return len(self.held)

    @property
    def route(self) -> Route | None:
        return ROUTE

    async def generate(
        self, token_ids: Sequence[int], sampling: SamplingParams
    ) -> AsyncGenerator[Event, None]:
        call = Call(tuple(token_ids), sampling)
        self.client.calls.append(call)
        try:
            reused = next(
                (i for i, (a, b) in enumerate(zip(self.held, token_ids, strict=False)) if a != b),
                min(len(self.held), len(token_ids) - 1),
            )
            self.held = call.token_ids
            yield RouteFound(ROUTE)
            yield PrefillProgress(len(token_ids), len(token_ids), reused)
            reply = self.client.replies.popleft() if self.client.replies else "ok"
            if isinstance(reply, Exception):
                raise reply
            ids = reply if isinstance(reply, list) else list(reply.encode())
            reason = FinishReason.END_OF_SEQUENCE
            for index, token_id in enumerate([*ids, END]):
                if index >= sampling.max_new_tokens:
                    reason = FinishReason.MAX_NEW_TOKENS
                    break
                await asyncio.sleep(self.client.step)
                call.produced += 1
                self.held += (token_id,)
                yield TokenGenerated(token_id, len(self.held) - 1, index)
            stats = GenerationStats(len(token_ids), reused, call.produced, 0.01, 0.02, 2)
            yield GenerationFinished(reason, stats)
        finally:
            call.ended = True

    async def close(self) -> None:
        self.closed = True


@dataclass
class FakeClient:
    """Hands out sessions that play what was queued with :meth:`enqueue`."""

    max_context: int = 2000
    eos_token_ids: frozenset[int] = frozenset({END})
    step: float = 0.0  # seconds per token
    replies: deque[str | list[int] | Exception] = field(default_factory=deque)
    calls: list[Call] = field(default_factory=list)
    sessions: list[FakeSession] = field(default_factory=list)

    @property
    def snapshot(self) -> SwarmSnapshot:
        return SwarmSnapshot("fake", 8)

    def enqueue(self, *replies: str | list[int] | Exception) -> None:
        self.replies.extend(replies)

    def session(self) -> FakeSession:
        self.sessions.append(FakeSession(self))
        return self.sessions[-1]


def ready_backend(client: FakeClient, watch: Watch | None = None, **more: Any) -> Backend:
    backend = Backend("Fake", watch=watch, **more)
    tokenizer = FakeTokenizer()
    guides = Guides(tokenizer, client.eos_token_ids)
    backend.opened(Engine(client, tokenizer, client.max_context, guides=guides))
    return backend


def new_chat(
    client: FakeClient, *, grace: float = 5.0, per_minute: int = 100, chars: int = 20_000
) -> Chat:
    limits = ChatLimits(TurnRate(per_minute), Line(4, 2, 4), grace, chars)
    return Chat("x" * 43, "somebody", ready_backend(client), limits)
