"""What ``docker compose up`` starts: every service's own command, as a process."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import httpx

from tests.machines.compose import PROJECT, Machine
from tests.support.processes import Command


def status(machine: Machine) -> dict[str, object]:
    command = "status", "--peers", machine.address, "--checkpoint", "models/guide", "--json"
    done = subprocess.run(
        [sys.executable, "-m", "farmesh", *command],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr + done.stdout
    return json.loads(done.stdout)


def test_the_services_serve_a_chat(machine: Machine) -> None:
    """Prevents a compose file whose services never find one another."""
    machine.start("web")
    url = machine.wait_ready(machine.port(7860))
    reply = httpx.post(
        f"{url}/v1/chat/completions",
        json={"model": "guide", "messages": [{"role": "user", "content": "What is a node?"}]},
        timeout=120,
    )
    assert reply.status_code == 200, reply.text
    assert reply.json()["choices"][0]["message"]["content"].strip()
    facts = status(machine)
    assert facts["complete"]
    assert len(facts["nodes"]) == 3  # type: ignore[arg-type]


def test_another_machine_joins_with_one_command(machine: Machine) -> None:
    """Prevents an address that only the machine that printed it can use."""
    flags = f"models/guide --peers {machine.address} --name elsewhere"
    installed = ("-o", ".venv/.installed-run")
    joined = Command("make", *installed, "node", f"ARGS={flags}", MAKEFLAGS="")
    try:
        joined.wait_for("Serving blocks")
        names = [node["public_name"] for node in status(machine)["nodes"]]  # type: ignore[attr-defined]
        assert "elsewhere" in names
    finally:
        joined.end()


def test_a_reply_on_the_command_line(machine: Machine) -> None:
    """Prevents a generate command that nobody has ever run."""
    peers = "--peers", machine.address
    prompt = "--prompt", "What is a node?", "--max-new-tokens", "12"
    done = subprocess.run(
        [sys.executable, "-m", "farmesh", "generate", "models/guide", *peers, *prompt],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()
    assert "tokens over" in done.stderr


def test_an_entrypoint_downloads_only_what_is_missing(machine: Machine) -> None:
    """Prevents a download of gigabytes at every start, and a start without the weights."""
    folder = machine.folder / "weights"
    folder.mkdir()
    (folder / ".complete").touch()
    environment = {**os.environ, **machine.environment("web"), "HF_HUB_OFFLINE": "1"}
    environment |= {"WEIGHTS": "nobody/nothing", "WEIGHTS_DIR": str(folder)}
    run = [str(PROJECT / "deploy" / "entrypoint.sh"), "echo", "started"]
    done = subprocess.run(run, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "started\n"), done.stderr
    (folder / ".complete").unlink()
    done = subprocess.run(run, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode != 0, "no weights: it must not go on"
    assert "Downloading nobody/nothing" in done.stderr
    assert done.stdout == ""
