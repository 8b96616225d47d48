"""OpenAI's protocol: what clients send and get. Each test names the bug it prevents."""

from __future__ import annotations

import asyncio
import json
import math
from typing import Any

import httpx
import pytest

from chat.models.backend import Backend
from farmesh.core import Span
from farmesh.errors import MissingBlocks, SwarmBusy
from tests.support.fakes import FakeClient, ready_backend
from tests.support.harness import service
from tests.support.served import MODEL, Api, RealApi
from tests.support.waiting import until

CHAT = "/v1/chat/completions"
TEXT = "/v1/completions"


def body(text: str = "hello", **fields: Any) -> dict[str, Any]:
    return {"model": "guide", "messages": [{"role": "user", "content": text}], **fields}


def events(answer: httpx.Response) -> list[dict[str, Any]]:
    """The stream's objects; the last event must be the end mark."""
    lines = [line for line in answer.text.split("\n\n") if line.startswith("data: ")]
    assert lines[-1] == "data: [DONE]"
    return [json.loads(line.removeprefix("data: ")) for line in lines[:-1]]


async def stream(api: Api, path: str, **fields: Any) -> list[dict[str, Any]]:
    answer = await api.post(path, {**fields, "stream": True})
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].startswith("text/event-stream")
    return events(answer)


def refusal(answer: httpx.Response) -> dict[str, Any]:
    """The error of an answer, in OpenAI's shape and no other."""
    assert set(answer.json()) == {"error"}
    error: dict[str, Any] = answer.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert error["message"]
    return error


# --- shapes -------------------------------------------------------------------------------------


async def test_a_whole_reply(api: Api, client: FakeClient) -> None:
    """Clients read these very fields; a missing one is a crash in somebody else's program."""
    client.enqueue("hi there")
    answer = await api.chat("hello")
    assert answer["object"] == "chat.completion"
    assert answer["model"] == "guide"
    assert answer["choices"] == [
        {
            "index": 0,
            "message": {"role": "assistant", "content": "hi there", "refusal": None},
            "logprobs": None,
            "finish_reason": "stop",
        }
    ]
    assert client.calls[0].text == "U:helloA:"
    prompt = len(client.calls[0].token_ids)
    assert answer["usage"]["prompt_tokens"] == prompt
    assert answer["usage"]["completion_tokens"] == 9  # the end-of-sequence token is work too
    assert answer["usage"]["total_tokens"] == prompt + 9


async def test_a_streamed_reply_is_the_whole_one_in_pieces(api: Api, client: FakeClient) -> None:
    """A stream without its role, its end or its usage leaves clients waiting."""
    client.enqueue("grüße 🙂")
    parts = await stream(api, CHAT, **body(stream_options={"include_usage": True}))
    assert parts[0]["choices"][0]["delta"] == {"role": "assistant", "content": ""}
    text = "".join(p["choices"][0]["delta"].get("content", "") for p in parts if p["choices"])
    assert text == "grüße 🙂"
    assert [p["choices"][0]["finish_reason"] for p in parts[:-1]][-2:] == [None, "stop"]
    assert parts[-1]["choices"] == []
    assert parts[-1]["usage"]["completion_tokens"] == len("grüße 🙂".encode()) + 1
    assert all(p["usage"] is None for p in parts[:-1])
    assert len({p["id"] for p in parts}) == 1
    assert all("\ufffd" not in json.dumps(p, ensure_ascii=False) for p in parts)


async def test_usage_comes_only_when_asked_for(api: Api) -> None:
    """Older clients fail on a chunk without choices."""
    parts = await stream(api, CHAT, **body())
    assert all(len(p["choices"]) == 1 and "usage" not in p for p in parts)


@pytest.mark.parametrize("stop", ["ne", ["zzz", "ne"]])
async def test_stop_ends_before_the_string(api: Api, client: FakeClient, stop: Any) -> None:
    """The stop string itself was in the text, or its beginning was sent before it was known."""
    client.enqueue("one two", "one two")
    answer = await api.chat(stop=stop)
    assert answer["choices"][0]["message"]["content"] == "o"
    assert answer["choices"][0]["finish_reason"] == "stop"
    parts = await stream(api, CHAT, **body(stop=stop))
    assert "".join(p["choices"][0]["delta"].get("content", "") for p in parts) == "o"
    assert all(call.ended and call.produced <= 4 for call in client.calls)


async def test_the_limit_is_told(api: Api, client: FakeClient) -> None:
    """A cut reply that says "stop" is taken for a whole one."""
    client.enqueue("abcdef", "abcdef")
    for name in ("max_tokens", "max_completion_tokens"):
        answer = await api.chat(**{name: 3})
        assert answer["choices"][0]["message"]["content"] == "abc"
        assert answer["choices"][0]["finish_reason"] == "length"


async def test_a_reply_ends_where_the_context_does(api: Api, client: FakeClient) -> None:
    """A reply that outgrows the model's context breaks the session of the next request."""
    client.enqueue("x" * 3000)
    answer = await api.chat(max_tokens=5000)
    assert answer["choices"][0]["finish_reason"] == "length"
    assert answer["usage"]["total_tokens"] == client.max_context


async def test_several_choices_and_prompts(api: Api, client: FakeClient) -> None:
    """Choices came in another order, or a prompt was counted once per choice."""
    client.enqueue("a", "b", "c", "d")
    answer = await api.post(
        TEXT, {"model": "guide", "prompt": ["one", "three"], "n": 2, "seed": 5, "max_tokens": 9}
    )
    choices = answer.json()["choices"]
    assert [c["index"] for c in choices] == [0, 1, 2, 3]
    assert {c["text"] for c in choices} == {"a", "b", "c", "d"}
    assert answer.json()["usage"]["prompt_tokens"] == len("one") + len("three")
    assert sorted(call.params.seed or 0 for call in client.calls) == [5, 5, 6, 6]
    parts = await stream(api, CHAT, **body(n=3))
    assert {p["choices"][0]["index"] for p in parts} == {0, 1, 2}
    ends = [p["choices"][0]["finish_reason"] for p in parts if p["choices"][0]["finish_reason"]]
    assert ends == ["stop"] * 3


async def test_every_kind_of_prompt(api: Api, client: FakeClient) -> None:
    """Load generators send token ids, older clients strings, and echo puts the prompt first."""
    for prompt in ("ab", ["ab"], [97, 98], [[97, 98]]):
        client.enqueue("c")
        answer = await api.post(TEXT, {"model": "guide", "prompt": prompt, "echo": True})
        assert answer.json()["choices"][0]["text"] == "abc", answer.text
        assert client.calls[-1].token_ids == (97, 98)


async def test_sampling_arrives_as_it_was_asked_for(api: Api, client: FakeClient) -> None:
    """A control that is taken and not passed on is worse than one that is refused."""
    wanted = {
        "temperature": 0.5,
        "top_p": 0.8,
        "top_k": 7,
        "min_p": 0.1,
        "typical_p": 0.9,
        "repetition_penalty": 1.2,
        "presence_penalty": -1.5,
        "frequency_penalty": 0.25,
        "seed": 11,
        "ignore_eos": True,
    }
    await api.chat(**wanted, user="somebody", metadata={"a": "b"}, store=False, top_logprobs=0)
    for name, value in wanted.items():
        assert getattr(client.calls[0].params, name) == value, name
    await api.chat(temperature=None, stop=None, n=None, stream=None, seed=-1, top_k=-1)
    assert client.calls[1].params.seed == 2**63 - 1
    assert client.calls[1].params.top_k == 0


async def test_messages_of_every_role_reach_the_template(api: Api, client: FakeClient) -> None:
    """Content in parts, a developer's message, and neighbours of one role are all in use."""
    messages = [
        {"role": "developer", "content": "be kind"},
        {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]},
        {"role": "user", "content": "c", "name": "x"},
        {"role": "assistant", "content": "d"},
        {"role": "user", "content": "e"},
    ]
    await api.post(CHAT, {"model": "guide", "messages": messages})
    assert client.calls[0].text == "S:be kindU:ab\n\ncA:dU:eA:"


async def test_models_are_listed(api: Api) -> None:
    """Clients list the models before anything else."""
    listed = (await api.http.get("/v1/models")).json()
    assert listed["object"] == "list"
    (card,) = listed["data"]
    assert (card["id"], card["object"], card["max_model_len"]) == ("guide", "model", 2000)
    assert (await api.http.get("/v1/models/guide")).json() == card
    error = refusal(await api.http.get("/v1/models/gpt-4"))
    assert error["code"] == "model_not_found"


async def test_every_model_of_the_catalogue_can_be_asked_for(
    api: Api, client: FakeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The page offers a choice of models and programs get the first one, whatever they ask for."""
    second = FakeClient()
    second.enqueue("from the second")
    opened = ready_backend(second)

    class Two:
        entries = (MODEL, MODEL.model_copy(update={"id": "second"}))

        async def open(self, model_id: str) -> Backend:
            assert model_id == "second"
            return opened

    monkeypatch.setattr(api.store, "models", Two())
    listed = (await api.http.get("/v1/models")).json()["data"]
    assert [card["id"] for card in listed] == ["guide", "second"]
    answer = await api.chat(model="second")
    assert answer["choices"][0]["message"]["content"] == "from the second"
    assert answer["model"] == "second"
    monkeypatch.setattr(opened, "_status", Backend("Fake").status)
    answer = await api.post(CHAT, body(model="second"))
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "2")
    assert not client.calls


# --- errors -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"temperature": "hot"}, "temperature"),
        ({"temperature": 3}, "temperature"),
        ({"temperature": True}, "temperature"),
        ({"top_p": 0}, "top_p"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"max_tokens": 10**9}, "max_new_tokens"),
        ({"n": 9}, "n"),
        ({"n": 1.5}, "n"),
        ({"stop": ["a"] * 17}, "stop"),
        ({"stop": ""}, "stop"),
        ({"stop": {"a": 1}}, "stop"),
        ({"top_logprobs": 2}, "top_logprobs"),
        ({"logprobs": True, "top_logprobs": 21}, "top_logprobs"),
        ({"messages": []}, "messages"),
        ({"messages": "hello"}, "messages"),
        ({"messages": [{"role": "wizard", "content": "x"}]}, "messages.0.role"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}, None),
        ({"tools": [{"type": "function"}]}, "tools.0.function"),
        ({"logit_bias": {"1": 5}}, "logit_bias"),
        ({"model": 5}, "model"),
        ({"stream_options": 1}, "stream_options"),
        ({"seed": "x"}, "seed"),
    ],
)
async def test_a_wrong_value_is_refused_by_name(
    api: Api, client: FakeClient, fields: dict[str, Any], param: str | None
) -> None:
    """A value that is silently changed, or a 500 with a traceback."""
    answer = await api.post(CHAT, {**body(), **fields})
    assert answer.status_code == 400, answer.text
    error = refusal(answer)
    assert error["type"] == "invalid_request_error"
    if param is not None:
        assert error["param"] == param
    assert not client.calls


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b"5", b'{"model":"guide"}', b"\xff\xfe", b"null", b"[[[[[[[["]
)
async def test_a_body_that_is_no_request(api: Api, content: bytes) -> None:
    """Not JSON, not an object, not UTF-8: an error in OpenAI's shape all the same."""
    answer = await api.http.post(
        CHAT, content=content, headers={"content-type": "application/json"}
    )
    assert answer.status_code == 400
    refusal(answer)


async def test_a_lone_surrogate_is_refused(api: Api) -> None:
    """JSON can carry half of a character; tokenizers raise on it."""
    content = json.dumps(body("\ud800")).encode()
    answer = await api.http.post(
        CHAT, content=content, headers={"content-type": "application/json"}
    )
    assert answer.status_code == 400


async def test_other_models_and_places(api: Api) -> None:
    """A client that is set up for another server gets a sentence, not a page."""
    assert refusal(await api.post(CHAT, {**body(), "model": "gpt-4"}))["code"] == "model_not_found"
    assert (await api.post("/v1/embeddings", {})).status_code == 404
    refusal(await api.post("/v1/embeddings", {}))
    refusal(await api.http.delete("/v1/models"))


async def test_a_prompt_that_is_too_long(api: Api, client: FakeClient) -> None:
    """Refused before anything is sent, with the code that clients shorten the chat on."""
    error = refusal(await api.post(CHAT, body("x" * 2000)))
    assert error["code"] == "context_length_exceeded"
    refusal(await api.post(TEXT, {"model": "guide", "prompt": [300]}))
    refusal(await api.post(TEXT, {"model": "guide", "prompt": ""}))
    assert not client.calls


@pytest.mark.parametrize("streamed", [False, True])
async def test_a_swarm_that_cannot_is_a_503(api: Api, client: FakeClient, streamed: bool) -> None:
    """A stream that begins with 200 and then fails is not tried again by any client."""
    client.enqueue(MissingBlocks(Span(0, 4)), SwarmBusy("full"), RuntimeError("secret detail"))
    for status in (503, 503, 500):
        answer = await api.post(CHAT, body(stream=streamed))
        assert answer.status_code == status
        assert "secret" not in answer.text
        assert "kept" not in refusal(answer)["message"]


async def test_too_many_requests(client: FakeClient, api: Api) -> None:
    """The limit is the page's own, and says when to come back."""
    api.store.rate._per_minute = 2
    for _ in range(2):
        await api.chat()
    answer = await api.post(CHAT, body())
    assert answer.status_code == 429
    assert refusal(answer)["code"] == "rate_limit_exceeded"
    assert 0 < int(answer.headers["retry-after"]) <= 60


# --- clients that leave -------------------------------------------------------------------------


@pytest.mark.parametrize("streamed", [False, True])
async def test_a_client_that_leaves_stops_the_nodes(real: RealApi, streamed: bool) -> None:
    """Nodes went on computing a reply that nobody reads, up to its limit."""
    wanted = body("Tell me everything", max_tokens=900, ignore_eos=True, stream=streamed)
    request = asyncio.create_task(real.post(CHAT, wanted))
    await until(lambda: real.ledger.totals.generated_tokens > 3)
    assert real.store.line.running == 1
    request.cancel()
    await asyncio.gather(request, return_exceptions=True)
    await until(lambda: real.store.line.running == 0)
    nodes = [service(node) for node in real.swarm.nodes.values()]
    await until(lambda: not any(node.scheduler._works for node in nodes))
    assert len(real.store.pool) == 1, "its session was lost: the next request computes all anew"
    before = real.swarm.computed()
    usage = (await real.chat("What is a node?", max_tokens=8, ignore_eos=True))["usage"]
    cached = usage["prompt_tokens_details"]["cached_tokens"]
    new = usage["total_tokens"] - cached - 1  # the last token is not fed again
    computed = {name: count + new for name, count in before.items()}
    assert real.swarm.computed() == computed, "somebody computes beside the next request"
    assert real.ledger.totals.generated_tokens < 900


async def test_a_client_that_stops_reading_is_left(
    api: Api, client: FakeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A reader that hangs held its place in the line for ever."""
    monkeypatch.setattr("chat.api.stream.READ_SECONDS", 0.3)
    client.max_context = 400_000
    client.enqueue("x" * 300_000)  # 200 bytes for each: far more than the sockets' buffers take
    reader, writer = await asyncio.open_connection("127.0.0.1", api.http.base_url.port, limit=1)
    content = json.dumps(body(stream=True, max_tokens=400_000)).encode()
    head = (
        f"POST {CHAT} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n"
        f"content-length: {len(content)}\r\n\r\n"
    )
    writer.write(head.encode() + content)
    await until(lambda: api.store.line.running == 1)
    await until(lambda: api.store.line.running == 0)
    assert client.calls[0].produced < 300_000
    assert client.calls[0].ended
    assert not reader.at_eof()
    writer.close()


# --- caches and real tokens ---------------------------------------------------------------------


async def test_a_conversation_computes_only_what_is_new(real: RealApi) -> None:
    """Stateless requests computed the whole conversation in every turn."""
    messages = [{"role": "user", "content": "What is a block, and what is a hop?"}]
    cached = []
    for text in ("And a span?", "And a node?"):
        answer = (
            await real.post(
                CHAT, {"model": "guide", "messages": messages, "max_tokens": 16, "temperature": 0}
            )
        ).json()
        usage = answer["usage"]
        cached.append((usage["prompt_tokens_details"]["cached_tokens"], usage["prompt_tokens"]))
        reply = answer["choices"][0]["message"]
        messages += [
            {"role": "assistant", "content": reply["content"]},
            {"role": "user", "content": text},
        ]
    (first, _), (second, prompt) = cached
    assert first == 0
    assert second > prompt / 2
    other = {"authorization": "Bearer somebody-else"}
    answer = (
        await real.post(
            CHAT, {"model": "guide", "messages": messages[:1], "max_tokens": 2}, headers=other
        )
    ).json()
    assert answer["usage"]["prompt_tokens_details"]["cached_tokens"] == 0


async def test_logprobs_are_those_of_the_model(real: RealApi) -> None:
    """Numbers that look right and belong to other tokens."""
    fields = {"temperature": 0, "max_tokens": 12, "logprobs": True, "top_logprobs": 3}
    choice = (await real.chat("What is a node?", **fields))["choices"][0]
    told = choice["logprobs"]["content"]
    assert "".join(entry["token"] for entry in told) == choice["message"]["content"]
    for entry in told:
        assert bytes(entry["bytes"]).decode() == entry["token"]
        assert len(entry["top_logprobs"]) == 3
        best = entry["top_logprobs"][0]
        assert best["token"] == entry["token"], "greedy takes the likeliest"
        assert best["logprob"] == entry["logprob"] <= 0
        assert sum(math.exp(other["logprob"]) for other in entry["top_logprobs"]) <= 1.0001
    parts = await stream(real, CHAT, **body("What is a node?", **fields))
    streamed = [
        entry
        for part in parts
        for entry in (part["choices"][0]["logprobs"] or {"content": []})["content"]
    ]
    assert [entry["token"] for entry in streamed] == [entry["token"] for entry in told]
    prompt = {"model": "guide", "prompt": "A node", "max_tokens": 8, "logprobs": 2}
    text = (await real.post(TEXT, {**prompt, "temperature": 0})).json()["choices"][0]
    logprobs = text["logprobs"]
    assert "".join(logprobs["tokens"]) == text["text"]
    starts = zip(logprobs["text_offset"], logprobs["tokens"], strict=True)
    assert all(text["text"][at:].startswith(token) for at, token in starts)


async def test_the_same_seed_gives_the_same_text(real: RealApi) -> None:
    """A seed that is ignored, or one seed for all choices."""
    fields = {"seed": 3, "temperature": 1.5, "max_tokens": 20, "n": 2, "ignore_eos": True}
    first, second = [await real.chat("Hello", **fields) for _ in range(2)]
    texts = [choice["message"]["content"] for choice in first["choices"]]
    assert texts == [choice["message"]["content"] for choice in second["choices"]]
    assert texts[0] != texts[1]


async def test_accounts_know_which_nodes_took_part(real: RealApi) -> None:
    """A coordinator that pays nodes pays for tokens that they did not compute."""
    before = real.swarm.computed()
    await real.chat("What is a node?", max_tokens=8, ignore_eos=True)
    computed = {name: n - before[name] for name, n in real.swarm.computed().items()}
    ((account, _),) = real.ledger.open_accounts
    assert account.generated_tokens == 8
    # The last token that was drawn is never sent through the nodes.
    assert {share.tokens for share in account.shares.values()} == set(computed.values())
    assert len(account.shares) == 2
    assert dict(real.ledger.node_tokens) == {p: s.tokens for p, s in account.shares.items()}
