"""``/v1/responses``: what clients send and get. Each test names the bug it prevents."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from chat.api.asked import Said
from chat.api.responses.kept import MOST_CHARACTERS, MOST_OF_ONE, Kept, KeptResponses
from farmesh.core import Span
from farmesh.errors import MissingBlocks
from tests.chat.api.test_openai import refusal
from tests.support.fakes import FakeClient
from tests.support.served import Api, RealApi, named_events

PATH = "/v1/responses"
ADD = {"type": "function", "name": "add", "parameters": {"type": "object", "properties": {}}}


async def respond(api: Api, asked: Any = "hello", **fields: Any) -> dict[str, Any]:
    answer = await api.post(PATH, {"model": "guide", "input": asked, **fields})
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def events(answer: httpx.Response) -> list[dict[str, Any]]:
    """The stream's events, numbered without a gap."""
    found = named_events(answer)
    assert [event["sequence_number"] for event in found] == list(range(len(found)))
    return found


async def test_a_whole_response(api: Api, client: FakeClient) -> None:
    """Clients read these very fields; a missing one is a crash in somebody else's program."""
    client.enqueue("hi there", "abcdef")
    told = await respond(api, instructions="be kind")
    assert (told["object"], told["status"], told["error"]) == ("response", "completed", None)
    (item,) = told["output"]
    assert (item["type"], item["role"], item["status"]) == ("message", "assistant", "completed")
    assert item["content"] == [
        {"type": "output_text", "text": "hi there", "annotations": [], "logprobs": []}
    ]
    assert told["usage"]["output_tokens"] == 9
    assert client.calls[0].text == "S:be kindU:helloA:"
    cut = await respond(api, max_output_tokens=3)
    assert cut["status"] == "incomplete"
    assert cut["incomplete_details"] == {"reason": "max_output_tokens"}
    assert cut["output"][0]["content"][0]["text"] == "abc"


async def test_the_events_of_a_stream(api: Api, client: FakeClient) -> None:
    """OpenAI's package puts the response together from these events, by their indices."""
    api.store.backend._engine.tokenizer.chat_template = "{#- <think></think> -#}"  # type: ignore[union-attr]
    client.enqueue('<think>hm</think>{"name": "add", "arguments": {"a": 1}}')
    sent = {"model": "guide", "input": "add", "tools": [ADD], "stream": True}
    found = events(await api.post(PATH, sent))
    kinds = [event["type"] for event in found]
    assert kinds[:2] == ["response.created", "response.in_progress"]
    assert kinds[-1] == "response.completed"
    added = [e["item"]["type"] for e in found if e["type"] == "response.output_item.added"]
    assert added == ["reasoning", "function_call"]
    deltas = {
        kind: "".join(event["delta"] for event in found if event["type"] == kind)
        for kind in ("response.reasoning_text.delta", "response.function_call_arguments.delta")
    }
    assert list(deltas.values()) == ["hm", '{"a": 1}']
    whole = found[-1]["response"]
    assert [item["type"] for item in whole["output"]] == added
    assert whole["output"][1]["arguments"] == '{"a": 1}'
    assert whole["output"][1]["name"] == "add"
    done = [event["item"] for event in found if event["type"] == "response.output_item.done"]
    assert done == whole["output"]


async def test_a_response_follows_another(api: Api, client: FakeClient) -> None:
    """The model forgot what was said; or instructions of an earlier response went on for ever."""
    client.enqueue("hi Ada", '{"name": "add"}', "two", "")
    first = await respond(api, "I am Ada", instructions="be kind")
    second = await respond(api, "1 + 1", previous_response_id=first["id"], tools=[ADD])
    assert "U:I am AdaA:hi AdaU:1 + 1A:" in client.calls[1].text
    assert "be kind" not in client.calls[1].text
    (call,) = second["output"]
    output = [{"type": "function_call_output", "call_id": call["call_id"], "output": "2"}]
    third = await respond(api, output, previous_response_id=second["id"], tools=[ADD])
    assert 'A:{"name": "add", "arguments": {}}U:add answered:\n2A:' in client.calls[2].text
    read = (await api.http.get(f"{PATH}/{third['id']}")).json()
    assert read == third
    assert (await api.http.delete(f"{PATH}/{third['id']}")).json()["deleted"] is True
    assert (await api.http.get(f"{PATH}/{third['id']}")).status_code == 404


async def test_items_of_a_conversation_told_in_full(api: Api, client: FakeClient) -> None:
    """Clients that store nothing bring every item back, thoughts and calls among them."""
    items = [
        {"role": "user", "content": [{"type": "input_text", "text": "1 + 1"}]},
        {"type": "reasoning", "id": "rs_1", "summary": []},
        {"type": "function_call", "id": "fc_1", "call_id": "c1", "name": "add", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c1", "output": "2"},
        {"type": "message", "role": "assistant", "id": "m", "status": "completed",
         "content": [{"type": "output_text", "text": "two", "annotations": []}]},
        {"role": "developer", "content": "be brief"},
        {"role": "user", "content": "sure?"},
    ]  # fmt: skip
    await respond(api, items)
    assert client.calls[0].text == (
        'U:1 + 1A:{"name": "add", "arguments": {}}U:add answered:\n2A:twoS:be briefU:sure?A:'
    )


async def test_what_is_not_stored_and_what_belongs_to_somebody_else(
    api: Api, client: FakeClient
) -> None:
    """Anybody who guesses an id goes on with somebody else's conversation."""
    mine = await respond(api, "secret")
    unkept = await respond(api, "secret", store=False)
    follow = {"model": "guide", "input": "what?"}
    stranger = {"authorization": "Bearer another"}
    answer = await api.post(PATH, {**follow, "previous_response_id": mine["id"]}, headers=stranger)
    assert refusal(answer)["code"] == "previous_response_not_found"
    assert (await api.http.get(f"{PATH}/{mine['id']}", headers=stranger)).status_code == 404
    assert (await api.http.delete(f"{PATH}/{mine['id']}", headers=stranger)).status_code == 404
    answer = await api.post(PATH, {**follow, "previous_response_id": unkept["id"]})
    assert answer.status_code == 404
    assert (await api.http.get(f"{PATH}/{mine['id']}")).status_code == 200


def test_what_is_stored_is_bounded() -> None:
    """One program that stores everything takes the memory, or everybody else's room."""
    kept = KeptResponses()

    def put(name: str, owner: str, size: int = 1) -> None:
        kept.put(name, Kept(owner, (Said("user", "x" * size),), {}))

    put("other", "b")
    for number in range(MOST_OF_ONE + 5):
        put(f"r{number}", "a")
    assert len(kept) == MOST_OF_ONE + 1
    assert kept.get("r4", "a") is None
    assert kept.get("r5", "a") is not None
    assert kept.get("r5", "b") is None
    assert kept.get("other", "b") is not None
    put("large", "c", MOST_CHARACTERS)
    assert len(kept) == 1
    put("larger", "c", MOST_CHARACTERS + 1)
    assert len(kept) == 0


async def test_a_form_and_required_tools(real: RealApi) -> None:
    """The newer protocol writes both in other places than the older one."""
    schema = {"type": "object", "properties": {"n": {"enum": [1, 2]}}, "required": ["n"],
              "additionalProperties": False}  # fmt: skip
    wanted = {"type": "json_schema", "name": "x", "schema": schema}
    told = await respond(real, text={"format": wanted})
    assert json.loads(told["output"][0]["content"][0]["text"]) in ({"n": 1}, {"n": 2})
    told = await respond(
        real, tools=[ADD], tool_choice={"type": "function", "name": "add"},
        parallel_tool_calls=False,
    )  # fmt: skip
    (call,) = told["output"]
    assert (call["type"], call["name"], json.loads(call["arguments"])) == (
        ("function_call", "add", {})
    )


@pytest.mark.parametrize(
    ("fields", "status", "param"),
    [
        ({"input": []}, 400, "input"),
        ({"input": [{"type": "item_reference", "id": "x"}]}, 400, None),
        ({"model": "gpt-5"}, 404, "model"),
        ({"previous_response_id": "resp_nobodys"}, 404, "previous_response_id"),
        ({"background": True}, 400, "background"),
        ({"conversation": "conv_1"}, 400, "conversation"),
        ({"tools": [{"type": "web_search"}]}, 400, "tools.0.type"),
        ({"text": {"format": {"type": "json_schema"}}}, 400, None),
        ({"text": {"format": {"type": "json_schema", "schema": {"not": {}}}}}, 400, "text.format"),
        ({"max_output_tokens": 0}, 400, "max_output_tokens"),
    ],
    ids=lambda value: str(value)[:50] if isinstance(value, dict) else "",
)
async def test_what_cannot_be_done_is_refused_by_name(
    api: Api, client: FakeClient, fields: Any, status: int, param: str | None
) -> None:
    """A field that was silently left out."""
    answer = await api.post(PATH, {"model": "guide", "input": "x", **fields})
    assert answer.status_code == status, answer.text
    if param is not None:
        assert refusal(answer)["param"] == param
    assert not client.calls


async def test_a_swarm_that_cannot(api: Api, client: FakeClient) -> None:
    """A stream that fails within its first seconds has a status of its own."""
    client.enqueue(MissingBlocks(Span(0, 4)))
    answer = await api.post(PATH, {"model": "guide", "input": "x", "stream": True})
    assert answer.status_code == 503
    assert refusal(answer)["type"] == "server_error"
