"""compose.yaml as processes: its commands, variables and health checks themselves, without Docker.

What Docker would give each container is put in the place of its words: the folders of its volumes,
the names of the other containers, and ports of this machine that are free.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shlex
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from tests.support.paths import PROJECT
from tests.support.ports import free_port, patience
from tests.support.processes import Command

ENTRYPOINT = PROJECT / "deploy" / "entrypoint.sh"
HEALTHY_SECONDS = 90.0
_VARIABLE = re.compile(
    r"\$(?:(?P<dollar>\$)|\{(?P<name>\w+)(?::(?P<how>[-+])(?P<else>(?:\$\{\w+(?::-)?\}|[^{}])*))?\})"
)
_PORTS = re.compile(r"\b(7860|31337|31338|31339|31340|31341)\b")


def interpolated(value: Any, environ: Mapping[str, str]) -> Any:
    """``$$``, ``${X}``, ``${X:-default}`` and ``${X:+replacement}``, as Compose replaces them."""
    if isinstance(value, dict):
        return {key: interpolated(inner, environ) for key, inner in value.items()}
    if isinstance(value, list):
        return [interpolated(inner, environ) for inner in value]
    if not isinstance(value, str):
        return value

    def replaced(match: re.Match[str]) -> str:
        if match["dollar"]:
            return "$"
        known, other = environ.get(match["name"], ""), match["else"] or ""
        if match["how"] == "+":
            return interpolated(other, environ) if known else ""
        return known or interpolated(other, environ)

    return _VARIABLE.sub(replaced, value)


@dataclass(frozen=True)
class Service:
    """One service, ready to be started."""

    name: str
    command: list[str]
    environment: dict[str, str]
    health: list[str]
    needs: list[str]  # services that must be healthy first
    profiles: list[str]


def services(environ: Mapping[str, str]) -> dict[str, Service]:
    """All services of the file; what they leave out, the image says."""
    text = (PROJECT / "compose.yaml").read_text(encoding="utf-8")
    image = dockerfile()
    found = {}
    for name, raw in interpolated(yaml.safe_load(text), environ)["services"].items():
        command = raw.get("command", image["CMD"])
        test = raw.get("healthcheck", {}).get("test", ["CMD", *image["HEALTHCHECK"]])
        assert test[0] == "CMD"
        found[name] = Service(
            name,
            shlex.split(command) if isinstance(command, str) else command,
            {key: str(value) for key, value in raw.get("environment", {}).items()},
            test[1:],
            list(raw.get("depends_on", {})),
            raw.get("profiles", []),
        )
    return found


def dockerfile() -> dict[str, list[str]]:
    """The last CMD, HEALTHCHECK and ENTRYPOINT of the Dockerfile, which are JSON there."""
    text = (PROJECT / "Dockerfile").read_text(encoding="utf-8").replace("\\\n", " ")
    found = {}
    for line in text.splitlines():
        instruction, _, rest = line.partition(" ")
        if instruction in ("CMD", "HEALTHCHECK", "ENTRYPOINT"):
            found[instruction] = json.loads(rest[rest.index("[") :])
    return found


class Machine:
    """Starts services as processes in a folder of its own."""

    def __init__(self, folder: Path, environ: Mapping[str, str]) -> None:
        self.folder = folder
        self.services = services(environ)
        self.ports: dict[str, int] = {}
        self.running: dict[str, Command] = {}

    def port(self, number: int | str) -> int:
        return self.ports.setdefault(str(number), free_port())

    def here(self, text: str, service: str) -> str:
        """A word of the file as it reads on this machine."""
        own = self.folder / service
        own.mkdir(exist_ok=True)
        (self.folder / "swarm").mkdir(exist_ok=True)
        text = text.replace("/tmp/", f"{own}/").replace("/swarm/", f"{self.folder}/swarm/")
        text = re.sub(r"/dns4/[\w-]+/", "/dns4/localhost/", text).replace("0.0.0.0", "127.0.0.1")
        return _PORTS.sub(lambda match: str(self.port(match[1])), text)

    def command(self, name: str) -> list[str]:
        return [str(ENTRYPOINT), *(self.here(word, name) for word in self.services[name].command)]

    def environment(self, name: str) -> dict[str, str]:
        python = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        state = {"FARMESH_CHAT_SWARM_STATE_DIR": str(self.folder / "state")}
        return {"PATH": python, **state, **self.services[name].environment}

    def start(self, name: str) -> Command:
        """Start a service and, first, what it waits for; returns when it is healthy."""
        if name not in self.running:
            for other in self.services[name].needs:
                self.start(other)
            self.running[name] = Command(*self.command(name), **self.environment(name))
            self.wait_healthy(name)
        return self.running[name]

    def wait_ready(self, port: int) -> str:
        """The address of a page that would answer a message; being healthy only means to run."""
        url = f"http://127.0.0.1:{port}"
        deadline = time.monotonic() + HEALTHY_SECONDS * patience()
        while time.monotonic() < deadline:
            with contextlib.suppress(httpx.HTTPError):
                if httpx.get(f"{url}/readyz", timeout=5).status_code == 200:
                    return url
            time.sleep(0.3)
        pytest.fail(f"{url} does not become ready")

    def wait_healthy(self, name: str) -> None:
        test = [self.here(word, name) for word in self.services[name].health]
        environment = {**os.environ, **self.environment(name)}
        deadline = time.monotonic() + HEALTHY_SECONDS * patience()
        while subprocess.run(test, env=environment, capture_output=True, check=False).returncode:
            ended = self.running[name].process.poll() is not None
            if ended or time.monotonic() > deadline:
                pytest.fail(f"{name} is not healthy:\n" + "".join(self.running[name].output))
            time.sleep(0.5)

    @property
    def address(self) -> str:
        """Where others join, as the file says that ``$(cat /swarm/address)`` reads it."""
        return (self.folder / "swarm" / "address").read_text().split()[0]

    def end(self) -> dict[str, int]:
        """SIGTERM to all, last started first; their exit codes."""
        return {name: self.running[name].end(30.0) for name in reversed(list(self.running))}
