"""How a swarm is, in a few words."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from chat import words
from chat.models.backend import Backend, Stage

LOOKING_SECONDS = 10.0  # after the model was opened, until no node means that nobody serves it
NAME_LENGTH = 32  # characters of a node's own name that are shown


class Tone(Enum):
    """How well a swarm is."""

    GOOD = "good"  # a message would be answered
    WAIT = "wait"  # not yet, or not any more for a moment
    BAD = "bad"


@dataclass(frozen=True, slots=True)
class Headline:
    """What a swarm is doing in a few words, and how well."""

    text: str
    tone: Tone

    @property
    def ready(self) -> bool:
        return self.tone is Tone.GOOD


def headline(backend: Backend) -> Headline:
    """The swarm at this moment."""
    status, snapshot = backend.status, backend.snapshot
    if status.stage in (Stage.FAILED, Stage.RETRYING):
        return Headline(status.text, Tone.BAD)
    if snapshot is None:
        return Headline(status.trouble or status.text, Tone.WAIT)
    if status.trouble:  # of the app's own nodes: known before the swarm has noticed
        return Headline(status.trouble, Tone.WAIT)
    if backend.proven and (not snapshot.online or snapshot.gaps):
        return Headline("Ready", Tone.GOOD)
    if not snapshot.online:
        if backend.age < LOOKING_SECONDS:
            return Headline("Looking for nodes", Tone.WAIT)
        return Headline(f"Nobody serves {backend.name}", Tone.BAD)
    if gaps := snapshot.gaps:
        return Headline(f"Nobody serves {words.blocks(gaps[0])}", Tone.BAD)
    return Headline(f"{words.count(len(snapshot.online), 'node')}, all blocks served", Tone.GOOD)
