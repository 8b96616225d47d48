"""Waiting for what is to become true: for as long as a busy machine may take.

Who fails here shows what never became true, with the objects it looked at; how long it took is
nobody's business.
"""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Callable

PATIENCE = 60.0  # seconds


async def until(condition: Callable[[], object], seconds: float = PATIENCE) -> None:
    """Wait until ``condition()`` holds; fewer seconds are a promise of what is tested."""
    clock = asyncio.get_running_loop().time
    deadline = clock() + seconds
    while not condition():
        assert clock() < deadline, _never(condition)
        await asyncio.sleep(0.005)


def wait_until(condition: Callable[[], object], seconds: float = PATIENCE) -> None:
    """The same without an event loop: for processes, threads and files."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, _never(condition)
        time.sleep(0.01)


def _never(condition: Callable[[], object]) -> str:
    source = inspect.getsource(condition).strip()
    return f"it never came true: {source}\nwith {inspect.getclosurevars(condition).nonlocals}"
