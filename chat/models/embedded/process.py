"""One child process: started, heard, ended."""

from __future__ import annotations

import asyncio
import contextlib
import enum
import logging
import os
import re
import signal
import time
from collections import deque
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import IO

from chat.settings.schema import PROJECT
from farmesh.core import Span

TERMINATE_SECONDS = 3.0  # from SIGTERM to SIGKILL
LAST_SECONDS = 0.5  # the same for the bootstrap peer: when it is ended, nobody is left to be told
STEADY_SECONDS = 20.0  # up for so long: the failures before are forgiven

_LOG_BYTES = 1_000_000  # per file; one older file is kept
_TAIL_LINES = 20  # of a child's output, kept for error reports
_LINE_BYTES = 65536  # longer lines of output are cut
DRAIN_SECONDS = 0.5  # for the last output of a child that has ended
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


# --- One child --------------------------------------------------------------------------------


@dataclass(slots=True)
class Child:
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


async def lines(reader: asyncio.StreamReader) -> AsyncIterator[str]:
    pending = b""
    while chunk := await reader.read(_LINE_BYTES):
        *complete, pending = (pending + chunk).split(b"\n")
        for line in complete:
            yield line.decode("utf-8", "replace").rstrip()
        pending = pending[:_LINE_BYTES]
    if pending:
        yield pending.decode("utf-8", "replace")


@contextlib.asynccontextmanager
async def spawned(
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


def log_of(folder: Path, name: str) -> RotatingFileHandler:
    path = folder / f"{name}.log"
    return RotatingFileHandler(path, maxBytes=_LOG_BYTES, backupCount=1, encoding="utf-8")
