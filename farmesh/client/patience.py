"""When a silent hop counts as lost."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from farmesh.client.link import HopLink
from farmesh.errors import HopRefused, HopSilent
from farmesh.wire.failures import CODE_BUSY

if TYPE_CHECKING:
    from farmesh.client.client import FarMeshClient
from farmesh.planning.chunks import Chunk

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

    def __init__(self, client: FarMeshClient, links: list[HopLink], chunk: Chunk) -> None:
        self._client = client
        self._links = links  # at work: the first was sent the chunk, each pushes to the next
        self.started = time.monotonic()
        self._chunk = chunk
        self._tokens = chunk.end - chunk.start
        self._deadline = client.step_deadline(links[0], self._tokens)
        self._asked = self.started

    async def check(self) -> None:
        """Raises: HopSilent; HopRefused when the node is full; Suspect when it may be another."""
        now = time.monotonic()
        heard = max(self._links[0].last_heard, self._asked)
        if now - heard > self._client.config.silence_timeout:
            self._asked = now
            await self._ask_all()
        slow = now - max(self.started, self._links[0].last_heard)
        if slow > self._deadline and self._has_alternative:
            first, *others = await self._ask_all()
            if self._links[0].last_heard > now:
                return  # its answer came meanwhile
            if others:
                raise Suspect(self._chunk)
            full_ago = first.get("cache_full_ago")
            if isinstance(full_ago, float) and full_ago <= slow:  # that is what took so long
                raise HopRefused(self._links[0].hop, "its KV cache is full", CODE_BUSY)
            raise HopSilent(self._links[0].hop, f"it takes longer than {self._deadline:.1f} s")

    @property
    def _has_alternative(self) -> bool:
        return any(self._client.has_alternative(link.hop) for link in self._links)

    async def _ask_all(self) -> list[Mapping[str, Any]]:
        """The hop waited for may itself wait for a push to the one behind it: ask them all."""
        answers = await asyncio.gather(
            *(self._client.ask(link.hop.peer_id) for link in self._links)
        )
        for link, answer in zip(self._links, answers, strict=True):
            if answer is None:
                raise HopSilent(link.hop, "it does not answer")
        return [answer for answer in answers if answer is not None]
