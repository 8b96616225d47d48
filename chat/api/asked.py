"""What a program asks for, whichever protocol it speaks: one request, with three faces."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Literal

from chat.api.errors import ApiError
from chat.api.forms import Form
from farmesh.params import SamplingParams

MAX_TOOLS = 128
MAX_TOOL_BYTES = 400_000  # of all their schemas
_NAME = re.compile(r"[A-Za-z0-9_.-]{1,128}")

Role = Literal["system", "user", "assistant", "tool"]


@dataclass(frozen=True, slots=True)
class Tool:
    """A function that the model may call; the program runs it."""

    name: str
    description: str = ""
    parameters: Mapping[str, Any] = field(default_factory=dict)  # a JSON schema; {}: none
    strict: bool = False  # keywords of the schema that cannot be held are refused, not left out

    @property
    def described(self) -> dict[str, Any]:
        """As chat templates take it."""
        function = {"name": self.name, "description": self.description}
        schema = dict(self.parameters) or {"type": "object", "properties": {}}
        return {"type": "function", "function": {**function, "parameters": schema}}


@dataclass(frozen=True, slots=True)
class Call:
    """A call that the model made."""

    id: str
    name: str
    arguments: str  # JSON


@dataclass(frozen=True, slots=True)
class Said:
    """One message."""

    role: Role
    text: str = ""
    reasoning: str = ""
    calls: tuple[Call, ...] = ()
    answers: str = ""  # a tool's message: the id of the call that it answers


class Calling(Enum):
    """Whether the reply may, must or must not call tools."""

    AUTO = "auto"
    NONE = "none"
    REQUIRED = "required"


@dataclass(frozen=True, slots=True)
class Thinking:
    """How much the model is to think before it answers; None: as its template does."""

    on: bool | None = None
    effort: str | None = None
    template: Mapping[str, Any] = field(default_factory=dict)  # its own switches, by their names


@dataclass(frozen=True, slots=True)
class Asked:
    """One request for replies to a conversation."""

    messages: tuple[Said, ...]
    params: tuple[SamplingParams, ...]  # of each reply that is wanted
    tools: tuple[Tool, ...] = ()
    calling: Calling = Calling.AUTO
    only: str = ""  # the one tool that must be called
    parallel: bool = True  # several calls in one reply
    form: Form | None = None
    thinking: Thinking = field(default_factory=Thinking)
    exact: bool = False  # a piece for every token
    salt: str = ""  # names one conversation

    @property
    def forced(self) -> bool:
        """Whether the reply is a call, whatever the model would rather say."""
        return bool(self.only) or self.calling is Calling.REQUIRED

    @property
    def offered(self) -> tuple[Tool, ...]:
        """The tools that this reply may call."""
        if self.calling is Calling.NONE and not self.only:
            return ()
        return tuple(tool for tool in self.tools if not self.only or tool.name == self.only)

    def check(self) -> None:
        """
        Raises:
            ApiError: tools that cannot be offered.
        """
        if len(self.tools) > MAX_TOOLS:
            raise ApiError(400, f"At most {MAX_TOOLS} tools can be offered.", param="tools")
        names = [tool.name for tool in self.tools]
        for name in names:
            if not _NAME.fullmatch(name):
                raise ApiError(
                    400,
                    f"The tool name {name[:40]!r} has other characters than letters, digits, "
                    "'_', '.' and '-', or more than 128.",
                    param="tools",
                    code="invalid_value",
                )
        if len(set(names)) < len(names):
            raise ApiError(400, "Two tools have the same name.", param="tools")
        if self.forced and not self.offered:
            sentence = f"There is no tool {self.only!r}." if self.only else "There are no tools."
            raise ApiError(400, sentence, param="tool_choice", code="invalid_value")
        try:
            size = sum(len(json.dumps(tool.described)) for tool in self.tools)
        except RecursionError:
            raise ApiError(400, "A tool's schema has too many levels.", param="tools") from None
        if size > MAX_TOOL_BYTES:
            raise ApiError(
                400, f"All tools together have more than {MAX_TOOL_BYTES:,} bytes.", param="tools"
            )
