"""One child of the embedded swarm: started, heard, started again when it ends."""

from __future__ import annotations

import asyncio
import enum
import logging
import os
import re
import signal
import socket
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from logging.handlers import RotatingFileHandler

from chat.models.embedded.plan import pause_before_restart
from chat.models.embedded.process import Start, by_command, by_fork, lines, living
from farmesh.core import Span
from farmesh.errors import SwarmUnreachable

logger = logging.getLogger(__name__)

HOST = "127.0.0.1"  # where children are reached from here, whatever they listen on
MAX_FAILURES = 6  # ends in a row until a child that was never up is given up
TERMINATE_SECONDS = 3.0  # from SIGTERM to SIGKILL
LAST_SECONDS = 0.5  # the same for the bootstrap peer: when it is ended, nobody is left to be told
STEADY_SECONDS = 20.0  # up for so long: the failures before are forgiven
DRAIN_SECONDS = 0.5  # for the last output of a child that has ended

_TAIL_LINES = 20  # of a child's output, kept for the sentence about its end
FETCHED = re.compile(r"^Fetching: (\d{1,3}) %")  # farmesh.hub.FetchBar
ADDRESS = re.compile(r"^/ip[46]/\S+/p2p/\w+$")  # alone on a line: the child is ready


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


def how_it_ended(exit_code: int, last_line: str) -> str:
    """One sentence; children that end with 2 have said it themselves."""
    if exit_code == 2 and last_line:
        return last_line
    if exit_code < 0:
        return f"It was ended by {signal.Signals(-exit_code).name}."
    return f"It ended with exit code {exit_code}: {last_line or 'it said nothing'}"


@dataclass(frozen=True, slots=True)
class Command:
    """How a child is started: ``program arguments --host … --port … --exit-with-stdin``."""

    program: tuple[str, ...]
    arguments: tuple[str, ...]
    host: str  # to listen on
    threads: int
    forked: bool = False  # from the nursery, while that is there

    def start(self, port: int, peers: Sequence[str]) -> Start:
        where = ("--host", self.host, "--port", str(port), "--exit-with-stdin")
        arguments = [*self.arguments, *where, *(("--peers", *peers) if peers else ())]
        spawned = by_command([*self.program, *arguments], self._environment)
        return by_fork(arguments, spawned) if self.forked else spawned

    @property
    def _environment(self) -> dict[str, str]:
        threads = str(self.threads)
        return {**os.environ, "OMP_NUM_THREADS": threads, "PYTHONUNBUFFERED": "1"}


class Child:
    """One process, kept running with the same port and identity, so with the same address."""

    def __init__(
        self,
        name: str,
        span: Span | None,
        command: Command,
        log: RotatingFileHandler,
        changed: Callable[[], None],
    ) -> None:
        """
        Args:
            span: blocks that it serves; None for the bootstrap peer.
            log: what it writes goes there.
            changed: is called whenever ``status`` is another one.
        """
        self.status = ChildStatus(name, span)
        self.address = ""  # the same in every life
        self.announced: list[str] = []  # all addresses that it printed, that one included
        self._command = command
        self._log = log
        self._changed = changed
        self._port = 0  # kept from the first time it was up
        self._failures = 0  # ends in a row
        self._up_since: float | None = None  # of this process; monotonic
        self._tail: deque[str] = deque(maxlen=_TAIL_LINES)

    def __repr__(self) -> str:
        return f"<Child {self.status.name} {self.status.state.name} {self.status.restarts}>"

    async def keep_running(self, peers: Callable[[], Awaitable[tuple[str, ...]]]) -> None:
        """Start it again whenever it ends, after a growing pause; until cancelled or given up.

        Args:
            peers: gives the addresses that it is to join.
        """
        try:
            while True:
                detail = await self._live(await peers())
                logger.warning("%s is gone: %s", self.status.name, detail)
                # One that has worked will again: whatever ends it may be over in a minute.
                if self._failures >= MAX_FAILURES and not self.address:
                    self._set(ChildState.FAILED, detail=detail)
                    logger.error("%s was given up", self.status.name)
                    return
                self._set(ChildState.RESTARTING, detail=detail)
                await asyncio.sleep(pause_before_restart(self._failures))
                self.status = replace(self.status, restarts=self.status.restarts + 1)
        except SwarmUnreachable as error:
            self._set(ChildState.FAILED, detail=str(error))
        finally:
            if self.status.state is not ChildState.FAILED:
                self._set(ChildState.STOPPED)

    async def _live(self, peers: tuple[str, ...]) -> str:
        """One life, from its start to the sentence that says how it ended."""
        port = self._port or _free_port()
        self._up_since = None
        self._tail.clear()
        start = self._command.start(port, peers)
        patience = TERMINATE_SECONDS if self.status.span else LAST_SECONDS
        async with living(start, patience) as (process, output):
            self._set(ChildState.STARTING, pid=process.pid)
            listening = asyncio.create_task(self._listen(output, port))
            try:
                exit_code = await process.wait()
                await asyncio.wait([listening], timeout=DRAIN_SECONDS)
            finally:
                listening.cancel()
        self._failures = 1 if self._was_steady else self._failures + 1
        return how_it_ended(exit_code, self._tail[-1] if self._tail else "")

    @property
    def _was_steady(self) -> bool:
        return self._up_since is not None and time.monotonic() - self._up_since > STEADY_SECONDS

    async def _listen(self, output: asyncio.StreamReader, port: int) -> None:
        async for line in lines(output):
            self._log.emit(logging.makeLogRecord({"msg": line}))
            if line.strip():
                self._tail.append(line)
            if fetched := FETCHED.match(line):
                self.status = replace(self.status, fetched=int(fetched[1]))
                self._changed()
            if ADDRESS.match(line):
                self._announce(line, port)

    def _announce(self, address: str, port: int) -> None:
        if address not in self.announced:
            self.announced.append(address)
        if self._up_since is None:
            self.address, self._port, self._up_since = address, port, time.monotonic()
            self._set(ChildState.UP, pid=self.status.pid, detail="")

    def _set(self, state: ChildState, *, pid: int | None = None, detail: str | None = None) -> None:
        detail = self.status.detail if detail is None else detail
        self.status = replace(self.status, state=state, pid=pid, detail=detail)
        self._changed()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])
