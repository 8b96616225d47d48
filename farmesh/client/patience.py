"""When a silent hop counts as lost."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from farmesh.client.dialling import Dialler
from farmesh.client.link import HopLink
from farmesh.core import Hop
from farmesh.errors import HopLost, HopRefused, HopSilent
from farmesh.planning.chunks import Chunk
from farmesh.wire.failures import CODE_BUSY

WATCH_SECONDS = 0.5  # between looks at a silent hop


class Suspect(Exception):
    """Too slow or not finite, and any of the hops that pushed to each other may be the cause."""

    def __init__(self, chunk: Chunk) -> None:
        self.chunk = chunk


class Patience:
    """How long a chunk may keep the session waiting for the hops that are still to answer.

    A hop that is silent is asked whether it lives; one that lives but takes far longer than it
    used to is given up only when somebody else could do its work.
    """

    def __init__(self, dialler: Dialler, links: list[HopLink], chunk: Chunk) -> None:
        self._dialler = dialler
        self._links = links  # at work: the first was sent the chunk, each pushes to the next
        self._chunk = chunk
        self.started = dialler.clock()
        self._asked = self.started
        self._deadline = dialler.view.step_deadline(links[0].hop, len(chunk))

    def __repr__(self) -> str:
        return f"<Patience {self._deadline:.1f} s for {self._links[0]!r}>"

    async def check(self) -> None:
        """Raises: HopSilent; HopRefused when the node is full; Suspect when it may be another."""
        now, link = self._dialler.clock(), self._links[0]
        if now - max(link.last_heard, self._asked) > self._dialler.config.silence_timeout:
            self._asked = now
            await self._ask_all()
        slow = now - max(self.started, link.last_heard)
        if slow > self._deadline and self._has_alternative:
            first, *others = await self._ask_all()
            if link.last_heard > now:
                return  # its answer came meanwhile
            if others:
                raise Suspect(self._chunk)
            raise too_slow(link.hop, first, slow, self._deadline)

    @property
    def _has_alternative(self) -> bool:
        view, now = self._dialler.view, self._dialler.clock()
        return any(view.has_alternative(link.hop, now) for link in self._links)

    async def _ask_all(self) -> list[Mapping[str, Any]]:
        """The hop waited for may itself wait for a push to the one behind it: ask them all."""
        answers = await asyncio.gather(
            *(self._dialler.ask(link.hop.peer_id) for link in self._links)
        )
        for link, answer in zip(self._links, answers, strict=True):
            if answer is None:
                raise HopSilent(link.hop, "it does not answer")
        return [answer for answer in answers if answer is not None]


def too_slow(hop: Hop, says: Mapping[str, Any], slow: float, deadline: float) -> HopLost:
    """What is wrong with a node that lives, by what it says of itself; times in seconds."""
    full_ago = says.get("cache_full_ago")
    if isinstance(full_ago, float) and full_ago <= slow:  # that is what took so long
        return HopRefused(hop, "its KV cache is full", CODE_BUSY)
    return HopSilent(hop, f"it takes longer than {deadline:.1f} s")
