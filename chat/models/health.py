"""How a swarm is, in a few words."""

from __future__ import annotations

import time

from chat import words
from chat.models.backend import Backend, Stage

LOOKING_SECONDS = 10.0  # after the model was opened, until no node means that nobody serves it
NAME_LENGTH = 32  # characters of a node's own name that are shown


def headline(backend: Backend) -> tuple[str, str]:
    """What the swarm is doing in a few words, and how well: good, wait or bad."""
    snapshot = backend.snapshot
    if backend.stage is Stage.FAILED:
        return backend.status, "bad"
    if snapshot is None:
        return backend.trouble or backend.status, "wait"
    if backend.trouble:  # of the app's own nodes: known before the swarm has noticed
        return backend.trouble, "wait"
    if not snapshot.online:
        if time.monotonic() < backend.ready_since + LOOKING_SECONDS:
            return "Looking for nodes", "wait"
        return f"Nobody serves {backend.name}", "bad"
    if gaps := snapshot.gaps:
        return f"Nobody serves {words.blocks(gaps[0])}", "bad"
    return f"{words.count(len(snapshot.online), 'node')}, all blocks served", "good"
