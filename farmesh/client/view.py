"""What a client knows of its swarm, and what follows from that.

Pure: nodes, round trips and times come in, decisions go out; nothing is asked, no clock is read.
Moments are seconds of the caller's clock, which only moves forward.
"""

from __future__ import annotations

import random
from collections import deque
from dataclasses import dataclass, replace

from farmesh.config import ClientConfig
from farmesh.core import Hop, NodeInfo, NodeState, PeerId, Route, Span, SwarmSnapshot
from farmesh.errors import HopLost, HopRefused, MissingBlocks
from farmesh.hub.source import adapter_name
from farmesh.planning.pings import choose_pings
from farmesh.planning.routing import DEFAULT_RTT, RouteHints, RouteTable
from farmesh.wire.failures import CODE_EVICTED

IMPATIENT_SECONDS = 1.0  # between looks at the DHT while blocks are missing
_SMOOTHING = 0.2  # weight of the newest observation
_REFUSED_SECONDS = 1.0  # a node that was full is left alone for this long
_MAX_BAN_SECONDS = 300.0
_PINGS_KEPT = 8  # per node
_PING_LIMIT = 32  # nodes measured per look
_EMPTY_LOOKS = 3  # in a row, until a swarm that was there is taken for empty
_STEP_SECONDS = 0.1  # of a block in a decode step, and of a round trip, before any was observed
_TOKEN_SECONDS = 0.02  # of a block and a prefill token, before any was observed


@dataclass(frozen=True, slots=True)
class Ban:
    """A node is left alone."""

    until: float  # moment
    failures: int  # 0: it was only full


class SwarmView:
    """The nodes as last seen, how fast and how far they are, and which of them failed lately."""

    def __init__(self, prefix: str, num_blocks: int, config: ClientConfig) -> None:
        self.adapter = adapter_name(config.active_adapter) if config.active_adapter else None
        self.bans: dict[PeerId, Ban] = {}
        self._config = config
        self._seen = SwarmSnapshot(prefix, num_blocks)
        self._routes = RouteTable(self._seen)
        self._empty_looks = 0
        self._rtts: dict[PeerId, float] = {}
        self._pings: dict[PeerId, deque[float]] = {}
        self._silent: set[PeerId] = set()  # did not answer the last ping
        self._block_seconds: dict[PeerId, float] = {}  # per decode step and block, smoothed
        self._token_seconds: dict[PeerId, float] = {}  # per prefill token and block, smoothed

    def __repr__(self) -> str:
        seen = self._seen
        state = "COMPLETE" if seen.is_complete else "GAPS"
        return (
            f"<SwarmView {state} {seen.prefix}, {len(seen.online)} online, {len(self.bans)} bans>"
        )

    # --- the nodes ------------------------------------------------------------------------------

    @property
    def prefix(self) -> str:
        return self._seen.prefix

    @property
    def snapshot(self) -> SwarmSnapshot:
        """The swarm as last seen, with the round trips measured from here."""
        return replace(self._seen, rtts=dict(self._rtts))

    @property
    def num_online(self) -> int:
        return len(self._seen.online)

    @property
    def seconds_to_next_look(self) -> float:
        """Shorter while blocks are missing or nodes are left alone."""
        period = self._config.refresh_period
        calm = self._seen.is_complete and not self.bans
        return period if calm else min(period, IMPATIENT_SECONDS)

    def node(self, peer_id: PeerId) -> NodeInfo | None:
        return self._seen.node(peer_id)

    def see(self, nodes: tuple[NodeInfo, ...]) -> bool:
        """Take what a look at the DHT found; whether anything is new."""
        if self.adapter is not None:  # others would answer as the plain model
            nodes = tuple(node for node in nodes if self.adapter in node.adapters)
        if not nodes and self._seen.online and self._empty_looks < _EMPTY_LOOKS:
            # A busy DHT may miss all records at once; the nodes' streams tell who is really gone.
            self._empty_looks += 1
            return False
        self._empty_looks = 0
        if nodes == self._seen.nodes:
            return False
        self._pardon(nodes)
        self._seen = replace(self._seen, nodes=nodes)
        self._routes = RouteTable(self._seen)
        self._forget_gone()
        return True

    def _pardon(self, nodes: tuple[NodeInfo, ...]) -> None:
        """A node that has just come online was started again: what its predecessor did is past."""
        before = {node.peer_id for node in self._seen.online}
        for node in nodes:
            if node.state is NodeState.ONLINE and node.peer_id not in before:
                self.bans.pop(node.peer_id, None)

    def _forget_gone(self) -> None:
        """Figures of nodes that have left; in a large swarm there is no end of them."""
        present = {node.peer_id for node in self._seen.nodes}
        figures = (self._rtts, self._pings, self._block_seconds, self._token_seconds)
        for table in figures:
            for peer_id in table.keys() - present:
                del table[peer_id]
        self._silent &= present

    # --- how far ----------------------------------------------------------------------------------

    def peers_to_ping(self, rng: random.Random) -> list[PeerId]:
        """Whom to measure now; of a large swarm, only nodes where routes may begin or end."""
        online = self._seen.online
        ends = [node for node in online if {0, self._seen.num_blocks - 1} & {*node.span}]
        chosen = ends if len(online) > _PING_LIMIT else online
        return choose_pings([node.peer_id for node in chosen], self._rtts, _PING_LIMIT, rng)

    def pinged(self, peer_id: PeerId, rtt: float | None) -> None:
        """Take a round trip's seconds; None: it did not answer, and loses its figure."""
        if rtt is None:
            self._rtts.pop(peer_id, None)
            self._silent.add(peer_id)
            return
        self._silent.discard(peer_id)
        recent = self._pings.setdefault(peer_id, deque(maxlen=_PINGS_KEPT))
        recent.append(rtt)
        # The least of several is the network's part; a busy node's is in its step times.
        self._rtts[peer_id] = min(recent)

    def push_pays(self, source: PeerId, target: PeerId) -> bool:
        """Whether a hop should hand its output straight to the next one.

        A push saves the way over this client, half a round trip in and out, and takes the way
        between the hops; on one machine or in one room carrying it over the client is faster.
        """
        if not self._config.use_push:
            return False
        over_client = self._rtts.get(source, DEFAULT_RTT) + self._rtts.get(target, DEFAULT_RTT)
        node = self.node(source)
        direct = node.next_pings.get(target) if node is not None else None
        direct = over_client / 2 if direct is None else direct
        return (over_client - direct) / 2 > self._config.push_gain

    # --- how fast ---------------------------------------------------------------------------------

    def observe(self, hop: Hop, tokens: int, seconds: float, now: float) -> None:
        """Take how long a hop computed for so many tokens."""
        table, peer_id = self._speeds(tokens), hop.peer_id
        per_block = seconds / max(1, len(hop.span)) / tokens
        table[peer_id] = _smooth(table.get(peer_id), per_block)
        ban = self.bans.get(peer_id)
        if ban is not None and ban.until < now:
            del self.bans[peer_id]  # it works again

    def step_deadline(self, hop: Hop, tokens: int) -> float:
        """Seconds after which a step is slow: a multiple of what was observed, at least a floor."""
        unknown = _STEP_SECONDS if tokens == 1 else _TOKEN_SECONDS
        per_block = self._speeds(tokens).get(hop.peer_id, unknown)
        expected = per_block * len(hop.span) * tokens + self._rtts.get(hop.peer_id, _STEP_SECONDS)
        return max(self._config.step_timeout_floor, self._config.step_timeout_factor * expected)

    def _speeds(self, tokens: int) -> dict[PeerId, float]:
        return self._block_seconds if tokens == 1 else self._token_seconds

    # --- routes -----------------------------------------------------------------------------------

    def find_route(self, span: Span, tokens: int, salt: int, now: float) -> Route:
        """The best route over ``span``, around nodes that failed lately when there is a choice.

        Raises: MissingBlocks.
        """
        hints = RouteHints(
            rtts=self._rtts,
            block_seconds=self._block_seconds,
            avoid=self._avoided(now),
            tokens=tokens,
            salt=salt,
        )
        try:
            return self._find(span, hints)
        except MissingBlocks as error:
            raise MissingBlocks(error.missing, adapter=self.adapter) from None

    def _find(self, span: Span, hints: RouteHints) -> Route:
        try:
            return self._routes.find(span, hints)
        except MissingBlocks:
            if not hints.avoid:
                raise
        # Nobody else serves these blocks: perhaps the one that failed is back.
        return self._routes.find(span, replace(hints, avoid=frozenset()))

    def has_alternative(self, hop: Hop, now: float) -> bool:
        """Whether the blocks of ``hop`` could be served without its node."""
        try:
            self._routes.find(hop.span, RouteHints(avoid=self._avoided(now) | {hop.peer_id}))
        except MissingBlocks:
            return False
        return True

    def _avoided(self, now: float) -> frozenset[PeerId]:
        """Nodes that failed lately or do not answer pings."""
        return frozenset(peer for peer, ban in self.bans.items() if ban.until > now) | self._silent

    def blame(self, lost: HopLost, now: float) -> bool:
        """Leave a node alone for a while: a full one shortly, a failing one ever longer.

        Whether it was one more failure.
        """
        peer_id = lost.hop.peer_id
        ban = self.bans.get(peer_id)
        if isinstance(lost, HopRefused):
            if lost.code != CODE_EVICTED and (ban is None or ban.until < now + _REFUSED_SECONDS):
                self.bans[peer_id] = Ban(now + _REFUSED_SECONDS, 0)
            return False
        if ban is not None and ban.until > now:
            return False  # tried again only because nobody else can
        failures = ban.failures + 1 if ban else 1
        seconds = min(self._config.ban_seconds * 2 ** (failures - 1), _MAX_BAN_SECONDS)
        self.bans[peer_id] = Ban(now + seconds, failures)
        self._block_seconds.pop(peer_id, None)
        return True


def _smooth(old: float | None, new: float) -> float:
    return new if old is None else old + _SMOOTHING * (new - old)
