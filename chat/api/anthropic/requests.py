"""Requests in Anthropic's shape, as the one request inside."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Annotated, Any, Literal

from pydantic import Field

from chat.api.asked import Asked, Call, Calling, Said, Thinking, Tool
from chat.api.openai.requests import Body, Text, invalid, knob
from farmesh.errors import InvalidSampling
from farmesh.params import SamplingParams


class TextBlock(Body):
    """A piece of text."""

    type: Literal["text"]
    text: Text


class ThinkingBlock(Body):
    """Thoughts of an earlier turn, brought back."""

    type: Literal["thinking"]
    thinking: Text


class RedactedBlock(Body):
    """Thoughts that only their maker can read."""

    type: Literal["redacted_thinking"]


class ToolUse(Body):
    """A call that the model made, brought back."""

    type: Literal["tool_use"]
    id: Text
    name: Text
    input: dict[str, Any]


class ToolResult(Body):
    """What a call came to."""

    type: Literal["tool_result"]
    tool_use_id: Text
    content: Text | list[TextBlock] | None = None
    is_error: bool | None = None

    @property
    def text(self) -> str:
        return _text(self.content)


Block = Annotated[
    TextBlock | ThinkingBlock | RedactedBlock | ToolUse | ToolResult, Field(discriminator="type")
]


class Message(Body):
    """One message of the conversation."""

    role: Literal["user", "assistant"]
    content: Text | list[Block]

    def said(self) -> Iterator[Said]:
        """The messages that it is inside: results of calls are messages of their own."""
        if isinstance(self.content, str):
            yield Said(self.role, self.content)
            return
        text, thought, calls = "", "", []
        for block in self.content:
            match block:
                case TextBlock():
                    text += block.text
                case ThinkingBlock():
                    thought += block.thinking
                case ToolUse():
                    arguments = json.dumps(block.input, ensure_ascii=False)
                    calls.append(Call(block.id, block.name, arguments))
                case ToolResult():
                    yield Said("tool", block.text, answers=block.tool_use_id)
                case RedactedBlock():
                    pass
        if text or thought or calls or not self.content:
            yield Said(self.role, text, thought, tuple(calls))


class ToolEntry(Body):
    """A tool that the model may call."""

    type: Literal["custom"] | None = None
    name: Text
    description: Text | None = None
    input_schema: dict[str, Any]
    strict: bool | None = None

    @property
    def tool(self) -> Tool:
        return Tool(self.name, self.description or "", self.input_schema, bool(self.strict))


class ToolChoice(Body):
    """Whether tools must be called, and which."""

    type: Literal["auto", "any", "tool", "none"]
    name: Text | None = None
    disable_parallel_tool_use: bool | None = None


class ThinkingChoice(Body):
    """Whether the model is to think first."""

    type: Literal["enabled", "disabled", "adaptive"]
    budget_tokens: int | None = Field(None, ge=1)


class CountRequest(Body):
    """The body of ``POST /v1/messages/count_tokens``."""

    model: str
    messages: Annotated[list[Message], Field(min_length=1, max_length=10_000)]
    system: Text | list[TextBlock] | None = None
    tools: list[ToolEntry] | None = None
    tool_choice: ToolChoice | None = None
    thinking: ThinkingChoice | None = None

    def asked(self, params: SamplingParams) -> Asked:
        system = _text(self.system)
        choice = self.tool_choice
        kind = choice.type if choice else "auto"
        calling = Calling.REQUIRED if kind in ("any", "tool") else Calling(kind)
        return Asked(
            messages=(
                *((Said("system", system),) if system else ()),
                *(said for message in self.messages for said in message.said()),
            ),
            params=(params,),
            tools=tuple(entry.tool for entry in self.tools or ()),
            calling=calling,
            only=(choice.name or "") if choice and kind == "tool" else "",
            parallel=not (choice and choice.disable_parallel_tool_use),
            thinking=Thinking(self.thinking.type != "disabled" if self.thinking else None),
        )


class MessagesRequest(CountRequest):
    """The body of ``POST /v1/messages``."""

    max_tokens: int = Field(ge=1)
    stream: bool | None = None
    stop_sequences: Annotated[list[Text], Field(max_length=16)] | None = None
    temperature: float | None = knob("temperature", high=1)
    top_p: float | None = knob("top_p")
    top_k: int | None = Field(None, ge=-1)

    def params(self, defaults: SamplingParams) -> SamplingParams:
        """
        Raises:
            ApiError: a value is out of range.
        """
        wanted: dict[str, Any] = {
            "max_new_tokens": self.max_tokens,
            "temperature": self.temperature,
            "top_p": self.top_p,
            "top_k": None if self.top_k is None else max(0, self.top_k),
            "stop": None if self.stop_sequences is None else tuple(self.stop_sequences),
        }
        try:
            return replace(defaults, **{k: v for k, v in wanted.items() if v is not None})
        except InvalidSampling as error:
            raise invalid(error) from None


def _text(content: str | list[TextBlock] | None) -> str:
    if content is None or isinstance(content, str):
        return content or ""
    return "".join(block.text for block in content)
