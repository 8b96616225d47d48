"""Requests in OpenAI's shape: what clients send, checked, and as the engine takes it.

Fields that change nothing here (``user``, ``metadata``, ``store`` …) are tolerated. Fields that ask
for something this app cannot do are refused by name: an answer that silently left out an image or
a bias would be worse than none.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from chat.api.asked import Asked, Call, Calling, Said, Thinking, Tool
from chat.api.errors import ApiError
from chat.api.forms import Form, form_of
from farmesh.errors import InvalidSampling
from farmesh.params import KNOB, KNOBS, MAX_LOGPROBS, SamplingParams

MAX_CHOICES = 8  # replies of one request, over all of its prompts
SEEDS = 2**63


def _whole(text: str) -> str:
    """JSON can carry half of a character (a lone surrogate), on which tokenizers raise."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError("half of a character is no text") from None
    return text


def knob(name: str, high: float | None = None) -> Any:
    """The field of a request for one knob: its own limits, or the protocol's narrower one."""
    knob = KNOB[name]
    most = knob.high if high is None else high
    return Field(None, gt=knob.low, le=most) if knob.above else Field(None, ge=knob.low, le=most)


Text = Annotated[str, AfterValidator(_whole)]


class Body(BaseModel):
    """What is common to all: unknown fields are left out, and ``"1"`` is no number."""

    model_config = ConfigDict(extra="ignore", strict=True)


class StreamOptions(Body):
    """How a stream is wanted."""

    include_usage: bool | None = None


class TextPart(Body):
    """A piece of a message; only text is understood."""

    type: Literal["text"]
    text: Text


class CalledFunction(Body):
    """What a call calls."""

    name: Text
    arguments: Text


class ToolCall(Body):
    """A call that the model made, brought back by the program."""

    id: Text
    function: CalledFunction


class ChatMessage(Body):
    """One message of the conversation."""

    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: Text | list[TextPart] | None = None
    reasoning_content: Text | None = None
    tool_calls: Annotated[list[ToolCall], Field(max_length=1000)] | None = None
    tool_call_id: Text | None = None

    @property
    def text(self) -> str:
        if self.content is None or isinstance(self.content, str):
            return self.content or ""
        return "".join(part.text for part in self.content)

    @property
    def said(self) -> Said:
        return Said(
            "system" if self.role == "developer" else self.role,
            self.text,
            self.reasoning_content or "",
            tuple(
                Call(call.id, call.function.name, call.function.arguments)
                for call in self.tool_calls or ()
            ),
            self.tool_call_id or "",
        )


class Function(Body):
    """A tool's name and its arguments."""

    name: Text
    description: Text | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class ToolEntry(Body):
    """A tool that the model may call."""

    type: Literal["function"]
    function: Function

    @property
    def tool(self) -> Tool:
        told = self.function
        return Tool(told.name, told.description or "", told.parameters or {}, bool(told.strict))


class NamedFunction(Body):
    """Which function."""

    name: Text


class NamedTool(Body):
    """The one tool that must be called."""

    type: Literal["function"]
    function: NamedFunction


ToolChoice = Literal["auto", "none", "required"] | NamedTool
Effort = Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"]


StopText = Annotated[Text, Field(min_length=1)]


class _Sampled(Body):
    """What both kinds of completion share; None leaves the model's own default."""

    model: str
    max_tokens: int | None = Field(None, ge=1)
    temperature: float | None = knob("temperature", high=2)
    top_p: float | None = knob("top_p")
    n: int | None = Field(None, ge=1, le=MAX_CHOICES)
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    stop: StopText | Annotated[list[StopText], Field(max_length=16)] | None = None
    seed: int | None = None
    presence_penalty: float | None = knob("presence_penalty")
    frequency_penalty: float | None = knob("frequency_penalty")
    logit_bias: dict[str, float] | None = None
    # Beyond OpenAI's, by the names that other servers gave them.
    top_k: int | None = Field(None, ge=-1)  # -1 and 0: off
    min_p: float | None = knob("min_p")
    typical_p: float | None = knob("typical_p")
    repetition_penalty: float | None = knob("repetition_penalty")
    stop_token_ids: Annotated[list[int], Field(max_length=16)] | None = None
    ignore_eos: bool | None = None
    no_repeat_ngram_size: int | None = knob("no_repeat_ngram_size")
    cache_salt: Annotated[Text, Field(max_length=200)] | None = None
    return_token_ids: bool | None = None
    return_tokens_as_token_ids: bool | None = None
    return_events: bool | None = None  # ours: routes and progress in a stream
    # The form that the reply must have: OpenAI's, and those of vLLM's clients, newer and older.
    response_format: dict[str, Any] | None = None
    structured_outputs: dict[str, Any] | None = None
    guided_json: dict[str, Any] | Text | None = None
    guided_regex: Text | None = None
    guided_choice: list[Text] | None = None
    guided_grammar: Text | None = None

    @property
    def form(self) -> Form | None:
        """
        Raises:
            ApiError: what is asked for cannot be read, or is two things at once.
        """
        names = ("guided_json", "guided_regex", "guided_choice", "guided_grammar")
        guided = {name: getattr(self, name) for name in names}
        return form_of(self.response_format, self.structured_outputs, guided)

    @property
    def choices(self) -> int:
        """Replies wanted for each prompt."""
        return self.n or 1

    @property
    def usage_wanted(self) -> bool:
        """Whether a stream should end with what it took."""
        return bool(self.stream_options and self.stream_options.include_usage)

    def _limit(self) -> int | None:
        return self.max_tokens

    def _logprobs(self) -> int | None:
        return None

    def params(self, defaults: SamplingParams, choice: int = 0) -> SamplingParams:
        """How one choice is sampled; with a seed, every choice has its own.

        Raises:
            ApiError: a value is out of range, or asks for what this app cannot do.
        """
        if self.logit_bias:
            raise unsupported("logit_bias")
        numbers = {knob.name: getattr(self, knob.name, None) for knob in KNOBS}
        wanted = numbers | {
            "max_new_tokens": self._limit(),
            "top_k": None if self.top_k is None else max(0, self.top_k),
            "seed": None if self.seed is None else (self.seed + choice) % SEEDS,
            "stop": (self.stop,) if isinstance(self.stop, str) else _tuple(self.stop),
            "stop_token_ids": _tuple(self.stop_token_ids),
            "ignore_eos": self.ignore_eos,
            "logprobs": self._logprobs(),
            "grammar": form.grammar if (form := self.form) else None,
        }
        try:
            return replace(defaults, **{k: v for k, v in wanted.items() if v is not None})
        except InvalidSampling as error:
            raise invalid(error) from None


def _tuple(values: list[Any] | None) -> tuple[Any, ...] | None:
    return None if values is None else tuple(values)


class ChatCompletionRequest(_Sampled):
    """The body of ``POST /v1/chat/completions``."""

    messages: Annotated[list[ChatMessage], Field(min_length=1, max_length=10_000)]
    max_completion_tokens: int | None = Field(None, ge=1)
    logprobs: bool | None = None
    top_logprobs: int | None = Field(None, ge=0, le=MAX_LOGPROBS)
    tools: list[ToolEntry] | None = None
    tool_choice: ToolChoice | None = None
    parallel_tool_calls: bool | None = None
    reasoning_effort: Effort | None = None
    chat_template_kwargs: dict[str, str | bool | int | float] | None = None
    functions: list[Any] | None = None
    modalities: list[str] | None = None

    def _limit(self) -> int | None:
        return self.max_completion_tokens or self.max_tokens

    def _logprobs(self) -> int | None:
        if self.top_logprobs and not self.logprobs:
            raise ApiError(400, "top_logprobs needs logprobs to be true.", param="top_logprobs")
        return (self.top_logprobs or 0) if self.logprobs else None

    def params(self, defaults: SamplingParams, choice: int = 0) -> SamplingParams:
        if self.functions:
            raise unsupported("functions")
        if self.modalities and self.modalities != ["text"]:
            raise unsupported("modalities")
        return super().params(defaults, choice)

    def asked(self, defaults: SamplingParams) -> Asked:
        """
        Raises:
            ApiError: a value is out of range, or asks for what this app cannot do.
        """
        choice = self.tool_choice or "auto"
        named = choice.function.name if isinstance(choice, NamedTool) else ""
        switches = dict(self.chat_template_kwargs or {})
        on = switches.pop("enable_thinking", None)
        return Asked(
            messages=tuple(message.said for message in self.messages),
            params=tuple(self.params(defaults, choice) for choice in range(self.choices)),
            tools=tuple(entry.tool for entry in self.tools or ()),
            calling=Calling.REQUIRED if isinstance(choice, NamedTool) else Calling(choice),
            only=named,
            parallel=self.parallel_tool_calls is not False,
            form=self.form,
            thinking=Thinking(None if on is None else bool(on), self.reasoning_effort, switches),
            exact=bool(self.return_token_ids),
            salt=self.cache_salt or "",
        )


class CompletionRequest(_Sampled):
    """The body of ``POST /v1/completions``."""

    prompt: Text | list[Text] | list[int] | list[list[int]]
    logprobs: int | None = Field(None, ge=0, le=MAX_LOGPROBS)
    echo: bool | None = None
    best_of: int | None = None
    suffix: str | None = None

    @property
    def prompts(self) -> list[str | list[int]]:
        """Every prompt as text, or as the token ids that were given."""
        if isinstance(self.prompt, str):
            return [self.prompt]
        if self.prompt and isinstance(self.prompt[0], int):
            return [self.prompt]
        return list(self.prompt)  # type: ignore[arg-type]

    def _logprobs(self) -> int | None:
        return self.logprobs

    def params(self, defaults: SamplingParams, choice: int = 0) -> SamplingParams:
        if self.suffix:
            raise unsupported("suffix")
        if self.best_of is not None and self.best_of != self.choices:
            raise unsupported("best_of")
        if self.echo and self.logprobs is not None:
            raise unsupported("echo together with logprobs")
        return super().params(defaults, choice)


def invalid(error: InvalidSampling) -> ApiError:
    return ApiError(400, str(error), param=error.field, code="invalid_value")


def unsupported(what: str) -> ApiError:
    return ApiError(
        400, f"{what} is not supported here.", param=what.split()[0], code="unsupported_parameter"
    )
