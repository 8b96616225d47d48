"""Try every model type of transformers with a tiny random checkpoint, and keep what came out.

usage: python -m scripts.try_types [--write] [TYPE ...]

Prints one line for each type. With --write the outcome becomes farmesh/checkpoint/tried.py (of all
types, or of those named beside what it says of others), from which the engine knows what it may
serve, `python -m farmesh families` its list and docs/families.md its tables.
tests/support/trials.py says what a trial is.
"""

from __future__ import annotations

import argparse
import logging
import os
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path

TABLE = Path(__file__).parents[1] / "farmesh/checkpoint/tried.py"


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--write", action="store_true", help="keep the outcome of all types")
    parser.add_argument("types", nargs="*", help="only these")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)

    import transformers

    from tests.support import trials

    transformers.utils.logging.disable_progress_bar()
    outcomes: dict[str, str | None] = {}
    for name in arguments.types or trials.types():
        started = time.monotonic()
        with tempfile.TemporaryDirectory() as folder:
            outcomes[name] = trials.outcome(name, Path(folder))
        seconds = f"{time.monotonic() - started:.1f} s"
        print(f"{name}: {outcomes[name] or 'works'} ({seconds})", flush=True)
    if arguments.write:
        write(outcomes if not arguments.types else _known() | outcomes)
    return 0


def _known() -> dict[str, str | None]:
    """What the table says at present."""
    from farmesh.checkpoint.tried import REFUSED, WORKS

    return {**dict.fromkeys(WORKS), **REFUSED}


def write(outcomes: dict[str, str | None]) -> None:
    works = sorted(name for name, reason in outcomes.items() if reason is None)
    refused = {name: reason for name, reason in sorted(outcomes.items()) if reason is not None}
    lines = [
        '"""Which model types can be served; made by python -m scripts.try_types --write."""',
        "",
        "# ruff: noqa: E501",
        "",
        "WORKS: frozenset[str] = frozenset(",
        "    (",
        *(f'        "{name}",' for name in works),
        "    )",
        ")",
        "",
        "# And why the others cannot.",
        "REFUSED: dict[str, str] = {",
        *(f"    {name!r}: {reason!r}," for name, reason in refused.items()),
        "}",
    ]
    TABLE.write_text("\n".join(lines) + "\n", encoding="utf-8")
    subprocess.run([sys.executable, "-m", "ruff", "format", "-q", str(TABLE)], check=True)


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    sys.exit(main())
