"""What a program does with instructor; prints one JSON object. Runs in .venv-clients."""

from __future__ import annotations

import json
import sys
from typing import Any, Literal

import instructor
from openai import OpenAI
from pydantic import BaseModel, Field


class Ticket(BaseModel):
    title: str = Field(max_length=20)
    kind: Literal["bug", "wish"]
    weight: int = Field(ge=1, le=5)


def main(base: str, model: str) -> None:
    told = {}
    for mode in (instructor.Mode.TOOLS, instructor.Mode.JSON_SCHEMA):
        client: Any = instructor.from_openai(
            OpenAI(base_url=base, api_key="any", max_retries=0, timeout=300), mode=mode
        )
        ticket = client.chat.completions.create(
            model=model,
            response_model=Ticket,
            max_retries=0,
            messages=[{"role": "user", "content": "The page is blank in my browser."}],
        )
        told[mode.value] = ticket.kind in ("bug", "wish") and 1 <= ticket.weight <= 5
    print(json.dumps(told))


if __name__ == "__main__":
    main(*sys.argv[1:])
