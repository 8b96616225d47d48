"""deploy/systemd's units under systemd, in a container that is a machine with it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import pytest

from tests.containers.docker import Deployment, docker

NAME, IMAGE = "farmesh-test-systemd", "farmesh-systemd"
UNITS = "farmesh-bootstrap", "farmesh-node@one", "farmesh-chat@7861"
# What systemd needs of an engine that gives it less than a machine has.
RIGHTS = (
    "--cap-add=SYS_ADMIN",
    "--security-opt=seccomp=unconfined",
    "--security-opt=apparmor=unconfined",
)
MEMORY = "--tmpfs=/run", "--tmpfs=/run/lock", "--tmpfs=/tmp"
ASK = """
import json, sys, urllib.request as u
question = {"role": "user", "content": "What is a node?"}
chat = json.dumps({"model": "guide", "temperature": 0, "messages": [question]}).encode()
request = u.Request(sys.argv[1], chat, {"content-type": "application/json"})
print(json.load(u.urlopen(request, timeout=60))["choices"][0]["message"]["content"])
"""


def inside(*command: str) -> str:
    return docker("exec", NAME, *command).strip()


def write(path: str, *lines: str) -> None:
    inside("sh", "-c", 'path=$1; shift; printf "%s\\n" "$@" > "$path"', "-", path, *lines)


def facts(unit: str, *names: str) -> list[str]:
    return [inside("systemctl", "show", "--value", "-p", name, unit) for name in names]


def wait_for(what: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 120
    while True:
        try:
            if what():
                return
        except AssertionError:  # a command that fails until then
            pass
        if time.monotonic() > deadline:
            pytest.fail(inside("journalctl", "--no-pager", "-n", "60"))
        time.sleep(0.5)


def answers() -> bool:
    url = "http://127.0.0.1:7861/v1/chat/completions"
    return "node is a computer" in inside("/venv/bin/python", "-c", ASK, url)


@pytest.fixture
def systemd(deployment: Deployment) -> Iterator[None]:
    """The machine, booted; the deployment is here for its image alone."""
    place = "tests/containers/systemd.Dockerfile", "deploy/systemd"
    docker("build", "--quiet", "--tag", IMAGE, "--file", *place, timeout=600)
    docker("run", "--detach", "--name", NAME, *RIGHTS, *MEMORY, IMAGE)
    try:
        wait_for(lambda: inside("systemctl", "is-system-running") == "running")
        yield
    finally:
        docker("rm", "--force", NAME)


def test_the_units_serve_come_back_and_end(systemd: None) -> None:
    """Prevents units that systemd accepts and that then can't write, find one another or end."""
    inside("systemctl", "enable", "--now", UNITS[0])
    wait_for(lambda: inside("cat", "/var/lib/farmesh/address") != "")
    address = inside("cat", "/var/lib/farmesh/address").split()[0]
    write(
        "/etc/farmesh/node-one.env", f"PEERS={address}", "MODEL=models/guide", "FLAGS=--port 31338"
    )
    default = "FARMESH_CHAT_MODELS_DEFAULT=guide"
    write("/etc/farmesh/chat.env", f"FARMESH_CHAT_SWARM_PEERS={address}", default)
    inside("systemctl", "enable", "--now", *UNITS[1:])
    wait_for(answers)
    for unit in UNITS:
        (process,) = facts(unit, "MainPID")
        assert inside("stat", "-c", "%U", f"/proc/{process}") == "farmesh"

    inside("systemctl", "kill", "--signal=KILL", "--kill-whom=main", UNITS[1])
    wait_for(lambda: facts(UNITS[1], "NRestarts") == ["1"])
    wait_for(answers)

    for unit in reversed(UNITS):
        began = time.monotonic()
        inside("systemctl", "stop", unit)
        assert time.monotonic() - began < 14, f"{unit} was killed"
        assert facts(unit, "Result", "ExecMainStatus") == ["success", "0"]
