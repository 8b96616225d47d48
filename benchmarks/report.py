"""The table: targets, Petals' figures, and what this run measured."""

from __future__ import annotations

import json
import math
import subprocess
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.machine import describe
from benchmarks.shapes import CACHE
from benchmarks.stats import Result

_ROOT = Path(__file__).parent.parent
_STORE = CACHE / "results.json"
_NOTES = Path(__file__).parent / "notes.md"
_PREAMBLE = "Written by `make bench`; `benchmarks/METHODOLOGY.md` defines each number."
_DOCUMENT = _ROOT / "docs" / "benchmarks.md"


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table. ``at_least`` rows pass above their target, the others below."""

    metric: str
    title: str
    targets: dict[str, float]  # by shape
    petals: dict[str, str]
    at_least: bool = False
    unit: str = ""
    digits: int = 2

    def passes(self, result: Result) -> bool:
        if result.failure or not result.values:
            return False
        target = self.targets[result.shape]
        return result.median >= target if self.at_least else result.median <= target

    def target(self, shape: str) -> str:
        return f"{'≥' if self.at_least else '≤'} {self.targets[shape]:g}{self.unit}"


def _both(small: float, tiny: float | None = None) -> dict[str, float]:
    return {"small": small, "tiny": small if tiny is None else tiny}


def _petals(small: str, tiny: str | None = None) -> dict[str, str]:
    return {"small": small, "tiny": small if tiny is None else tiny}


ROWS = (
    Row("one-chat", "one chat, speed against local", _both(0.8, 0.6), _petals("0.46", "0.2"), True),
    Row(
        "many-chats",
        "16 chats, total speed against local at batch 16",
        _both(0.75, 0.5),
        _petals("0.20", "0.05"),
        True,
    ),
    Row(
        "eight-to-one",
        "8 chats against 1, total tokens/s",
        _both(3, 3.5),
        _petals("1.8", "1.4"),
        True,
    ),
    Row(
        "p99-of-eight",
        "p99 inter-token latency, 8 chats against 1",
        _both(2.5),
        _petals("4.7", "6"),
    ),
    Row("hop-libp2p", "plumbing per hop, libp2p", _both(2), _petals("20 to 25 ms"), unit=" ms"),
    Row(
        "hop-in-process",
        "plumbing per hop, in-process",
        _both(0.3),
        _petals("20 to 25 ms"),
        unit=" ms",
    ),
    Row(
        "round-trips", "round trips per token, 3 nodes, delayed network", {"tiny": 2}, _petals("3")
    ),
    Row(
        "ttft-turn-20",
        "TTFT of turn 20 against turn 2",
        _both(1.15),
        _petals("flat, or grows when history is sent again"),
    ),
    Row(
        "ttft-512", "TTFT of a 512-token prompt against local", _both(1.2, 2), _petals("1.2", "2.8")
    ),
    Row(
        "worst-gap",
        "worst gap of a chat while another's 2,000 tokens are prefilled, in steps",
        _both(5),
        _petals("whole prefill"),
        digits=1,
    ),
    Row(
        "sigkill-pause",
        "pause after SIGKILL, spare node, 500 tokens",
        _both(1),
        _petals("never resumes"),
        unit=" s",
    ),
    Row(
        "failing-sends-1e-3",
        "speed when sends fail with p = 1e-3",
        {"tiny": 0.95},
        _petals("does not finish (paper 0.73)"),
        True,
    ),
    Row(
        "failing-sends-1e-2",
        "speed when sends fail with p = 1e-2",
        {"tiny": 0.75},
        _petals("does not finish (paper 0.20)"),
        True,
    ),
    Row(
        "chats-per-gib",
        "live chats per GiB of cache against reserving 2,048 tokens",
        {"tiny": 3},
        _petals("1"),
        True,
    ),
    Row(
        "memory",
        "memory of two nodes and the app",
        {"tiny": 1536},
        _petals("1.1 GiB for two idle nodes alone"),
        unit=" MiB",
        digits=0,
    ),
)


def load_results() -> dict[str, Result]:
    """The newest result of each row, by ``metric/shape``."""
    if not _STORE.is_file():
        return {}
    stored = json.loads(_STORE.read_text("utf-8"))
    return {key: Result(**value) for key, value in stored.items()}


def save_results(results: Iterable[Result]) -> None:
    merged = load_results() | {f"{result.metric}/{result.shape}": result for result in results}
    _STORE.parent.mkdir(exist_ok=True)
    text = json.dumps({key: result.to_json() for key, result in merged.items()}, indent=1)
    _STORE.write_text(text, "utf-8")


def table(results: dict[str, Result]) -> str:
    """All rows that were measured, as Markdown."""
    lines = [
        "| metric | shape | target | measured: median (lowest to highest) | | behind it | Petals |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in ROWS:
        for shape in row.targets:
            result = results.get(f"{row.metric}/{shape}")
            if result is None:
                measured, verdict, detail = "not measured", "", ""
            else:
                measured, detail = _measured(row, result), result.detail
                verdict = "pass" if row.passes(result) else "**miss**"
            cells = (
                row.title,
                shape,
                row.target(shape),
                measured,
                verdict,
                detail,
                row.petals[shape],
            )
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _measured(row: Row, result: Result) -> str:
    if result.failure or math.isnan(result.median):
        return result.failure or "failed"

    def show(value: float) -> str:
        return f"{value:.{row.digits}f}"

    text = f"{show(result.median)}{row.unit}"
    if len(result.values) > 1:
        low, high = min(result.values), max(result.values)
        text += f" ({show(low)} to {show(high)}, n = {len(result.values)})"
    if result.noisy:
        text += f", {result.noisy} noisy"
    return text


def write_document(results: dict[str, Result]) -> Path:
    """``docs/benchmarks.md``: the table, the machine, and the notes on what bounds the misses."""
    measured = [result for result in results.values() if result.values]
    first, last = (
        time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(moment))
        for moment in (
            min(result.when for result in measured),
            max(result.when for result in measured),
        )
    )
    threads = sorted({result.threads for result in measured})
    passed = sum(
        row.passes(results[key])
        for row in ROWS
        for shape in row.targets
        if (key := f"{row.metric}/{shape}") in results
    )
    rows = sum(len(row.targets) for row in ROWS)
    facts = (
        f"**Machine:** {describe()}.",
        f"**Measured:** {first} to {last}, commit {_commit()}.",
        f"**Threads per node:** {' and '.join(map(str, threads))}.",
        f"**Targets reached:** {passed} of {rows}.",
    )
    parts = ["# Benchmarks", _PREAMBLE, " ".join(facts), table(results)]
    if _NOTES.is_file():
        parts.append(_NOTES.read_text("utf-8").strip())
    _DOCUMENT.write_text("\n\n".join(parts) + "\n", "utf-8")
    return _DOCUMENT


def _commit() -> str:
    try:
        answer = subprocess.run(
            ["git", "rev-parse", "--short", "HEAD"],
            cwd=_ROOT,
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return answer.stdout.strip()
