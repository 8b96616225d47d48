"""The image and compose.yaml in a real engine; ``make containers`` runs this."""

from __future__ import annotations

import json
import time

import httpx

from tests.containers.conftest import LISTEN
from tests.containers.docker import PROJECT, Deployment, docker, states

URL = f"http://{LISTEN}:7860"
NODES = "node-1", "node-2", "node-3"
SERVICES = "bootstrap", *NODES, "web"
QUESTION = {"role": "user", "content": "What is a node?"}
KILL = """
import os, pathlib, signal
for folder in pathlib.Path("/proc").glob("[0-9]*"):
    if b"\\0serve\\0" in (folder / "cmdline").read_bytes():
        os.kill(int(folder.name), signal.SIGKILL)
"""


def wait_ready(deployment: Deployment) -> None:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        if httpx.get(f"{URL}/readyz", timeout=5).status_code == 200:
            return
        time.sleep(0.5)
    raise AssertionError(deployment("logs", "--no-color", "web"))


def ask(model: str = "guide", **more: object) -> str:
    body = {"model": model, "messages": [QUESTION], "temperature": 0, **more}
    reply = httpx.post(f"{URL}/v1/chat/completions", json=body, timeout=120)
    assert reply.status_code == 200, reply.text
    return reply.json()["choices"][0]["message"]["content"]


def nodes() -> list[dict[str, object]]:
    """Those that serve, as the page of the deployment sees them."""
    found = httpx.get(f"{URL}/mesh/status", timeout=10).json()["swarms"][0]["nodes"]
    return [node for node in found if node["state"] == "online"]


def test_the_image_is_no_roots_and_holds_no_more_than_the_app(deployment: Deployment) -> None:
    """Prevents a hole in the app from being one in the host, and keys from being shipped."""
    facts = deployment.inspect("web")
    assert facts["HostConfig"]["CapDrop"] == ["ALL"]
    assert deployment.python("web", "import os; print(os.getuid())") == "1000"
    held = deployment.python("web", "import os; print(*sorted(os.listdir('/app')))")
    assert held.split() == [
        ".state",
        "app.py",
        "chat",
        "configs",
        "farmesh",
        "models",
        "requirements.txt",
    ]
    owner = "import os; print(os.access('/app/chat', os.W_OK), os.access('/app/.state', os.W_OK))"
    assert deployment.python("web", owner) == "False True"


def test_every_service_is_healthy_and_the_page_answers(deployment: Deployment) -> None:
    """Prevents containers that run without ever finding one another."""
    told = states(deployment, SERVICES)
    assert {name: state["Health"]["Status"] for name, state in told.items()} == dict.fromkeys(
        SERVICES, "healthy"
    )
    wait_ready(deployment)
    assert "node is a computer" in ask()
    assert sorted(str(node["name"]) for node in nodes()) == sorted(NODES)
    assert "FarMesh Chat" in httpx.get(URL, timeout=10).text


def test_a_node_killed_in_a_reply_is_replaced_and_comes_back(deployment: Deployment) -> None:
    """Prevents a reply that ends with its node, and a node that stays away."""
    wait_ready(deployment)
    long = {"max_tokens": 500, "ignore_eos": True, "repetition_penalty": 1.6}
    whole = ask(**long)
    body = {"model": "guide", "messages": [QUESTION], "temperature": 0, "stream": True, **long}
    text, killed_at = "", 0
    with httpx.stream("POST", f"{URL}/v1/chat/completions", json=body, timeout=120) as reply:
        for line in reply.iter_lines():
            if line.startswith("data: {"):
                text += json.loads(line[6:])["choices"][0]["delta"].get("content") or ""
            if text and not killed_at:
                killed_at = len(text)
                for name in NODES[:2]:  # of three that hold every block, one is left
                    deployment.python(name, KILL)
    assert text == whole
    assert 0 < killed_at < len(whole) / 4
    deadline = time.monotonic() + 120
    while len(nodes()) < 3 and time.monotonic() < deadline:
        time.sleep(1)
    assert len(nodes()) == 3
    assert deployment.inspect("node-1")["RestartCount"] == 1


def test_weights_are_mounted(deployment: Deployment) -> None:
    """Prevents an image that can only serve the model that is in it."""
    volume = f"{deployment.name}_models:/models"
    catalogue = (PROJECT / "configs" / "models.toml").read_text(encoding="utf-8")
    catalogue = catalogue.replace("[guide", "[other").replace('"models/guide"', '"/models/other"')
    mine = f"{PROJECT}/models/guide:/from:ro"
    fill = 'cp -r /from /models/other && printf %s "$1" > /models/models.toml'
    docker(
        "run", "--rm", "-v", volume, "-v", mine, "farmesh-chat", "sh", "-c", fill, "-", catalogue
    )
    chosen = {"MODEL": "/models/other", "MODEL_NAME": "other", "CATALOGUE": "/models/models.toml"}
    deployment.up(**chosen)
    wait_ready(deployment)
    assert "node is a computer" in ask("other")


HUB = """
import pathlib, signal, sys
sys.path.insert(0, "/tests")
from hub import serving
with serving("0.0.0.0", 8000) as hub:
    hub.add("somebody/tiny", pathlib.Path("/tiny"))
    print("open", flush=True)
    signal.pause()
"""


def test_weights_are_downloaded_at_the_first_start_only(deployment: Deployment) -> None:
    """Prevents an image that needs its weights beforehand, or fetches them at every start."""
    network, hub = f"--network={deployment.name}_default", f"{deployment.name}-hub"
    mounts = (
        "-v",
        f"{PROJECT}/tests/support/hub.py:/tests/support/hub.py:ro",
        "-v",
        f"{PROJECT}/models/guide:/tiny:ro",
    )
    docker("run", "--detach", "--name", hub, network, *mounts, "farmesh-chat", "python", "-c", HUB)
    try:
        volume = "-v", f"{deployment.name}_models:/models"
        named = "-e", "WEIGHTS=somebody/tiny", "-e", f"HF_ENDPOINT=http://{hub}:8000"
        run = "run", "--rm", network, *volume, *named, "--entrypoint=sh", "farmesh-chat"
        listed = "-c", "entrypoint ls /models/tiny 2>&1"
        first = docker(*run, *listed)
        assert "Downloading somebody/tiny into /models/tiny." in first
        assert {"config.json", "model.safetensors", "tokenizer.json"} <= set(first.split())
        docker("rm", "--force", hub)
        assert "Downloading" not in docker(*run, *listed)
    finally:
        docker("rm", "--force", hub)


def test_everything_ends_by_itself_and_keeps_its_state(deployment: Deployment) -> None:
    """Prevents chats that are cut off by SIGKILL, and a swarm whose address changes."""
    read = "print(open('/swarm/address').read())"
    address = deployment.python("bootstrap", read)
    started = time.monotonic()
    deployment("stop")
    told = states(deployment, SERVICES)
    assert {name: state["ExitCode"] for name, state in told.items()} == dict.fromkeys(SERVICES, 0)
    assert time.monotonic() - started < 60, "each has 15 seconds"
    deployment.up()
    wait_ready(deployment)
    assert deployment.python("bootstrap", read) == address
    assert "node is a computer" in ask()


def test_another_container_joins_with_one_command(deployment: Deployment) -> None:
    """Prevents a swarm that ends at the edge of its compose file."""
    address = deployment.python("bootstrap", "print(open('/swarm/address').read().split()[0])")
    network = f"--network={deployment.name}_default"
    serve = f"python -m farmesh serve models/guide --peers {address} --name elsewhere"
    name = f"{deployment.name}-elsewhere"
    docker("run", "--detach", "--name", name, network, "farmesh-chat", *serve.split())
    try:
        deadline = time.monotonic() + 120
        while not any(node["name"] == "elsewhere" for node in nodes()):
            assert time.monotonic() < deadline, docker("logs", name)
            time.sleep(1)
    finally:
        docker("rm", "--force", name)
