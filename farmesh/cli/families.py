"""``families``: which model types can be served, and why others cannot."""

from __future__ import annotations

import argparse
import json
import textwrap

from farmesh.cli.process import Running

_WIDTH = 96  # columns


def start(arguments: argparse.Namespace) -> Running:
    from farmesh.checkpoint.tried import REFUSED, WORKS

    async def run() -> int:
        if arguments.json:
            print(json.dumps({"works": sorted(WORKS), "refused": REFUSED}, indent=2))
        else:
            print(draw_families(sorted(WORKS), REFUSED))
        return 0

    return run()


def draw_families(works: list[str], refused: dict[str, str]) -> str:
    """The list for a terminal."""
    indent = {"initial_indent": "  ", "subsequent_indent": "  ", "break_on_hyphens": False}
    lines = [
        f"{len(works)} model types (model_type in config.json) can be served:",
        *textwrap.wrap(", ".join(works), _WIDTH, **indent),  # type: ignore[arg-type]
        f"{len(refused)} cannot:",
    ]
    for reason in dict.fromkeys(refused.values()):
        names = [name for name, why in refused.items() if why == reason]
        lines.append(f"  {reason}:")
        wider = {**indent, "initial_indent": "    ", "subsequent_indent": "    "}
        lines += textwrap.wrap(", ".join(names), _WIDTH, **wider)  # type: ignore[arg-type]
    return "\n".join(lines)
