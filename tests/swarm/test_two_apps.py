"""Two whole apps as processes: the second one has no nodes and chats through the first."""

from __future__ import annotations

import os
import signal
import stat
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from gradio_client import Client

from chat.access.accounts import AccountFile, Key, hash_key, write
from tests.support.apps import App, running
from tests.support.ports import patience
from tests.support.processes import ignores_sigint, wait_until_gone

pytestmark = [
    pytest.mark.swarm,
    pytest.mark.filterwarnings("ignore::DeprecationWarning:gradio_client.*"),
    pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning"),  # gradio_client's own
]
KEY = "fm-two-apps"
ASK = "What is a node?"


@pytest.fixture
def access(tmp_path: Path) -> dict[str, str]:
    """The far app gives out one key, with room for a whole page of people."""
    path = tmp_path / "access.json"
    key = Key(sha256=hash_key(KEY), per_minute=1000, at_once=16)
    write(path, AccountFile(secret="s" * 43, users={}, keys={"page": key}))
    return {
        "FARMESH_CHAT_ACCESS_API_KEYS": "true",
        "FARMESH_CHAT_ACCESS_FILE": str(path),
        "FARMESH_CHAT_SWARM_STATE_DIR": str(tmp_path / "state"),
        "FARMESH_CHAT_SWARM_THREADS": "1",
    }


@pytest.mark.timeout(900)
def test_a_page_without_nodes_chats_through_another_one(
    access: dict[str, str], unused_tcp_port_factory: Callable[[], int]
) -> None:
    """On a Space, whose ports keep it from most swarms, there was the bundled model or nothing."""
    far_port, near_port = unused_tcp_port_factory(), unused_tcp_port_factory()
    name = f"127.0.0.1:{far_port}"
    secret = {"FARMESH_CHAT_SWARM_GATEWAY_KEY": KEY, "FARMESH_CHAT_CHAT_TURNS_PER_MINUTE": "1000"}
    with running(App(near_port, "--gateway", f"http://{name}", **secret)) as near:
        near.until("/farmesh/swarm", lambda a: f"{name} cannot be reached" in a.json()["text"])
        assert f"Replies come from the FarMesh Chat at http://{name}, asked with a key." in "".join(
            near.output
        )
        here = Client(near.url, verbose=False)
        with pytest.raises(Exception, match=r"cannot be reached\. Your message is kept"):
            here.predict(ASK, api_name="/chat")
        with running(App(far_port, **access)) as far:
            far.wait_ready()
            near.wait_ready()
            assert near.line() == f"2 nodes, all blocks served · through {name}"
            assert "node-1" in httpx.get(f"{near.url}/farmesh/swarm").json()["html"]
            headers = {"Authorization": f"Bearer {KEY}"}
            there = Client(far.url, headers=headers, verbose=False)
            told = [
                client.predict(ASK, temperature=1.0, seed=11, max_new_tokens=24, api_name="/chat")
                for client in (here, there)
            ]
            assert told[0] == told[1] != ""

            chat_id = here.predict(api_name="/new_chat")
            job = here.submit(ASK, chat_id, max_new_tokens=900, temperature=1.4, api_name="/chat")
            next(iter(job))
            os.kill(far.process.pid, signal.SIGKILL)  # its nodes end by themselves
            with pytest.raises(Exception, match=r"What arrived is kept|cannot be reached"):
                job.result(timeout=60)
            wait_until_gone(far.session_id)
            near.until("/farmesh/swarm", lambda a: "cannot be reached" in a.json()["text"])
        with running(App(far_port, **access)) as far:
            near.wait_ready()
            assert here.predict(ASK, chat_id, temperature=0.0, api_name="/chat")


# --- a link for others ----------------------------------------------------------------------------

TUNNEL = """#!/bin/sh
echo "start proxy success: https://abc123.gradio.live"
exec sleep 600
"""


def test_a_shared_link_is_locked_and_ends_with_the_app(
    tmp_path: Path, unused_tcp_port: int
) -> None:
    """Gradio's helper went on running, and with it the link to a port that is somebody else's."""
    from gradio.tunneling import BINARY_FILENAME

    helper = tmp_path / "hf" / "gradio" / "frpc" / BINARY_FILENAME  # stands for Gradio's servers
    helper.parent.mkdir(parents=True)
    helper.write_text(TUNNEL)
    helper.chmod(helper.stat().st_mode | stat.S_IXUSR)
    environ = {"HF_HOME": str(tmp_path / "hf"), "GRADIO_SHARE_SERVER_ADDRESS": "127.0.0.1:9"}
    flags = ("--gateway", "http://127.0.0.1:9", "--share")
    app = App(unused_tcp_port, *flags, **environ)
    with running(app):
        assert app.wait_for(r"Public link: (\S+)") == "https://abc123.gradio.live"
        assert app.wait_for(r"at the latest on (.+)\.")
        password = app.wait_for(r"Password for the page: (\S+)")
        called = {"host": "abc123.gradio.live", "accept": "text/html"}
        with httpx.Client(base_url=app.url, headers=called) as visitor:
            assert visitor.get("/").headers["location"] == "/farmesh/login"
            assert visitor.post("/farmesh/login", data={"password": "x"}).status_code == 401
            entered = visitor.post("/farmesh/login", data={"password": password})
            assert entered.status_code == 303
            assert "FarMesh" in visitor.get("/").text
    assert not wait_until_gone(app.session_id), "the link's helper outlived the app"


# --- how it ends ----------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_app_ends_by_itself(number: signal.Signals, unused_tcp_port: int) -> None:
    """It was cut off by os._exit: whatever did not close or join was never seen."""
    app = App(unused_tcp_port, "--gateway", "http://127.0.0.1:9")
    with running(app):
        app.wait_for("FarMesh Chat is at ")
        assert "FarMesh" in httpx.get(f"{app.url}/", headers={"accept": "text/html"}).text
        app.signal(number)
        assert app.process.wait(20 * patience()) == 0
        assert not any("Traceback" in line for line in app.output)


def test_an_app_in_the_background_ends_on_sigterm_alone(unused_tcp_port: int) -> None:
    """Ctrl-C of a script ended the app that it had started to stay."""
    app = App(unused_tcp_port, "--gateway", "http://127.0.0.1:9", background=True)
    with running(app):
        app.wait_for("FarMesh Chat is at ")
        assert ignores_sigint(app.process.pid)
        assert app.end() == 0
