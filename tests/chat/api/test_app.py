"""The real app, as a process. Each test names the bug it prevents."""

from __future__ import annotations

import resource
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

from chat.access.accounts import AccountFile, Key, hash_key, write
from chat.ids import new_id
from scripts.documents import Block, blocks
from tests.support.browser import App, start_app, wait_ready
from tests.support.processes import alive
from tests.support.waiting import wait_until

MESSAGES: Any = [{"role": "user", "content": "What is a node?"}]
MANY = {"FARMESH_CHAT_CHAT_TURNS_PER_MINUTE": "1000"}


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    running = start_app(tmp_path_factory.mktemp("app"), **MANY, FARMESH_CHAT_SERVER_MCP="1")
    try:
        wait_ready(running)
        yield running
    finally:
        running.process.kill()
        running.process.wait(30)


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


def long_stream(http: httpx.Client) -> httpx.Response:
    """A reply that goes on for long, its first tokens read; the caller closes it."""
    body = {"model": "guide", "messages": MESSAGES, "stream": True, "max_tokens": 900}
    request = http.build_request("POST", "/v1/chat/completions", json={**body, "ignore_eos": True})
    answer = http.send(request, stream=True)
    lines = answer.iter_lines()
    assert next(lines).startswith("data: ")
    answer.extensions["lines"] = lines
    return answer


@pytest.mark.swarm
def test_the_official_package(app: App) -> None:
    """What every tool that speaks OpenAI is built on."""
    client = openai.OpenAI(base_url=f"{app.url}/v1", api_key="any", max_retries=0)
    assert next(iter(client.models.list())).id == "guide"
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


# --- its life -------------------------------------------------------------------------------------

KEY = {"authorization": "Bearer fm-for-a-test"}
SAID: dict[str, Any] = {
    "system": "",
    "messages": [
        {"role": "user", "text": "My name is Ada."},
        {"role": "assistant", "text": "Hello Ada."},
    ],
}


def start_locked(folder: Path) -> App:
    """An app that keeps conversations: one has to sign in."""
    file = folder / "access.json"
    if not file.exists():
        keys = {"robot": Key(sha256=hash_key("fm-for-a-test"))}
        write(file, AccountFile(secret="s" * 43, keys=keys))
    return start_app(
        folder,
        **MANY,
        FARMESH_CHAT_ACCESS_SIGN_IN="password",
        FARMESH_CHAT_ACCESS_FILE=str(file),
        FARMESH_CHAT_CHAT_CONVERSATIONS_FILE=str(folder / "chats.sqlite"),
    )


def page_reply(http: httpx.Client) -> httpx.Response:
    """A long reply through the page's own queue, its first words read; the caller closes it."""
    body = {"data": ["What is a node?", "", "", 900, None, None, None]}
    joined = http.post("/gradio_api/call/chat", json=body).raise_for_status()
    path = f"/gradio_api/call/chat/{joined.json()['event_id']}"
    answer = http.send(http.build_request("GET", path), stream=True)
    lines = answer.iter_lines()
    assert "generating" in next(lines)
    answer.extensions["lines"] = lines
    return answer


@pytest.mark.swarm
@pytest.mark.timeout(420)  # it starts the app twice; on a busy machine each takes a minute or more
def test_killed_and_started_again_and_ended(tmp_path: Path) -> None:
    """After a kill nodes without a parent went on, their ports were taken or the chats were lost;
    open tabs and running replies held up the end, and nodes and daemons were left behind."""
    chat_id = new_id()
    entry = {"title": "Ada", "updated": 1, "data": SAID}
    app = start_locked(tmp_path)
    try:
        wait_ready(app)
        everything = descendants(app.process.pid)
        with httpx.Client(base_url=app.url, headers=KEY, timeout=30) as http:
            http.put(f"/farmesh/kept/{chat_id}", json=entry).raise_for_status()
            running = long_stream(http)
            app.process.kill()
            app.process.wait(30)
            wait_until(lambda: not any(map(alive, everything)))
            running.close()
    finally:
        app.process.kill()
    again = start_locked(tmp_path)
    try:
        wait_ready(again)
        with httpx.Client(base_url=again.url, headers=KEY, timeout=30) as http:
            assert http.get(f"/farmesh/kept/{chat_id}").json() == SAID
            restored = http.post(f"/farmesh/chat/{chat_id}", json=SAID)
            assert restored.json() == {"messages": 2}
            told = http.get(f"/farmesh/chat/{chat_id}").json()
            texts = [message["text"] for message in told["messages"]]
            assert texts == ["My name is Ada.", "Hello Ada."]
            a_full_disk_is_said(http, again, chat_id)
            ends_in_time(http, again)
    finally:
        again.process.kill()
        again.process.wait(30)


def a_full_disk_is_said(http: httpx.Client, app: App, chat_id: str) -> None:
    """Everything that is on the disk can still be read, replies are made, and people are told."""
    entry = {"title": "Ada", "updated": 2, "data": SAID}
    everything = descendants(app.process.pid)
    for pid in everything:  # from here on no file of theirs can grow
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
    refused = http.put(f"/farmesh/kept/{chat_id}", json=entry)
    assert refused.status_code == 507
    assert "cannot be kept" in refused.json()["detail"]
    assert "cannot be kept" in http.get("/farmesh/swarm").json()["text"], "nobody is told"
    assert http.get(f"/farmesh/kept/{chat_id}").json() == SAID
    body = {"model": "guide", "messages": MESSAGES, "max_tokens": 5}
    assert http.post("/v1/chat/completions", json=body).status_code == 200
    for pid in everything:
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
    assert http.put(f"/farmesh/kept/{chat_id}", json=entry).status_code == 200
    assert "cannot be kept" not in http.get("/farmesh/swarm").json()["text"]
    assert "Traceback" not in app.log.read_text()


def ends_in_time(http: httpx.Client, app: App) -> None:
    """SIGTERM with open tabs and running replies."""
    answers = [long_stream(http), long_stream(http), page_reply(http)]
    beat = http.build_request("GET", "/gradio_api/heartbeat/abc")
    answers.append(http.send(beat, stream=True))
    everything = descendants(app.process.pid)
    assert len(everything) > 4
    app.process.send_signal(signal.SIGTERM)
    assert app.process.wait(30) == 0  # Kubernetes waits as long
    wait_until(lambda: not any(map(alive, everything)))
    for answer in answers:
        answer.close()
    log = app.log.read_text()
    assert "Traceback" not in log, log


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
        app.process.wait(30)


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
    code = code.replace("smollm2", "guide")  # what the tests' app serves
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, f"{block}\n{done.stderr}"
    assert done.stdout.strip(), f"{block} prints nothing"
