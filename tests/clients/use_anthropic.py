"""What a program does with the anthropic package; prints one JSON object. Runs in .venv-clients."""

from __future__ import annotations

import json
import sys
from typing import Any

import anthropic

TOOL: Any = {
    "name": "get_weather",
    "description": "The weather of a city",
    "input_schema": {
        "type": "object",
        "properties": {"city": {"type": "string", "enum": ["Rome", "Oslo"]}},
        "required": ["city"],
    },
}
ASK: Any = [{"role": "user", "content": "What is the weather in Rome?"}]


def main(base: str, model: str) -> None:
    client = anthropic.Anthropic(base_url=base, api_key="any", max_retries=0, timeout=300)
    wanted: Any = {"model": model, "max_tokens": 24, "messages": ASK}
    counted = client.messages.count_tokens(model=model, messages=ASK).input_tokens
    whole = client.messages.create(**wanted, extra_body={"temperature": 0})
    with client.messages.stream(**wanted, extra_body={"temperature": 0}) as stream:
        text = "".join(stream.text_stream)
    forced = {"tools": [TOOL], "tool_choice": {"type": "any", "disable_parallel_tool_use": True}}
    with client.messages.stream(**wanted, **forced) as stream:
        message = stream.get_final_message()
    use = message.content[0]
    answered = [
        *ASK,
        {"role": "assistant", "content": [block.model_dump() for block in message.content]},
        {"role": "user", "content": [
            {"type": "tool_result", "tool_use_id": use.id, "content": "It is warm."}
        ]},
    ]  # fmt: skip
    after = client.messages.create(**{**wanted, "messages": answered}, tools=[TOOL])
    refused = ""
    try:
        client.messages.create(**{**wanted, "model": "claude"})
    except anthropic.NotFoundError as error:
        refused = error.body["error"]["type"]
    told = {
        "same": whole.content[0].text == text,
        "counted": counted == whole.usage.input_tokens + whole.usage.cache_read_input_tokens,
        "stop": message.stop_reason,
        "use": [use.name, use.input],
        "after": after.stop_reason,
        "refused": refused,
    }
    print(json.dumps(told))


if __name__ == "__main__":
    main(*sys.argv[1:])
