"""Processes of this machine from ``/proc``: whose they are, what they are, what they hold."""

from __future__ import annotations

import contextlib
import json
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any


def ask(worker: subprocess.Popen[str], request: Mapping[str, Any]) -> Any:
    """A line of JSON to a worker, and the line that it answers. Blocks.

    Raises: RuntimeError: it has ended, or was started without pipes.
    """
    if worker.stdin is None or worker.stdout is None:
        raise RuntimeError("the worker has no pipes")
    worker.stdin.write(json.dumps(request) + "\n")
    worker.stdin.flush()
    line = worker.stdout.readline()
    if not line:
        raise RuntimeError("the worker ended")
    return json.loads(line)


def process_tree(root: int) -> Iterator[int]:
    """``root`` and all its descendants that are alive."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):  # ended meanwhile
                stat = (entry / "stat").read_text()
                parent = int(stat.rpartition(")")[2].split()[1])
                children.setdefault(parent, []).append(int(entry.name))
    waiting = [root]
    while waiting:
        pid = waiting.pop()
        yield pid
        waiting += children.get(pid, [])


def role(pid: int) -> str:
    """What a process is for: app, nursery, bootstrap or serve; else its program's name.

    A forked child has the command line of the process that it came from, and says so by its name.
    """
    name = Path(f"/proc/{pid}/comm").read_text().strip()
    if name.startswith("farmesh "):
        return name.removeprefix("farmesh ")
    words = Path(f"/proc/{pid}/cmdline").read_text().split("\0")
    if any("forkserver" in word for word in words):
        return "nursery"
    known = {"app.py": "app", "bootstrap": "bootstrap", "serve": "serve"}
    return next((known[word] for word in words if word in known), Path(words[0]).name)


def nodes_of(app: int) -> list[int]:
    """The processes of an app's own nodes, in the order of their starts."""
    found = []
    for pid in process_tree(app):
        with contextlib.suppress(OSError):  # ended meanwhile
            if role(pid) == "serve":
                found.append(pid)
    return sorted(found)


def pss(pid: int) -> dict[str, float]:
    """MiB by kind: ``Pss``, in which shared pages are divided among all who share them; of it
    ``Pss_Anon`` and ``Pss_File``."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
    found = (line.partition(":") for line in lines)
    return {name: int(rest.split()[0]) / 1024 for name, _, rest in found}


def proportional_set_size(pids: Iterable[int]) -> float:
    """MiB of all these processes."""
    return sum(pss(pid)["Pss"] for pid in pids)
