"""Answers in OpenAI's shapes, whole and streamed."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any

from chat.api.completion import Ended, Gathered, Made, Noted, Part, Piece, Wanted, complete
from chat.api.openai.logprobs import TokenNames
from chat.api.openai.requests import ChatCompletionRequest, CompletionRequest
from chat.api.reading import CallBegun, CallMore, Thought
from chat.api.stream import DONE, event
from chat.live.limits import Caller
from chat.live.store import ChatStore
from chat.models.backend import Engine
from chat.protocol.events import to_data


@dataclass(slots=True)
class Choices:
    """All replies of one request; their parts come as they are made."""

    store: ChatStore
    engine: Engine
    caller: Caller
    wanted: list[Wanted]

    async def parts(self) -> AsyncGenerator[tuple[int, Part], None]:
        """``(choice, part)``; leaving early ends all replies."""
        queue: asyncio.Queue[tuple[int, Part] | None] = asyncio.Queue(1)

        async def follow(index: int, wanted: Wanted) -> None:
            parts = complete(self.store, self.engine, self.caller, wanted)
            async with aclosing(parts):
                async for part in parts:
                    await queue.put((index, part))

        async def follow_all() -> None:
            try:
                async with asyncio.TaskGroup() as group:
                    for index, wanted in enumerate(self.wanted):
                        group.create_task(follow(index, wanted), name="completion")
            except BaseExceptionGroup as failed:
                await queue.put(None)
                raise failed.exceptions[0] from None
            await queue.put(None)

        following = asyncio.create_task(follow_all(), name="completions")
        try:
            while (part := await queue.get()) is not None:
                yield part
            await following
        finally:
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)


# --- shapes -------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Usage:
    prompts: dict[int, int] = field(default_factory=dict)  # by choice
    cached: int = 0
    generated: int = 0
    thought: int = 0

    def add(self, choice: int, ended: Ended) -> None:
        self.prompts[choice] = ended.prompt_tokens
        self.cached += ended.cached_tokens
        self.generated += ended.generated_tokens
        self.thought += ended.thought_tokens

    def body(self, choices_per_prompt: int) -> dict[str, Any]:
        """A prompt counts once, however many choices it has."""
        prompt = sum(n for choice, n in self.prompts.items() if choice % choices_per_prompt == 0)
        return {
            "prompt_tokens": prompt,
            "completion_tokens": self.generated,
            "total_tokens": prompt + self.generated,
            "prompt_tokens_details": {"cached_tokens": min(self.cached, prompt)},
            "completion_tokens_details": {"reasoning_tokens": self.thought},
        }


class Shape:
    """How parts become an answer; one object per request."""

    def __init__(
        self,
        body: ChatCompletionRequest | CompletionRequest,
        *,
        kind: str,
        chunk: str,
        prefix: str,
    ) -> None:
        self._kind, self._chunk = kind, chunk
        self._head = {
            "id": f"{prefix}-{secrets.token_hex(12)}",
            "created": int(time.time()),
            "model": body.model,
        }
        self.per_prompt = body.choices
        self._token_ids = bool(body.return_token_ids)
        self._as_ids = bool(body.return_tokens_as_token_ids)
        self._events = bool(body.return_events)

    def piece(self, choice: int, piece: Piece, names: TokenNames) -> dict[str, Any]:
        """A stream's choice with new text."""
        raise NotImplementedError

    def made(self, choice: int, made: Made, names: TokenNames) -> dict[str, Any]:
        """A stream's choice with more of a thought or a call."""
        raise NotImplementedError

    def last(self, choice: int, ended: Ended) -> dict[str, Any]:
        """A stream's choice that ends."""
        raise NotImplementedError

    def choice(self, choice: int, reply: Gathered, names: TokenNames) -> dict[str, Any]:
        """A whole choice."""
        raise NotImplementedError

    def first(self, choice: int, choices: Choices) -> dict[str, Any] | None:
        """What a stream says of a choice before anything else."""
        return None

    async def stream(self, choices: Choices, *, usage: bool) -> AsyncGenerator[bytes, None]:
        """Server-sent events."""
        names, spent, begun = TokenNames(choices.engine, self._as_ids), _Usage(), set[int]()
        extra = {"usage": None} if usage else {}
        async with aclosing(choices.parts()) as parts:
            async for index, part in parts:
                if isinstance(part, Noted):
                    if self._events:
                        told = {"farmesh": {"index": index, **to_data(part.event)}}
                        yield self._event([], extra | told)
                    continue
                if index not in begun:
                    begun.add(index)
                    if (first := self.first(index, choices)) is not None:
                        yield self._event([first], extra)
                match part:
                    case Piece():
                        made = self.piece(index, part, names) | self._ids([part])
                        yield self._event([made], extra)
                    case Made():
                        made = self.made(index, part, names) | self._ids([part])
                        yield self._event([made], extra)
                    case Ended():
                        spent.add(index, part)
                        yield self._event([self.last(index, part) | self._ids([])], extra)
        if usage:
            yield self._event([], {"usage": spent.body(self.per_prompt)})
        yield DONE

    async def whole(self, choices: Choices) -> dict[str, Any]:
        """The answer in one piece."""
        names, spent = TokenNames(choices.engine, self._as_ids), _Usage()
        replies = [Gathered() for _ in choices.wanted]
        async with aclosing(choices.parts()) as parts:
            async for index, part in parts:
                replies[index].take(part)
        for index, reply in enumerate(replies):
            spent.add(index, reply.end)
        made = [
            self.choice(index, reply, names) | self._ids(reply.pieces)
            for index, reply in enumerate(replies)
        ]
        usage = spent.body(self.per_prompt)
        return {"object": self._kind, **self._head, "choices": made, "usage": usage}

    def _ids(self, pieces: Sequence[Piece | Made]) -> dict[str, Any]:
        """The ids of all tokens of these pieces, those without text among them."""
        if not self._token_ids:
            return {}
        return {"token_ids": [token.token_id for piece in pieces for token in piece.tokens]}

    def _event(self, choices: list[dict[str, Any]], extra: dict[str, Any]) -> bytes:
        return event({"object": self._chunk, **self._head, "choices": choices, **extra})


class ChatShape(Shape):
    def __init__(self, body: ChatCompletionRequest) -> None:
        kind = "chat.completion"
        super().__init__(body, kind=kind, chunk=f"{kind}.chunk", prefix="chatcmpl")

    def first(self, choice: int, choices: Choices) -> dict[str, Any]:
        return self._delta(choice, {"role": "assistant", "content": ""})

    def piece(self, choice: int, piece: Piece, names: TokenNames) -> dict[str, Any]:
        return self._delta(choice, {"content": piece.text}, names.chat([piece]))

    def last(self, choice: int, ended: Ended) -> dict[str, Any]:
        return {**self._delta(choice, {}), "finish_reason": ended.reason}

    def made(self, choice: int, made: Made, names: TokenNames) -> dict[str, Any]:
        return self._delta(choice, _told(made.found), names.chat([made]))

    def choice(self, choice: int, reply: Gathered, names: TokenNames) -> dict[str, Any]:
        message: dict[str, Any] = {"role": "assistant", "content": reply.text, "refusal": None}
        if reply.thought:
            message["reasoning_content"] = reply.thought
        if reply.calls:
            message["content"] = reply.text or None
            message["tool_calls"] = [
                {
                    "id": call.id,
                    "type": "function",
                    "function": {"name": call.name, "arguments": call.arguments},
                }
                for call in reply.calls
            ]
        return {
            "index": choice,
            "message": message,
            "logprobs": names.chat(reply.pieces),
            "finish_reason": reply.end.reason,
        }

    def _delta(
        self, choice: int, delta: dict[str, Any], logprobs: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        return {"index": choice, "delta": delta, "logprobs": logprobs, "finish_reason": None}


def _told(found: Thought | CallBegun | CallMore) -> dict[str, Any]:
    """A delta."""
    match found:
        case Thought(text):
            return {"reasoning_content": text}
        case CallBegun(index, call_id, name):
            called = {"name": name, "arguments": ""}
            call = {"index": index, "id": call_id, "type": "function", "function": called}
            return {"tool_calls": [call]}
        case CallMore(index, text):
            return {"tool_calls": [{"index": index, "function": {"arguments": text}}]}


class TextShape(Shape):
    def __init__(self, body: CompletionRequest) -> None:
        kind = "text_completion"
        super().__init__(body, kind=kind, chunk=kind, prefix="cmpl")
        self._prompts = body.prompts if body.echo else []
        self._offsets: dict[int, int] = {}  # characters given out of each choice

    def first(self, choice: int, choices: Choices) -> dict[str, Any] | None:
        text = self._echo(choice, choices.engine)
        return self._body(choice, text) if text else None

    def piece(self, choice: int, piece: Piece, names: TokenNames) -> dict[str, Any]:
        return self._body(choice, piece.text, self._logprobs(choice, [piece], names))

    def last(self, choice: int, ended: Ended) -> dict[str, Any]:
        return {**self._body(choice, ""), "finish_reason": ended.reason}

    def choice(self, choice: int, reply: Gathered, names: TokenNames) -> dict[str, Any]:
        text = self._echo(choice, names.engine) + reply.text
        pieces = [piece for piece in reply.pieces if isinstance(piece, Piece)]
        logprobs = self._logprobs(choice, pieces, names)
        return {**self._body(choice, text, logprobs), "finish_reason": reply.end.reason}

    def _echo(self, choice: int, engine: Engine) -> str:
        if not self._prompts:
            return ""
        prompt = self._prompts[choice // self.per_prompt]
        return prompt if isinstance(prompt, str) else engine.tokenizer.decode(prompt)

    def _logprobs(
        self, choice: int, pieces: list[Piece], names: TokenNames
    ) -> dict[str, Any] | None:
        told, offset = names.text(pieces, self._offsets.get(choice, 0))
        self._offsets[choice] = offset
        return told

    def _body(
        self, choice: int, text: str, logprobs: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        return {"index": choice, "text": text, "logprobs": logprobs, "finish_reason": None}
