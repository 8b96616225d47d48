"""The app as a Space runs it: user 1000, a read-only checkout, no home; ``make space`` runs it."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from gradio_client import Client

pytestmark = pytest.mark.space

SPACE_USER = 1000
SECONDS = 180.0
ALLOWED = (
    "PATH",
    "LANG",
    "TZ",
    "HF_HUB_OFFLINE",
    "FARMESH_CHAT_MODELS_DEFAULT",
)  # of this process' environment


@pytest.fixture
def folder() -> Iterator[Path]:
    """One that user 1000 reaches: pytest's own is closed to others, by every pytest that starts."""
    with tempfile.TemporaryDirectory(prefix="farmesh-space-") as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.fixture
def checkout(folder: Path, project: Path) -> Iterator[Path]:
    """A copy of what git has, in which nobody can write."""
    copy = folder / "app"
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=project, capture_output=True, check=True)
    for name in filter(None, listed.stdout.decode().split("\0")):
        if (project / name).is_file():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(project / name, copy / name)
    for path in [copy, *copy.rglob("*")]:
        path.chmod(0o555 if path.is_dir() else 0o444)
    yield copy
    for path in [copy, *copy.rglob("*")]:
        if path.is_dir():
            path.chmod(0o755)


def as_space_user(*command: str) -> list[str]:
    """A command of user 1000, who has no rights beyond; of ourselves when we are nobody special."""
    if os.getuid() != 0:
        return list(command)
    user = f"--reuid={SPACE_USER}", f"--regid={SPACE_USER}", "--clear-groups"
    return ["setpriv", *user, "--inh-caps=-all", "--bounding-set=-all", *command]


@pytest.fixture(scope="module", autouse=True)
def python_is_reached() -> None:
    ran = subprocess.run(
        as_space_user(sys.executable, "-c", ""), capture_output=True, text=True, check=False
    )
    if ran.returncode:
        pytest.fail(f"User {SPACE_USER} cannot run {sys.executable}: {ran.stderr.strip()}")


def start(checkout: Path, port: int, home: Path, **environ: str) -> subprocess.Popen[str]:
    """``python app.py`` with what a Space's environment has."""
    kept = {name: os.environ[name] for name in ALLOWED if name in os.environ}
    return subprocess.Popen(
        as_space_user(sys.executable, "app.py"),
        cwd=checkout,
        env={
            **kept,
            "HOME": str(home),
            "SPACE_ID": "someone/farmesh-chat",
            "SYSTEM": "spaces",
            "GRADIO_SERVER_NAME": "127.0.0.1",
            "GRADIO_SERVER_PORT": str(port),
            "PYTHONDONTWRITEBYTECODE": "1",
            **environ,
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def wait_for(url: str, process: subprocess.Popen[str], status: int = 200) -> float:
    """Seconds until ``url`` answered."""
    started = time.monotonic()
    while time.monotonic() - started < SECONDS:
        assert process.poll() is None, process.communicate()[0]
        try:
            if httpx.get(url, timeout=5).status_code == status:
                return time.monotonic() - started
        except httpx.HTTPError:
            pass
        time.sleep(0.1)
    process.kill()
    raise AssertionError(f"{url} did not answer:\n{process.communicate()[0]}")


@pytest.mark.parametrize("writable_home", [True, False])
@pytest.mark.timeout(2 * SECONDS)
def test_a_read_only_checkout_serves_user_1000(
    checkout: Path, folder: Path, unused_tcp_port: int, writable_home: bool
) -> None:
    """The build is fine, and the Space shows a traceback about a folder that cannot be made."""
    home = folder / "home"
    home.mkdir()
    if os.getuid() == 0 and writable_home:
        os.chown(home, SPACE_USER, SPACE_USER)
    home.chmod(0o755 if writable_home else 0o555)
    process = start(checkout, unused_tcp_port, home)
    url = f"http://127.0.0.1:{unused_tcp_port}"
    try:
        page = wait_for(url, process)
        swarm = wait_for(f"{url}/readyz", process)
        print(f"the page after {page:.1f} s, the swarm {swarm:.1f} s later")
        chat_about_a_name(url)
    finally:
        process.send_signal(signal.SIGTERM)
        said = process.communicate(timeout=60)[0]
    assert process.returncode == 0, said
    assert f"{checkout / '.state'} cannot be written: the nodes' identities and logs go to" in said
    assert "Replies come from 2 nodes on this machine" in said
    assert "Traceback" not in said
    assert "rror" not in said, said
    assert sorted(path.name for path in checkout.iterdir() if path.name == ".state") == []


def chat_about_a_name(url: str) -> None:
    """A whole conversation through Gradio, as the page has it, and a message through ``/v1``."""
    client = Client(url, verbose=False)
    chat_id = client.predict(api_name="/new_chat")
    assert client.predict("My name is Ada.", chat_id, temperature=0.0, api_name="/chat")
    asked = "What is my name?", chat_id
    assert "Ada" in client.predict(*asked, temperature=0.0, api_name="/chat")
    client.close()
    turn = {"role": "user", "content": "What is a node?"}
    body = {"model": "guide", "messages": [turn], "temperature": 0}
    answer = httpx.post(f"{url}/v1/chat/completions", json=body, timeout=SECONDS)
    assert answer.status_code == 200, answer.text
    assert answer.json()["choices"][0]["message"]["content"]


@pytest.mark.timeout(2 * SECONDS)
def test_signing_in_needs_no_folder(checkout: Path, folder: Path, unused_tcp_port: int) -> None:
    """With a swarm that its ports keep it from, and people who sign in: the page is there."""
    peer = "/ip4/192.0.2.7/tcp/31337/p2p/QmPgiDQKDHEJm7z6ruw2Sbb1jg1oCmSs86cRmtHB7L2PgJ"
    process = start(
        checkout,
        unused_tcp_port,
        folder / "nowhere",
        FARMESH_CHAT_SWARM_PEERS=peer,
        FARMESH_CHAT_ACCESS_SIGN_IN="huggingface",
        OAUTH_CLIENT_ID="id",
        OAUTH_CLIENT_SECRET="secret",
    )
    try:
        wait_for(f"http://127.0.0.1:{unused_tcp_port}/farmesh/login", process)
    finally:
        process.send_signal(signal.SIGTERM)
        said = process.communicate(timeout=60)[0]
    assert "None of the peers can be reached: a Space reaches the ports 80, 443 and 8080" in said
    assert "conversations stay in people's browsers" in said
    assert "Traceback" not in said


@pytest.mark.timeout(2 * SECONDS)
def test_a_swarm_on_a_spaces_ports_is_reached(tmp_path: Path, project: Path) -> None:
    """A swarm that announces itself on 443 and 8080 was out of reach all the same."""
    tools = [shutil.which(name) for name in ("unshare", "ip", "nft")]
    if os.getuid() != 0 or not all(tools):
        pytest.skip("needs root, unshare, ip and nft to make a network with a Space's ports")
    module = "tests.space.behind_a_firewall"
    command = ["unshare", "--net", sys.executable, "-m", module, str(tmp_path)]
    ran = subprocess.run(
        command, cwd=project, capture_output=True, text=True, timeout=2 * SECONDS, check=False
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "2 nodes, all blocks served" in ran.stdout
    assert "cannot be reached: a Space reaches the ports 80, 443 and 8080 only" in ran.stdout
