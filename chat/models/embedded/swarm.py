"""The private swarm on loopback that the app starts by itself: its processes and their supervisor.

A bootstrap peer and N nodes run as ``python -m farmesh …``, each in a session of its own; nodes are
forked where they can be, so that what they import is there once and a lost one is back soon.
One that ends is started again after a growing pause, with the same identity and port, so that its
address stays what the others know. All end with the scope; should the app be killed, its ends of
their stdin pipes close and they end by themselves (``--exit-with-stdin``).
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from chat.models.embedded.blocks import ask_hub, check_folder
from chat.models.embedded.child import Child, ChildState, ChildStatus, Command
from chat.models.embedded.plan import is_loopback, split_blocks, threads_per_node
from chat.models.embedded.process import log_of
from chat.models.embedded.state import claim_slot
from chat.settings.catalogue import ModelEntry
from chat.settings.schema import SwarmSettings
from farmesh.core import Span
from farmesh.cores import usable_cores
from farmesh.errors import ConfigError, SwarmUnreachable
from farmesh.hub.source import is_remote


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
        forked: bool = False,
    ) -> None:
        """
        Args:
            forked: nodes come from the nursery, which was opened.
        """
        self._settings = settings
        self._model = model
        self._program = tuple(program)
        self._forked = forked
        self._spans: tuple[Span, ...] = ()  # of a model on the hub: when the scope is entered
        if not is_remote(model.checkpoint_path):
            self._spans = self._shared_out(check_folder(model))
        self._threads = threads_per_node(settings.threads, usable_cores())
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

    async def __aenter__(self) -> EmbeddedSwarm:
        if not self._spans:
            self._spans = self._shared_out(await asyncio.to_thread(ask_hub, self._model))
        folder = claim_slot(self._settings.state_dir, self._scope)
        bootstrap = self._bootstrap(folder)
        self._children = [bootstrap, *self._nodes(folder)]
        for child in self._children:
            peers = _nobody if child is bootstrap else self.addresses
            task = asyncio.create_task(child.keep_running(peers), name=child.status.name)
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
        arguments = ["bootstrap", "--identity", str(folder / "bootstrap.id")]
        return self._child("bootstrap", None, arguments, folder)

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
            for flag in ("device", "dtype", "quantize"):
                own = getattr(self._model, flag)
                arguments += [f"--{flag}", own or getattr(self._settings, flag)]
            if self._model.dht_prefix:
                arguments += ["--prefix", self._model.dht_prefix]
            if self._model.revision:
                arguments += ["--revision", self._model.revision]
            if self._model.adapter_path:
                arguments += ["--adapters", str(self._model.adapter_path)]
            yield self._child(name, span, arguments, folder)

    def _child(self, name: str, span: Span | None, arguments: list[str], folder: Path) -> Child:
        log = log_of(folder, name)
        self._scope.callback(log.close)
        forked = self._forked and span is not None  # a bootstrap peer needs no torch
        settings = self._settings.host, self._threads, forked
        command = Command(self._program, tuple(arguments), *settings)
        return Child(name, span, command, log, self._tell)

    def _tell(self) -> None:
        """Wake everybody who waits for a change."""
        self._changed.set()
        self._changed = asyncio.Event()


async def _nobody() -> tuple[str, ...]:
    """Whom the first peer joins."""
    return ()
