"""Docker from the command line: what the tests of containers ask it to do."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.support.paths import PROJECT

HERE = Path(__file__).resolve().parent


def docker(*words: str, timeout: float = 120, **environ: str) -> str:
    """What a docker command prints to its standard output.

    Raises:
        AssertionError: it failed; with all it said.
    """
    done = subprocess.run(
        ["docker", *words],
        cwd=PROJECT,
        env={**os.environ, **environ},
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    assert done.returncode == 0, f"docker {' '.join(words)}\n{done.stdout}{done.stderr}"
    return done.stdout


class Deployment:
    """compose.yaml under a name of the tests' own, so that nobody's swarm is touched."""

    def __init__(self, name: str, **environ: str) -> None:
        files = "-f", "compose.yaml", "-f", str(HERE / "compose.test.yaml")
        self.words = ("compose", *files, "--project-name", name)
        self.name = name
        self.environ = environ

    def __call__(self, *words: str, timeout: float = 120, **environ: str) -> str:
        return docker(*self.words, *words, timeout=timeout, **{**self.environ, **environ})

    def up(self, **environ: str) -> None:
        """Start everything and wait until every health check says yes."""
        self("up", "--detach", "--no-build", "--wait", timeout=400, **environ)

    def inspect(self, service: str) -> Any:
        """What the engine knows of a service's container."""
        found = docker("inspect", self("ps", "--all", "--quiet", service).strip())
        return json.loads(found)[0]

    def python(self, service: str, code: str, *words: str) -> str:
        """What a line of Python prints inside a service's container."""
        return self("exec", "-T", service, "python", "-c", code, *words).strip()


def states(deployment: Deployment, services: Sequence[str]) -> dict[str, Any]:
    return {name: deployment.inspect(name)["State"] for name in services}
