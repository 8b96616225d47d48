"""An agent of pydantic-ai that must call three tools, one after the other, and then answer.

Prints one JSON object. Runs in .venv-clients.
"""

from __future__ import annotations

import json
import sys
from typing import Literal

from pydantic import BaseModel, Field
from pydantic_ai import Agent, RunContext, ToolOutput
from pydantic_ai.capabilities import PrepareOutputTools
from pydantic_ai.messages import ModelResponse
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.openai import OpenAIProvider
from pydantic_ai.tools import ToolDefinition

City = Literal["Rome", "Oslo", "Lima"]


class Report(BaseModel):
    city: City
    summary: str = Field(max_length=40)


def main(base: str, model: str) -> None:
    called: list[str] = []

    def after(count: int):
        async def prepare(_: RunContext[None], tool: ToolDefinition) -> ToolDefinition | None:
            return tool if len(called) == count else None

        return prepare

    async def finish(_: RunContext[None], tools: list[ToolDefinition]) -> list[ToolDefinition]:
        return tools if len(called) == 3 else []

    agent = Agent(
        OpenAIChatModel(model, provider=OpenAIProvider(base_url=base, api_key="any")),
        output_type=ToolOutput(Report, name="report"),
        instructions="Use the tools one after the other, then report.",
        model_settings={"temperature": 0.2, "parallel_tool_calls": False, "max_tokens": 200},
        retries=0,
        capabilities=[PrepareOutputTools(finish)],
    )

    @agent.tool_plain(prepare=after(0))
    def choose_city(country: str = Field(max_length=20)) -> str:
        """Which city of a country to report on."""
        called.append("choose_city")
        return "Rome"

    @agent.tool_plain(prepare=after(1))
    def get_weather(city: City) -> str:
        """The weather of a city."""
        called.append("get_weather")
        return f"{city}: 21 degrees, sunny"

    @agent.tool_plain(prepare=after(2))
    def get_people(city: City) -> str:
        """How many people live in a city."""
        called.append("get_people")
        return f"{city}: 2.8 million"

    result = agent.run_sync("Report on the capital of Italy.")
    replies = sum(isinstance(message, ModelResponse) for message in result.all_messages())
    told = {"called": called, "city": result.output.city, "requests": replies}
    print(json.dumps(told))


if __name__ == "__main__":
    main(*sys.argv[1:])
