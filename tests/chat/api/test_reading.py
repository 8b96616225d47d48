"""Replies taken apart while they are written. Each test names the bug it prevents."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chat.api.reading import (
    CALL_BEGIN,
    CALL_END,
    CALL_SEP,
    CALLS_BEGIN,
    CALLS_END,
    CallBegun,
    CallMore,
    Dialect,
    Found,
    Reader,
    Spoken,
    Thought,
)

TOOLS = {"get_weather": {"city"}, "add": ()}
WEATHER = {"city": 'Köln "am" Rhein', "days": [1, {"a": "}"}]}
ADD: dict[str, Any] = {"a": 1}
W, A = json.dumps(WEATHER, ensure_ascii=False), json.dumps(ADD)


def told(found: Sequence[Found]) -> tuple[str, str, list[tuple[str, Any]]]:
    """Text, thoughts and calls."""
    text = "".join(one.text for one in found if isinstance(one, Spoken))
    thought = "".join(one.text for one in found if isinstance(one, Thought))
    calls: list[tuple[str, str]] = []
    for one in found:
        match one:
            case CallBegun(index, _, name):
                assert index == len(calls)
                calls.append((name, ""))
            case CallMore(index, more):
                assert index == len(calls) - 1
                calls[-1] = (calls[-1][0], calls[-1][1] + more)
    return text, thought, [(name, json.loads(arguments)) for name, arguments in calls]


def read(
    dialect: Dialect, text: str, size: int = 1, *, thinking: bool = False
) -> tuple[str, str, list[tuple[str, Any]]]:
    reader = Reader(dialect, TOOLS, thinking=thinking)
    found: list[Found] = []
    for at in range(0, len(text), size):
        found += reader.take(text[at : at + size])
    return told(found + reader.finish())


BOTH = [("get_weather", WEATHER), ("add", ADD)]
XML = "".join(
    f"<tool_call>\n<function={name}>\n"
    + "".join(f"<parameter={k}>\n{v}\n</parameter>\n" for k, v in pairs)
    + "</function>\n</tool_call>\n"
    for name, pairs in (
        ("get_weather", [("city", WEATHER["city"]), ("days", json.dumps(WEATHER["days"]))]),
        ("add", [("a", 1)]),
    )
)
GLM = (
    f"<tool_call>get_weather\n<arg_key>city</arg_key>\n<arg_value>{WEATHER['city']}</arg_value>\n"
    f"<arg_key>days</arg_key>\n<arg_value>{json.dumps(WEATHER['days'])}</arg_value>\n</tool_call>\n"
    "<tool_call>add\n<arg_key>a</arg_key>\n<arg_value>1</arg_value>\n</tool_call>"
)
WRITTEN = {
    Dialect.HERMES: (
        f'<tool_call>\n{{"name": "get_weather", "arguments": {W}}}\n</tool_call>\n'
        f'<tool_call>\n{{"arguments": {A}, "name": "add"}}\n</tool_call>'
    ),
    Dialect.QWEN_XML: XML,
    Dialect.GLM: GLM,
    Dialect.LLAMA: (
        f'<|python_tag|>{{"name": "get_weather", "parameters": {W}}}; '
        f'{{"type": "function", "function": {{"name": "add", "parameters": {A}}}}}'
    ),
    Dialect.MISTRAL: (
        f'[TOOL_CALLS] [{{"name": "get_weather", "arguments": {W}}}, '
        f'{{"name": "add", "arguments": {A}, "id": "abcdefghi"}}]'
    ),
    Dialect.MISTRAL_ARGS: f"[TOOL_CALLS]get_weather[ARGS]{W}[TOOL_CALLS]add[ARGS]{A}",
    Dialect.DEEPSEEK: (
        f"{CALLS_BEGIN}{CALL_BEGIN}get_weather{CALL_SEP}{W}{CALL_END}"
        f"{CALL_BEGIN}add{CALL_SEP}{A}{CALL_END}{CALLS_END}"
    ),
    Dialect.DEEPSEEK_FENCED: (
        f"{CALLS_BEGIN}{CALL_BEGIN}function{CALL_SEP}get_weather\n```json\n{W}\n```{CALL_END}\n"
        f"{CALL_BEGIN}function{CALL_SEP}add\n```json\n{A}\n```{CALL_END}{CALLS_END}"
    ),
    Dialect.PLAIN: (
        f'[{{"name": "get_weather", "arguments": {W}}}, {{"name": "add", "arguments": {A}}}]'
    ),
    Dialect.HARMONY: (
        f"<|channel|>commentary to=functions.get_weather <|constrain|>json<|message|>{W}<|call|>"
        f"<|start|>assistant to=functions.add<|channel|>commentary json<|message|>{A}"
    ),
}


@pytest.mark.parametrize("size", [1, 3, 1000])
@pytest.mark.parametrize("dialect", list(Dialect), ids=lambda dialect: dialect.value)
def test_calls_of_every_family(dialect: Dialect, size: int) -> None:
    """A family's calls came as text, or a call was cut where a piece ended."""
    assert read(dialect, WRITTEN[dialect], size) == ("", "", BOTH)


@pytest.mark.parametrize("dialect", list(Dialect), ids=lambda dialect: dialect.value)
def test_text_and_thoughts_before_calls(dialect: Dialect) -> None:
    """Thoughts were taken for the answer, or the words before a call were lost."""
    if dialect is Dialect.HARMONY:
        text = (
            "<|channel|>analysis<|message|>Hm, <b>.<|end|><|start|>assistant<|channel|>commentary"
            "<|message|>Let me look.<|end|><|start|>assistant" + WRITTEN[dialect]
        )
        assert read(dialect, text) == ("Let me look.", "Hm, <b>.", BOTH)
        return
    thought = "<think>\nHm, <b>.\n</think>\n\n"
    if dialect in (Dialect.PLAIN, Dialect.LLAMA):
        assert read(dialect, thought + WRITTEN[dialect])[1:] == ("\nHm, <b>.", BOTH)
        assert read(dialect, thought + "It is 5 < 6.") == ("It is 5 < 6.", "\nHm, <b>.", [])
        return
    said = read(dialect, thought + "Let me look.\n" + WRITTEN[dialect])
    assert said == ("Let me look.", "\nHm, <b>.", BOTH)


def test_a_prompt_that_began_to_think() -> None:
    """The template had opened the thoughts, and they became the answer."""
    assert read(Dialect.HERMES, "well\n</think>\n\nYes.", thinking=True) == ("Yes.", "well", [])
    assert read(Dialect.HERMES, "and so on", thinking=True) == ("", "and so on", [])


@pytest.mark.parametrize(
    "text",
    [
        '{"answer": 42}',
        "[1, 2, 3]",
        '{"name": "somebody else", "arguments": {}}',
        '{"name": "Ada"}',
        "{ not JSON",
        "  indented\n\n",
        "a <tool",
        "<thi",
        "<thing> is a tag",
        "",
    ],
)
@pytest.mark.parametrize("dialect", [Dialect.PLAIN, Dialect.HERMES, Dialect.LLAMA])
def test_what_only_looks_like_a_call_is_text(dialect: Dialect, text: str) -> None:
    """An answer in JSON became a call to a tool that nobody offered, or vanished."""
    assert read(dialect, text) == (text, "", [])


def test_arguments_are_given_out_as_they_are_written() -> None:
    """A stream told of a call only when it was whole."""
    reader = Reader(Dialect.HERMES, TOOLS)
    reader.take('<tool_call>\n{"name": "add", "argum')
    assert [type(one) for one in reader.take('ents": {"a"')] == [CallMore]
    assert reader.take(": 1") == [CallMore(0, ": 1")]
    assert reader.calls == 1


def test_a_call_without_arguments_has_an_empty_object() -> None:
    """Clients parse the arguments: nothing is no JSON."""
    assert read(Dialect.PLAIN, '{"name": "add"}') == ("", "", [("add", {})])
    assert read(Dialect.PLAIN, '{"name": "add", "arguments": {}}') == ("", "", [("add", {})])
    assert read(Dialect.PLAIN, '{"name": "add", "arguments": "{\\"a\\": 1}"}')[2] == [("add", ADD)]


@settings(deadline=None, max_examples=150, derandomize=True)
@given(
    dialect=st.sampled_from(list(Dialect)),
    pieces=st.lists(
        st.sampled_from(
            ["<tool_call>", "</tool_call>", "<think>", "</think>", "{", "}", "[", "]", '"name"',
             ":", '"add"', ",", "\n", " x ", "[TOOL_CALLS]", "[ARGS]", CALL_BEGIN, CALL_SEP,
             CALLS_BEGIN, CALLS_END, "<|message|>", "<|channel|>", "<|start|>", "\\", '"arguments"',
             "<|call|>", "analysis", "to=add", "<function=add>", "</parameter>"]
        ),
        max_size=25,
    ),
    thinking=st.booleans(),
)  # fmt: skip
def test_nonsense_ends_and_does_not_depend_on_its_pieces(
    dialect: Dialect, pieces: list[str], thinking: bool
) -> None:
    """A reader that went round for ever, or gave out what a later piece took back."""

    def parts(sizes: Sequence[str]) -> Any:
        reader = Reader(dialect, TOOLS, thinking=thinking)
        found = [one for piece in sizes for one in reader.take(piece)] + reader.finish()
        text = "".join(one.text for one in found if isinstance(one, Spoken))
        thought = "".join(one.text for one in found if isinstance(one, Thought))
        more = "".join(one.text for one in found if isinstance(one, CallMore))
        return text, thought, more, [one.name for one in found if isinstance(one, CallBegun)]

    whole = "".join(pieces)
    assert parts(pieces) == parts(list(whole))
