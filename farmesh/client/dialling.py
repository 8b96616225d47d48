"""Opening streams to nodes, and asking them what they are and can do."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from typing import Any

import torch

from farmesh.client.link import HopLink
from farmesh.client.lookout import Lookout
from farmesh.config import ClientConfig
from farmesh.core import Hop, PeerId, Route
from farmesh.errors import HopLost, HopSilent, RemoteError, StreamBroken, TransportError
from farmesh.wire.failures import length_limit
from farmesh.wire.messages import Step
from farmesh.wire.metadata import StepMetadata

logger = logging.getLogger(__name__)

_OPEN_TRIES = 3  # of a stream that drops while it is opened


class Dialler:
    """Makes and opens the links of all sessions, over the network that is joined at the moment."""

    def __init__(self, lookout: Lookout, config: ClientConfig, hidden_size: int) -> None:
        self.config = config
        self.hidden_size = hidden_size
        self.view = lookout.view
        self.clock = lookout.clock
        self._lookout = lookout
        self._rewinds: dict[tuple[PeerId, str | None], bool] = {}  # by peer and its version

    def __repr__(self) -> str:
        return f"<Dialler {len(self._rewinds)} nodes probed, {self._lookout!r}>"

    def make_link(self, hop: Hop, max_length: int) -> HopLink:
        node = self.view.node(hop.peer_id)
        return HopLink(
            hop,
            node.extensions if node is not None else frozenset(),
            self.view.prefix,
            max_length,
            adapter=self.view.adapter,
            clock=self.clock,
        )

    async def open(self, link: HopLink, *, resume: bool = False) -> None:
        """Open a link, again when its stream drops meanwhile.

        Raises: HopLost.
        """
        network = self._lookout.network
        if network is None:
            raise HopLost(link.hop, "the swarm was left")
        for tries_left in reversed(range(_OPEN_TRIES)):
            try:
                await link.open(
                    network.transport,
                    self.hidden_size,
                    resume=resume,
                    timeout=self.config.connect_timeout,
                )
                return
            except HopLost as lost:
                limit = length_limit(lost.reason)
                if limit is not None and limit < link.max_length and tries_left:
                    link.max_length = limit  # Petals: 2048 unless its heads are grouped
                    continue
                # Streams of a node that lives drop too, and no answer came to say what it did.
                dropped = isinstance(lost.__cause__, StreamBroken) and link.has("resume")
                if not (dropped and tries_left):
                    raise
                resume = True

    async def open_route(self, route: Route, max_length: int) -> list[HopLink]:
        """Open all hops of a route at once; all or none.

        Raises: HopLost, the first one that failed.
        """
        links = [self.make_link(hop, max_length) for hop in route.hops]
        try:
            results = await asyncio.gather(
                *(self.open(link) for link in links), return_exceptions=True
            )
            failures = [result for result in results if isinstance(result, BaseException)]
            if failures:
                raise failures[0]
        except BaseException:  # a cancel too: those already open must not stay so
            for link in links:
                link.abort()
            raise
        return links

    async def go_back(self, link: HopLink, epoch: int, step_id: str) -> None:
        """Have a node with states go back to its last snapshot within ``link.position`` tokens.

        Raises: HopLost.
        """
        metadata = StepMetadata(
            session_id=link.session_id,
            step_id=step_id,
            start_from_position=link.position,
            epoch=epoch if link.has("epoch") else None,
        )
        try:
            async with asyncio.timeout(self.config.connect_timeout):
                reply = link.expect(step_id)
                await link.send(Step(torch.empty(1, 0, self.hidden_size), metadata))
                answer = await reply
        except TimeoutError as error:
            raise HopSilent(link.hop, "it did not answer in time") from error
        link.position = link.reach = min(link.position, answer.position or 0)

    async def can_rewind(self, hop: Hop) -> bool:
        """Whether a node honours ``start_from_position``.

        Petals 2.2 ignores it without a word and would compute on top of the old tokens; Petals 2.3
        honours it, and their version numbers do not tell. So nodes of other engines are asked, once
        each: a session for a single token takes a second one only if it was rewound in between.
        """
        node = self.view.node(hop.peer_id)
        if node is not None and "epoch" in node.extensions:
            return True
        key = hop.peer_id, node.version if node is not None else None
        if key not in self._rewinds:
            answer = await self._probe_rewind(hop)
            if answer is None:
                return False  # no answer is no knowledge; a session opened anew is always right
            self._rewinds[key] = answer
            logger.info("…%s %s", hop.peer_id[-4:], f"can rewind: {answer}")
        return self._rewinds[key]

    async def _probe_rewind(self, hop: Hop) -> bool | None:
        """Whether a session for one token takes a second one; None when there is no answer."""
        probe = self.make_link(hop, max_length=1)
        try:
            await self.open(probe)
            for step_id in ("once", "again"):
                await self._take_one(probe, step_id)
        except (HopLost, TimeoutError) as error:
            return False if isinstance(error.__cause__, RemoteError) else None
        else:
            return True
        finally:
            probe.abort()

    async def _take_one(self, link: HopLink, step_id: str) -> None:
        """Raises: HopLost, TimeoutError."""
        metadata = StepMetadata(session_id=link.session_id, step_id=step_id, start_from_position=0)
        async with asyncio.timeout(self.config.connect_timeout):
            reply = link.expect(step_id)
            await link.send(Step(torch.zeros(1, 1, self.hidden_size), metadata))
            await reply

    async def ask(self, peer_id: PeerId) -> Mapping[str, Any] | None:
        """What a node's engine (not just its daemon) says of itself; None when it is silent."""
        network = self._lookout.network
        if network is None:
            return None
        try:
            async with asyncio.timeout(self.config.silence_timeout):
                return await network.transport.info(peer_id, "")
        except (TransportError, TimeoutError):
            return None
