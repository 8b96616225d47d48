"""Child processes: started in a group of their own, read line by line, ended for certain."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator, Mapping, Sequence
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import IO

from chat.settings.schema import PROJECT

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
