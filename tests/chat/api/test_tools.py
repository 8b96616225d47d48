"""Tools: offered, called and answered. Each test names the bug it prevents."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from typing import Any

import pytest
from jsonschema import validate

from chat.api.reading import CALL_BEGIN, Dialect
from tests.chat.api.test_openai import CHAT, body, events, refusal
from tests.support.fakes import FakeClient
from tests.support.served import Api, RealApi

WEATHER = {
    "type": "object",
    "properties": {
        "city": {"type": "string", "maxLength": 8},
        "days": {"type": "integer", "minimum": 1, "maximum": 7},
        "unit": {"enum": ["C", "F"]},
    },
    "required": ["city", "days", "unit"],
}


def tool(name: str, schema: Any = None, **more: Any) -> dict[str, Any]:
    function = {"name": name, "description": f"does {name}", **more}
    return {"type": "function", "function": {**function, "parameters": schema or {}}}


TOOLS = [tool("get_weather", WEATHER), tool("stop_now", {"type": "object", "properties": {}})]
ASKED = body("Weather?", tools=TOOLS)


async def post(api: Api, **fields: Any) -> dict[str, Any]:
    answer = await api.post(CHAT, {**ASKED, **fields})
    assert answer.status_code == 200, answer.text
    return dict(answer.json()["choices"][0])


async def test_a_call_and_its_answer(api: Api, client: FakeClient) -> None:
    """The call came as text; or its answer never reached the model, which called again."""
    client.enqueue('{"name": "get_weather", "arguments": {"city": "Köln"}}', "It is warm.")
    choice = await post(api)
    assert choice["finish_reason"] == "tool_calls"
    message = choice["message"]
    assert message["content"] is None
    (call,) = message["tool_calls"]
    assert call["type"] == "function"
    assert call["function"] == {"name": "get_weather", "arguments": '{"city": "Köln"}'}
    assert '"description": "does get_weather"' in client.calls[0].text
    asked = [*ASKED["messages"], message]
    asked.append({"role": "tool", "tool_call_id": call["id"], "content": "21 degrees"})
    choice = await post(api, messages=asked)
    assert choice["message"]["content"] == "It is warm."
    assert choice["finish_reason"] == "stop"
    text = client.calls[1].text
    assert 'A:{"name": "get_weather", "arguments": {"city": "Köln"}}' in text
    assert "U:get_weather answered:\n21 degrees" in text


async def test_calls_are_streamed(api: Api, client: FakeClient) -> None:
    """Arguments that come in one piece at the end make an agent wait; a lost index mixes calls."""
    wanted = [{"name": "get_weather", "arguments": {"city": "A"}}, {"name": "stop_now"}]
    client.enqueue(json.dumps(wanted))
    parts = events(await api.post(CHAT, {**ASKED, "stream": True}))
    deltas = [call for part in parts for call in part["choices"][0]["delta"].get("tool_calls", [])]
    begun = [delta for delta in deltas if "id" in delta]
    assert [delta["function"]["name"] for delta in begun] == ["get_weather", "stop_now"]
    assert [delta["index"] for delta in begun] == [0, 1]
    assert len({delta["id"] for delta in begun}) == 2
    arguments = ["", ""]
    for delta in deltas:
        arguments[delta["index"]] += delta["function"]["arguments"]
    assert arguments == ['{"city": "A"}', "{}"]
    assert len(deltas) > 6
    assert parts[-1]["choices"][0]["finish_reason"] == "tool_calls"
    assert not any(part["choices"][0]["delta"].get("content") for part in parts)


async def test_text_stays_text(api: Api, client: FakeClient) -> None:
    """A model that has tools and answers in words, or in JSON that is no call."""
    client.enqueue("It is warm.", '{"answer": 1}', '{"name": "get_weather", "arguments": {}}')
    assert (await post(api))["message"]["content"] == "It is warm."
    assert (await post(api))["message"]["content"] == '{"answer": 1}'
    choice = await post(api, tool_choice="none")
    assert choice["message"]["content"] == '{"name": "get_weather", "arguments": {}}'
    assert choice["finish_reason"] == "stop"
    assert "does get_weather" not in client.calls[2].text


# A template for every dialect: its marks, and what it does with messages and tools.
MARKED = {
    Dialect.HERMES: "<tool_call>",
    Dialect.QWEN_XML: "<tool_call> <function=",
    Dialect.GLM: "<tool_call> <arg_key>",
    Dialect.LLAMA: "<|python_tag|>",
    Dialect.MISTRAL: "[TOOL_CALLS]",
    Dialect.MISTRAL_ARGS: "[TOOL_CALLS] [ARGS]",
    Dialect.DEEPSEEK: CALL_BEGIN,
    Dialect.DEEPSEEK_FENCED: CALL_BEGIN + " ```json",
    Dialect.HARMONY: "<|channel|> <|message|>",
    Dialect.PLAIN: "",
}
TEMPLATE = (
    "{#- %s -#}{%% if tools %%}{{ tools | tojson }}{%% endif %%}"
    "{%% for m in messages %%}<|im_start|>{{ m.role }}\n{{ m.content }}"
    "{%% if m.tool_calls %%}{{ m.tool_calls | tojson }}{%% endif %%}<|im_end|>\n{%% endfor %%}"
    "<|im_start|>assistant\n"
)


def speaking(api: Api, template: str) -> None:
    backend = api.store.backend
    assert backend.engine is not None
    backend._engine = replace(backend.engine, chat_template=template)


@pytest.mark.parametrize("dialect", list(MARKED), ids=lambda dialect: dialect.value)
async def test_required_calls_are_valid_in_every_dialect(real: RealApi, dialect: Dialect) -> None:
    """A grammar that another dialect's reader does not read; or arguments that miss a field.

    The model was never taught tools.
    """
    speaking(real, TEMPLATE % MARKED[dialect])
    for fields in (
        {"tool_choice": "required"},
        {"tool_choice": {"type": "function", "function": {"name": "get_weather"}}},
    ):
        choice = await post(
            real, **fields, temperature=1, seed=2, max_tokens=200, parallel_tool_calls=False,
            reasoning_effort="none",
        )  # fmt: skip
        assert choice["finish_reason"] == "tool_calls", choice
        (call,) = choice["message"]["tool_calls"]
        arguments = json.loads(call["function"]["arguments"])
        if fields["tool_choice"] != "required":
            assert call["function"]["name"] == "get_weather"
        if call["function"]["name"] == "get_weather":
            validate(arguments, WEATHER)
            assert set(arguments) == set(WEATHER["properties"])
        else:
            assert arguments == {}


async def test_several_calls_and_a_form_beside_tools(real: RealApi) -> None:
    """Calls that never end under required; or a form that was dropped where there are tools."""
    choice = await post(real, tool_choice="required", temperature=1, seed=1, max_tokens=120)
    if choice["finish_reason"] == "tool_calls":
        for call in choice["message"]["tool_calls"]:
            if call["function"]["name"] == "get_weather":
                validate(json.loads(call["function"]["arguments"]), WEATHER)
    wanted = {"name": "x", "schema": {"type": "integer", "minimum": 0, "maximum": 99}}
    choice = await post(
        real, response_format={"type": "json_schema", "json_schema": wanted},
        temperature=1, seed=3, max_tokens=300, parallel_tool_calls=False,
    )  # fmt: skip
    if not choice["message"].get("tool_calls"):
        assert 0 <= int(choice["message"]["content"]) <= 99
    refused = await real.post(CHAT, {**ASKED, "guided_regex": "a+"})
    assert refusal(refused)["param"] == "guided_regex"


THINKING = (
    "{% for m in messages %}{{ m.role }}:{{ m.content }}"
    "{% if m.reasoning_content %}({{ m.reasoning_content }}){% endif %}\n{% endfor %}"
    "assistant:{% if enable_thinking is false %}<think></think>{% else %}<think>{% endif %}"
    "{% if reasoning_effort %}[{{ reasoning_effort }}]{% endif %}"
)


async def test_thoughts_are_apart_from_the_answer(api: Api, client: FakeClient) -> None:
    """Thoughts in the answer are parsed, shown and sent back as if they were it."""
    text = "{#- <think></think> -#}"
    api.store.backend._engine.tokenizer.chat_template = text  # type: ignore[union-attr]
    client.enqueue("<think>hm, 6 x 7</think>\n\n42", "<think>hm</think>42")
    answer = await api.chat("6 x 7?")
    message = answer["choices"][0]["message"]
    assert (message["reasoning_content"], message["content"]) == ("hm, 6 x 7", "42")
    counted = answer["usage"]["completion_tokens_details"]["reasoning_tokens"]
    assert 9 <= counted <= len("<think>hm, 6 x 7</think>")
    parts = events(await api.post(CHAT, body(stream=True)))
    deltas = [part["choices"][0]["delta"] for part in parts]
    assert "".join(delta.get("reasoning_content", "") for delta in deltas) == "hm"
    assert "".join(delta.get("content") or "" for delta in deltas) == "42"


async def test_the_templates_own_switches(real: RealApi) -> None:
    """A switch that is dropped leaves the model thinking; one that is not known broke rendering."""
    speaking(real, THINKING)
    engine = real.store.backend.engine
    assert engine is not None
    lengths = {}
    for name, fields in {
        "on": {},
        "off": {"chat_template_kwargs": {"enable_thinking": False, "unknown": 1, "tokenize": True}},
        "none": {"reasoning_effort": "none"},
        "low": {"reasoning_effort": "low"},
    }.items():
        answer = await real.chat("x", max_tokens=1, **fields)
        lengths[name] = answer["usage"]["prompt_tokens"]

    def tokens(text: str) -> int:
        return len(engine.tokenizer.encode("user:xassistant:" + text, add_special_tokens=False))

    assert lengths == {
        "on": tokens("<think>"),
        "off": tokens("<think></think>"),
        "none": tokens("<think></think>[low]"),
        "low": tokens("<think>[low]"),
    }
    answer = await real.chat("x", max_tokens=9, guided_choice=["yes"], reasoning_effort="none")
    assert answer["choices"][0]["message"]["content"] == "yes"


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"tools": [tool("<script>")]}, "tools"),
        ({"tools": [tool('a"b')]}, "tools"),
        ({"tools": [tool("x" * 200)]}, "tools"),
        ({"tools": [tool("a"), tool("a")]}, "tools"),
        ({"tools": [tool(f"t{i}") for i in range(200)]}, "tools"),
        ({"tools": [tool("a", description="x" * 500_000)]}, "tools"),
        ({"tools": [{"type": "web_search"}]}, "tools.0.type"),
        ({"tools": [], "tool_choice": "required"}, "tool_choice"),
        ({"tool_choice": {"type": "function", "function": {"name": "nobody"}}}, "tool_choice"),
        ({"tool_choice": "always"}, None),
        ({"functions": [{"name": "a"}]}, "functions"),
        ({"tool_choice": "required", "tools": [tool("a", {"type": "thing"})]}, "tools"),
        ({"tool_choice": "required", "tools": [tool("a", {"not": {}}, strict=True)]}, "tools"),
        ({"reasoning_effort": "hard"}, "reasoning_effort"),
    ],
    ids=lambda value: str(value)[:60] if isinstance(value, dict) else "",
)
async def test_tools_that_cannot_be_offered(api: Api, fields: Any, param: str | None) -> None:
    """A name that is markup reached a template, or a tool was left out without a word."""
    answer = await api.post(CHAT, {**ASKED, **fields})
    assert answer.status_code == 400, answer.text
    error = refusal(answer)
    if param is not None:
        assert error["param"] == param


async def test_an_answer_of_ten_megabytes(api: Api, client: FakeClient) -> None:
    """It was read, tokenised and refused a minute later."""
    started = time.perf_counter()
    call = {"id": "call_1", "function": {"name": "stop_now", "arguments": "{}"}}
    asked = [
        *ASKED["messages"],
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "call_1", "content": "x" * 10_000_000},
    ]
    answer = await api.post(CHAT, {**ASKED, "messages": asked})
    assert answer.status_code == 413
    assert refusal(answer)["type"] == "invalid_request_error"
    asked[-1]["content"] = "x" * 3_000_000
    assert refusal(await api.post(CHAT, {**ASKED, "messages": asked}))["code"] == (
        "context_length_exceeded"
    )
    assert time.perf_counter() - started < 3
    assert not client.calls
