"""Joining a swarm and keeping an eye on it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from collections.abc import Callable, Collection

from farmesh.client.view import IMPATIENT_SECONDS, SwarmView
from farmesh.config import ClientConfig
from farmesh.core import PeerId, Route, Span, SwarmSnapshot
from farmesh.errors import (
    FarMeshError,
    HopLost,
    MissingBlocks,
    SwarmUnreachable,
    TransportError,
)
from farmesh.network.transport import Network, NetworkFactory, run_until

logger = logging.getLogger(__name__)

_RETRY_SECONDS = 0.5  # between tries of nodes that did not answer


class Lookout:
    """Joins the swarm in the background and keeps the view of it; an ``async with`` scope.

    ``network`` is there while the swarm is joined, ``join_error`` says why it has not been so far.
    """

    def __init__(
        self,
        view: SwarmView,
        join: NetworkFactory,
        config: ClientConfig,
        clock: Callable[[], float],
    ) -> None:
        self.view = view
        self.clock = clock
        self.network: Network | None = None
        self.join_error: FarMeshError | None = None
        self._join = join
        self._config = config
        self._random = random.Random()
        self._changed = asyncio.Event()
        self._look_now = asyncio.Event()
        self._keeper: asyncio.Task[None] | None = None

    def __repr__(self) -> str:
        return f"<Lookout {'JOINED' if self.joined else 'JOINING'} {self.view!r}>"

    @property
    def joined(self) -> bool:
        """Whether a bootstrap peer has answered."""
        return self.network is not None

    async def __aenter__(self) -> Lookout:
        self._keeper = asyncio.create_task(self._keep_joined(), name="farmesh-client")
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._keeper is not None:
            self._keeper.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._keeper

    # --- for sessions ---------------------------------------------------------------------------

    def find_route(self, span: Span, tokens: int, salt: int) -> Route:
        """The view's best route now.

        Raises: MissingBlocks.
        """
        if not self.joined:
            raise MissingBlocks(span, ": the swarm has not been joined yet")
        return self.view.find_route(span, tokens, salt, self.clock())

    def report(self, lost: HopLost) -> None:
        """Leave a node alone for a while, and look who else is there."""
        if self.view.blame(lost, self.clock()):
            self._look_now.set()
            logger.info("%s", lost)

    async def wait_for_news(self) -> None:
        """Wait until the swarm changes, or a short while; asks for a look at the DHT."""
        self._look_now.set()
        changed = self._changed
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_RETRY_SECONDS):
                await changed.wait()

    # --- looking --------------------------------------------------------------------------------

    async def look(self) -> None:
        """Look at the DHT now.

        Raises: SwarmUnreachable when the swarm was not joined or does not answer.
        """
        if self.network is None:
            raise self.join_error or SwarmUnreachable("The swarm has not been joined yet.")
        directory = self.network.directory
        seen = self.view.snapshot
        try:
            nodes = await directory.lookup(seen.prefix, seen.num_blocks)
        except (TimeoutError, OSError) as error:
            raise SwarmUnreachable("The swarm's DHT does not answer.") from error
        if not nodes:  # perhaps this peer is known to nobody: its bootstrap peers were away
            with contextlib.suppress(TimeoutError, OSError):
                await directory.rejoin()
        if self.view.see(nodes):
            self._news()

    async def look_for(self, prefixes: Collection[str]) -> tuple[SwarmSnapshot, ...]:
        """Who serves those of other models that are listed in the swarm.

        Raises: SwarmUnreachable.
        """
        if self.network is None:
            raise self.join_error or SwarmUnreachable("The swarm has not been joined yet.")
        directory = self.network.directory
        try:
            listed = {
                prefix: blocks
                for prefix, blocks in (await directory.models()).items()
                if prefix in prefixes
            }
            found = await asyncio.gather(*(directory.lookup(*model) for model in listed.items()))
        except (TimeoutError, OSError) as error:
            raise SwarmUnreachable("The swarm's DHT does not answer.") from error
        return tuple(
            SwarmSnapshot(prefix, blocks, nodes)
            for (prefix, blocks), nodes in zip(listed.items(), found, strict=True)
        )

    def _news(self) -> None:
        """Wake everybody who waits for a change."""
        self._changed.set()
        self._changed = asyncio.Event()

    async def _keep_joined(self) -> None:
        """Join, then look at the DHT for ever; start over when joining fails."""
        while True:
            try:
                async with self._join() as network:
                    self.network, self.join_error = network, None
                    self._news()
                    await run_until(self._keep_looking(), network.whereabouts.lost)
                    logger.warning("The connection to the swarm was lost; joining again.")
            except SwarmUnreachable as error:
                await self._could_not_join(error)
            except FarMeshError as error:  # a setting that no retry mends
                self.join_error = error
                self._news()
                logger.error("%s", error)
                return
            except Exception as error:  # a bug or the daemon: sessions wait, they are not stranded
                logger.exception("The swarm was left by an unexpected error; joining again")
                await self._could_not_join(SwarmUnreachable(f"Joining the swarm failed: {error}"))
            finally:
                self.network = None

    async def _could_not_join(self, error: SwarmUnreachable) -> None:
        self.join_error = error
        self._news()
        await asyncio.sleep(IMPATIENT_SECONDS)  # a wrong clock is noticed at once

    async def _keep_looking(self) -> None:
        while True:
            try:
                await self.look()
                await self._measure()
            except SwarmUnreachable as error:
                logger.info("%s", error)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self.view.seconds_to_next_look):
                    await self._look_now.wait()
            self._look_now.clear()

    async def _measure(self) -> None:
        """Round trips to the nodes that count."""
        if self.network is not None:
            pings = (
                self._ping(self.network, peer) for peer in self.view.peers_to_ping(self._random)
            )
            await asyncio.gather(*pings)

    async def _ping(self, network: Network, peer_id: PeerId) -> None:
        rtt: float | None = None
        with contextlib.suppress(TransportError, TimeoutError):
            async with asyncio.timeout(self._config.silence_timeout):
                rtt = await network.transport.ping(peer_id)
        self.view.pinged(peer_id, rtt)
