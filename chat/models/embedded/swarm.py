"""The private swarm on loopback that the app starts by itself: its processes and their supervisor.

A bootstrap peer and N nodes run as ``python -m farmesh …``, each in a process group of its own.
One that ends is started again after a growing pause, with the same identity and port, so that its
address stays what the others know. All end with the scope; should the app be killed, its ends of
their stdin pipes close and they end by themselves (``--exit-with-stdin``).
"""

from __future__ import annotations

import asyncio
import contextlib
import enum
import fcntl
import json
import logging
import os
import re
import signal
import socket
import sys
import time
from collections import deque
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import IO

from chat.settings.layers import PROJECT, ModelEntry, SwarmSettings
from farmesh.core import Span
from farmesh.errors import CheckpointError, ConfigError, SwarmUnreachable
from farmesh.hub.source import is_remote, open_source

logger = logging.getLogger(__name__)

HOST = "127.0.0.1"  # where children are reached from here, whatever they listen on
TERMINATE_SECONDS = 3.0  # from SIGTERM to SIGKILL
LAST_SECONDS = 0.5  # the same for the bootstrap peer: when it is ended, nobody is left to be told
FIRST_PAUSE = 0.5  # seconds before a child is started again; doubles with each failure in a row
LONGEST_PAUSE = 8.0  # seconds
STEADY_SECONDS = 20.0  # up for so long: the failures before are forgiven
MAX_FAILURES = 6  # ends in a row until a child that was never up is given up

_LOG_BYTES = 1_000_000  # per file; one older file is kept
_TAIL_LINES = 20  # of a child's output, kept for error reports
_LINE_BYTES = 65536  # longer lines of output are cut
_DRAIN_SECONDS = 0.5  # for the last output of a child that has ended
_SLOTS = 32  # apps of one user that may share a state folder
_FETCHED = re.compile(r"^Fetching: (\d{1,3}) %")  # farmesh.hub.FetchBar
_ADDRESS = re.compile(r"^/ip[46]/\S+/p2p/\w+$")  # alone on a line: the child is ready


class ChildState(enum.StrEnum):
    """Where a child process stands."""

    STARTING = "starting"  # its process runs and has not said yet that it is ready
    UP = "up"
    RESTARTING = "restarting"  # it ended; the pause before its next start
    FAILED = "failed"  # given up: it ended too often in a row
    STOPPED = "stopped"  # the scope was left


@dataclass(frozen=True, slots=True)
class ChildStatus:
    """One child as the page shows it."""

    name: str
    span: Span | None  # blocks it serves; None for the bootstrap peer
    state: ChildState = ChildState.STARTING
    pid: int | None = None
    restarts: int = 0
    detail: str = ""  # why it is not up
    fetched: int | None = None  # per cent of its files that have come from the hub


@dataclass(frozen=True, slots=True)
class EmbeddedSnapshot:
    """All children at one moment."""

    children: tuple[ChildStatus, ...]

    @property
    def is_up(self) -> bool:
        return all(child.state is ChildState.UP for child in self.children)

    @property
    def fetched(self) -> float:
        """Share of the nodes' files that has come from the hub, from 0 to 1."""
        nodes = [child for child in self.children if child.span is not None]
        shares = [1.0 if c.state is ChildState.UP else (c.fetched or 0) / 100 for c in nodes]
        return sum(shares) / len(shares) if shares else 0.0

    @property
    def failed(self) -> tuple[ChildStatus, ...]:
        return tuple(child for child in self.children if child.state is ChildState.FAILED)


# --- Decisions --------------------------------------------------------------------------------


def split_blocks(num_blocks: int, nodes: int) -> tuple[Span, ...]:
    """Cut a model into as many spans as nodes, none longer than another by more than one."""
    edges = [node * num_blocks // nodes for node in range(nodes + 1)]
    return tuple(Span(start, end) for start, end in pairwise(edges))


def pause_before_restart(failures: int) -> float:
    """Seconds to wait after so many ends in a row."""
    return float(min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** min(failures - 1, 10)))


def threads_per_node(wanted: int, nodes: int, cores: int) -> int:
    """What was asked for, or an equal share of the cores."""
    return wanted or max(1, cores // nodes)


def usable_cores() -> int:
    """Cores that this process may use, a container's CPU limit included."""
    affinity = getattr(os, "sched_getaffinity", None)
    cores = len(affinity(0)) if affinity else os.cpu_count() or 1
    with contextlib.suppress(OSError, ValueError):  # no cgroup, or no limit ("max")
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text("ascii").split()
        cores = min(cores, max(1, int(quota) // int(period)))
    return cores


def is_loopback(address: str) -> bool:
    """Whether an address leads to the machine that it is used on."""
    return address.startswith(("/ip4/127.", "/ip6/::1/"))


def how_it_ended(exit_code: int, last_line: str) -> str:
    """One sentence; children that end with 2 have said it themselves."""
    if exit_code == 2 and last_line:
        return last_line
    if exit_code < 0:
        return f"It was ended by {signal.Signals(-exit_code).name}."
    return f"It ended with exit code {exit_code}: {last_line or 'it said nothing'}"


def _check_folder(model: ModelEntry) -> int:
    """How many blocks there are to share out; a folder that no node could serve ends here."""
    folder = Path(model.checkpoint_path)
    num_blocks = _count_blocks(model, folder)
    if not any(folder.glob("*.safetensors")):
        raise CheckpointError(
            f"The model {model.id!r} has no *.safetensors files in {folder}: "
            "put them there, or choose another model with --model."
        )
    return num_blocks


def _ask_hub(model: ModelEntry) -> int:
    """The same of a model on the hub, of which only config.json is fetched."""
    return _count_blocks(model, open_source(model.checkpoint, revision=model.revision).folder)


def _count_blocks(model: ModelEntry, folder: Path) -> int:
    try:
        config = json.loads((folder / "config.json").read_text("utf-8"))
        return int(config.get("num_hidden_layers") or config["n_layer"])
    except OSError:
        raise CheckpointError(
            f"The model {model.id!r} has no checkpoint at {model.checkpoint}: "
            "there is no config.json that can be read."
        ) from None
    except (ValueError, KeyError, TypeError, AttributeError):
        raise CheckpointError(
            f"{folder / 'config.json'} does not say how many layers the model has."
        ) from None


# --- One child --------------------------------------------------------------------------------


@dataclass(slots=True)
class _Child:
    """What the supervisor knows of one child; changed only by its own task."""

    status: ChildStatus
    arguments: tuple[str, ...]  # of python -m farmesh, without peers and port
    log: RotatingFileHandler
    port: int = 0  # kept from the first time it was up
    failures: int = 0  # ends in a row
    up_since: float | None = None  # of this process; monotonic
    address: str = ""  # the same in every life
    announced: list[str] = field(default_factory=list)  # all that it printed, that one included
    tail: deque[str] = field(default_factory=lambda: deque(maxlen=_TAIL_LINES))

    @property
    def was_steady(self) -> bool:
        return self.up_since is not None and time.monotonic() - self.up_since > STEADY_SECONDS

    def hear(self, line: str) -> None:
        self.log.emit(logging.makeLogRecord({"msg": line}))
        if line.strip():
            self.tail.append(line)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


async def _lines(reader: asyncio.StreamReader) -> AsyncIterator[str]:
    pending = b""
    while chunk := await reader.read(_LINE_BYTES):
        *complete, pending = (pending + chunk).split(b"\n")
        for line in complete:
            yield line.decode("utf-8", "replace").rstrip()
        pending = pending[:_LINE_BYTES]
    if pending:
        yield pending.decode("utf-8", "replace")


@contextlib.asynccontextmanager
async def _spawned(
    argv: Sequence[str], env: Mapping[str, str], patience: float
) -> AsyncIterator[tuple[asyncio.subprocess.Process, asyncio.StreamReader]]:
    """A child in a process group of its own, which is gone when the scope is left.

    The pipes are made here and not by asyncio: its ``wait`` lasts until every process that
    inherited a pipe has closed it, and the child's p2p daemon inherits stdin.
    """
    with contextlib.ExitStack() as pipes:
        stdin, _ours = _pipe(pipes)  # closing our end, or dying, tells the child to end
        our_stdout, stdout = _pipe(pipes)
        reader = asyncio.StreamReader()
        transport, _ = await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(reader), our_stdout
        )
        pipes.callback(transport.close)
        process = await asyncio.create_subprocess_exec(
            *argv,
            stdin=stdin,
            stdout=stdout,
            stderr=asyncio.subprocess.STDOUT,
            cwd=PROJECT,
            env=dict(env),
            start_new_session=True,
        )
        stdin.close()
        stdout.close()
        try:
            yield process, reader
        finally:
            await asyncio.shield(_end(process, patience))


def _pipe(stack: contextlib.ExitStack) -> tuple[IO[bytes], IO[bytes]]:
    read, write = os.pipe()
    return (
        stack.enter_context(os.fdopen(read, "rb", buffering=0)),
        stack.enter_context(os.fdopen(write, "wb", buffering=0)),
    )


async def _end(process: asyncio.subprocess.Process, patience: float) -> None:
    """SIGTERM, then SIGKILL; at last whatever is left of the child's own process group."""
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        try:
            async with asyncio.timeout(patience):
                await process.wait()
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)


# --- The swarm --------------------------------------------------------------------------------


class EmbeddedSwarm:
    """A bootstrap peer and nodes on this machine; an ``async with`` scope that supervises them.

    Raises on construction:
        ConfigError: there are more nodes than the model has blocks.
        CheckpointError: the model's config cannot be read.
    """

    def __init__(
        self,
        settings: SwarmSettings,
        model: ModelEntry,
        *,
        program: Sequence[str] = (sys.executable, "-m", "farmesh"),
    ) -> None:
        self._settings = settings
        self._model = model
        self._program = tuple(program)
        self._spans: tuple[Span, ...] = ()  # of a model on the hub: when the scope is entered
        if not is_remote(model.checkpoint_path):
            self._spans = self._shared_out(_check_folder(model))
        self._threads = threads_per_node(settings.threads, settings.nodes, usable_cores())
        self._children: list[_Child] = []
        self._tasks: list[asyncio.Task[None]] = []
        self._changed = asyncio.Event()
        self._scope = contextlib.ExitStack()  # what is closed last: lock and log files

    def __repr__(self) -> str:
        children = ", ".join(f"{c.name} {c.state.upper()}" for c in self.snapshot().children)
        return f"<EmbeddedSwarm {children or 'NEW'}>"

    def _shared_out(self, num_blocks: int) -> tuple[Span, ...]:
        if self._settings.nodes > num_blocks:
            raise ConfigError(
                f"swarm.nodes is {self._settings.nodes}, but {self._model.name} has only "
                f"{num_blocks} blocks; set it to {num_blocks} or less."
            )
        return split_blocks(num_blocks, self._settings.nodes)

    def snapshot(self) -> EmbeddedSnapshot:
        return EmbeddedSnapshot(tuple(child.status for child in self._children))

    async def changes(self) -> AsyncIterator[EmbeddedSnapshot]:
        """The state now, and again after every change; a slow reader sees the latest only."""
        while True:
            changed = self._changed
            yield self.snapshot()
            await changed.wait()

    async def addresses(self) -> tuple[str, ...]:
        """Where to join, as soon as the bootstrap peer is up for the first time.

        Raises:
            SwarmUnreachable: the bootstrap peer was given up.
        """
        bootstrap = self._children[0]
        async for _ in self.changes():
            if bootstrap.address:
                break
            if bootstrap.status.state in (ChildState.FAILED, ChildState.STOPPED):
                raise SwarmUnreachable(
                    f"The swarm on this machine did not start: {bootstrap.status.detail}"
                )
        return (bootstrap.address,)

    @property
    def announced(self) -> tuple[str, ...]:
        """Where others join: addresses that other machines reach, if there are any."""
        known = self._children[0].announced
        return tuple(a for a in known if not is_loopback(a)) or tuple(known[:1])

    def log_tail(self, name: str) -> tuple[str, ...]:
        """The last lines that a child wrote, for an error report."""
        return next((tuple(c.tail) for c in self._children if c.status.name == name), ())

    async def __aenter__(self) -> EmbeddedSwarm:
        if not self._spans:
            self._spans = self._shared_out(await asyncio.to_thread(_ask_hub, self._model))
        folder = _claim_slot(self._settings.state_dir, self._scope)
        self._children = [self._bootstrap(folder), *self._nodes(folder)]
        for child in self._children:
            self._scope.callback(child.log.close)
            task = asyncio.create_task(self._keep_running(child), name=child.status.name)
            self._tasks.append(task)
        return self

    async def __aexit__(self, *_: object) -> None:
        bootstrap, *nodes = self._tasks
        with self._scope:
            for tasks in (nodes, [bootstrap]):  # nodes say goodbye to a swarm that is still there
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)

    def _bootstrap(self, folder: Path) -> _Child:
        arguments = ("bootstrap", "--identity", str(folder / "bootstrap.id"))
        return _Child(ChildStatus("bootstrap", None), arguments, _log(folder, "bootstrap"))

    def _nodes(self, folder: Path) -> Iterator[_Child]:
        for number, span in enumerate(self._spans, start=1):
            name = f"node-{number}"
            arguments = [
                "serve",
                str(self._model.checkpoint_path),
                *("--blocks", str(span)),
                *("--identity", str(folder / f"{name}.id")),
                *("--name", name),
                *("--threads", str(self._threads)),
                *("--cache-tokens", str(self._settings.cache_tokens)),
            ]
            if self._model.dht_prefix:
                arguments += ["--prefix", self._model.dht_prefix]
            if self._model.revision:
                arguments += ["--revision", self._model.revision]
            if self._model.adapter_path:
                arguments += ["--adapters", str(self._model.adapter_path)]
            yield _Child(ChildStatus(name, span), tuple(arguments), _log(folder, name))

    # --- Supervision: one task per child ---

    async def _keep_running(self, child: _Child) -> None:
        try:
            while True:
                peers = await self.addresses() if child is not self._children[0] else ()
                detail = await self._run(child, peers)
                logger.warning("%s is gone: %s", child.status.name, detail)
                # One that has worked will again: whatever ends it may be over in a minute.
                if child.failures >= MAX_FAILURES and not child.address:
                    self._set(child, ChildState.FAILED, detail=detail)
                    logger.error("%s was given up", child.status.name)
                    return
                self._set(child, ChildState.RESTARTING, detail=detail)
                await asyncio.sleep(pause_before_restart(child.failures))
                child.status = replace(child.status, restarts=child.status.restarts + 1)
        except SwarmUnreachable as error:
            self._set(child, ChildState.FAILED, detail=str(error))
        finally:
            if child.status.state is not ChildState.FAILED:
                self._set(child, ChildState.STOPPED)

    async def _run(self, child: _Child, peers: tuple[str, ...]) -> str:
        """One life of a child, from its start to the sentence that says how it ended."""
        port = child.port or _free_port()
        argv = [
            *self._program,
            *child.arguments,
            "--host",
            self._settings.host,
            "--port",
            str(port),
        ]
        argv += ["--exit-with-stdin", *(("--peers", *peers) if peers else ())]
        threads = str(self._threads)
        env = {**os.environ, "OMP_NUM_THREADS": threads, "PYTHONUNBUFFERED": "1"}
        child.up_since = None
        child.tail.clear()
        patience = TERMINATE_SECONDS if child.status.span else LAST_SECONDS
        async with _spawned(argv, env, patience) as (process, output):
            self._set(child, ChildState.STARTING, pid=process.pid)
            listening = asyncio.create_task(self._listen(child, output, port))
            try:
                exit_code = await process.wait()
                await asyncio.wait([listening], timeout=_DRAIN_SECONDS)
            finally:
                listening.cancel()
        child.failures = 1 if child.was_steady else child.failures + 1
        return how_it_ended(exit_code, child.tail[-1] if child.tail else "")

    async def _listen(self, child: _Child, output: asyncio.StreamReader, port: int) -> None:
        async for line in _lines(output):
            child.hear(line)
            if fetched := _FETCHED.match(line):
                child.status = replace(child.status, fetched=int(fetched[1]))
                self._tell()
            if not _ADDRESS.match(line):
                continue
            if line not in child.announced:
                child.announced.append(line)
            if child.up_since is None:
                child.address, child.port, child.up_since = line, port, time.monotonic()
                self._set(child, ChildState.UP, pid=child.status.pid, detail="")

    def _set(
        self,
        child: _Child,
        state: ChildState,
        *,
        pid: int | None = None,
        detail: str | None = None,
    ) -> None:
        detail = child.status.detail if detail is None else detail
        child.status = replace(child.status, state=state, pid=pid, detail=detail)
        self._tell()

    def _tell(self) -> None:
        """Wake everybody who waits for a change."""
        self._changed.set()
        self._changed = asyncio.Event()


# --- The state folder -------------------------------------------------------------------------


def _claim_slot(state_dir: Path, scope: contextlib.ExitStack) -> Path:
    """A folder that no other running app uses: ``swarm-1``, or the next one that is free."""
    for number in range(1, _SLOTS + 1):
        folder = state_dir / f"swarm-{number}"
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            lock = scope.enter_context((folder / "lock").open("w"))
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            continue
        except OSError as error:
            raise ConfigError(
                f"The state folder {state_dir} cannot be used ({error.strerror}); "
                "name another one in swarm.state_dir."
            ) from error
        return folder
    raise ConfigError(f"{_SLOTS} running apps use the state folder {state_dir} already.")


def _log(folder: Path, name: str) -> RotatingFileHandler:
    path = folder / f"{name}.log"
    return RotatingFileHandler(path, maxBytes=_LOG_BYTES, backupCount=1, encoding="utf-8")
