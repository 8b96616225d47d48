"""A process with what the app has in memory: the client, and the web framework imported."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import gradio  # noqa: F401 - for its memory
import uvloop

from benchmarks.swarm import joined, new_chats


async def _main(checkpoint: str, address: str) -> None:
    async with joined(Path(checkpoint), address, 2) as client:
        await new_chats(client, [list(range(3, 67))], 128)
        print("ready", flush=True)
        await asyncio.to_thread(sys.stdin.readline)


if __name__ == "__main__":
    uvloop.run(_main(*sys.argv[1:]))
