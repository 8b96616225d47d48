"""Medians, spreads and percentiles; the rows of the table."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from statistics import median
from typing import Any


def percentile(values: Sequence[float], percent: float) -> float:
    """Nearest rank, so that a p99 is a gap that did happen."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, max(0, round(percent / 100 * len(ordered)) - 1))]


def gaps(times: Sequence[float]) -> list[float]:
    """Seconds between consecutive tokens."""
    return [after - before for before, after in pairwise(times)]


@dataclass(slots=True)
class Result:
    """What was measured for one row of the table: one value per round."""

    metric: str
    shape: str
    values: list[float] = field(default_factory=list)
    noisy: int = 0  # rounds disturbed by other processes
    detail: str = ""  # absolute figures behind the ratio, for orientation
    failure: str = ""  # why the figure does not count, whatever it is
    threads: int = 2
    when: float = field(default_factory=time.time)

    @property
    def median(self) -> float:
        return median(self.values) if self.values else float("nan")

    def to_json(self) -> dict[str, Any]:
        return asdict(self)
