"""A command as a process: its loop, how it is ended, and with which exit code."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Coroutine
from typing import Any

from farmesh.errors import FarMeshError

EXIT_GAPS, EXIT_LOST, EXIT_WRONG, EXIT_INTERRUPTED = 1, 1, 2, 130

Running = Coroutine[Any, Any, int]  # a command under way; its result is the exit code

_SHUTDOWN_SECONDS = 5.0  # for a clean end; then the process ends regardless


def note(text: str) -> None:
    """Say something beside the command's output."""
    print(text, file=sys.stderr, flush=True)


def run(command: Callable[[], Running]) -> int:
    """The exit code of a command, run in a loop of its own.

    ``command`` imports what it needs and then returns what runs in the loop: a signal during an
    import, which takes seconds, need not wait for its end.
    """
    try:
        import uvloop  # comes with hivemind; a third less work per message

        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(_until_ended(command()))
    except FarMeshError as error:
        note(str(error))
        return EXIT_WRONG
    except KeyboardInterrupt:  # during an import
        return EXIT_INTERRUPTED
    except BrokenPipeError:  # the reader of our output has gone, as `| head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_INTERRUPTED


async def _until_ended(command: Running) -> int:
    """Run a command; the first SIGTERM or Ctrl-C closes its scopes in order, a second ends it.

    Where SIGINT is ignored, as a shell starts what shall survive its Ctrl-C (``command &`` in a
    script), it stays so; SIGTERM ends the command everywhere.
    """
    loop = asyncio.get_running_loop()
    task = asyncio.ensure_future(command)
    exit_codes: list[int] = []

    def end(exit_code: int) -> None:
        if exit_codes:
            os._exit(exit_code)
        exit_codes.append(exit_code)
        end_late(exit_code, _SHUTDOWN_SECONDS)  # what is to be closed may be dead, and not answer
        task.cancel()

    loop.add_signal_handler(signal.SIGTERM, end, 0)
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        loop.add_signal_handler(signal.SIGINT, end, EXIT_INTERRUPTED)
    try:
        return await task
    except asyncio.CancelledError:
        return exit_codes[0]


def end_late(exit_code: int, seconds: float) -> None:
    """The last resort: end this process after a while, if its scopes have not closed by then."""

    def end() -> None:
        time.sleep(seconds)
        os._exit(exit_code)

    threading.Thread(target=end, name="end late", daemon=True).start()


def end_with_stdin() -> None:
    """When the parent goes, end as SIGTERM would; never outlive it for long."""

    def wait() -> None:
        while os.read(0, 4096):
            pass
        os.kill(os.getpid(), signal.SIGTERM)
        end_late(EXIT_WRONG, _SHUTDOWN_SECONDS)

    threading.Thread(target=wait, name="end with stdin", daemon=True).start()
