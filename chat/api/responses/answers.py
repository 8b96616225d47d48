"""Responses in OpenAI's newer shapes, whole and streamed."""

from __future__ import annotations

import secrets
import time
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import aclosing
from typing import Any

from starlette.responses import Response

from chat.api.asked import Said
from chat.api.completion import Ended, Gathered, Made, Noted, Part, Piece
from chat.api.errors import error_answer, known_error
from chat.api.reading import CallBegun, CallMore, Thought
from chat.api.responses.requests import NamedTool, ResponseRequest
from chat.api.stream import named_event


def new_id(prefix: str) -> str:
    return f"{prefix}_{secrets.token_hex(24)}"


def failed(error: Exception) -> tuple[Response, bytes]:
    """The answer to an error, and the event for one that comes later."""
    known = known_error(error)
    told = {"type": "error", "code": known.code, "message": str(known), "param": known.param}
    return error_answer(known), named_event("error", {**told, "sequence_number": 0})


def said_of(reply: Gathered) -> Said:
    """The reply as a message of a conversation that goes on."""
    return Said("assistant", reply.text, reply.thought, tuple(reply.calls))


class ResponseShape:
    """How a reply becomes a response; one object per request."""

    def __init__(self, body: ResponseRequest) -> None:
        self.id = new_id("resp")
        choice = body.tool_choice or "auto"
        form = body.text.format if body.text else None
        self._head: dict[str, Any] = {
            "id": self.id,
            "object": "response",
            "created_at": int(time.time()),
            "model": body.model,
            "error": None,
            "instructions": body.instructions,
            "max_output_tokens": body.max_output_tokens,
            "metadata": body.metadata or {},
            "parallel_tool_calls": body.parallel_tool_calls is not False,
            "previous_response_id": body.previous_response_id,
            "reasoning": {
                "effort": body.reasoning.effort if body.reasoning else None,
                "summary": None,
            },
            "store": body.store is not False,
            "temperature": body.temperature,
            "text": {"format": form or {"type": "text"}},
            "tool_choice": choice.model_dump() if isinstance(choice, NamedTool) else choice,
            "tools": [entry.model_dump() for entry in body.tools or ()],
            "top_p": body.top_p,
            "truncation": "disabled",
        }

    def begun(self) -> dict[str, Any]:
        open_ends: dict[str, Any] = {"incomplete_details": None, "output": [], "usage": None}
        return {**self._head, "status": "in_progress", **open_ends}

    def whole(self, reply: Gathered) -> dict[str, Any]:
        items = _Items()
        for part in (*reply.pieces, reply.end):
            for _ in items.take(part):
                pass
        return self.ended(items.done, reply.end)

    def ended(self, items: list[dict[str, Any]], end: Ended) -> dict[str, Any]:
        cut = end.reason == "length"
        return {
            **self._head,
            "status": "incomplete" if cut else "completed",
            "incomplete_details": {"reason": "max_output_tokens"} if cut else None,
            "output": items,
            "usage": {
                "input_tokens": end.prompt_tokens,
                "input_tokens_details": {"cached_tokens": end.cached_tokens},
                "output_tokens": end.generated_tokens,
                "output_tokens_details": {"reasoning_tokens": end.thought_tokens},
                "total_tokens": end.prompt_tokens + end.generated_tokens,
            },
        }

    async def stream(
        self,
        parts: AsyncGenerator[Part, None],
        finished: Callable[[Gathered, dict[str, Any]], None],
    ) -> AsyncGenerator[bytes, None]:
        """Server-sent events.

        Args:
            finished: is told of the whole reply, and of the response, before its last event.
        """
        items, reply, number, begun = _Items(), Gathered(), 0, False

        def event(kind: str, told: dict[str, Any]) -> bytes:
            nonlocal number
            number += 1
            return named_event(kind, {"type": kind, "sequence_number": number - 1, **told})

        async with aclosing(parts):
            async for part in parts:
                if not begun and not isinstance(part, Noted):  # a failure before is no stream
                    begun = True
                    yield event("response.created", {"response": self.begun()})
                    yield event("response.in_progress", {"response": self.begun()})
                reply.take(part)
                for kind, told in items.take(part):
                    yield event(kind, told)
        whole = self.ended(items.done, reply.end)
        finished(reply, whole)
        yield event(f"response.{whole['status']}", {"response": whole})


Told = tuple[str, dict[str, Any]]


class _Items:
    """The items of a response; one is open at a time."""

    def __init__(self) -> None:
        self.done: list[dict[str, Any]] = []
        self._open: dict[str, Any] | None = None
        self._text = ""  # of the open item

    def take(self, part: Part) -> Iterator[Told]:
        match part:
            case Piece(text):
                if text:
                    yield from self._begin("message")
                    yield self._more("response.output_text.delta", text)
            case Made(Thought(text)):
                yield from self._begin("reasoning")
                yield self._more("response.reasoning_text.delta", text)
            case Made(CallBegun(_, call_id, name)):
                yield from self._end("completed")
                yield from self._begin("function_call", call_id=call_id, name=name, arguments="")
            case Made(CallMore(_, text)):
                yield self._more("response.function_call_arguments.delta", text)
            case Ended(reason):
                if not self.done and self._open is None:
                    yield from self._begin("message")
                yield from self._end("incomplete" if reason == "length" else "completed")
            case _:
                pass

    def _begin(self, kind: str, **told: Any) -> Iterator[Told]:
        if self._open is not None and self._open["type"] == kind and kind != "function_call":
            return
        yield from self._end("completed")
        prefix = {"message": "msg", "reasoning": "rs", "function_call": "fc"}[kind]
        item: dict[str, Any] = {"id": new_id(prefix), "type": kind, "status": "in_progress", **told}
        if kind == "message":
            item |= {"role": "assistant", "content": []}
        elif kind == "reasoning":
            item |= {"summary": [], "content": []}
        self._open, self._text = item, ""
        yield "response.output_item.added", {"output_index": len(self.done), "item": dict(item)}
        if kind != "function_call":
            yield "response.content_part.added", {**self._place, "part": self._part}

    @property
    def _place(self) -> dict[str, Any]:
        item_id = self._open["id"] if self._open else ""
        return {"item_id": item_id, "output_index": len(self.done), "content_index": 0}

    @property
    def _part(self) -> dict[str, Any]:
        if self._open is not None and self._open["type"] == "reasoning":
            return {"type": "reasoning_text", "text": self._text}
        return {"type": "output_text", "text": self._text, "annotations": [], "logprobs": []}

    def _more(self, kind: str, text: str) -> Told:
        self._text += text
        told = {**self._place, "delta": text}
        if kind == "response.output_text.delta":
            told["logprobs"] = []
        if kind == "response.function_call_arguments.delta":
            del told["content_index"]
        return kind, told

    def _end(self, status: str) -> Iterator[Told]:
        item = self._open
        if item is None:
            return
        place = self._place
        item["status"] = status
        if item["type"] == "function_call":
            item["arguments"] = self._text
            del place["content_index"]
            told = {**place, "name": item["name"], "arguments": self._text}
            yield "response.function_call_arguments.done", told
        else:
            item["content"] = [self._part]
            name = "output_text" if item["type"] == "message" else "reasoning_text"
            more: dict[str, Any] = {"logprobs": []} if name == "output_text" else {}
            yield f"response.{name}.done", {**place, "text": self._text, **more}
            yield "response.content_part.done", {**place, "part": self._part}
        yield "response.output_item.done", {"output_index": len(self.done), "item": dict(item)}
        self.done.append(item)
        self._open = None
