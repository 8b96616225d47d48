"""The app as a process."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import httpx
import pytest

from tests.support.paths import PROJECT
from tests.support.ports import patience
from tests.support.processes import READY_SECONDS, Command, wait_until_gone


class App(Command):
    """``python app.py``."""

    def __init__(self, port: int, *flags: str, background: bool = False, **environ: str) -> None:
        self.url = f"http://127.0.0.1:{port}"
        command = (sys.executable, str(PROJECT / "app.py"), "--port", str(port), "--no-browser")
        super().__init__(*(*command, *flags), background=background, OMP_NUM_THREADS="1", **environ)

    def until(self, path: str, holds: Callable[[httpx.Response], bool]) -> httpx.Response:
        deadline = time.monotonic() + READY_SECONDS * patience()
        while time.monotonic() < deadline:
            assert self.process.poll() is None, "".join(self.output)
            try:
                if holds(answer := httpx.get(self.url + path, timeout=5)):
                    return answer
            except httpx.HTTPError:
                pass
            time.sleep(0.2)
        pytest.fail(f"{path} never said it:\n" + "".join(self.output))

    def wait_ready(self) -> None:
        self.until("/readyz", lambda answer: answer.status_code == 200)

    def line(self) -> str:
        """What the page says of the swarm."""
        return str(httpx.get(f"{self.url}/farmesh/swarm", timeout=5).json()["text"])


@contextmanager
def running(app: App) -> Iterator[App]:
    try:
        yield app
    finally:
        app.end()
        wait_until_gone(app.session_id)
