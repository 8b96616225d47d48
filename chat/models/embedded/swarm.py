"""The private swarm on loopback that the app starts by itself: its processes and their supervisor.

A bootstrap peer and N nodes run as ``python -m farmesh …``, each in a process group of its own.
One that ends is started again after a growing pause, with the same identity and port, so that its
address stays what the others know. All end with the scope; should the app be killed, its ends of
their stdin pipes close and they end by themselves (``--exit-with-stdin``).
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import logging
import os
import socket
import sys
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from chat.models.embedded.plan import (
    is_loopback,
    pause_before_restart,
    split_blocks,
    threads_per_node,
    usable_cores,
)
from chat.models.embedded.process import (
    ADDRESS,
    DRAIN_SECONDS,
    FETCHED,
    LAST_SECONDS,
    TERMINATE_SECONDS,
    Child,
    ChildState,
    ChildStatus,
    how_it_ended,
    lines,
    log_of,
    spawned,
)
from chat.settings.catalogue import ModelEntry
from chat.settings.schema import SwarmSettings
from farmesh.core import Span
from farmesh.errors import CheckpointError, ConfigError, SwarmUnreachable
from farmesh.hub.files import Source, local_gguf
from farmesh.hub.source import is_remote, open_source

logger = logging.getLogger(__name__)

HOST = "127.0.0.1"  # where children are reached from here, whatever they listen on
MAX_FAILURES = 6  # ends in a row until a child that was never up is given up
_SLOTS = 32  # apps of one user that may share a state folder


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


def _check_folder(model: ModelEntry) -> int:
    """How many blocks there are to share out; a folder that no node could serve ends here."""
    folder = Path(model.checkpoint_path)
    if folder.suffix == ".gguf" or local_gguf(folder) is not None:
        return _count_in_gguf(open_source(folder))
    num_blocks = _count_blocks(model, folder)
    if not any(folder.glob("*.safetensors")):
        raise CheckpointError(
            f"The model {model.id!r} has no *.safetensors files in {folder}: "
            "put them there, or choose another model with --model."
        )
    return num_blocks


def _ask_hub(model: ModelEntry) -> int:
    """The same of a model on the hub, of which only what says so is fetched."""
    source = open_source(model.checkpoint, revision=model.revision)
    return _count_in_gguf(source) if source.gguf else _count_blocks(model, source.folder)


def _count_in_gguf(source: Source) -> int:
    from farmesh import open_gguf  # it imports numpy

    return open_gguf(source).num_blocks


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


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


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
        self._children: list[Child] = []
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

    def _bootstrap(self, folder: Path) -> Child:
        arguments = ("bootstrap", "--identity", str(folder / "bootstrap.id"))
        return Child(ChildStatus("bootstrap", None), arguments, log_of(folder, "bootstrap"))

    def _nodes(self, folder: Path) -> Iterator[Child]:
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
            yield Child(ChildStatus(name, span), tuple(arguments), log_of(folder, name))

    # --- Supervision: one task per child ---

    async def _keep_running(self, child: Child) -> None:
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

    async def _run(self, child: Child, peers: tuple[str, ...]) -> str:
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
        async with spawned(argv, env, patience) as (process, output):
            self._set(child, ChildState.STARTING, pid=process.pid)
            listening = asyncio.create_task(self._listen(child, output, port))
            try:
                exit_code = await process.wait()
                await asyncio.wait([listening], timeout=DRAIN_SECONDS)
            finally:
                listening.cancel()
        child.failures = 1 if child.was_steady else child.failures + 1
        return how_it_ended(exit_code, child.tail[-1] if child.tail else "")

    async def _listen(self, child: Child, output: asyncio.StreamReader, port: int) -> None:
        async for line in lines(output):
            child.hear(line)
            if fetched := FETCHED.match(line):
                child.status = replace(child.status, fetched=int(fetched[1]))
                self._tell()
            if not ADDRESS.match(line):
                continue
            if line not in child.announced:
                child.announced.append(line)
            if child.up_since is None:
                child.address, child.port, child.up_since = line, port, time.monotonic()
                self._set(child, ChildState.UP, pid=child.status.pid, detail="")

    def _set(
        self,
        child: Child,
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
