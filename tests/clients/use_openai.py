"""What a program does with the openai package; prints one JSON object. Runs in .venv-clients."""

from __future__ import annotations

import json
import sys
from typing import Any

from openai import OpenAI
from pydantic import BaseModel, Field

TOOL: Any = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather of a city",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string", "enum": ["Rome", "Oslo"]}},
            "required": ["city"],
        },
    },
}
ASK: Any = [{"role": "user", "content": "What is the weather in Rome?"}]


class City(BaseModel):
    name: str = Field(max_length=12)
    people: int = Field(ge=0, le=99)


def main(base: str, model: str) -> None:
    client = OpenAI(base_url=base, api_key="any", max_retries=0, timeout=300)
    parsed = client.chat.completions.parse(model=model, messages=ASK, response_format=City)
    with client.chat.completions.stream(
        model=model, messages=ASK, tools=[TOOL], tool_choice="required", parallel_tool_calls=False
    ) as stream:
        kinds = {event.type for event in stream}
        call = stream.get_final_completion().choices[0].message.tool_calls[0]
    shaped = client.responses.parse(model=model, input="Describe Rome.", text_format=City)
    first = client.responses.create(model=model, input="I am Ada.", max_output_tokens=8)
    name: Any = {"type": "json_schema", "name": "name", "schema": {"enum": ["Ada", "Bob"]}}
    with client.responses.stream(
        model=model, input="Who am I?", previous_response_id=first.id, text={"format": name}
    ) as events:
        deltas = sum(event.type == "response.output_text.delta" for event in events)
        last = events.get_final_response()
    told = {
        "parsed": type(parsed.choices[0].message.parsed).__name__,
        "tool_events": sorted(kind for kind in kinds if "function" in kind),
        "called": call.function.name,
        "arguments": json.loads(call.function.arguments),
        "shaped": type(shaped.output_parsed).__name__,
        "deltas": deltas,
        "same": last.output_text == last.output[0].content[0].text,
        "longer": last.usage.input_tokens > first.usage.input_tokens,
    }
    print(json.dumps(told))


if __name__ == "__main__":
    main(*sys.argv[1:])
