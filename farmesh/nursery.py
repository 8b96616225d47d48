"""Where the nodes of one machine are born: as forks of a process that has imported what they need.

``import torch`` and the like take seconds and 290 MB in every process. Here one process does that,
and a node begins as its fork: at once, with that memory shared. The process is the fork server of
Python's multiprocessing, which also says how a child ended. On Linux only: elsewhere not all
libraries outlive a fork.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
from collections.abc import Sequence
from multiprocessing import forkserver
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path

POSSIBLE = sys.platform == "linux"


def open_nursery() -> None:
    """Begin the imports, in a process of their own that ends with this one; returns at once."""
    multiprocessing.get_context("forkserver").set_forkserver_preload(["farmesh.newborn"])
    forkserver.ensure_running()


def bear(arguments: Sequence[str], folder: Path, stdin: int, output: int) -> BaseProcess:
    """``python -m farmesh ARGUMENTS`` as a fork; waits for the imports.

    Args:
        folder: where it runs.
        stdin, output: file descriptors, for its stdin and for its stdout and stderr.

    Raises:
        OSError, EOFError: the nursery is gone.
    """
    process = multiprocessing.get_context("forkserver").Process(
        target=live,
        args=(tuple(arguments), folder, *map(_passed_on, (stdin, output))),
        daemon=True,  # should its scope not be left, it is ended when Python is
    )
    process.start()
    return process


def _passed_on(descriptor: int) -> Connection:
    """A duplicate that multiprocessing hands to the child."""
    return Connection(os.dup(descriptor))


def live(arguments: Sequence[str], folder: Path, stdin: Connection, output: Connection) -> None:
    """All of a child's life."""
    from farmesh.cli.main import main

    os.setsid()
    os.chdir(folder)
    Path("/proc/self/comm").write_text(f"farmesh {arguments[0]}")  # as ``ps -A`` and ``top`` say
    os.dup2(stdin.fileno(), 0)
    for descriptor in (1, 2):
        os.dup2(output.fileno(), descriptor)
    for passed in (stdin, output):
        passed.close()
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # the fork server's own
    sys.exit(main(arguments))
