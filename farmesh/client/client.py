"""FarMeshClient: joins a swarm, knows its nodes, opens inference sessions."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import time
from collections import deque
from collections.abc import AsyncGenerator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from types import TracebackType
from typing import TYPE_CHECKING, Any

import torch
from transformers import PreTrainedConfig

from farmesh.checkpoint.reader import Checkpoint
from farmesh.client.head import HeadBatcher, NextToken
from farmesh.client.link import HopLink
from farmesh.client.sampling import SamplingRow
from farmesh.client.session import InferenceSession
from farmesh.client.stem import Stem, stem_prefixes
from farmesh.config import ClientConfig
from farmesh.core import Hop, NodeInfo, NodeState, PeerId, Route, Span, SwarmSnapshot
from farmesh.errors import (
    FarMeshError,
    HopLost,
    HopRefused,
    MissingBlocks,
    RemoteError,
    StreamBroken,
    SwarmUnreachable,
    TransportError,
)
from farmesh.hub.progress import Progress
from farmesh.hub.source import adapter_name
from farmesh.network.libp2p import libp2p_network
from farmesh.network.transport import Network, NetworkFactory, run_until
from farmesh.planning.pings import choose_pings
from farmesh.planning.routing import DEFAULT_RTT, RouteHints, RouteTable
from farmesh.wire.failures import CODE_EVICTED, length_limit
from farmesh.wire.messages import Step, StepReply, tokens_per_message
from farmesh.wire.metadata import StepMetadata

if TYPE_CHECKING:
    from farmesh.client.patience import Patience
    from farmesh.planning.chunks import Chunk

logger = logging.getLogger(__name__)

_SMOOTHING = 0.2  # weight of the newest observation
_IMPATIENT_SECONDS = 1.0  # between looks at the DHT while blocks are missing
_RETRY_SECONDS = 0.5  # between tries of nodes that did not answer
_REFUSED_SECONDS = 1.0  # a node that was full is left alone for this long
_OPEN_TRIES = 3  # of a stream that drops while it is opened
_MAX_BAN_SECONDS = 300.0
_PINGS_KEPT = 8  # per node
_PUSH_SECONDS = 0.005  # a push must save this much: it costs both nodes more work than a reply
_EMPTY_LOOKS = 3  # in a row, until a swarm that was there is taken for empty
_PING_LIMIT = 32  # nodes measured per look
_RANDOM = random.Random()
_DIRECT_EMBED = 16  # tokens; more are embedded in the worker thread


@dataclass(slots=True)
class _Ban:
    until: float  # monotonic seconds
    failures: int


class FarMeshClient:
    """A client of one model's swarm; an ``async with`` scope.

    Entering loads the client's part of the checkpoint and returns; the swarm is joined in the
    background, and sessions wait for it.

    Raises on entry:
        CheckpointError: the checkpoint cannot be used.
        ConfigError: an address cannot be parsed.
    """

    def __init__(
        self,
        config: ClientConfig,
        *,
        network: NetworkFactory | None = None,
        progress: Progress | None = None,
    ) -> None:
        """
        Args:
            progress: told, in another thread, how many bytes of how many have come from the hub.
        """
        self.config = config
        self._progress = progress
        self._adapter = adapter_name(config.active_adapter) if config.active_adapter else None
        self._join = network or libp2p_network(
            connect_timeout=config.connect_timeout,
            initial_peers=config.initial_peers,
            client_mode=True,
        )
        self._checkpoint = Checkpoint(
            config.checkpoint,
            revision=config.revision,
            cache_dir=config.cache_dir,
            token=config.hf_token,
        )
        self.prefix = config.dht_prefix or self._checkpoint.default_prefix
        self._snapshot = SwarmSnapshot(self.prefix, self._checkpoint.num_blocks)
        self._routes = RouteTable(self._snapshot)
        self._changed = asyncio.Event()
        self._network: Network | None = None
        self._joined = asyncio.Event()
        self._join_error: FarMeshError | None = None
        self._look_now = asyncio.Event()
        self._keeper: asyncio.Task[None] | None = None
        self._rtts: dict[PeerId, float] = {}
        self._pings: dict[PeerId, deque[float]] = {}
        self._empty_looks = 0
        self._silent: set[PeerId] = set()  # did not answer the last ping
        self._rewinds: dict[tuple[PeerId, str | None], bool] = {}  # by peer and its version
        self._bans: dict[PeerId, _Ban] = {}
        self._block_seconds: dict[PeerId, float] = {}  # per decode step and block, smoothed
        self._token_seconds: dict[PeerId, float] = {}  # per prefill token and block, smoothed
        self._executor = ThreadPoolExecutor(
            1, "farmesh-stem", initializer=torch.set_num_threads, initargs=(config.threads,)
        )
        self._loaded: tuple[Stem, HeadBatcher] | None = None

    def __repr__(self) -> str:
        state = "JOINED" if self._joined.is_set() else "JOINING"
        return f"<FarMeshClient {state} {self.prefix}, {len(self._snapshot.online)} nodes online>"

    # --- facts ----------------------------------------------------------------------------------

    @property
    def num_blocks(self) -> int:
        return self._checkpoint.num_blocks

    @property
    def hidden_size(self) -> int:
        return self._checkpoint.hidden_size

    @property
    def max_context(self) -> int:
        """Tokens that a session can hold: the model's context, within the configured limit."""
        return min(self._checkpoint.max_context, self.config.max_session_tokens)

    @property
    def model_config(self) -> PreTrainedConfig:
        """The checkpoint's config, as transformers reads it."""
        return self._checkpoint.config

    @property
    def eos_token_ids(self) -> frozenset[int]:
        return self._checkpoint.eos_token_ids

    @property
    def chunk_tokens(self) -> int:
        """Tokens of one prefill message: it must fit where pushes go."""
        return tokens_per_message(self.hidden_size, torch.float32, self.config.prefill_chunk)

    @property
    def joined(self) -> bool:
        """Whether a bootstrap peer has answered."""
        return self._joined.is_set()

    @property
    def join_error(self) -> FarMeshError | None:
        """Why joining has not succeeded so far."""
        return self._join_error

    @property
    def snapshot(self) -> SwarmSnapshot:
        """The swarm as last seen, with the round trips measured from here."""
        return replace(self._snapshot, rtts=dict(self._rtts))

    # --- lifetime -------------------------------------------------------------------------------

    async def __aenter__(self) -> FarMeshClient:
        loop = asyncio.get_running_loop()
        stem = await loop.run_in_executor(self._executor, self._load)
        self._loaded = stem, HeadBatcher(stem, self._executor)
        self._keeper = asyncio.create_task(self._keep_joined(), name="farmesh-client")
        return self

    def _load(self) -> Stem:
        """The client's part of the checkpoint, fetched first if it is not here."""
        self._checkpoint.fetch(stem_prefixes(self._checkpoint), self._progress)
        _ = self._checkpoint.eos_token_ids  # read from a file, that may have to come: not later
        return Stem(self._checkpoint)

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._keeper is not None:
            self._keeper.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._keeper
        self._executor.shutdown(wait=True)

    def session(self, max_length: int | None = None) -> InferenceSession:
        """A new inference session; its hops are opened by its first reply."""
        return InferenceSession(self, min(max_length or self.max_context, self.max_context))

    # --- the swarm ------------------------------------------------------------------------------

    async def watch(self) -> AsyncGenerator[SwarmSnapshot, None]:
        """The snapshot now, and again whenever it changes."""
        while True:
            yield self.snapshot
            await self._changed.wait()

    async def refresh(self) -> SwarmSnapshot:
        """Look at the DHT now.

        Raises: SwarmUnreachable when the swarm was not joined or does not answer.
        """
        if self._network is None:
            raise self._join_error or SwarmUnreachable("The swarm has not been joined yet.")
        try:
            nodes = await self._network.directory.lookup(self.prefix, self.num_blocks)
        except (TimeoutError, OSError) as error:
            raise SwarmUnreachable("The swarm's DHT does not answer.") from error
        if not nodes:  # perhaps this peer is known to nobody: its bootstrap peers were away
            with contextlib.suppress(TimeoutError, OSError):
                await self._network.directory.rejoin()
        if self._adapter is not None:  # others would answer as the plain model
            nodes = tuple(node for node in nodes if self._adapter in node.adapters)
        if not nodes and self._snapshot.online and self._empty_looks < _EMPTY_LOOKS:
            # A busy DHT may miss all records at once; the nodes' streams tell who is really gone.
            self._empty_looks += 1
            return self.snapshot
        self._empty_looks = 0
        if nodes != self._snapshot.nodes:
            self._pardon(nodes)
            self._snapshot = replace(self._snapshot, nodes=nodes)
            self._routes = RouteTable(self._snapshot)
            self._forget_gone()
            self._news()
        return self.snapshot

    def _forget_gone(self) -> None:
        """Figures of nodes that have left; in a large swarm there is no end of them."""
        present = {node.peer_id for node in self._snapshot.nodes}
        figures = (self._rtts, self._pings, self._block_seconds, self._token_seconds)
        for table in figures:
            for peer_id in table.keys() - present:
                del table[peer_id]
        self._silent &= present

    def _pardon(self, nodes: tuple[NodeInfo, ...]) -> None:
        """A node that has just come online was started again: what its predecessor did is past."""
        before = {node.peer_id for node in self._snapshot.online}
        for node in nodes:
            if node.state is NodeState.ONLINE and node.peer_id not in before:
                self._bans.pop(node.peer_id, None)

    def _news(self) -> None:
        """Wake everybody who waits for a change."""
        self._changed.set()
        self._changed = asyncio.Event()

    async def _keep_joined(self) -> None:
        """Join, then look at the DHT for ever; start over when joining fails."""
        while True:
            try:
                async with self._join() as network:
                    self._network, self._join_error = network, None
                    self._joined.set()
                    self._news()
                    await run_until(self._keep_looking(), network.whereabouts.lost)
                    logger.warning("The connection to the swarm was lost; joining again.")
            except SwarmUnreachable as error:
                self._join_error = error
                self._news()
                await asyncio.sleep(_IMPATIENT_SECONDS)  # a wrong clock is noticed at once
            except FarMeshError as error:  # a setting that no retry mends
                self._join_error = error
                self._news()
                logger.error("%s", error)
                return
            except Exception as error:  # a bug or the daemon: sessions wait, they are not stranded
                logger.exception("The swarm was left by an unexpected error; joining again")
                self._join_error = SwarmUnreachable(f"Joining the swarm failed: {error}")
                self._news()
                await asyncio.sleep(_IMPATIENT_SECONDS)
            finally:
                self._network = None
                self._joined.clear()

    async def _keep_looking(self) -> None:
        while True:
            try:
                await self.refresh()
                await self._measure()
            except SwarmUnreachable as error:
                logger.info("%s", error)
            period = self.config.refresh_period
            if not self._snapshot.is_complete or self._bans:
                period = min(period, _IMPATIENT_SECONDS)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(period):
                    await self._look_now.wait()
            self._look_now.clear()

    async def _measure(self) -> None:
        """Round trips to the nodes, smoothed; those that do not answer lose their figure.

        Of a large swarm, only to nodes where routes may begin or end: no others' count.
        """
        online = self._snapshot.online
        ends = [node for node in online if {0, self.num_blocks - 1} & {*node.span}]
        chosen = ends if len(online) > _PING_LIMIT else online
        peers = choose_pings([node.peer_id for node in chosen], self._rtts, _PING_LIMIT, _RANDOM)
        await asyncio.gather(*map(self._ping, peers))

    async def _ping(self, peer_id: PeerId) -> None:
        if self._network is None:
            return
        try:
            async with asyncio.timeout(self.config.silence_timeout):
                rtt = await self._network.transport.ping(peer_id)
        except (TransportError, TimeoutError):
            self._rtts.pop(peer_id, None)
            self._silent.add(peer_id)
        else:
            self._silent.discard(peer_id)
            recent = self._pings.setdefault(peer_id, deque(maxlen=_PINGS_KEPT))
            recent.append(rtt)
            # The least of several is the network's part; a busy node's is in its step times.
            self._rtts[peer_id] = min(recent)

    # --- routes (for sessions) ------------------------------------------------------------------

    async def find_route(self, span: Span, tokens: int, salt: int) -> Route:
        """The best route over ``span``, around nodes that failed lately when there is a choice.

        Raises: MissingBlocks, SwarmUnreachable.
        """
        if not self._joined.is_set():
            raise MissingBlocks(span, ": the swarm has not been joined yet")
        try:
            return self._find_route(span, tokens, salt)
        except MissingBlocks as error:
            raise MissingBlocks(error.missing, adapter=self._adapter) from None

    def _find_route(self, span: Span, tokens: int, salt: int) -> Route:
        hints = RouteHints(
            rtts=self._rtts,
            block_seconds=self._block_seconds,
            avoid=self._avoided(),
            tokens=tokens,
            salt=salt,
        )
        try:
            return self._routes.find(span, hints)
        except MissingBlocks:
            if not hints.avoid:
                raise
        # Nobody else serves these blocks: perhaps the one that failed is back.
        return self._routes.find(span, replace(hints, avoid=frozenset()))

    def has_alternative(self, hop: Hop) -> bool:
        """Whether the blocks of ``hop`` could be served without its node."""
        try:
            avoid = self._avoided() | {hop.peer_id}
            self._routes.find(hop.span, RouteHints(avoid=avoid))
        except MissingBlocks:
            return False
        return True

    async def wait_for_news(self) -> None:
        """Wait until the swarm changes, or a short while; asks for a look at the DHT."""
        self._look_now.set()
        changed = self._changed
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_RETRY_SECONDS):
                await changed.wait()

    def report(self, lost: HopLost) -> None:
        """Leave a node alone for a while; a full one shortly, a failing one ever longer."""
        peer_id, now = lost.hop.peer_id, time.monotonic()
        ban = self._bans.get(peer_id)
        if isinstance(lost, HopRefused):
            if lost.code != CODE_EVICTED and (ban is None or ban.until < now + _REFUSED_SECONDS):
                self._bans[peer_id] = _Ban(now + _REFUSED_SECONDS, 0)
            return
        if ban is not None and ban.until > now:
            return  # tried again only because nobody else can: not one more failure
        failures = ban.failures + 1 if ban else 1
        seconds = min(self.config.ban_seconds * 2 ** (failures - 1), _MAX_BAN_SECONDS)
        self._bans[peer_id] = _Ban(now + seconds, failures)
        self._block_seconds.pop(peer_id, None)
        self._look_now.set()
        logger.info("%s", lost)

    def _avoided(self) -> frozenset[PeerId]:
        """Nodes that failed lately or do not answer pings."""
        now = time.monotonic()
        return frozenset(peer for peer, ban in self._bans.items() if ban.until > now) | self._silent

    # --- hops (for sessions) --------------------------------------------------------------------

    def make_link(self, hop: Hop, max_length: int) -> HopLink:
        node = self._snapshot.node(hop.peer_id)
        extensions = node.extensions if node is not None else frozenset()
        return HopLink(hop, extensions, self.prefix, max_length, self._adapter)

    async def open_link(self, link: HopLink, *, resume: bool = False) -> None:
        """Raises: HopLost."""
        if self._network is None:
            raise HopLost(link.hop, "the swarm was left")
        for tries_left in reversed(range(_OPEN_TRIES)):
            try:
                await link.open(
                    self._network.transport,
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

    async def can_rewind(self, hop: Hop) -> bool:
        """Whether a node honours ``start_from_position``.

        Petals 2.2 ignores it without a word and would compute on top of the old tokens; Petals 2.3
        honours it, and their version numbers do not tell. So nodes of other engines are asked, once
        each: a session for a single token takes a second one only if it was rewound in between.
        """
        node = self._snapshot.node(hop.peer_id)
        if node is not None and "epoch" in node.extensions:
            return True
        key = hop.peer_id, node.version if node is not None else None
        if key not in self._rewinds:
            probe = self.make_link(hop, max_length=1)
            try:
                await self.open_link(probe)
                for step_id in ("once", "again"):
                    await self._probe(probe, step_id)
                self._rewinds[key] = True
            except (HopLost, TimeoutError) as error:
                if not isinstance(error.__cause__, RemoteError):
                    return False  # no answer is no knowledge; a session opened anew is always right
                self._rewinds[key] = False
            finally:
                probe.abort()
            logger.info("…%s %s", hop.peer_id[-4:], f"can rewind: {self._rewinds[key]}")
        return self._rewinds[key]

    async def _probe(self, link: HopLink, step_id: str) -> None:
        """Raises: HopLost, TimeoutError."""
        metadata = StepMetadata(session_id=link.session_id, step_id=step_id, start_from_position=0)
        async with asyncio.timeout(self.config.connect_timeout):
            reply = link.expect(step_id)
            await link.send(Step(torch.zeros(1, 1, self.hidden_size), metadata))
            await reply

    def should_push(self, before: HopLink, after: HopLink) -> bool:
        """Whether a hop should hand its output straight to the next one.

        A push saves the way over this client, half a round trip in and out, and takes the way
        between the hops; on one machine or in one room carrying it over the client is faster.
        """
        if not (self.config.use_push and before.has("push_ack") and after.has("push_ack")):
            return False
        source, target = before.hop.peer_id, after.hop.peer_id
        over_client = self._rtts.get(source, DEFAULT_RTT) + self._rtts.get(target, DEFAULT_RTT)
        node = self._snapshot.node(source)
        direct = node.next_pings.get(target) if node is not None else None
        direct = over_client / 2 if direct is None else direct
        return (over_client - direct) / 2 > _PUSH_SECONDS

    async def ask(self, peer_id: PeerId) -> Mapping[str, Any] | None:
        """What a node's engine (not just its daemon) says of itself; None when it is silent."""
        if self._network is None:
            return None
        try:
            async with asyncio.timeout(self.config.silence_timeout):
                return await self._network.transport.info(peer_id, "")
        except (TransportError, TimeoutError):
            return None

    def observe(self, link: HopLink, reply: StepReply, chunk: Chunk, patience: Patience) -> None:
        """Learn from a reply how fast a hop is."""
        tokens = chunk.end - chunk.start
        seconds = reply.compute_seconds
        if seconds is None:
            seconds = time.monotonic() - patience.started
        per_block = seconds / max(1, len(link.hop.span)) / tokens
        table = self._block_seconds if tokens == 1 else self._token_seconds
        table[link.hop.peer_id] = _smooth(table.get(link.hop.peer_id), per_block)
        ban = self._bans.get(link.hop.peer_id)
        if ban is not None and ban.until < time.monotonic():
            del self._bans[link.hop.peer_id]  # it works again

    def step_deadline(self, link: HopLink, tokens: int) -> float:
        """Seconds after which a step is slow: a multiple of what was observed, at least a floor."""
        peer_id, blocks = link.hop.peer_id, len(link.hop.span)
        table = self._block_seconds if tokens == 1 else self._token_seconds
        expected = table.get(peer_id, 0.1 if tokens == 1 else 0.02) * blocks * tokens
        expected += self._rtts.get(peer_id, 0.1)
        return max(self.config.step_timeout_floor, self.config.step_timeout_factor * expected)

    # --- arithmetic (for sessions) --------------------------------------------------------------

    async def embed(self, token_ids: Sequence[int]) -> torch.Tensor:
        """``[1, tokens, hidden]``"""
        stem, _ = self._parts
        if len(token_ids) <= _DIRECT_EMBED:
            return stem.embed(token_ids)
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._executor, stem.embed, token_ids)

    async def next_token(self, hidden_states: torch.Tensor, row: SamplingRow) -> NextToken:
        """Sample after the last position's ``[hidden]``, together with all other sessions."""
        _, head = self._parts
        return await head.next_token(hidden_states, row)

    @property
    def _parts(self) -> tuple[Stem, HeadBatcher]:
        if self._loaded is None:
            raise FarMeshError("The client is used outside its scope (async with FarMeshClient).")
        return self._loaded


def _smooth(old: float | None, new: float) -> float:
    return new if old is None else old + _SMOOTHING * (new - old)
