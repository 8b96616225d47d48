"""What a program does with LiteLLM; prints one JSON object. Runs in .venv-clients."""

from __future__ import annotations

import json
import sys
from typing import Any

import litellm

litellm.suppress_debug_info = True
MESSAGES = [{"role": "user", "content": "What is a node?"}]


def main(base: str) -> None:
    def complete(**fields: Any) -> Any:
        wanted = {"model": "openai/guide", "messages": MESSAGES, "temperature": 0, **fields}
        return litellm.completion(api_base=base, api_key="any", num_retries=0, **wanted)

    whole = complete()
    parts = list(complete(stream=True, stream_options={"include_usage": True}))
    told = {
        "whole": whole.choices[0].message.content,
        "finish": whole.choices[0].finish_reason,
        "usage": whole.usage.completion_tokens,
        "streamed": "".join(p.choices[0].delta.content or "" for p in parts if p.choices),
        "streamed_usage": next(p.usage.completion_tokens for p in parts if getattr(p, "usage", 0)),
        "choices": len(complete(n=2, seed=1, max_tokens=4).choices),
        "errors": [],
    }
    for wrong in ({"temperature": 9}, {"model": "openai/gpt-4"}):
        try:
            complete(**wrong)
        except (litellm.BadRequestError, litellm.NotFoundError) as error:
            told["errors"].append(type(error).__name__)
    print(json.dumps(told))


if __name__ == "__main__":
    main(sys.argv[1])
