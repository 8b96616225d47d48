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
