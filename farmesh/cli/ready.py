"""What ``bootstrap`` and ``serve`` say when they can be reached, and how they end when not."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

from farmesh.cli.process import EXIT_LOST, end_late, note

_LOST_SECONDS = 1.0  # to close a peer that nobody can reach any more


def say_ready(
    what: str, addresses: Sequence[str], file: Path | None, *, model: str, peers: Sequence[str]
) -> None:
    """Tell a person and a supervising process: an address alone on a line means ready.

    Args:
        file: where to write the addresses too.
        model: how ``serve`` is told of the model.
        peers: that others join the swarm through.
    """
    if file is not None:
        _write(file, addresses)
    print(f"{what}. Its address:", *addresses, sep="\n")
    print(f"Add a node with:\n  python -m farmesh serve {model} --peers {' '.join(peers)}")
    print("Ctrl-C ends it.", flush=True)


def _write(path: Path, addresses: Sequence[str]) -> None:
    """At once or not at all: whoever waits for the file must not read half of it."""
    half = path.with_name(f"{path.name}.new")
    half.write_text("\n".join(addresses) + "\n", encoding="utf-8")
    half.replace(path)


async def until_lost(lost: asyncio.Event) -> int:
    """Serve until the p2p daemon dies; whoever supervises this process then starts it again."""
    await lost.wait()
    note("Nobody can reach this peer any more: its p2p daemon ended.")
    end_late(EXIT_LOST, _LOST_SECONDS)
    return EXIT_LOST
