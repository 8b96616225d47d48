"""Petals' nodes and clients as processes: unmodified, of the release on the package index."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from tests.support.ports import free_port
from tests.support.processes import PROJECT, Command, Peer, of_session, wait_until_gone

PREFIX = "_interop"
CLIENT_SECONDS = 150.0


def petals_python() -> Path:
    """The Python that has Petals; without one the test is skipped."""
    python = Path(os.environ.get("PETALS_PYTHON", PROJECT / ".venv-petals" / "bin" / "python"))
    if not python.exists():
        pytest.skip("There is no Petals to talk to; `make interop` installs it and runs this.")
    return python


class PetalsNode(Command):
    """``python -m petals.cli.run_server``: a dozen processes, ended together."""

    def __init__(
        self,
        python: Path,
        folder: Path,
        checkpoint: Path,
        span: str,
        peers: tuple[str, ...],
        options: tuple[str, ...] = (),
    ) -> None:
        listen = f"/ip4/127.0.0.1/tcp/{free_port()}"
        joining = ("--initial_peers", *peers) if peers else ("--new_swarm",)
        super().__init__(
            *(str(python), "-m", "petals.cli.run_server", str(checkpoint)),
            *("--dht_prefix", PREFIX, "--block_indices", span, *joining),
            *("--identity_path", str(folder / f"node-{span.replace(':', '-')}.id")),
            *("--host_maddrs", listen, "--announce_maddrs", listen),
            *("--device", "cpu", "--torch_dtype", "float32", "--throughput", "1000"),
            *("--attn_cache_tokens", "32768", "--num_handlers", "2", "--update_period", "5"),
            *("--no_auto_relay", "--skip_reachability_check", *options),
            **petals_environment(folder),
        )
        self._address = ""

    def address(self) -> str:
        """Wait until the node takes requests."""
        if not self._address:
            self._address = self.wait_for(r"Running a server on .*?(/ip4/[^'\]]+/p2p/\w+)")
            self.wait_for(r"\bStarted\b")
        return self._address

    def peer_id(self) -> str:
        return self.address().rpartition("/")[2]

    def kill(self) -> None:
        """SIGKILL all of its processes at once, as when the machine loses power."""
        while left := of_session(self.session_id):
            for pid in left:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            time.sleep(0.01)

    def end(self, seconds: float = 20.0) -> int:
        """SIGTERM, and SIGKILL for the children that outlive it and hold its output open."""
        if self.process.poll() is None:
            self.process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(seconds)
        self.kill()
        return super().end()


def petals_environment(folder: Path) -> dict[str, str]:
    """Nothing is asked of the network, nothing is written beside ``folder``."""
    return {
        "HF_HUB_OFFLINE": "1",
        "HF_HOME": str(folder),
        "PETALS_CACHE": str(folder),
        "TMPDIR": str(folder),
        "OMP_NUM_THREADS": "1",
        "HIVEMIND_COLORS": "false",
    }


class MixedSwarm:
    """A bootstrap of ours, or the first Petals node alone, and nodes of both engines."""

    def __init__(self, checkpoint: Path, folder: Path, *, bootstrap: bool) -> None:
        self.checkpoint = checkpoint
        self.python = petals_python()
        self._folder = folder
        self.commands: list[Command] = []
        self.addresses: tuple[str, ...] = ()
        if bootstrap:
            self.addresses = (self._start(Peer("bootstrap")).address(),)

    def _start(self, command: Any) -> Any:
        self.commands.append(command)
        return command

    def start_petals(self, span: str, *options: str) -> PetalsNode:
        """A node of Petals that is starting."""
        node: PetalsNode = self._start(
            PetalsNode(self.python, self._folder, self.checkpoint, span, self.addresses, options)
        )
        return node

    def petals(self, span: str, *options: str) -> PetalsNode:
        """A node of Petals, ready; the first one founds the swarm if nobody else has."""
        node = self.start_petals(span, *options)
        address = node.address()
        self.addresses = self.addresses or (address,)
        return node

    def ours(self, span: str) -> Peer:
        """A node of this engine, ready."""
        node: Peer = self._start(
            Peer(
                *("serve", str(self.checkpoint), "--peers", *self.addresses),
                *("--blocks", span, "--prefix", PREFIX),
                *("--threads", "1", "--cache-tokens", "4096"),
            )
        )
        node.wait_for(r"^/ip\S+$")
        return node

    def petals_client(self, turns: list[tuple[list[int], int]]) -> list[list[int]]:
        """What Petals' client generates in one session, turn by turn."""
        script = Path(__file__).with_name("petals_client.py")
        done = subprocess.run(
            [
                *(str(self.python), str(script), str(self.checkpoint)),
                *(PREFIX, self.addresses[0], json.dumps(turns)),
            ],
            env={**os.environ, **petals_environment(self._folder)},
            capture_output=True,
            text=True,
            timeout=CLIENT_SECONDS,
            check=False,
        )
        if done.returncode:
            pytest.fail(f"Petals' client ended with {done.returncode}:\n{done.stderr[-6000:]}")
        replies: list[list[int]] = json.loads(done.stdout.strip().splitlines()[-1])
        return replies


@contextmanager
def mixed_swarm(checkpoint: Path, *, bootstrap: bool = True) -> Iterator[MixedSwarm]:
    """Whatever happens inside, nothing that was started here outlives the scope."""
    with ExitStack() as scope:
        # Short, since daemons put their sockets there, whose paths may have 107 characters.
        folder = Path(scope.enter_context(TemporaryDirectory(prefix="interop-")))
        swarm = MixedSwarm(checkpoint, folder, bootstrap=bootstrap)
        try:
            yield swarm
        finally:
            for command in reversed(swarm.commands):
                with contextlib.suppress(subprocess.TimeoutExpired):
                    command.end()
                for pid in wait_until_gone(command.session_id, 3.0):
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)
