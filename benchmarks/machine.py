"""The machine: what it is, and what others do on it."""

from __future__ import annotations

import os
import platform
import time
from pathlib import Path

import torch
import transformers

from benchmarks.processes import process_tree

_TICK = os.sysconf("SC_CLK_TCK")
_NOISY = 0.15  # share of the machine's cores


def describe() -> str:
    """One line for the head of the table."""
    cpu = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        platform.processor(),
    )
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30
    return (
        f"{os.cpu_count()} cores {cpu} ({torch.backends.cpu.get_cpu_capability()}), "
        f"{memory:.0f} GiB, Linux {platform.release().split('-')[0]}, "
        f"Python {platform.python_version()}, "
        f"torch {torch.__version__}, transformers {transformers.__version__}"
    )


class OthersLoad:
    """Share of the machine's cores that other processes used within the ``with`` block."""

    normal: float = 0.0
    nice: float = 0.0

    def __enter__(self) -> OthersLoad:
        self._started, self._before, self._own = time.monotonic(), _busy(), own_cpu()
        return self

    def __exit__(self, *_: object) -> None:
        cores = (time.monotonic() - self._started) * (os.cpu_count() or 1)
        busy, nice = _busy()
        own = own_cpu() - self._own
        self.normal = max(0.0, (busy - self._before[0] - own) / cores)
        self.nice = max(0.0, (nice - self._before[1]) / cores)

    @property
    def noisy(self) -> bool:
        return self.normal > _NOISY


def wait_until_quiet(seconds: float) -> None:
    """Return when others leave the machine alone for a second, or after ``seconds``."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        with OthersLoad() as load:
            time.sleep(1.0)
        if not load.noisy:
            return


def _busy() -> tuple[float, float]:
    """Seconds of CPU time at normal and at low priority since the machine started."""
    fields = Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]
    user, nice, system, _idle, _iowait, irq, softirq, steal = map(int, fields[:8])
    return (user + system + irq + softirq + steal) / _TICK, nice / _TICK


def own_cpu() -> float:
    """Seconds of CPU time of our own process tree."""
    total = 0
    for pid in process_tree(os.getpid()):
        try:
            stat = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:  # ended meanwhile
            continue
        total += int(stat[11]) + int(stat[12])
    return total / _TICK
