"""Requests for responses, as the one request inside."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Annotated, Any, Literal

from pydantic import Field

from chat.api.asked import Asked, Call, Calling, Said, Thinking, Tool
from chat.api.errors import ApiError
from chat.api.forms import Form, form_of
from chat.api.openai.requests import Body, Effort, Text, invalid, knob, unsupported
from farmesh.errors import InvalidSampling
from farmesh.params import SamplingParams


class TextPart(Body):
    """A piece of a message."""

    type: Literal["input_text", "output_text", "text", "reasoning_text", "summary_text"]
    text: Text


class MessageItem(Body):
    """A message."""

    type: Literal["message"] | None = None
    role: Literal["system", "developer", "user", "assistant"]
    content: Text | list[TextPart]


class CallItem(Body):
    """A call that the model made, brought back."""

    type: Literal["function_call"]
    call_id: Text
    name: Text
    arguments: Text


class AnswerItem(Body):
    """What a call came to."""

    type: Literal["function_call_output"]
    call_id: Text
    output: Text | list[TextPart]


class ThoughtItem(Body):
    """Thoughts of an earlier response, brought back."""

    type: Literal["reasoning"]
    content: list[TextPart] | None = None
    summary: list[TextPart] | None = None


Item = MessageItem | CallItem | AnswerItem | ThoughtItem


class ToolEntry(Body):
    """A tool that the model may call."""

    type: Literal["function"]
    name: Text
    description: Text | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None

    @property
    def tool(self) -> Tool:
        return Tool(self.name, self.description or "", self.parameters or {}, bool(self.strict))


class NamedTool(Body):
    """The one tool that must be called."""

    type: Literal["function"]
    name: Text


class TextOptions(Body):
    """The form of the text."""

    format: dict[str, Any] | None = None

    @property
    def form(self) -> Form | None:
        wanted = self.format
        if wanted and wanted.get("type") == "json_schema":
            wanted = {"type": "json_schema", "json_schema": wanted}
        found = form_of(wanted, None, {})
        return replace(found, field="text.format") if found else None


class ReasoningOptions(Body):
    """How much the model is to think."""

    effort: Effort | None = None


class ResponseRequest(Body):
    """The body of ``POST /v1/responses``."""

    model: str
    input: Text | Annotated[list[Item], Field(min_length=1, max_length=10_000)]
    instructions: Text | None = None
    previous_response_id: Text | None = None
    store: bool | None = None
    stream: bool | None = None
    tools: list[ToolEntry] | None = None
    tool_choice: Literal["auto", "none", "required"] | NamedTool | None = None
    parallel_tool_calls: bool | None = None
    text: TextOptions | None = None
    reasoning: ReasoningOptions | None = None
    max_output_tokens: int | None = Field(None, ge=1)
    temperature: float | None = knob("temperature", high=2)
    top_p: float | None = knob("top_p")
    metadata: dict[str, str] | None = None
    background: bool | None = None
    conversation: Any = None

    def said(self) -> tuple[Said, ...]:
        """The messages of this request alone."""
        if isinstance(self.input, str):
            return (Said("user", self.input),)
        return tuple(_said(self.input))

    def asked(self, before: Sequence[Said], defaults: SamplingParams) -> Asked:
        """
        Args:
            before: messages of the responses that this one follows.

        Raises:
            ApiError: a value is out of range, or asks for what this app cannot do.
        """
        for name in ("background", "conversation"):
            if getattr(self, name):
                raise unsupported(name)
        choice = self.tool_choice or "auto"
        named = choice.name if isinstance(choice, NamedTool) else ""
        instructions = (Said("system", self.instructions),) if self.instructions else ()
        return Asked(
            messages=(*instructions, *before, *self.said()),
            params=(self._params(defaults),),
            tools=tuple(entry.tool for entry in self.tools or ()),
            calling=Calling.REQUIRED if isinstance(choice, NamedTool) else Calling(choice),
            only=named,
            parallel=self.parallel_tool_calls is not False,
            form=self.text.form if self.text else None,
            thinking=Thinking(effort=self.reasoning.effort if self.reasoning else None),
        )

    def _params(self, defaults: SamplingParams) -> SamplingParams:
        wanted: dict[str, Any] = {
            "max_new_tokens": self.max_output_tokens,
            "temperature": self.temperature,
            "top_p": self.top_p,
        }
        try:
            return replace(defaults, **{k: v for k, v in wanted.items() if v is not None})
        except InvalidSampling as error:
            raise invalid(error) from None


def _said(items: Sequence[Item]) -> Iterator[Said]:
    """Messages; thoughts and calls in a row are one message of the model's."""
    made = Said("assistant")
    for item in items:
        match item:
            case ThoughtItem():
                thought = _text(item.content or item.summary or [])
                made = replace(made, reasoning=made.reasoning + thought)
                continue
            case CallItem():
                call = Call(item.call_id, item.name, item.arguments)
                made = replace(made, calls=(*made.calls, call))
                continue
            case MessageItem(role="assistant") if not made.calls:
                made = replace(made, text=made.text + _text(item.content))
                continue
        if made != Said("assistant"):
            yield made
            made = Said("assistant")
        match item:
            case AnswerItem():
                yield Said("tool", _text(item.output), answers=item.call_id)
            case MessageItem(role=role):
                yield Said("system" if role == "developer" else role, _text(item.content))
    if made != Said("assistant"):
        yield made


def _text(content: str | list[TextPart]) -> str:
    return content if isinstance(content, str) else "".join(part.text for part in content)


def missing(response_id: str) -> ApiError:
    return ApiError(
        404,
        f"There is no response {response_id[:80]!r} here: it was not stored, or has made room.",
        param="previous_response_id",
        code="previous_response_not_found",
    )
