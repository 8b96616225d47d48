"""Anthropic's protocol: what clients send and get. Each test names the bug it prevents."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from farmesh.core import Span
from farmesh.errors import MissingBlocks
from tests.support.fakes import FakeClient
from tests.support.served import Api, named_events

MESSAGES = "/v1/messages"
ADD = {"name": "add", "description": "adds", "input_schema": {"type": "object", "properties": {}}}


def body(text: str = "hello", **fields: Any) -> dict[str, Any]:
    messages = [{"role": "user", "content": text}]
    return {"model": "guide", "max_tokens": 400, "messages": messages, **fields}


def refusal(answer: httpx.Response) -> dict[str, str]:
    assert answer.json().keys() == {"type", "error"}
    assert answer.json()["type"] == "error"
    error: dict[str, str] = answer.json()["error"]
    assert error.keys() == {"type", "message"}
    assert error["message"]
    return error


async def test_a_whole_message(api: Api, client: FakeClient) -> None:
    """Clients read these very fields; a missing one is a crash in somebody else's program."""
    client.enqueue("hi there", "a b c", "abcdef")
    answer = await api.post(MESSAGES, body(system="be kind"))
    assert answer.status_code == 200, answer.text
    message = answer.json()
    assert (message["type"], message["role"], message["model"]) == ("message", "assistant", "guide")
    assert message["content"] == [{"type": "text", "text": "hi there"}]
    assert (message["stop_reason"], message["stop_sequence"]) == ("end_turn", None)
    assert message["usage"]["output_tokens"] == 9
    assert client.calls[0].text == "S:be kindU:helloA:"
    cut = (await api.post(MESSAGES, body(stop_sequences=["zz", "b"]))).json()
    assert (cut["stop_reason"], cut["stop_sequence"]) == ("stop_sequence", "b")
    assert cut["content"][0]["text"] == "a "
    short = (await api.post(MESSAGES, body(max_tokens=3))).json()
    assert (short["stop_reason"], short["content"][0]["text"]) == ("max_tokens", "abc")


async def test_the_events_of_a_stream(api: Api, client: FakeClient) -> None:
    """Anthropic's package accumulates by these events; one out of place raises in it."""
    api.store.backend._engine.tokenizer.chat_template = "{#- <think></think> -#}"  # type: ignore[union-attr]
    client.enqueue('<think>hm</think>{"name": "add", "arguments": {"a": 1}}', "ok")
    found = named_events(await api.post(MESSAGES, body(stream=True, tools=[ADD])))
    kinds = [event["type"] for event in found]
    assert kinds[:2] == ["message_start", "ping"]
    assert kinds[-2:] == ["message_delta", "message_stop"]
    blocks = [e["content_block"]["type"] for e in found if e["type"] == "content_block_start"]
    assert blocks == ["thinking", "tool_use"]
    assert kinds.count("content_block_stop") == 2
    deltas = [e["delta"] for e in found if e["type"] == "content_block_delta"]
    assert "".join(delta.get("thinking", "") for delta in deltas) == "hm"
    assert json.loads("".join(delta.get("partial_json", "") for delta in deltas)) == {"a": 1}
    assert found[-2]["delta"]["stop_reason"] == "tool_use"
    assert found[-2]["usage"]["output_tokens"] > 20
    found = named_events(await api.post(MESSAGES, body(stream=True)))
    text = [e["delta"]["text"] for e in found if e["type"] == "content_block_delta"]
    assert "".join(text) == "ok"


async def test_a_loop_of_tools(api: Api, client: FakeClient) -> None:
    """A result of a call that is dropped makes the model call for ever."""
    client.enqueue('{"name": "add", "arguments": {"a": 1}}', "two")
    first = (await api.post(MESSAGES, body(tools=[ADD]))).json()
    assert first["stop_reason"] == "tool_use"
    (use,) = first["content"]
    assert (use["type"], use["name"], use["input"]) == ("tool_use", "add", {"a": 1})
    said = [
        *body()["messages"],
        {"role": "assistant", "content": first["content"]},
        {"role": "user", "content": [
            {"type": "tool_result", "tool_use_id": use["id"],
             "content": [{"type": "text", "text": "2"}]},
            {"type": "text", "text": "Well?"},
        ]},
    ]  # fmt: skip
    second = (await api.post(MESSAGES, body(tools=[ADD], messages=said))).json()
    assert second["content"] == [{"type": "text", "text": "two"}]
    assert "U:add answered:\n2\n\nWell?" in client.calls[1].text


async def test_tokens_are_counted_as_they_will_be_used(api: Api, client: FakeClient) -> None:
    """A count that leaves tools or the system prompt out lets a program overflow the context."""
    asked = {"model": "guide", "messages": body()["messages"], "system": "be kind", "tools": [ADD]}
    counted = (await api.post(f"{MESSAGES}/count_tokens", asked)).json()["input_tokens"]
    usage = (await api.post(MESSAGES, {**asked, "max_tokens": 9})).json()["usage"]
    assert usage["input_tokens"] + usage["cache_read_input_tokens"] == counted
    assert len(client.calls) == 1


@pytest.mark.parametrize(
    ("fields", "status", "kind"),
    [
        ({"model": "claude"}, 404, "not_found_error"),
        ({"max_tokens": 0}, 400, "invalid_request_error"),
        ({"messages": []}, 400, "invalid_request_error"),
        ({"messages": [{"role": "system", "content": "x"}]}, 400, "invalid_request_error"),
        ({"messages": [{"role": "user", "content": [{"type": "image"}]}]}, 400,
         "invalid_request_error"),
        ({"temperature": 5}, 400, "invalid_request_error"),
        ({"tools": [{"name": "<b>", "input_schema": {}}]}, 400, "invalid_request_error"),
        ({"tool_choice": {"type": "any"}}, 400, "invalid_request_error"),
        ({"messages": [{"role": "user", "content": "x" * 9_000_000}]}, 413, "request_too_large"),
    ],
    ids=lambda value: str(value)[:50] if isinstance(value, dict) else "",
)  # fmt: skip
async def test_errors_have_anthropics_shape(
    api: Api, client: FakeClient, fields: Any, status: int, kind: str
) -> None:
    """OpenAI's shape under Anthropic's address is an error without a message for its package."""
    answer = await api.post(MESSAGES, body(**fields))
    assert answer.status_code == status, answer.text
    assert refusal(answer)["type"] == kind
    assert not client.calls


async def test_a_swarm_that_cannot(api: Api, client: FakeClient) -> None:
    """A stream that fails within its first seconds has a status of its own."""
    client.enqueue(MissingBlocks(Span(0, 4)), MissingBlocks(Span(0, 4)))
    for streamed in (False, True):
        answer = await api.post(MESSAGES, body(stream=streamed))
        assert answer.status_code == 503
        assert refusal(answer)["type"] == "overloaded_error"
