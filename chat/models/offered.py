"""Which models of the catalogue a joined swarm serves: what the picker says before one is asked
for."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection, Mapping, Sequence
from typing import Protocol

from chat.settings.catalogue import ModelEntry
from farmesh.core import SwarmSnapshot
from farmesh.errors import SwarmUnreachable
from farmesh.hub.gguf_names import model_name

log = logging.getLogger(__name__)

LOOK_SECONDS = 60.0  # between two looks; nodes say every few minutes what they serve
AGAIN_SECONDS = 5.0  # after one that failed, or found a swarm that has only begun


class Lookout(Protocol):
    """What is used of ``farmesh.FarMeshClient``."""

    async def look_for(self, names: Collection[str]) -> Mapping[str, SwarmSnapshot]: ...


class Offered:
    """How much of each model the swarm serves, as it was seen last."""

    def __init__(self, entries: Sequence[ModelEntry]) -> None:
        self._names = {entry.id: names_of(entry) for entry in entries}
        self._seen: Mapping[str, SwarmSnapshot] | None = None

    def __repr__(self) -> str:
        state = "UNKNOWN" if self._seen is None else "SEEN"
        return f"<Offered {state}, {len(self._seen or ())} of {len(self._names)} models listed>"

    def sentence(self, model_id: str) -> str:
        """What the swarm has of a model; nothing while that is not known."""
        if self._seen is None:
            return ""
        found = [self._seen[name] for name in self._names[model_id] if name in self._seen]
        best = max(found, key=_served, default=None)
        if best is None or not _served(best):
            return "nobody in this swarm serves it"
        if best.is_complete:
            return "served by this swarm"
        return f"this swarm serves {_served(best)} of its {best.num_blocks} blocks"

    async def keep_looking(self, client: Lookout) -> None:
        """Look for ever; a swarm that does not answer leaves what was seen before."""
        wanted = frozenset().union(*self._names.values())
        while True:
            try:
                self._seen = await client.look_for(wanted)
                served = any(seen.is_complete for seen in self._seen.values())
                pause = LOOK_SECONDS if served else AGAIN_SECONDS
            except SwarmUnreachable as error:
                log.info("%s", error)
                pause = AGAIN_SECONDS
            await asyncio.sleep(pause)


def names_of(entry: ModelEntry) -> frozenset[str]:
    """Under which names a swarm may have it: its key, or those of the places where it is."""
    if entry.dht_prefix:
        return frozenset({entry.dht_prefix})
    places = [entry.checkpoint, *(place.checkpoint or place.file for place in entry.sources)]
    return frozenset(
        model_name(place.rpartition(":")[2]) if place.endswith(".gguf") else place
        for place in places
        if place
    )


def _served(seen: SwarmSnapshot) -> int:
    return sum(1 for count in seen.replicas if count)
