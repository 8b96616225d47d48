"""Other people's clients and load generators against the real app; ``make clients`` installs them.

Each test names the bug it prevents.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.browser import App, start_app, wait_ready
from tests.support.paths import PROJECT
from tests.support.real import real_model

pytestmark = [pytest.mark.clients, pytest.mark.timeout(400)]
BIN = PROJECT / ".venv-clients" / "bin"
ENVIRON = {**os.environ, "HF_HUB_OFFLINE": "1", "LITELLM_LOCAL_MODEL_COST_MAP": "True"}


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    folder = tmp_path_factory.mktemp("app")
    running = start_app(folder, FARMESH_CHAT_CHAT_TURNS_PER_MINUTE="100000")
    try:
        wait_ready(running)
        yield running
    finally:
        running.process.terminate()
        running.process.wait(10)


def test_litellm(app: App) -> None:
    """A proxy that many tools stand behind reads a field that the official package does not."""
    script = Path(__file__).with_name("use_litellm.py")
    done = subprocess.run(
        [BIN / "python", script, f"{app.url}/v1"],
        capture_output=True, text=True, timeout=200, env=ENVIRON,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout.splitlines()[-1])
    assert told["whole"] == told["streamed"] != ""
    assert told["finish"] == "stop"
    assert told["usage"] == told["streamed_usage"] > 0
    assert told["choices"] == 2
    assert told["errors"] == ["BadRequestError", "NotFoundError"]


@pytest.fixture(scope="module")
def chatty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    """The app with a real model, which was taught neither tools nor forms."""
    real_model()  # skips where the package index does not give it
    folder = tmp_path_factory.mktemp("chatty")
    environ = {"FARMESH_CHAT_CHAT_TURNS_PER_MINUTE": "100000"}
    running = start_app(folder, "--model", "smollm2", **environ)
    try:
        wait_ready(running)
        yield running
    finally:
        running.process.terminate()
        running.process.wait(10)


def told_by(script: str, app: App, path: str = "/v1") -> Any:
    """What a script of ours printed last, run with the real model."""
    done = subprocess.run(
        [BIN / "python", Path(__file__).with_name(script), f"{app.url}{path}", "smollm2"],
        capture_output=True, text=True, timeout=380, env=ENVIRON,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_openai(chatty: App) -> None:
    """The official package parses schemas, and puts streamed calls and responses together."""
    told = told_by("use_openai.py", chatty)
    assert (told["parsed"], told["shaped"]) == ("City", "City")
    assert told["tool_events"] == [
        "tool_calls.function.arguments.delta",
        "tool_calls.function.arguments.done",
    ]
    assert told["called"] == "get_weather"
    assert told["arguments"]["city"] in ("Rome", "Oslo")
    assert told["deltas"] > 0
    assert told["same"]
    assert told["longer"]


def test_anthropic(chatty: App) -> None:
    """The official package accumulates a message by its events, and brings results back."""
    told = told_by("use_anthropic.py", chatty, path="")
    assert told["same"]
    assert told["counted"]
    assert told["stop"] == "tool_use"
    assert told["use"][0] == "get_weather"
    assert told["use"][1]["city"] in ("Rome", "Oslo")
    assert told["after"] in ("end_turn", "max_tokens", "tool_use")
    assert told["refused"] == "not_found_error"


def test_instructor(chatty: App) -> None:
    """Objects by tools and by schemas, at the first try."""
    assert told_by("use_instructor.py", chatty) == {"tool_call": True, "json_schema_mode": True}


def test_an_agent_calls_three_tools_and_answers(chatty: App) -> None:
    """A loop that ends in an invalid call, or never: the model has 135 million parameters."""
    told = told_by("use_agent.py", chatty)
    assert told["called"] == ["choose_city", "get_weather", "get_people"]
    assert told["city"] in ("Rome", "Oslo", "Lima")
    assert told["requests"] == 4


def totals(app: App) -> dict[str, int]:
    status: Any = httpx.get(f"{app.url}/mesh/status").json()
    return dict(status["totals"])


def test_guidellm_with_several_turns(app: App, tmp_path: Path) -> None:
    """A load generator gets errors, or every turn computes its whole conversation anew."""
    text = (PROJECT / "docs" / "api.md").read_text(encoding="utf-8")
    found = re.search(r"^guidellm run .*?[^\\]$", text, re.MULTILINE | re.DOTALL)
    assert found is not None, "the command that the document shows"
    command = found[0].replace("\\\n", " ").replace("http://127.0.0.1:7860", app.url)
    command = command.replace("models/guide", str(PROJECT / "models" / "guide"))
    before = totals(app)
    done = subprocess.run(
        [BIN / "guidellm", *shlex.split(command)[1:]],
        cwd=tmp_path, capture_output=True, text=True, timeout=300, env=ENVIRON,
    )  # fmt: skip
    print(done.stdout)
    assert done.returncode == 0, done.stdout + done.stderr
    after = totals(app)
    prompts, cached, replies = (
        after[name] - before[name] for name in ("prompt_tokens", "cached_prompt_tokens", "replies")
    )
    print(f"{replies} replies; {cached} of {prompts} prompt tokens from caches")
    assert replies >= 24
    assert cached > prompts / 3
