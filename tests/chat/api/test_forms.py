"""Replies that are held to a form, over real nodes. Each test names the bug it prevents."""

from __future__ import annotations

import asyncio
import json
import re
import time
from typing import Any

import pytest
from jsonschema import validate

from tests.chat.api.test_openai import CHAT, TEXT, body, events, refusal
from tests.support.served import Api, RealApi

PERSON = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "maxLength": 12},
        "age": {"type": "integer", "minimum": 0, "maximum": 150},
        "kind": {"enum": ["node", "client"]},
        "tags": {"type": "array", "items": {"type": "string", "maxLength": 5}, "maxItems": 3},
    },
    "required": ["name", "age", "kind", "tags"],
    "additionalProperties": False,
}


def asked_for(schema: Any, **more: Any) -> dict[str, Any]:
    inner = {"name": "thing", "schema": schema, "strict": True, **more}
    return {"type": "json_schema", "json_schema": inner}


@pytest.mark.parametrize(
    "sampling",
    [
        {"temperature": 0},
        {"temperature": 2},
        {"temperature": 2, "top_p": 0.1, "top_k": 3},
        {"temperature": 1, "min_p": 0.5, "typical_p": 0.2},
        {"temperature": 2, "repetition_penalty": 9, "frequency_penalty": 2, "presence_penalty": 2},
        {"temperature": 1, "no_repeat_ngram_size": 1},
        {"temperature": 1, "ignore_eos": True, "logprobs": True, "top_logprobs": 3},
    ],
    ids=lambda sampling: "-".join(sampling),
)
async def test_a_schema_holds_whatever_the_sampling(real: RealApi, sampling: Any) -> None:
    """A control that is applied after the mask, or leaves nothing of it, breaks the JSON."""
    answer = await real.chat(
        "Who?", max_tokens=400, seed=3, response_format=asked_for(PERSON), **sampling
    )
    choice = answer["choices"][0]
    assert choice["finish_reason"] == "stop"
    validate(json.loads(choice["message"]["content"]), PERSON)
    if sampling.get("logprobs"):
        assert len(choice["logprobs"]["content"]) == answer["usage"]["completion_tokens"]


async def test_every_spelling_of_a_form(real: RealApi) -> None:
    """vLLM's clients send other fields than OpenAI's; one that is ignored gives free text."""

    async def text(**fields: Any) -> str:
        sent = {"model": "guide", "prompt": "A node is", "max_tokens": 400, **fields}
        answer = await real.post(TEXT, sent)
        assert answer.status_code == 200, answer.text
        assert answer.json()["choices"][0]["finish_reason"] == "stop"
        return str(answer.json()["choices"][0]["text"])

    shape = {"type": "object", "properties": {"n": {"type": "integer", "maximum": 9, "minimum": 0}}}
    shape |= {"required": ["n"], "additionalProperties": False}
    for fields in (
        {"guided_json": shape},
        {"guided_json": json.dumps(shape)},
        {"structured_outputs": {"json": shape}},
        {"response_format": asked_for(shape)},
    ):
        validate(json.loads(await text(**fields)), shape)
    for fields in (
        {"guided_regex": r"[ab]{3}-\d{4}"},
        {"structured_outputs": {"regex": r"[ab]{3}-\d{4}", "choice": None}},
    ):
        assert re.fullmatch(r"[ab]{3}-\d{4}", await text(**fields))
    odd = ['say "x"', "ünïcode 🙂", "a\nb\\n", "start: /x/"]
    assert await text(guided_choice=odd) in odd
    assert await text(structured_outputs={"choice": ["only"]}) == "only"
    for grammar in ('start: "x"~2 NUMBER\nNUMBER: /[0-9]{2}/', 'root ::= "xx" [0-9] [0-9]'):
        assert re.fullmatch(r"xx\d\d", await text(guided_grammar=grammar))


async def test_any_object(real: RealApi) -> None:
    """json_object without a schema gave prose, or spaces without an end."""
    answer = await real.chat(response_format={"type": "json_object"}, max_tokens=60, temperature=0)
    content = answer["choices"][0]["message"]["content"]
    assert content.startswith("{")
    assert not content.startswith("{  ")
    if answer["choices"][0]["finish_reason"] == "stop":
        assert isinstance(json.loads(content), dict)


async def test_a_limit_that_cuts_the_form_is_told(real: RealApi) -> None:
    """Half of an object that says "stop" crashes whoever parses it."""
    wanted = asked_for(PERSON)
    whole = await real.chat(response_format=wanted, temperature=0, max_tokens=400)
    cut = await real.chat(response_format=wanted, temperature=0, max_tokens=5)
    assert cut["choices"][0]["finish_reason"] == "length"
    text = whole["choices"][0]["message"]["content"]
    assert text.startswith(cut["choices"][0]["message"]["content"])


async def test_streamed_with_a_stop_string_and_several_choices(real: RealApi) -> None:
    """Choices that share one guide take one another's tokens; a stop string is still the end."""
    sent = body(response_format=asked_for(PERSON), max_tokens=400, n=3, temperature=1, seed=1)
    parts = events(await real.post(CHAT, {**sent, "stream": True}))
    texts = ["", "", ""]
    for part in parts:
        choice = part["choices"][0]
        texts[choice["index"]] += choice["delta"].get("content") or ""
    for text in texts:
        validate(json.loads(text), PERSON)
    answer = await real.post(CHAT, {**sent, "n": 1, "stop": ['"age"']})
    content = answer.json()["choices"][0]["message"]["content"]
    assert '"age"' not in content
    assert content.startswith("{")


LEVELS = '{"a":' * 400 + "1" + "}" * 400


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"response_format": {"type": "json_schema"}}, "response_format"),
        ({"response_format": {"type": "yaml"}}, "response_format"),
        ({"response_format": {"schema": {}}}, "response_format"),
        ({"response_format": asked_for({"type": "thing"})}, "response_format"),
        ({"response_format": asked_for({"type": "array", "uniqueItems": True})}, "response_format"),
        ({"response_format": asked_for({"$ref": "http://127.0.0.1:1/x"})}, "response_format"),
        ({"response_format": asked_for({"enum": ["x" * 1000] * 1000})}, "response_format"),
        ({"response_format": asked_for(json.loads(LEVELS))}, "response_format"),
        ({"guided_json": LEVELS}, "guided_json"),
        ({"guided_json": '{"a":' * 100_000}, "guided_json"),
        ({"guided_json": "nonsense"}, "guided_json"),
        ({"guided_json": {"type": "string", "maxLength": 10**30}}, "guided_json"),
        ({"guided_json": {"multipleOf": 999_999_999, "type": "integer"}}, "guided_json"),
        ({"guided_json": {"allOf": [{"type": "string"}, {"type": "integer"}]}}, "guided_json"),
        ({"guided_regex": "(a"}, "guided_regex"),
        ({"guided_regex": "(?=a)b"}, "guided_regex"),
        ({"guided_regex": "a{1000000}"}, "guided_regex"),
        ({"guided_regex": "(a{1,30000}){1,30000}"}, "guided_regex"),
        ({"guided_regex": "a?" * 2000}, "guided_regex"),
        ({"guided_choice": []}, "guided_choice"),
        ({"guided_choice": [""]}, "guided_choice"),
        ({"guided_grammar": "anything"}, "guided_grammar"),
        ({"guided_grammar": "start: " + "(" * 5000}, "guided_grammar"),
        ({"guided_grammar": "root ::= " + "(" * 5000}, "guided_grammar"),
        ({"guided_grammar": "start: %json " + LEVELS}, "guided_grammar"),
        ({"guided_grammar": "start: A0\n" + "".join(f"A{i}: A{i + 1} A{i + 1}\n" for i in range(40))
          + "A40: /a?b/"}, "guided_grammar"),
        ({"guided_regex": "a", "guided_choice": ["a"]}, "guided_choice"),
        ({"structured_outputs": {"regex": "a", "choice": ["b"]}}, "structured_outputs"),
        ({"structured_outputs": {"structural_tag": "x"}}, "structured_outputs"),
    ],
    ids=lambda value: str(value)[:60] if isinstance(value, dict) else "",
)  # fmt: skip
async def test_a_form_that_cannot_be_held_is_refused(api: Api, fields: Any, param: str) -> None:
    """A schema that explodes took a core for minutes, or the process with it."""
    started = time.perf_counter()
    answer = await api.post(CHAT, {**body(), **fields})
    took = time.perf_counter() - started
    assert answer.status_code == 400, answer.text
    error = refusal(answer)
    assert error["param"] == param
    assert error["type"] == "invalid_request_error"
    assert len(error["message"]) < 500
    assert took < 1, "a tenth of a second where nothing else runs; this machine may be busy"


async def test_a_chain_of_references_does_not_end_the_process(real: RealApi) -> None:
    """The library calls itself for every reference: 700 of them ended the process."""
    names = {f"a{i}": {"items": {"$ref": f"#/$defs/a{i + 1}"}} for i in range(900)}
    schema = {"$ref": "#/$defs/a0", "$defs": {**names, "a900": {"type": "string"}}}
    answer = await real.post(CHAT, body(guided_json=schema, max_tokens=3))
    assert answer.status_code in (200, 400)
    rules = "start: a0\n" + "".join(f"a{i}:a{i + 1}\n" for i in range(1200)) + 'a1200: "x"'
    answer = await real.post(TEXT, {"model": "guide", "prompt": "a", "guided_grammar": rules})
    assert answer.json()["choices"][0]["text"] == "x", answer.text


async def test_a_form_in_the_making_holds_nobody_up(real: RealApi) -> None:
    """A reply stood still while somebody else's heavy schema was compiled."""
    heavy = {f"key{i}": {"type": "string", "pattern": f"^(.*{i}){{5}}$"} for i in range(100)}
    asking = [
        asyncio.create_task(
            real.post(CHAT, body(guided_json={"properties": heavy, "title": str(i)}))
        )
        for i in range(4)
    ]
    worst, last = 0.0, time.perf_counter()
    while not all(task.done() for task in asking):
        await asyncio.sleep(0.001)
        worst, last = max(worst, time.perf_counter() - last), time.perf_counter()
    for task in asking:
        assert task.result().status_code in (200, 400)
    assert worst < 1.0
