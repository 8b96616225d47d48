"""``python -m benchmarks.run``: measure, print the table, write ``docs/benchmarks.md``."""

from __future__ import annotations

import argparse
import os
import sys
import time
import traceback
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

os.environ.setdefault("HIVEMIND_LOGLEVEL", "WARNING")  # read when hivemind is imported
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # read when torch is imported; see notes.md

import uvloop

from benchmarks import metrics, report
from benchmarks.metrics import Bench, Plan
from benchmarks.shapes import SHAPES
from benchmarks.stats import Result

_Measure = Callable[[Bench], Coroutine[Any, Any, list[Result]]]

# Which function measures which rows.
MEASUREMENTS: dict[tuple[str, ...], _Measure] = {
    ("one-chat", "hop-libp2p"): metrics.one_chat,
    ("many-chats",): metrics.many_chats,
    ("eight-to-one", "p99-of-eight"): metrics.eight_chats,
    ("ttft-turn-20",): metrics.ttft_turns,
    ("ttft-512",): metrics.ttft_512,
    ("worst-gap",): metrics.worst_gap,
    ("hop-in-process",): metrics.hop_in_process,
    ("round-trips",): metrics.round_trips,
    ("sigkill-pause",): metrics.sigkill_pause,
    ("failing-sends-1e-3", "failing-sends-1e-2"): metrics.failing_sends,
    ("chats-per-gib",): metrics.chats_per_gib,
    ("memory",): metrics.memory,
}


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.run", description=__doc__)
    names = [name for group in MEASUREMENTS for name in group]
    parser.add_argument(
        "--only",
        action="append",
        choices=names,
        metavar="METRIC",
        help=f"one of {', '.join(names)}",
    )
    parser.add_argument("--shape", choices=sorted(SHAPES), help="one shape only")
    parser.add_argument("--quick", action="store_true", help="3 rounds, shorter replies, no waits")
    parser.add_argument("--rounds", type=int, help="pairs per metric (7; quick 3)")
    parser.add_argument("--threads", type=int, default=2, help="torch threads per node (2)")
    parser.add_argument(
        "--report", action="store_true", help="measure nothing; write what was measured last"
    )
    parser.add_argument(
        "--no-write", action="store_true", help="print only; leave docs/benchmarks.md as it is"
    )
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    arguments = _arguments(argv)
    shapes = [arguments.shape] if arguments.shape else ["tiny", "small"]
    rounds = arguments.rounds or (3 if arguments.quick else 7)
    results: dict[str, Result] = {}
    for shape in [] if arguments.report else shapes:
        plan = Plan(SHAPES[shape], rounds, arguments.threads, arguments.quick)
        for result in uvloop.run(_measure_shape(plan, arguments.only, not arguments.no_write)):
            results[f"{result.metric}/{result.shape}"] = result
    if not arguments.no_write:
        results = report.load_results()
        print(f"\nWrote {report.write_document(results)}.")
    print(f"\n{report.table(results)}")
    return 0


async def _measure_shape(plan: Plan, only: Sequence[str] | None, save: bool) -> list[Result]:
    bench = Bench(plan)
    results: list[Result] = []
    try:
        for names, measure in MEASUREMENTS.items():
            wanted = not only or set(names) & set(only)
            if wanted and any(
                row.metric in names and plan.shape.name in row.targets for row in report.ROWS
            ):
                results += await _measure(measure, names, bench)
                if save:  # at once: a long run that is interrupted keeps what it has
                    report.save_results(results)
    finally:
        await bench.close()
    return results


async def _measure(measure: _Measure, names: Sequence[str], bench: Bench) -> list[Result]:
    """One group of rows; what fails is reported as such, and the others go on."""
    plan, started = bench.plan, time.monotonic()
    try:
        results = await measure(bench)
    except Exception as error:  # noqa: BLE001 - one metric's failure must not cost the others
        traceback.print_exc()
        results = [plan.result(name) for name in names]
        for result in results:
            result.failure = f"failed: {type(error).__name__}"
        await bench.close()
    for result in results:
        values = " ".join(f"{value:.3g}" for value in result.values)
        print(
            f"{result.metric:20} {plan.shape.name:6} {result.median:8.3f}  [{values}]  "
            f"{result.detail} {result.failure}"
            f"{f'  {result.noisy} noisy' if result.noisy else ''}"
            f"  ({time.monotonic() - started:.0f} s)",
            flush=True,
        )
    return results


if __name__ == "__main__":
    sys.exit(main())
