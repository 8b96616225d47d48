"""Child processes: started in a session of their own, read line by line, ended for certain."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
from collections.abc import AsyncIterator, Mapping, Sequence
from logging.handlers import RotatingFileHandler
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import IO, Protocol

from chat.settings.schema import PROJECT
from farmesh import nursery

logger = logging.getLogger(__name__)

_LOG_BYTES = 1_000_000  # per file; one older file is kept
_LINE_BYTES = 65536  # longer lines of output are cut


async def lines(reader: asyncio.StreamReader) -> AsyncIterator[str]:
    pending = b""
    while chunk := await reader.read(_LINE_BYTES):
        *complete, pending = (pending + chunk).split(b"\n")
        for line in complete:
            yield line.decode("utf-8", "replace").rstrip()
        pending = pending[:_LINE_BYTES]
    if pending:
        yield pending.decode("utf-8", "replace")


class Process(Protocol):
    """What is used of ``asyncio.subprocess.Process``."""

    @property
    def pid(self) -> int: ...
    @property
    def returncode(self) -> int | None: ...
    async def wait(self) -> int: ...
    def terminate(self) -> None: ...
    def kill(self) -> None: ...


class Start(Protocol):
    """Starts a process whose stdin, and whose stdout and stderr, are these."""

    async def __call__(self, stdin: IO[bytes], output: IO[bytes], /) -> Process: ...


class Born:
    """A child of the nursery; it lives on when that is gone, and then its exit code is 255."""

    def __init__(self, process: BaseProcess) -> None:
        self.pid = process.pid or 0  # it has been started
        self._process = process
        self._ended = asyncio.Event()
        try:
            self._watch(os.pidfd_open(self.pid))
        except ProcessLookupError:  # it has ended already
            self._hear()

    def __repr__(self) -> str:
        return f"<Born {self.pid} {'RUNNING' if self.returncode is None else self.returncode}>"

    @property
    def returncode(self) -> int | None:
        """As :class:`subprocess.Popen` has it; None while it runs."""
        return self._process.exitcode if self._ended.is_set() else None

    async def wait(self) -> int:
        await self._ended.wait()
        return self._process.exitcode or 0

    def terminate(self) -> None:
        os.kill(self.pid, signal.SIGTERM)

    def kill(self) -> None:
        os.kill(self.pid, signal.SIGKILL)

    def _watch(self, life: int) -> None:
        loop = asyncio.get_running_loop()

        def ended() -> None:
            loop.remove_reader(life)
            os.close(life)
            self._hear()

        loop.add_reader(life, ended)

    def _hear(self) -> None:
        """Wait for what the nursery says of its end."""
        loop, told = asyncio.get_running_loop(), self._process.sentinel

        def heard() -> None:
            loop.remove_reader(told)
            self._ended.set()

        loop.add_reader(told, heard)


def by_command(argv: Sequence[str], env: Mapping[str, str]) -> Start:
    """A new program."""

    async def start(stdin: IO[bytes], output: IO[bytes], /) -> Process:
        return await asyncio.create_subprocess_exec(
            *argv,
            stdin=stdin,
            stdout=output,
            stderr=asyncio.subprocess.STDOUT,
            cwd=PROJECT,
            env=dict(env),
            start_new_session=True,
        )

    return start


def by_fork(arguments: Sequence[str], otherwise: Start) -> Start:
    """``python -m farmesh ARGUMENTS`` from the nursery; ``otherwise`` when that is gone."""

    async def start(stdin: IO[bytes], output: IO[bytes], /) -> Process:
        pipes = stdin.fileno(), output.fileno()
        try:
            return Born(await asyncio.to_thread(nursery.bear, arguments, PROJECT, *pipes))
        except (OSError, EOFError) as error:
            logger.warning("The nursery is gone (%r): a node is started without it.", error)
            return await otherwise(stdin, output)

    return start


@contextlib.asynccontextmanager
async def living(
    start: Start, patience: float
) -> AsyncIterator[tuple[Process, asyncio.StreamReader]]:
    """A child in a session of its own, which is gone when the scope is left.

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
        process = await start(stdin, stdout)
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


async def _end(process: Process, patience: float) -> None:
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
