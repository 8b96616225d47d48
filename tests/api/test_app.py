"""The real app, as a process. Each test names the bug it prevents."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest

from chat.security import PERSON_COOKIE
from chat.store import new_id
from tests.browser.conftest import App, start_app, wait_ready
from tests.documents import Block, blocks

MESSAGES: Any = [{"role": "user", "content": "What is a node?"}]
MANY = {"FARMESH_CHAT_CHAT_TURNS_PER_MINUTE": "1000"}


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    running = start_app(tmp_path_factory.mktemp("app"), **MANY)
    try:
        wait_ready(running)
        yield running
    finally:
        running.process.kill()
        running.process.wait(10)


def descendants(pid: int) -> set[int]:
    """All processes below one, its own included."""
    parents: dict[int, int] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if fields[0] != "Z":
            parents[int(folder.name)] = int(fields[1])
    found = {pid}
    while more := {child for child, parent in parents.items() if parent in found} - found:
        found |= more
    return found & set(parents) | {pid}


def alive(pids: set[int]) -> set[int]:
    def runs(pid: int) -> bool:
        try:
            return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
        except OSError:
            return False

    return {pid for pid in pids if runs(pid)}


def wait_gone(pids: set[int], seconds: float) -> set[int]:
    deadline = time.monotonic() + seconds
    while (left := alive(pids)) and time.monotonic() < deadline:
        time.sleep(0.05)
    return left


def long_stream(url: str) -> httpx.Response:
    """A reply that goes on for long, its first tokens read; the caller closes it."""
    body = {"model": "guide", "messages": MESSAGES, "stream": True, "max_tokens": 900}
    http = httpx.Client(timeout=30)
    request = http.build_request(
        "POST", f"{url}/v1/chat/completions", json={**body, "ignore_eos": True}
    )
    answer = http.send(request, stream=True)
    lines = answer.iter_lines()
    assert next(lines).startswith("data: ")
    answer.extensions["lines"] = lines
    return answer


@pytest.mark.swarm
def test_the_official_package(app: App) -> None:
    """What every tool that speaks OpenAI is built on."""
    client = openai.OpenAI(base_url=f"{app.url}/v1", api_key="any", max_retries=0)
    assert [model.id for model in client.models.list()] == ["guide"]
    whole = client.chat.completions.create(
        model="guide", messages=MESSAGES, temperature=0, logprobs=True, top_logprobs=2, seed=1
    )
    choice = whole.choices[0]
    assert choice.finish_reason == "stop"
    assert choice.logprobs is not None
    assert choice.logprobs.content is not None
    assert "".join(token.token for token in choice.logprobs.content) == choice.message.content
    text = ""
    usage = None
    stream = client.chat.completions.create(
        model="guide", messages=MESSAGES, temperature=0, stream=True,
        stream_options={"include_usage": True},
    )  # fmt: skip
    for chunk in stream:
        usage = chunk.usage or usage
        text += (chunk.choices[0].delta.content or "") if chunk.choices else ""
    assert text == choice.message.content
    assert usage is not None
    assert whole.usage is not None
    assert usage.completion_tokens == whole.usage.completion_tokens
    plain = client.completions.create(
        model="guide", prompt="A node", max_tokens=5, n=2, extra_body={"ignore_eos": True}
    )
    assert len(plain.choices) == 2
    assert plain.usage is not None
    assert plain.usage.completion_tokens == 10
    with pytest.raises(openai.NotFoundError, match="gpt-4"):
        client.chat.completions.create(model="gpt-4", messages=MESSAGES)
    with pytest.raises(openai.BadRequestError) as refused:
        client.chat.completions.create(model="guide", messages=MESSAGES, temperature=9)
    assert refused.value.param == "temperature"


@pytest.mark.swarm
def test_the_gradio_client(app: App) -> None:
    """The page's own endpoints for programs, by their names, as docs/api.md shows them."""
    from gradio_client import Client

    client = Client(app.url, verbose=False)
    chat_id = client.predict(api_name="/new_chat")
    first = client.predict("My name is Ada.", chat_id, temperature=0, api_name="/chat")
    assert first
    job = client.submit("What is a node?", chat_id, temperature=0, api_name="/chat")
    updates = list(job)
    assert updates
    assert updates[-1].startswith(updates[0])
    client.close()


@pytest.mark.swarm
def test_sigterm_ends_everything_in_time(tmp_path: Path) -> None:
    """An open tab or a running stream held the app up; nodes and daemons were left behind."""
    app = start_app(tmp_path, **MANY)
    answers = []
    try:
        wait_ready(app)
        answers = [long_stream(app.url) for _ in range(3)]
        tab = httpx.Client(timeout=30)
        beat = tab.send(
            tab.build_request("GET", f"{app.url}/gradio_api/heartbeat/abc"), stream=True
        )
        everything = descendants(app.process.pid)
        assert len(everything) > 4
        began = time.monotonic()
        app.process.send_signal(signal.SIGTERM)
        assert app.process.wait(10) == 0
        took = time.monotonic() - began
        assert took < 5, f"{took:.1f} s"
        assert not wait_gone(everything, 1)
        beat.close()
    finally:
        app.process.kill()
        for answer in answers:
            answer.close()
    log = app.log.read_text()
    assert "Traceback" not in log, log


@pytest.mark.swarm
def test_killed_and_started_again(tmp_path: Path) -> None:
    """Nodes without a parent went on; the next start found their ports taken or lost the chats."""
    app = start_app(tmp_path, **MANY)
    try:
        wait_ready(app)
        everything = descendants(app.process.pid)
        answer = long_stream(app.url)
        app.process.kill()
        app.process.wait(10)
        assert not wait_gone(everything, 10), "they outlived the app"
        answer.close()
    finally:
        app.process.kill()
    again = start_app(tmp_path, **MANY)
    try:
        wait_ready(again)
        kept = {
            "system": "",
            "messages": [
                {"role": "user", "text": "My name is Ada."},
                {"role": "assistant", "text": "Hello Ada."},
            ],
        }
        cookies = {PERSON_COOKIE: new_id()}
        url = f"{again.url}/farmesh/chat/{new_id()}"
        assert httpx.post(url, json=kept, cookies=cookies).json() == {"messages": 2}
        told = httpx.get(url, cookies=cookies).json()
        assert [message["text"] for message in told["messages"]] == [
            "My name is Ada.",
            "Hello Ada.",
        ]
        client = openai.OpenAI(base_url=f"{again.url}/v1", api_key="any", max_retries=0)
        reply = client.chat.completions.create(model="guide", messages=MESSAGES, max_tokens=5)
        assert reply.choices[0].message.content
    finally:
        again.process.terminate()
        again.process.wait(10)


@pytest.mark.swarm
def test_a_state_folder_that_cannot_be_used(tmp_path: Path) -> None:
    """A read-only place: a traceback and an exit, instead of a page that says what to change."""
    (tmp_path / "file").write_text("in the way")
    state = str(tmp_path / "file" / "state")
    app = start_app(tmp_path, **{**MANY, "FARMESH_CHAT_SWARM_STATE_DIR": state})
    try:
        sentence = ""
        deadline = time.monotonic() + 60
        while "state" not in sentence and time.monotonic() < deadline:
            assert app.process.poll() is None, app.log.read_text()
            time.sleep(0.3)
            try:
                answer = httpx.get(f"{app.url}/readyz")
            except httpx.TransportError:
                continue
            sentence = answer.json()["status"] if answer.status_code == 503 else ""
            if answer.status_code == 200:
                break
        else:
            assert "cannot be used" in sentence, sentence
        assert httpx.get(f"{app.url}/").status_code == 200
        assert "Traceback" not in app.log.read_text()
    finally:
        app.process.terminate()
        app.process.wait(10)


def test_help_does_not_wait_for_gradio(project: Path) -> None:
    """`python app.py --help` and a wrong setting took as long as starting the app."""
    program = (
        "import sys, app\n"
        "try:\n    app.main(['--help'])\n"
        "except SystemExit: pass\n"
        "print({'gradio', 'torch', 'fastapi', 'transformers', 'hivemind'} & {*sys.modules})"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=project, capture_output=True, text=True, timeout=30
    )
    assert done.stdout.splitlines()[-1] == "set()", done.stdout + done.stderr


PYTHON = [block for block in blocks("python") if not block.needs]


@pytest.mark.swarm
@pytest.mark.parametrize("block", PYTHON, ids=str)
def test_python_of_the_documents_runs(block: Block, app: App) -> None:
    """Prevents an example that fails at the reader's first try."""
    code = block.body.replace("http://127.0.0.1:7860", app.url)
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, f"{block}\n{done.stderr}"
    assert done.stdout.strip(), f"{block} prints nothing"
