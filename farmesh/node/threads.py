"""How many threads a tick should use: as few as are nearly the fastest.

Waking a second thread costs some 50 microseconds for every operation: more than a small model's
operation itself takes, nothing beside a large one's. So it is measured, once, when the blocks are
loaded. Fewer threads that are nearly as fast also leave cores to the other nodes of a machine.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import tempfile
import time
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

ROWS = (1, 16, 128)  # packed rows measured: one chat's step, several chats', a piece of a prompt
_GAIN = 0.9  # more threads must take less than this much of the time
_ALONE_SECONDS = 15.0  # that a node waits for others of its machine to have measured


@dataclass(frozen=True, slots=True)
class ThreadPlan:
    """Threads for each of :data:`ROWS`; empty: never changed."""

    threads: tuple[int, ...] = ()

    def for_rows(self, rows: int) -> int | None:
        """Threads for a tick of so many packed rows; None: as they are."""
        if not self.threads:
            return None
        return self.threads[min(bisect_left(ROWS, rows), len(ROWS) - 1)]


def choices(most: int) -> tuple[int, ...]:
    """Thread counts worth a try, rising: powers of two and ``most``."""
    counts = [1]
    while counts[-1] * 2 < most:
        counts.append(counts[-1] * 2)
    return (*counts, most) if most > 1 else (1,)


def plan_threads(most: int, seconds: Callable[[int, int], float]) -> ThreadPlan:
    """The plan after ``seconds(rows, threads)`` was asked for each pair that matters."""
    return ThreadPlan(tuple(_best(rows, choices(most), seconds) for rows in ROWS))


def _best(rows: int, counts: Sequence[int], seconds: Callable[[int, int], float]) -> int:
    best, least = counts[0], seconds(rows, counts[0])
    for count in counts[1:]:
        taken = seconds(rows, count)
        if taken < _GAIN * least:
            best, least = count, taken
    return best


@contextlib.contextmanager
def alone_on_this_machine(
    folder: Path | None = None, patience: float = _ALONE_SECONDS
) -> Iterator[None]:
    """Measure one after the other: nodes started together would hide a gain from one another.

    They meet at a lock in ``folder``, the system's for temporary files unless given; after
    ``patience`` seconds this one goes on all the same.
    """
    path = (folder or Path(tempfile.gettempdir())) / f"farmesh-measuring-{os.getuid()}"
    try:
        file = os.open(path, os.O_CREAT | os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except OSError:  # nowhere to meet: measure all the same
        yield
        return
    try:
        deadline = time.monotonic() + patience
        while not _locked(file) and time.monotonic() < deadline:
            time.sleep(0.05)
        yield
    finally:
        os.close(file)  # which unlocks it


def _locked(file: int) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
