"""From what a program asks for to what the engine is: prompt, sampling, and how to read it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from chat.api.asked import Asked
from chat.api.completion import Wanted, check_length, encode
from chat.api.dialects import Rules, Template, call_rules, texts_of, turns_of
from chat.api.errors import ApiError
from chat.api.forms import Form
from chat.api.reading import Dialect, Reader
from chat.conversation.prompt import render
from chat.models.backend import Engine
from farmesh.params import GrammarKind

# What templates are rendered with; a program's own switches may not take their places.
_RESERVED = {
    *("messages", "conversation", "tools", "documents", "chat_template", "tokenizer"),
    *("add_generation_prompt", "continue_final_message", "tokenize", "padding", "truncation"),
    *("max_length", "return_tensors", "return_dict", "return_assistant_tokens_mask"),
    *("tokenizer_kwargs", "load_audio_from_video", "raise_exception", "strftime_now"),
    *("bos_token", "eos_token", "pad_token", "unk_token"),
}
_QUIET = ("none", "minimal")  # efforts that mean: do not think


@dataclass(frozen=True, slots=True)
class Rendered:
    """A conversation as the model reads it."""

    template: Template
    text: str
    thinking: bool  # whether it ends within the model's thoughts


async def prepare(engine: Engine, asked: Asked) -> list[Wanted]:
    """Every reply that is asked for.

    Raises:
        ApiError, ContextOverflow: refused; nothing was sent.
    """
    asked.check()
    rendered = await asyncio.to_thread(rendered_of, engine, asked)
    token_ids = await encode(engine, rendered.text)
    check_length(engine, token_ids)
    form = _form(engine, asked, rendered)
    if form is not None:
        await form.check(engine)
    reader = _reader(asked, rendered)
    return [
        Wanted(
            token_ids,
            replace(params, grammar=form.grammar if form else None),
            exact=asked.exact,
            salt=asked.salt,
            reader=reader,
        )
        for params in asked.params
    ]


def rendered_of(engine: Engine, asked: Asked) -> Rendered:
    """
    Raises:
        ChatError: the model's chat template refuses the conversation.
    """
    template = Template.of(engine)
    turns = joined(turns_of(asked.messages, template, asked.offered))
    switches = _switches(asked, template)
    text = render(engine.tokenizer, turns, engine.chat_template, **switches)
    return Rendered(template, text, template.begins_thinking(text))


def _switches(asked: Asked, template: Template) -> dict[str, Any]:
    """What the template is told beside the messages, as far as it knows it."""
    thinking = asked.thinking
    told: dict[str, Any] = {
        name: value
        for name, value in thinking.template.items()
        if name not in _RESERVED and template.knows(name)
    }
    if asked.offered and template.knows("tools"):
        told["tools"] = [tool.described for tool in asked.offered]
    effort, on = thinking.effort, thinking.on
    if effort is not None and on is None:
        on = effort not in _QUIET
    if on is not None:
        for name in ("enable_thinking", "thinking"):
            if template.knows(name):
                told.setdefault(name, on)
    if effort is not None and template.knows("reasoning_effort"):
        low = "low" if effort in _QUIET else effort
        told.setdefault("reasoning_effort", "high" if low in ("xhigh", "max") else low)
    return told


def _reader(asked: Asked, rendered: Rendered) -> Any:
    """Makes what reads a reply apart; None where it is nothing but text."""
    names = {tool.name: texts_of(tool) for tool in asked.offered}
    if not names and not rendered.template.thinks:
        return None
    return partial(Reader, rendered.template.dialect, names, thinking=rendered.thinking)


# --- the form of a reply ------------------------------------------------------------------------


def _form(engine: Engine, asked: Asked, rendered: Rendered) -> Form | None:
    """What the reply is held to: calls when it must call, else the form that was asked for.

    Thoughts stay free: they come before.
    """
    if not asked.forced and asked.form is None:
        return None
    thinks = _may_think(rendered, asked)
    if not asked.forced and not asked.offered and not thinks:
        return asked.form
    template = rendered.template
    rules = Rules(_special(engine))
    parts: list[str] = []
    lines: list[str] = []
    field = "tools"
    if asked.offered:
        start, lines = call_rules(rules, template.dialect, asked.offered, parallel=asked.parallel)
        parts.append(start)
    if asked.form is not None and not asked.forced:
        parts.append(_said(rules, asked.form, template.dialect))
        field = asked.form.field
    start = " | ".join(f"({part})" for part in parts)
    if thinks:
        start = f"{_thoughts(rules, rendered)} ({start})"
    return Form(field, rules.grammar(start, lines))


def _may_think(rendered: Rendered, asked: Asked) -> bool:
    template = rendered.template
    if rendered.thinking:
        return True
    # Thoughts that the prompt has closed already, or that were switched off, do not come again.
    off = asked.thinking.on is False or asked.thinking.effort in _QUIET
    closed = rendered.text.rstrip().endswith(template.think_marks[1])
    return template.thinks and not off and not closed


def _thoughts(rules: Rules, rendered: Rendered) -> str:
    template = rendered.template
    if template.dialect is Dialect.HARMONY:
        opens = rules.text("<|channel|>analysis<|message|>")
        return f"({opens} {rules.until('<|end|>')} {rules.text('<|start|>assistant')})?"
    opens, closes = template.think_marks
    ended = f"{rules.until(closes)} {rules.text(chr(10))}? {rules.text(chr(10))}?"
    return ended if rendered.thinking else f"({rules.text(opens)} {ended})?"


def _said(rules: Rules, form: Form, dialect: Dialect) -> str:
    """A reply of this form, behind what stands before replies.

    Raises:
        ApiError: only JSON schemas can be mixed with calls and thoughts.
    """
    if form.grammar.kind is not GrammarKind.JSON:
        sentence = f"{form.field} cannot be held beside tools or thoughts, unless it is JSON."
        raise ApiError(400, sentence, param=form.field, code="unsupported_parameter")
    schema = _object(form)
    body = rules.schema(schema, lenient=False)
    if dialect is Dialect.HARMONY:
        return f"{rules.text('<|channel|>final<|message|>')} {body}"
    return body


def _object(form: Form) -> Mapping[str, Any]:
    try:
        schema = json.loads(form.grammar.text)
    except (ValueError, RecursionError):
        schema = None
    if not isinstance(schema, dict):
        raise ApiError(400, f"Invalid {form.field}: it is no JSON schema.", param=form.field)
    return schema


def _special(engine: Engine) -> dict[str, int]:
    """Special tokens by their names: in a grammar they are tokens and no text."""
    decoder = getattr(engine.tokenizer, "added_tokens_decoder", {})
    return {str(token): int(i) for i, token in decoder.items() if getattr(token, "special", False)}


def joined(turns: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Neighbours of one role as one message: many chat templates insist that roles alternate.

    Messages with calls, and those of tools, stay as they are.
    """
    found: list[dict[str, Any]] = []
    for turn in turns:
        if (
            found
            and turn.keys() == found[-1].keys() == {"role", "content"}
            and (found[-1]["role"] == turn["role"])
        ):
            both = f"{found[-1]['content']}\n\n{turn['content']}"
            found[-1] = {"role": turn["role"], "content": both}
        else:
            found.append(turn)
    return found
