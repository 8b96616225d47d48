"""Real peers: ``python -m farmesh`` as processes of their own, each in a session of its own."""

from __future__ import annotations

import contextlib
import os
import queue
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.paths import PROJECT

PREFIX = "_test-swarm"
READY_SECONDS = 90.0


@contextlib.contextmanager
def sigint_of_children(*, ignored: bool) -> Iterator[None]:
    """Processes started within hear SIGINT or ignore it, whatever these tests were started with.

    A shell starts `command &` with SIGINT ignored, and children inherit that, as do theirs.
    """
    before = signal.signal(signal.SIGINT, signal.SIG_IGN if ignored else signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def ignores_sigint(pid: int) -> bool:
    (mask,) = re.findall(r"(?m)^SigIgn:\s*(\w+)$", Path(f"/proc/{pid}/status").read_text())
    return bool(int(mask, 16) >> (signal.SIGINT - 1) & 1)


class Command:
    """One running command; its session id finds all that it started.

    Args:
        background: as a shell starts `command &`, with SIGINT ignored.
    """

    def __init__(self, *command: str, background: bool = False, **environment: str) -> None:
        with sigint_of_children(ignored=background):
            self.process = subprocess.Popen(
                command,
                cwd=PROJECT,
                env={**os.environ, "PYTHONUNBUFFERED": "1", **environment},
                stdin=subprocess.PIPE,  # closed with this process, however it ends
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                start_new_session=True,
            )
        self.output: list[str] = []
        self._lines: queue.Queue[str | None] = queue.Queue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.output.append(line)
            self._lines.put(line.strip())
        self._lines.put(None)

    @property
    def session_id(self) -> int:
        return self.process.pid

    def wait_for(self, pattern: str) -> str:
        """Wait for output that matches; the match, or its first group.

        Nothing is read twice: a later call looks at later lines.
        """
        deadline = time.monotonic() + READY_SECONDS
        while (left := deadline - time.monotonic()) > 0:
            with contextlib.suppress(queue.Empty):
                line = self._lines.get(timeout=left)
                if line is None:
                    break
                if found := re.search(pattern, line):
                    return found.group(1 if found.re.groups else 0)
        pytest.fail("a peer did not start:\n" + "".join(self.output))

    def signal(self, number: int) -> None:
        self.process.send_signal(number)

    def end(self, seconds: float = 20.0) -> int:
        """SIGTERM, as a supervisor would."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.terminate()
        try:
            return self.process.wait(seconds)
        finally:
            self.process.kill()
            self.process.wait()
            self._reader.join(5.0)
            assert self.process.stdout is not None
            assert self.process.stdin is not None
            self.process.stdin.close()
            if not self._reader.is_alive():
                self.process.stdout.close()


class Peer(Command):
    """``python -m farmesh`` with these arguments."""

    def __init__(self, *arguments: str) -> None:
        command = (sys.executable, "-m", "farmesh", *arguments, "--exit-with-stdin")
        super().__init__(*command, OMP_NUM_THREADS="1")

    def address(self) -> str:
        """Wait until the peer says that it is ready."""
        return self.wait_for(r"^/ip\S+$")

    def peer_id(self) -> str:
        return self.address().rpartition("/")[2]


def alive(pid: int) -> bool:
    """Whether it still runs; a zombie has ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def of_session(session_id: int) -> dict[int, str]:
    """What still runs of a session: process ids and their command lines."""
    found = {}
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        with contextlib.suppress(OSError):
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
            state, session = fields[0], int(fields[3])
            if session == session_id and state != "Z":
                found[int(folder.name)] = (folder / "cmdline").read_text().replace("\0", " ")
    return found


def wait_until_gone(session_id: int, seconds: float = 10.0) -> dict[int, str]:
    """What is left of a session after a while."""
    deadline = time.monotonic() + seconds
    while (left := of_session(session_id)) and time.monotonic() < deadline:
        time.sleep(0.1)
    return left


class Processes:
    """A bootstrap peer and nodes that join through it."""

    def __init__(self, checkpoint: Path, *bootstrap_options: str) -> None:
        self.checkpoint = checkpoint
        self.peers: list[Peer] = []
        self._bootstrap_options = bootstrap_options
        self.bootstrap = self.start_bootstrap()
        self.address = self.bootstrap.address()

    def start_bootstrap(self) -> Peer:
        """The bootstrap peer that is still starting; again after it was killed."""
        return self._start("bootstrap", *self._bootstrap_options)

    def _start(self, *arguments: str) -> Peer:
        peer = Peer(*arguments)
        self.peers.append(peer)
        return peer

    def serve(self, span: str, *options: str) -> Peer:
        """A node that is still starting; ``peer.peer_id()`` waits for it."""
        return self._start(
            "serve",
            str(self.checkpoint),
            "--peers",
            self.address,
            "--blocks",
            span,
            "--prefix",
            PREFIX,
            "--threads",
            "1",
            "--cache-tokens",
            "2048",
            *options,
        )


@contextlib.contextmanager
def processes(checkpoint: Path, *bootstrap_options: str) -> Iterator[Processes]:
    """Whatever happens inside, nothing that was started here outlives the scope."""
    swarm = Processes(checkpoint, *bootstrap_options)
    try:
        yield swarm
    finally:
        for peer in reversed(swarm.peers):
            with contextlib.suppress(subprocess.TimeoutExpired):
                peer.end()
        for peer in swarm.peers:
            if wait_until_gone(peer.session_id, 3.0):
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(peer.session_id, signal.SIGKILL)
