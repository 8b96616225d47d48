"""What a model's chat template knows of tools and thoughts, and grammars in its way of calling."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from chat.api.asked import Said, Tool
from chat.api.reading import CALL_BEGIN, CALL_END, CALL_SEP, CALLS_BEGIN, CALLS_END, THINK, Dialect
from chat.models.backend import Engine
from farmesh.params import Grammar, GrammarKind

MORE = "{0,15}"  # calls of one reply beside the first; without a limit weak models never end
_SPACE = {"whitespace_pattern": " "}
_LENIENT = {**_SPACE, "lenient": True, "coerce_one_of": True}

# The first whose marks are all in a template is the model's dialect.
_MARKS: tuple[tuple[Dialect, tuple[str, ...]], ...] = (
    (Dialect.HARMONY, ("<|channel|>", "<|message|>")),
    (Dialect.DEEPSEEK_FENCED, (CALL_BEGIN, "```json")),
    (Dialect.DEEPSEEK, (CALL_BEGIN,)),
    (Dialect.GLM, ("<arg_key>",)),
    (Dialect.QWEN_XML, ("<tool_call>", "<function=")),
    (Dialect.HERMES, ("<tool_call>",)),
    (Dialect.MISTRAL_ARGS, ("[TOOL_CALLS]", "[ARGS]")),
    (Dialect.MISTRAL, ("[TOOL_CALLS]",)),
    (Dialect.LLAMA, ("<|python_tag|>",)),
    (Dialect.LLAMA, ("tools", '"parameters"', "<|start_header_id|>")),
)


@dataclass(frozen=True, slots=True)
class Template:
    """A model's chat template, as far as tools and thoughts go."""

    source: str
    dialect: Dialect

    @classmethod
    def of(cls, engine: Engine) -> Template:
        found = engine.chat_template or getattr(engine.tokenizer, "chat_template", None) or ""
        source = found if isinstance(found, str) else str(found.get("tool_use", found))
        for dialect, marks in _MARKS:
            if all(mark in source for mark in marks):
                return cls(source, dialect)
        return cls(source, Dialect.PLAIN)

    def knows(self, variable: str) -> bool:
        return re.search(rf"\b{variable}\b", self.source) is not None

    @property
    def thinks(self) -> bool:
        """Whether it has a place for thoughts."""
        return self.dialect is Dialect.HARMONY or any(ends in self.source for _, ends in THINK)

    @property
    def think_marks(self) -> tuple[str, str]:
        return next((pair for pair in THINK if pair[1] in self.source), THINK[0])

    def begins_thinking(self, prompt: str) -> bool:
        """Whether a prompt ends within thoughts that it opened."""
        opens, closes = self.think_marks
        return (
            prompt.rstrip().endswith(opens)
            and self.dialect is not Dialect.HARMONY
            and (closes in self.source)
        )


# --- messages -----------------------------------------------------------------------------------


def turns_of(messages: Sequence[Said], template: Template, tools: Sequence[Tool]) -> list[Any]:
    """The messages as the template takes them."""
    if template.knows("tools"):
        return [_turn(message, template.dialect) for message in messages]
    turns = [_plain_turn(message, messages) for message in messages]
    if not tools:
        return turns
    told = {"role": "system", "content": _explained(tools)}
    if turns and turns[0]["role"] == "system":
        told["content"] = f"{turns[0]['content']}\n\n{told['content']}"
        return [told, *turns[1:]]
    return [told, *turns]


def _turn(message: Said, dialect: Dialect) -> dict[str, Any]:
    turn: dict[str, Any] = {"role": message.role, "content": message.text}
    if message.role == "tool":
        turn["tool_call_id"] = _id(message.answers, dialect)
    if message.reasoning:
        turn["reasoning_content"] = message.reasoning
        if dialect is Dialect.HARMONY:
            turn["thinking"] = message.reasoning
    if message.calls:
        turn["tool_calls"] = [
            {
                "type": "function",
                "id": _id(call.id, dialect),
                "function": {"name": call.name, "arguments": _arguments(call.arguments, dialect)},
            }
            for call in message.calls
        ]
    return turn


def _id(call_id: str, dialect: Dialect) -> str:
    """Mistral's templates insist on nine letters and digits."""
    if dialect not in (Dialect.MISTRAL, Dialect.MISTRAL_ARGS):
        return call_id
    return (re.sub(r"[^A-Za-z0-9]", "", call_id)[-9:]).rjust(9, "0")


def _arguments(text: str, dialect: Dialect) -> Any:
    """Most templates write them with ``tojson``; DeepSeek's puts their text in as it is."""
    if dialect in (Dialect.DEEPSEEK, Dialect.DEEPSEEK_FENCED):
        return text
    try:
        return json.loads(text or "{}")
    except ValueError:
        return text


def _plain_turn(message: Said, messages: Sequence[Said]) -> dict[str, Any]:
    """For templates that know roles and text only."""
    if message.role == "tool":
        names = {call.id: call.name for said in messages for call in said.calls}
        what = names.get(message.answers, "the tool")
        return {"role": "user", "content": f"{what} answered:\n{message.text}"}
    calls = [plain_call(call.name, call.arguments or "{}") for call in message.calls]
    text = "\n".join(filter(None, [message.text, *calls]))
    return {"role": message.role, "content": text}


def plain_call(name: str, arguments: str) -> str:
    return f'{{"name": {json.dumps(name)}, "arguments": {arguments}}}'


def _explained(tools: Sequence[Tool]) -> str:
    listed = "\n".join(json.dumps(tool.described["function"], ensure_ascii=False) for tool in tools)
    example = plain_call("NAME", "{…}")
    return (
        "You can call tools. To call one, answer with nothing but a JSON object: "
        f"{example}. For several calls at once answer with a list of such objects. "
        f"When you know enough, answer in words.\nThe tools:\n{listed}"
    )


# --- grammars -----------------------------------------------------------------------------------


class Rules:
    """Lark rules of one reply; special tokens of the vocabulary stand in them by their ids."""

    def __init__(self, special: Mapping[str, int]) -> None:
        self._special = special
        self._marks = re.compile("|".join(map(re.escape, sorted(special, key=len, reverse=True))))
        self._schemas: list[str] = []

    def text(self, text: str) -> str:
        """This very text, in which names of special tokens mean these tokens."""
        parts, at = [], 0
        for found in self._marks.finditer(text) if self._special else ():
            parts += [text[at : found.start()], f"<[{self._special[found[0]]}]>"]
            at = found.end()
        parts.append(text[at:])
        quoted = (
            p if p.startswith("<[") else json.dumps(p, ensure_ascii=False) for p in parts if p
        )
        return " ".join(quoted)

    def schema(self, schema: Mapping[str, Any], *, lenient: bool) -> str:
        """The name of a rule for JSON of this schema."""
        options = _LENIENT if lenient else _SPACE
        self._schemas.append(json.dumps({**schema, "x-guidance": options}))
        return f"json_{len(self._schemas) - 1}"

    def until(self, mark: str) -> str:
        """The rule's body for any text up to a mark, and the mark."""
        if mark in self._special:
            return f"ANY {self.text(mark)}"
        return f"/(?s:.*){re.escape(mark).replace('/', chr(92) + '/')}/"

    def grammar(self, start: str, rules: Sequence[str]) -> Grammar:
        named = [f"json_{i}: %json {schema}" for i, schema in enumerate(self._schemas)]
        whole = ["%llguidance {}", f"start: {start}", *rules, *named]
        text = "\n".join(whole)
        if re.search(r"\bANY\b", text):
            text += "\nANY: /(?s:.*)/"
        return Grammar(GrammarKind.GRAMMAR, text)


def call_rules(
    rules: Rules, dialect: Dialect, tools: Sequence[Tool], *, parallel: bool
) -> tuple[str, list[str]]:
    """The start of one or more calls in this dialect, and the rules that it needs."""
    bodies = [_call_body(rules, dialect, tool) for tool in tools]
    lines = [f"call: {' | '.join(f'call_{i}' for i in range(len(bodies)))}"]
    lines += [f"call_{i}: {body}" for i, body in enumerate(bodies)]
    return _around(rules, dialect, parallel), lines


def _call_body(rules: Rules, dialect: Dialect, tool: Tool) -> str:
    arguments = rules.schema(_schema_of(tool), lenient=not tool.strict)
    name = json.dumps(tool.name)
    match dialect:
        case Dialect.HERMES | Dialect.MISTRAL | Dialect.PLAIN:
            before, after = f'{{"name": {name}, "arguments": ', "}"
        case Dialect.LLAMA:
            before, after = f'{{"name": {name}, "parameters": ', "}"
        case Dialect.MISTRAL_ARGS:
            before, after = f"{tool.name}[ARGS]", ""
        case Dialect.DEEPSEEK:
            before, after = f"{CALL_BEGIN}{tool.name}{CALL_SEP}", CALL_END
        case Dialect.DEEPSEEK_FENCED:
            before = f"{CALL_BEGIN}function{CALL_SEP}{tool.name}\n```json\n"
            after = f"\n```{CALL_END}"
        case Dialect.HARMONY:
            before = f"<|channel|>commentary to=functions.{tool.name} <|constrain|>json<|message|>"
            after = ""
        case Dialect.GLM | Dialect.QWEN_XML:
            return _tagged_body(rules, dialect, tool)
    return " ".join(filter(None, [rules.text(before), arguments, rules.text(after)]))


def _tagged_body(rules: Rules, dialect: Dialect, tool: Tool) -> str:
    """Arguments one by one, in the order of the schema; those that may be left out may be."""
    schema = _schema_of(tool)
    properties = schema.get("properties")
    required, texts = schema.get("required", []), texts_of(tool)
    parts = [rules.text(tool.name if dialect is Dialect.GLM else f"<function={tool.name}>")]
    for name, about in properties.items() if isinstance(properties, dict) else ():
        value = rules.schema(about if isinstance(about, dict) else {}, lenient=True)
        if name in texts:
            value = _bare_text(rules, about)
        if dialect is Dialect.GLM:
            before = f"\n<arg_key>{name}</arg_key>\n<arg_value>"
            after = "</arg_value>"
        else:
            before, after = f"\n<parameter={name}>\n", "\n</parameter>"
        part = f"{rules.text(before)} {value} {rules.text(after)}"
        parts.append(part if name in required else f"({part})?")
    parts.append(rules.text("\n" if dialect is Dialect.GLM else "\n</function>"))
    return " ".join(parts)


def _bare_text(rules: Rules, about: Mapping[str, Any]) -> str:
    """Both write texts without quotes."""
    choices = about.get("enum")
    if isinstance(choices, list) and choices:
        return "(" + " | ".join(rules.text(str(choice)) for choice in choices) + ")"
    most = about.get("maxLength")
    return f"/[^<]{{0,{most}}}/" if isinstance(most, int) else "/[^<]*/"


def texts_of(tool: Tool) -> frozenset[str]:
    """Names of the arguments that are texts."""
    properties = tool.parameters.get("properties")
    about = properties.items() if isinstance(properties, dict) else ()
    return frozenset(name for name, told in about if isinstance(told, dict) and _is_text(told))


def _is_text(about: Mapping[str, Any]) -> bool:
    choices = about.get("enum")
    if isinstance(choices, list) and "type" not in about:
        return all(isinstance(choice, str) for choice in choices)
    return about.get("type") == "string"


def _around(rules: Rules, dialect: Dialect, parallel: bool) -> str:
    """One call, or several, with what stands around and between them."""
    match dialect:
        case Dialect.HERMES | Dialect.QWEN_XML | Dialect.GLM:
            opens = "<tool_call>" if dialect is Dialect.GLM else "<tool_call>\n"
            closes = "</tool_call>" if dialect is Dialect.GLM else "\n</tool_call>"
            one = f"{rules.text(opens)} call {rules.text(closes)}"
            between = rules.text("\n")
        case Dialect.MISTRAL:
            listed = f"call ({rules.text(', ')} call){MORE}" if parallel else "call"
            return f"{rules.text('[TOOL_CALLS]')} {rules.text('[')} {listed} {rules.text(']')}"
        case Dialect.MISTRAL_ARGS:
            one, between = f"{rules.text('[TOOL_CALLS]')} call", ""
        case Dialect.DEEPSEEK | Dialect.DEEPSEEK_FENCED:
            more = f"({rules.text(chr(10))}? call){MORE}" if parallel else ""
            return f"{rules.text(CALLS_BEGIN)} call {more} {rules.text(CALLS_END)}"
        case Dialect.PLAIN:
            several = f"{rules.text('[')} call ({rules.text(', ')} call){MORE} {rules.text(']')}"
            return f"call | {several}" if parallel else "call"
        case Dialect.LLAMA | Dialect.HARMONY:
            return "call"
    return f"{one} ({between} {one}){MORE}" if parallel else one


def _schema_of(tool: Tool) -> dict[str, Any]:
    """The schema of a tool's arguments; those that it does not name are left out."""
    schema = dict(tool.parameters) or {"type": "object", "properties": {}}
    schema.setdefault("type", "object")
    if "properties" in schema:
        schema.setdefault("additionalProperties", False)
    return schema
