"""Answers in Anthropic's shapes, whole and streamed."""

from __future__ import annotations

import json
import secrets
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing
from typing import Any

from starlette.responses import Response

from chat.api.completion import Ended, Gathered, Made, Noted, Part, Piece
from chat.api.errors import PREFIX, body_of, error_answer, known_error
from chat.api.reading import CallBegun, CallMore, Thought
from chat.api.stream import named_event


def failed(error: Exception) -> tuple[Response, bytes]:
    """The answer to an error, and the event for one that comes later."""
    known = known_error(error)
    path = f"{PREFIX}/messages"
    return error_answer(known, path), named_event("error", body_of(known, path))


class MessageShape:
    """How a reply becomes a message; one object per request."""

    def __init__(self, model: str) -> None:
        self._head = {
            "id": f"msg_{secrets.token_hex(12)}",
            "type": "message",
            "role": "assistant",
            "model": model,
        }

    def whole(self, reply: Gathered) -> dict[str, Any]:
        content: list[dict[str, Any]] = []
        if reply.thought:
            content.append({"type": "thinking", "thinking": reply.thought, "signature": ""})
        if reply.text or not reply.calls:
            content.append({"type": "text", "text": reply.text})
        for call in reply.calls:
            told = {"id": call.id, "name": call.name, "input": _input(call.arguments)}
            content.append({"type": "tool_use", **told})
        return {**self._head, "content": content, **_end(reply.end), "usage": _usage(reply.end)}

    async def stream(
        self, parts: AsyncGenerator[Part, None], prompt_tokens: int
    ) -> AsyncGenerator[bytes, None]:
        """Server-sent events."""
        usage = {"input_tokens": prompt_tokens, "output_tokens": 0}
        none: dict[str, Any] = {"content": [], "stop_reason": None, "stop_sequence": None}
        blocks, begun = _Blocks(), False
        async with aclosing(parts):
            async for part in parts:
                if not begun and not isinstance(part, Noted):  # a failure before is no stream
                    begun = True
                    yield _event("message_start", message={**self._head, **none, "usage": usage})
                    yield _event("ping")
                for made in blocks.take(part):
                    yield made
                if isinstance(part, Ended):
                    yield _event("message_delta", delta=_end(part), usage=_usage(part))
        yield _event("message_stop")


class _Blocks:
    """The blocks of a streamed message: one is open at a time."""

    def __init__(self) -> None:
        self._index = -1
        self._kind = ""  # of the open block; "" when none is

    def take(self, part: Part) -> Iterator[bytes]:
        match part:
            case Piece(text):
                if text:
                    yield from self._open("text", {"text": ""})
                    yield self._delta("text_delta", text=text)
            case Made(Thought(text)):
                yield from self._open("thinking", {"thinking": "", "signature": ""})
                yield self._delta("thinking_delta", thinking=text)
            case Made(CallBegun(_, call_id, name)):
                yield from self._close()
                yield from self._open("tool_use", {"id": call_id, "name": name, "input": {}})
            case Made(CallMore(_, text)):
                yield self._delta("input_json_delta", partial_json=text)
            case Ended():
                if self._index < 0:
                    yield from self._open("text", {"text": ""})
                yield from self._close()
            case _:
                pass

    def _open(self, kind: str, begun: dict[str, Any]) -> Iterator[bytes]:
        if self._kind == kind and kind != "tool_use":
            return
        yield from self._close()
        self._index += 1
        self._kind = kind
        block = {"type": kind, **begun}
        yield _event("content_block_start", index=self._index, content_block=block)

    def _close(self) -> Iterator[bytes]:
        if self._kind:
            self._kind = ""
            yield _event("content_block_stop", index=self._index)

    def _delta(self, kind: str, **told: str) -> bytes:
        delta = {"type": kind, **told}
        return _event("content_block_delta", index=self._index, delta=delta)


def _event(kind: str, **told: Any) -> bytes:
    return named_event(kind, {"type": kind, **told})


def _end(ended: Ended) -> dict[str, Any]:
    reasons = {"stop": "end_turn", "length": "max_tokens", "tool_calls": "tool_use"}
    reason = "stop_sequence" if ended.stop is not None else reasons[ended.reason]
    return {"stop_reason": reason, "stop_sequence": ended.stop}


def _usage(ended: Ended) -> dict[str, int]:
    return {
        "input_tokens": ended.prompt_tokens - ended.cached_tokens,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": ended.cached_tokens,
        "output_tokens": ended.generated_tokens,
    }


def _input(arguments: str) -> Any:
    """A reply that was cut has no whole arguments."""
    try:
        return json.loads(arguments)
    except ValueError:
        return {}
