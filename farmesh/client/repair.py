"""Finding hops for a session: at first, and again for those that are lost."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable

from farmesh.client.dialling import Dialler
from farmesh.client.hops import Hops
from farmesh.client.link import HopLink
from farmesh.client.lookout import Lookout
from farmesh.core import Span
from farmesh.errors import (
    HopCorrupt,
    HopLost,
    HopRefused,
    HopSilent,
    MissingBlocks,
    RemoteError,
    RetriesExhausted,
    SwarmBusy,
    SwarmUnreachable,
)
from farmesh.events import Event, Rerouted, RouteFound, WaitingForBlocks, WaitingForCache
from farmesh.wire.failures import CODE_BUSY, CODE_INVALID

Tell = Callable[[Event], Awaitable[None]]

_QUIET_SECONDS = 1.0  # of waiting for nodes before anybody is told


class Repair:
    """Opens the hops of one session and replaces those that are lost, within limits.

    A fresh hop holds nothing yet: what brings hops forward refills it.
    """

    def __init__(self, lookout: Lookout, dialler: Dialler, hops: Hops, tell: Tell) -> None:
        self.reroutes = 0  # in this reply
        self._lookout = lookout
        self._dialler = dialler
        self._config = dialler.config
        self._hops = hops
        self._tell = tell
        self._salt = random.getrandbits(32)
        self._losses = 0  # hops lost since the last token
        self._full_since: float | None = None  # when a node refused for lack of cache, since then

    def __repr__(self) -> str:
        state = "SOUND" if not self._losses else f"{self._losses} LOST IN A ROW"
        return f"<Repair {state}, {self.reroutes} reroutes>"

    def begin_reply(self) -> None:
        self.reroutes = 0
        self.token_came()

    def token_came(self) -> None:
        """All hops work: what was lost before counts no more."""
        self._losses, self._full_since = 0, None

    async def open_all(self, span: Span, tokens: int) -> None:
        """The first route, over all blocks.

        Raises: MissingBlocks, SwarmBusy, SwarmUnreachable.
        """
        self._hops.links = await self._open_span(span, tokens)
        await self._tell(RouteFound(self._hops.route))

    async def replace(self, lost: HopLost, tokens: int) -> None:
        """Re-attach to the lost hop when only its stream dropped, else route around it.

        Args:
            tokens: of context that the new hops will have to hold.

        Raises:
            RetriesExhausted: too many hops were lost since the last token.
            MissingBlocks, SwarmBusy, SwarmUnreachable: nobody came up in time.
        """
        hops = self._hops
        hops.let_go()
        if is_full(lost):
            await self._wait_for_cache(lost)
        else:
            self._losses += 1
        if self._losses > self._config.max_reroutes:
            raise RetriesExhausted(
                f"The reply was given up after {self._losses} lost nodes in a row. {lost}"
            ) from lost
        index = next(i for i, link in enumerate(hops.links) if link.hop == lost.hop)
        if await self._reattach(hops.links[index], lost):
            return
        self._lookout.report(lost)
        hops.links[index].abort()
        replacement = await self._open_span(lost.hop.span, tokens)
        hops.links[index : index + 1] = replacement
        if [link.hop for link in replacement] == [lost.hop] and isinstance(lost, HopRefused):
            # Its cache had gone to somebody else while this session was idle: nothing was lost.
            await self._tell(RouteFound(hops.route))
            return
        self.reroutes += 1
        await self._tell(Rerouted(lost.hop, lost.reason, hops.route))

    async def _wait_for_cache(self, lost: HopLost) -> None:
        """A full node is not a lost one: wait for it, or go elsewhere, within a time of its own.

        Raises: SwarmBusy.
        """
        lookout, now = self._lookout, self._lookout.clock()
        self._full_since = self._full_since or now
        left = self._full_since + self._config.missing_blocks_timeout - now
        if left <= 0:
            raise self._giving_up(lost) from lost
        await self._tell(WaitingForCache(lost.hop.peer_id, left))
        if not lookout.view.has_alternative(lost.hop, lookout.clock()):
            await lookout.wait_for_news()

    async def _reattach(self, link: HopLink, lost: HopLost) -> bool:
        """Whether the hop still holds the session and takes a new stream for it."""
        if not link.has("resume") or not may_hold_on(lost, self._losses):
            return False
        try:
            await self._dialler.open(link, resume=True)
        except HopLost:
            return False
        return True

    async def _open_span(self, span: Span, tokens: int) -> list[HopLink]:
        """Open links over ``span``; wait, within limits, for nodes that are missing or full.

        Raises:
            MissingBlocks, SwarmBusy, SwarmUnreachable: nothing came up in time.
        """
        lookout = self._lookout
        started = lookout.clock()
        deadline = started + self._config.missing_blocks_timeout
        failure: MissingBlocks | HopLost
        while True:
            try:
                return await self._hops.open(lookout.find_route(span, tokens, self._salt))
            except MissingBlocks as error:
                failure = error
            except HopLost as lost:
                lookout.report(lost)
                failure = lost
            event = waiting_for(failure, deadline - lookout.clock())
            if lookout.clock() > deadline:
                raise self._giving_up(failure) from failure
            if lookout.clock() - started > _QUIET_SECONDS:
                await self._tell(event)
            await lookout.wait_for_news()

    def _giving_up(self, failure: MissingBlocks | HopLost) -> Exception:
        if not self._lookout.joined:
            return self._lookout.join_error or SwarmUnreachable(
                "The swarm could not be joined: no bootstrap peer answers."
            )
        return giving_up(failure)


def is_full(failure: Exception) -> bool:
    return isinstance(failure, HopRefused) and failure.code == CODE_BUSY


def may_hold_on(lost: HopLost, losses: int) -> bool:
    """Whether a lost hop may still hold the session, so that a new stream is worth a try.

    Args:
        losses: hops lost since the last token, this one included.
    """
    if isinstance(lost, HopRefused | HopSilent | HopCorrupt):
        return False
    cause = lost.__cause__
    if isinstance(cause, RemoteError):  # it ended the session itself ...
        return cause.code == CODE_INVALID and losses <= 1  # ... and would again
    return True


def waiting_for(failure: MissingBlocks | HopLost, seconds: float) -> Event:
    """What a person is told while a session waits."""
    if isinstance(failure, MissingBlocks):
        return WaitingForBlocks(failure.missing, seconds)
    if is_full(failure):
        return WaitingForCache(failure.hop.peer_id, seconds)
    return WaitingForBlocks(failure.hop.span, seconds)


def giving_up(failure: MissingBlocks | HopLost) -> Exception:
    """The end of a reply in a swarm that is joined."""
    if isinstance(failure, MissingBlocks):
        return failure
    if is_full(failure):
        return SwarmBusy("All nodes are full at the moment; please try again in a while.")
    return MissingBlocks(failure.hop.span, f" at present ({failure.reason})")
