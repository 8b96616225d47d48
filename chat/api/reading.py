"""What a reply says, thinks and calls, read from its text while it is written.

Every family of models writes calls in its own way; :class:`Reader` knows the ways, and gives out
nothing that a later piece could still turn into something else. Pure.
"""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum

from chat.api.scanning import JsonScan, overlap


class Dialect(Enum):
    """How a family of models writes its calls."""

    HERMES = "hermes"  # <tool_call>{"name": …, "arguments": …}</tool_call>; Qwen too
    QWEN_XML = (
        "qwen_xml"  # <tool_call><function=…><parameter=…>…</parameter></function></tool_call>
    )
    GLM = "glm"  # <tool_call>name<arg_key>…</arg_key><arg_value>…</arg_value></tool_call>
    LLAMA = "llama"  # {"name": …, "parameters": …}
    MISTRAL = "mistral"  # [TOOL_CALLS][{"name": …, "arguments": …}]
    MISTRAL_ARGS = "mistral_args"  # [TOOL_CALLS]name[ARGS]{…}
    DEEPSEEK = "deepseek"  # <｜tool▁call▁begin｜>name<｜tool▁sep｜>{…}<｜tool▁call▁end｜>
    DEEPSEEK_FENCED = "deepseek_fenced"  # the same with a type before, and the JSON in a fence
    HARMONY = "harmony"  # <|channel|>commentary to=functions.name<|message|>{…}<|call|>
    PLAIN = "plain"  # {"name": …, "arguments": …}, for models that were taught none


@dataclass(frozen=True, slots=True)
class Spoken:
    text: str


@dataclass(frozen=True, slots=True)
class Thought:
    text: str


@dataclass(frozen=True, slots=True)
class CallBegun:
    index: int
    id: str
    name: str


@dataclass(frozen=True, slots=True)
class CallMore:
    """More of the arguments of the call that was begun last."""

    index: int
    text: str


Found = Spoken | Thought | CallBegun | CallMore

CALLS_BEGIN, CALLS_END = "<｜tool▁calls▁begin｜>", "<｜tool▁calls▁end｜>"
CALL_BEGIN, CALL_SEP, CALL_END = "<｜tool▁call▁begin｜>", "<｜tool▁sep｜>", "<｜tool▁call▁end｜>"
THINK = (("<think>", "</think>"), ("[THINK]", "[/THINK]"))
_OPENS = {
    Dialect.HERMES: "<tool_call>",
    Dialect.QWEN_XML: "<tool_call>",
    Dialect.GLM: "<tool_call>",
    Dialect.LLAMA: "<|python_tag|>",
    Dialect.MISTRAL: "[TOOL_CALLS]",
    Dialect.MISTRAL_ARGS: "[TOOL_CALLS]",
    Dialect.DEEPSEEK: CALLS_BEGIN,
    Dialect.DEEPSEEK_FENCED: CALLS_BEGIN,
}
_KEYS = {"name", "arguments", "parameters", "type", "function", "id"}
_BARE_START = re.compile(r"\[?\s*(\{|$)")
_BARE = (Dialect.LLAMA, Dialect.PLAIN)  # a call is a reply that is JSON, without a mark before it


def new_call_id() -> str:
    return f"call_{secrets.token_hex(12)}"


class Reader:
    """Takes a reply's text in pieces; :meth:`take` and :meth:`finish` return what is certain."""

    def __init__(
        self,
        dialect: Dialect,
        tools: Mapping[str, Collection[str]],
        *,
        thinking: bool = False,
    ) -> None:
        """
        Args:
            tools: names of those that may be called, each with those of its arguments that are
                texts; without any, nothing is read as a call.
            thinking: the prompt ends within the model's thoughts.
        """
        self._dialect, self._tools = dialect, tools
        self._buffer = ""
        self._calls = 0
        self._thought = False
        self._given = False  # some of the arguments of the call that is being read
        self._scan: JsonScan | None = None
        self._begun = False  # the call that is being read was given out
        self._think_end = THINK[0][1]
        self._state: Callable[[bool], Iterator[Found]] = self._begin
        if dialect is Dialect.HARMONY:
            self._state = self._harmony_head
        elif thinking:
            self._state = self._think

    def __repr__(self) -> str:
        name = self._state.__name__.strip("_")
        return f"<Reader {self._dialect.value} in {name}, {self._calls} calls>"

    @property
    def calls(self) -> int:
        """Calls that were begun."""
        return self._calls

    @property
    def thinks(self) -> bool:
        """Whether what comes next is thought."""
        return self._state in (self._think, self._harmony_think)

    def take(self, text: str) -> list[Found]:
        self._buffer += text
        return _joined(self._run(last=False))

    def finish(self) -> list[Found]:
        """The rest: nothing more will come."""
        return _joined(self._run(last=True))

    def _run(self, *, last: bool) -> Iterator[Found]:
        while True:
            state, size = self._state, len(self._buffer)
            yield from state(last)
            if self._state == state and len(self._buffer) == size:
                return

    # --- text and thoughts ------------------------------------------------------------------------

    def _begin(self, last: bool) -> Iterator[Found]:
        """The reply's first characters: thoughts, a bare call, or text."""
        text = self._buffer.lstrip()
        if not text and not last:
            return
        for opens, closes in THINK:
            if text.startswith(opens):
                self._buffer, self._think_end, self._state = text[len(opens) :], closes, self._think
                return
            if not last and opens.startswith(text):
                return
        if self._tools and self._dialect in _BARE and _BARE_START.match(text):
            self._buffer, self._state = text, self._bare
            return
        if self._thought:  # empty lines between thoughts and text belong to neither
            self._buffer = text
        self._state = self._speak
        yield from ()

    def _think(self, last: bool) -> Iterator[Found]:
        before, mark, after = self._buffer.partition(self._think_end)
        if mark:
            self._buffer, self._state, self._thought = after, self._begin, True
            yield from _some(Thought, before.rstrip("\n"))
            return
        keep = 0 if last else _held(self._buffer, self._think_end)
        yield from self._give(Thought, len(self._buffer) - keep)

    def _speak(self, last: bool) -> Iterator[Found]:
        opens = _OPENS.get(self._dialect) if self._tools else None
        if opens is None:
            yield from self._give(Spoken, len(self._buffer))
            return
        before, mark, after = self._buffer.partition(opens)
        if mark:
            self._buffer, self._state = after, self._call
            yield from _some(Spoken, before.rstrip("\n") if before.strip() else "")
            return
        keep = 0 if last else _held(self._buffer, opens)
        yield from self._give(Spoken, len(self._buffer) - keep)

    def _give(self, kind: type[Spoken] | type[Thought], count: int) -> Iterator[Found]:
        text, self._buffer = self._buffer[:count], self._buffer[count:]
        yield from _some(kind, text)

    # --- calls ------------------------------------------------------------------------------------

    def _call(self, last: bool) -> Iterator[Found]:
        """Behind the mark that begins calls; each family goes on in its own way."""
        match self._dialect:
            case Dialect.HERMES | Dialect.LLAMA | Dialect.MISTRAL:
                self._state = self._objects
            case Dialect.MISTRAL_ARGS:
                self._state = self._named_args
            case Dialect.DEEPSEEK | Dialect.DEEPSEEK_FENCED:
                self._state = self._deepseek
            case _:
                self._state = self._tagged
        yield from ()

    def _objects(self, last: bool) -> Iterator[Found]:
        """JSON objects with a name and arguments, whatever stands between them."""
        if self._scan is None:
            at = self._buffer.find("{")
            if at < 0:
                self._after_calls(last)
                return
            self._buffer, self._scan = self._buffer[at:], JsonScan()
            self._begun = self._given = False
        yield from self._object(last)

    def _after_calls(self, last: bool) -> None:
        """Between calls stand marks and spaces; other text is text again."""
        opens = _OPENS.get(self._dialect, "")
        rest = self._buffer
        for mark in ("</tool_call>", opens, CALL_BEGIN, ";", ",", "[", "]"):
            rest = rest.replace(mark, "") if mark else rest
        marks = ("</tool_call>", opens) if opens else ("</tool_call>",)
        if rest.strip() and not any(mark.startswith(rest.strip()) for mark in marks):
            self._buffer, self._state = rest.lstrip(), self._speak
        elif last:
            self._buffer = ""

    def _object(self, last: bool) -> Iterator[Found]:
        """One object; its arguments are given out as they come when its name came before them."""
        scan = self._scan
        if scan is None:
            return
        used = scan.take(self._buffer)
        self._buffer = self._buffer[used:]
        if not self._begun and scan.name is not None:
            self._begun = True
            yield self._begin_call(scan.name)
        text = scan.more() if self._begun else ""
        if self._begun and scan.done and not (text or self._given):
            text = "{}"
        if text:
            self._given = True
            yield CallMore(self._calls - 1, text)
        if scan.done or last:
            self._scan = None

    def _begin_call(self, name: str) -> CallBegun:
        self._calls += 1
        return CallBegun(self._calls - 1, new_call_id(), name)

    def _bare(self, last: bool) -> Iterator[Found]:
        """A reply that begins as JSON: a call when its keys and its name are those of one."""
        probe = JsonScan()
        at = self._buffer.find("{")
        if at >= 0:
            probe.take(self._buffer[at:])
        fits = set(probe.keys) <= _KEYS and _BARE_START.match(self._buffer) is not None
        if fits and at >= 0 and probe.name in self._tools:
            self._state = self._objects
        elif not fits or probe.name is not None or probe.done or last:
            self._state = self._speak
        yield from ()

    def _named_args(self, last: bool) -> Iterator[Found]:
        """Mistral's newer form: ``name[ARGS]{…}``."""
        name, mark, after = self._buffer.partition("[ARGS]")
        if mark:
            self._buffer = after
            yield self._begin_call(re.sub(r"\[CALL_ID\].*", "", name).strip())
            self._scan, self._state = JsonScan(), self._arguments
        elif last:
            self._buffer = ""

    def _deepseek(self, last: bool) -> Iterator[Found]:
        before, mark, after = self._buffer.partition(CALL_BEGIN)
        if not mark:
            if CALLS_END in before:
                self._buffer, self._state = before.partition(CALLS_END)[2], self._after
            elif last:
                self._buffer = ""
            return
        head, brace, _ = after.partition("{")
        if not brace:
            return
        self._buffer = after[len(head) :]
        parts = head.split(CALL_SEP)
        name = parts[1] if self._dialect is Dialect.DEEPSEEK_FENCED and len(parts) > 1 else parts[0]
        yield self._begin_call(name.replace("```json", "").strip())
        self._scan, self._state = JsonScan(), self._arguments

    def _arguments(self, last: bool) -> Iterator[Found]:
        """One JSON value, which is the arguments of the call that was begun."""
        scan = self._scan
        if scan is None:
            return
        if not scan.started:
            self._buffer = self._buffer.lstrip()
        used = scan.take(self._buffer)
        text, self._buffer = self._buffer[:used], self._buffer[used:]
        if text:
            yield CallMore(self._calls - 1, text)
        if not scan.done:
            return
        self._scan = None
        match self._dialect:
            case Dialect.MISTRAL_ARGS:
                self._state = self._after
            case Dialect.HARMONY:
                self._state = self._harmony_skip
            case _:
                self._state = self._deepseek

    def _after(self, last: bool) -> Iterator[Found]:
        """Behind a call: spaces are no text, and another call may follow."""
        self._buffer = self._buffer.lstrip()
        if self._buffer and (last or not _OPENS[self._dialect].startswith(self._buffer)):
            self._state = self._speak
        yield from ()

    def _tagged(self, last: bool) -> Iterator[Found]:
        """A call between tags, read when it is whole."""
        inside, mark, after = self._buffer.partition("</tool_call>")
        if not mark and not last:
            return
        self._buffer, self._state = after, self._after
        read = _glm if self._dialect is Dialect.GLM else _qwen_xml
        if (found := read(inside)) is not None:
            name, pairs = found
            texts = self._tools.get(name, ())
            arguments = {key: text if key in texts else _value(text) for key, text in pairs}
            yield self._begin_call(name)
            yield CallMore(self._calls - 1, json.dumps(arguments, ensure_ascii=False))

    # --- gpt-oss ----------------------------------------------------------------------------------

    def _harmony_head(self, last: bool) -> Iterator[Found]:
        """What stands before ``<|message|>`` says whose message it is."""
        head, mark, after = self._buffer.partition("<|message|>")
        if not mark:
            if last:
                self._buffer = ""
            return
        self._buffer = after
        called = re.search(r"to=(?:functions\.)?([A-Za-z0-9_.-]+)", head)
        if called and self._tools:
            yield self._begin_call(called[1])
            self._scan, self._state = JsonScan(), self._arguments
        else:
            self._state = self._harmony_think if "analysis" in head else self._harmony_say

    def _harmony_think(self, last: bool) -> Iterator[Found]:
        yield from self._harmony_body(Thought, last)

    def _harmony_say(self, last: bool) -> Iterator[Found]:
        yield from self._harmony_body(Spoken, last)

    def _harmony_body(self, kind: type[Spoken] | type[Thought], last: bool) -> Iterator[Found]:
        ends = ("<|end|>", "<|return|>", "<|call|>", "<|start|>")
        found = min((at for end in ends if (at := self._buffer.find(end)) >= 0), default=-1)
        if found >= 0:
            yield from self._give(kind, found)
            self._state = self._harmony_head
            return
        keep = 0 if last else max(overlap(self._buffer, end) for end in ends)
        yield from self._give(kind, len(self._buffer) - keep)

    def _harmony_skip(self, last: bool) -> Iterator[Found]:
        if "<|start|>" in self._buffer:
            self._buffer, self._state = self._buffer.partition("<|start|>")[2], self._harmony_head
        elif last:
            self._buffer = ""
        yield from ()


def _some(kind: type[Spoken] | type[Thought], text: str) -> Iterator[Found]:
    if text:
        yield kind(text)


def _held(text: str, mark: str) -> int:
    """How much of the end may belong to a mark; line ends before one are no part of the text."""
    begun = overlap(text, mark)
    before = text[: len(text) - begun]
    return begun + len(before) - len(before.rstrip("\n"))


def _joined(found: Iterator[Found]) -> list[Found]:
    """Neighbours of one kind as one."""
    joined: list[Found] = []
    for one in found:
        match joined[-1:], one:
            case [Spoken(before)], Spoken(text):
                joined[-1] = Spoken(before + text)
            case [Thought(before)], Thought(text):
                joined[-1] = Thought(before + text)
            case [CallMore(index, before)], CallMore(same, text) if index == same:
                joined[-1] = CallMore(index, before + text)
            case _:
                joined.append(one)
    return joined


def _value(text: str) -> object:
    """JSON where it is some, else the text itself."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


Pairs = list[tuple[str, str]]


def _glm(inside: str) -> tuple[str, Pairs] | None:
    name = inside.partition("<arg_key>")[0].strip()
    pairs = re.findall(
        r"<arg_key>(.*?)</arg_key>\s*<arg_value>(.*?)</arg_value>", inside, re.DOTALL
    )
    return (name, [(key.strip(), value) for key, value in pairs]) if name else None


def _qwen_xml(inside: str) -> tuple[str, Pairs] | None:
    named = re.search(r"<function=([^>]+)>", inside)
    if named is None:
        return None
    pairs = re.findall(r"<parameter=([^>]+)>\n?(.*?)\n?</parameter>", inside, re.DOTALL)
    return named[1].strip(), [(key.strip(), value) for key, value in pairs]
