"""How far a download is, for code and for a terminal."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable
from typing import Any

from huggingface_hub.utils import tqdm as hub_tqdm  # type: ignore[attr-defined]

Progress = Callable[[int, int], None]  # (bytes that are here, bytes wanted)


def meter(report: Callable[[int], None] | None) -> type[Any]:
    """A bar that draws nothing and tells how many bytes of the file are here."""

    class Meter(hub_tqdm):
        def __init__(self, *arguments: Any, initial: int = 0, **options: Any) -> None:
            options["disable"] = True
            super().__init__(*arguments, initial=initial, **options)
            self.here = initial

        def update(self, n: float | None = 1) -> None:
            self.here += int(n or 0)
            if report is not None:
                report(self.here)

    return Meter


class FetchBar:
    """Shows a person how much has come from the hub; a :data:`Progress`.

    On a terminal it is one line that is drawn again and again. Elsewhere, as under a supervisor
    that reads it, each line says the percentage, at most once a second.
    """

    def __init__(self) -> None:
        self._drawn = -math.inf  # monotonic seconds
        self._percent = -1
        self._live = sys.stderr.isatty()

    def __call__(self, done: int, total: int) -> None:
        percent, now = 100 * done // max(1, total), time.monotonic()
        if percent == self._percent or (now - self._drawn < 1.0 and done < total):
            return
        self._percent, self._drawn = percent, now
        figures = f"{done / 1e6:.0f} of {total / 1e6:.0f} MB"
        line = f"Fetching: {percent} % ({figures})\n"
        if self._live:
            bar = ("█" * (percent * 30 // 100)).ljust(30, "·")
            line = f"\rFetching {bar} {figures} " + ("\n" if done >= total else "")
        sys.stderr.write(line)
        sys.stderr.flush()
