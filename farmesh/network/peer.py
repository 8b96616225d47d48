"""One peer's life in the swarm: its daemon, its DHT node, its clock, its relays."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import re
import time
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from hivemind.dht import DHTNode
from hivemind.dht.protocol import ValidationError
from hivemind.p2p import P2P, P2PDaemonError, PeerID
from hivemind.proto import dht_pb2
from hivemind.utils import get_dht_time
from hivemind.utils.timed_storage import MAX_DHT_TIME_DISCREPANCY_SECONDS

from farmesh.config import BootstrapConfig, Relay
from farmesh.core import PeerId
from farmesh.errors import ClockSkew, ConfigError, PeerUnreachable, RemoteError, SwarmUnreachable
from farmesh.network.addresses import (
    check_address,
    check_identity,
    check_port_is_free,
    is_loopback,
    peer_id_of,
)
from farmesh.network.bounds import BoundedRecords
from farmesh.network.failures import peer_errors, quiet
from farmesh.network.reachability import RPC_CHECK, ReachabilityCheck

logger = logging.getLogger(__name__)

_PROBE_SECONDS = 3.0
_CLOCK_LOOK_SECONDS = 60.0
_CLOCK_WARNING_SECONDS = 1.0
_RELAY_LOOK_SECONDS = 2.0
_RELAY_LOST_SECONDS = 60.0
# What others may leave in this peer's part of the DHT; nodes of a large swarm need a tenth of it.
_STORED_KEYS = 100_000
_CACHED_RECORDS = 10_000


@dataclass(frozen=True, slots=True)
class Probe:
    """What a ping tells of another peer."""

    rtt: float  # seconds
    clock_ahead: float | None  # seconds that this machine's clock is ahead of the peer's


# --- One peer ---------------------------------------------------------------------------------


class Peer:
    """One libp2p identity with its DHT node; an ``async with`` scope.

    Raises on entry:
        ConfigError: an address cannot be parsed, or the port is in use.
        SwarmUnreachable: no bootstrap peer answered within ``join_timeout``.
    """

    def __init__(
        self,
        *,
        initial_peers: tuple[str, ...] = (),
        host: str = "127.0.0.1",
        port: int = 0,
        announce: tuple[str, ...] = (),
        identity_path: Path | None = None,
        client_mode: bool = False,
        relay: Relay = Relay.NEVER,
        join_timeout: float = 30.0,
    ) -> None:
        if relay is Relay.ALWAYS and not initial_peers:
            raise ConfigError(
                "Only a peer that joins others (--peers) can be reached through them."
            )
        self.initial_peers = initial_peers
        self._host = host
        self._port = port
        # The daemon adds this peer's id by itself.
        self._announce = tuple(re.sub(r"/p2p/\w+/?$", "", address) for address in announce)
        self._identity_path = identity_path
        self._client_mode = client_mode
        self._relay = relay
        self._join_timeout = join_timeout
        self.p2p: P2P = None
        self.dht: DHTNode = None
        self.addresses: tuple[str, ...] = ()
        self.lost = asyncio.Event()  # the daemon ended by itself: nothing can be reached any more
        self.relayed = asyncio.Event()  # others get here through a relay
        self.cut_off = asyncio.Event()  # no relay takes this peer in any more: join anew
        self._watches: list[asyncio.Task[None]] = []

    def __repr__(self) -> str:
        state = "OPEN" if self.p2p is not None else "CLOSED"
        return f"<Peer {state} {self.addresses[0] if self.addresses else ''}>"

    @property
    def peer_id(self) -> PeerId:
        return str(self.p2p.peer_id.to_base58())

    async def __aenter__(self) -> Peer:
        for address in (*self.initial_peers, *self._announce):
            check_address(address, needs_peer=address in self.initial_peers)
        if self._identity_path is not None:
            check_identity(self._identity_path)
        if self._port and not self._client_mode:
            check_port_is_free(self._host, self._port)
        deadline = time.monotonic() + self._join_timeout
        delay = 0.2
        while True:
            try:
                await self._start()
                return self
            except ClockSkew:  # no retry mends it
                await self.close()
                raise
            except (P2PDaemonError, RuntimeError, ValidationError) as error:
                await self.close()
                if not self.initial_peers:
                    raise ConfigError(f"The p2p daemon did not start: {error}") from error
                if time.monotonic() + delay > deadline:
                    raise SwarmUnreachable(
                        f"No bootstrap peer answered within {self._join_timeout:.0f} seconds. "
                        "Check the address, and that the bootstrap peer is running."
                    ) from error
            await asyncio.sleep(delay)
            delay = min(2.0, delay * 1.6)

    async def _start(self) -> None:
        family = "ip6" if ":" in self._host else "ip4"
        self.p2p = await P2P.create(
            initial_peers=list(self.initial_peers) or None,
            host_maddrs=[f"/{family}/{self._host}/tcp/{self._port}"],
            announce_maddrs=list(self._announce) or None,
            identity_path=str(self._identity_path) if self._identity_path else None,
            dht_mode="client" if self._client_mode or self._relay is Relay.ALWAYS else "server",
            nat_port_map=False,
            check_if_identity_free=False,
            **self._reachability(),
        )
        records = BoundedRecords()
        try:
            self.dht = await DHTNode.create(
                p2p=self.p2p,
                initial_peers=list(self.initial_peers) or None,
                client_mode=self._client_mode or self._relay is Relay.ALWAYS,
                # A node that just left is forgotten by its neighbours after one failed call.
                blacklist_time=2.0,
                num_workers=8,
                cache_size=_CACHED_RECORDS,
                record_validator=records,
            )
        except ValidationError:  # the swarm did not let this peer in; nearly always for its clock
            await self._check_clock()
            raise
        records.protect(self.dht.protocol)
        self.dht.protocol.storage.maxsize = _STORED_KEYS
        watches = [self._watch_daemon(self.p2p)]
        if self._reachability().get("use_auto_relay"):
            watches.append(self._watch_relays(self.p2p))
        if self.initial_peers:
            watches.append(self._watch_clock(self.p2p))
        self._watches = [asyncio.create_task(watch, name="farmesh-p2pd") for watch in watches]
        await self._learn_addresses(self.p2p)
        if not (self._client_mode or self._relay is Relay.ALWAYS):
            check = ReachabilityCheck(lambda: (*self.addresses, *self.initial_peers))
            await self.p2p.add_protobuf_handler(RPC_CHECK, quiet(check.answer), dht_pb2.PingRequest)

    async def _learn_addresses(self, p2p: P2P) -> None:
        maddrs = await p2p.get_visible_maddrs(latest=True)
        # Where others get in comes first: behind a router that is the way through a relay.
        self.addresses = tuple(sorted(map(str, maddrs), key=lambda a: "/p2p-circuit" not in a))
        relayed = any("/p2p-circuit" in address for address in self.addresses)
        (self.relayed.set if relayed else self.relayed.clear)()

    async def _check_clock(self) -> None:
        """Raises: ClockSkew."""
        for ahead in await measure_clocks(self.p2p, self.initial_peers):
            if abs(ahead) > MAX_DHT_TIME_DISCREPANCY_SECONDS:
                raise ClockSkew(ahead, MAX_DHT_TIME_DISCREPANCY_SECONDS)

    def _reachability(self) -> dict[str, Any]:
        """The daemon's options that decide how others get here, and whether through others.

        A peer that knows itself to be public also relays for those that are not.
        """
        here_alone = is_loopback(self._host) and not self._announce
        if here_alone and not self._client_mode and self._relay is not Relay.ALWAYS:
            return {"auto_nat": False, "use_relay": False}
        options: dict[str, Any] = {"auto_nat": False, "use_relay": True}  # may dial through others
        match self._relay:
            case Relay.OFFER:
                return options | {"auto_nat": True, "force_reachability": "public"}
            case Relay.ALWAYS:
                return options | {
                    "use_auto_relay": True,
                    "trusted_relays": list(self.initial_peers),
                    "force_reachability": "private",
                }
            case Relay.AUTO if self._announce or not self.initial_peers:
                return options | {"auto_nat": True, "force_reachability": "public"}
            case Relay.AUTO:
                return options | {
                    "auto_nat": True,
                    "use_auto_relay": True,
                    "trusted_relays": list(self.initial_peers),
                }
            case Relay.NEVER:
                return options

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    async def _watch_daemon(self, p2p: P2P) -> None:
        await p2p._child.wait()  # hivemind offers no other way to learn of its end
        if self.p2p is p2p:
            logger.error("The p2p daemon of this peer ended unexpectedly.")
            self.lost.set()

    async def _watch_clock(self, p2p: P2P) -> None:
        """Say so when this machine's clock drifts away from the swarm's."""
        said = False
        while True:
            skews = await measure_clocks(p2p, self.initial_peers)
            ahead = max(skews, key=abs, default=0.0)
            if abs(ahead) >= _CLOCK_WARNING_SECONDS and not said:
                logger.warning("%s", ClockSkew(ahead, MAX_DHT_TIME_DISCREPANCY_SECONDS))
            said = abs(ahead) >= _CLOCK_WARNING_SECONDS
            await asyncio.sleep(_CLOCK_LOOK_SECONDS)

    async def _watch_relays(self, p2p: P2P) -> None:
        """Keep knowing whether a relay takes this peer in.

        libp2p leaves a relay alone for an hour once it was lost, even if it is back in a second.
        When the bootstrap peers answer and no relay has taken this peer in for long, only a new
        daemon helps.
        """
        missing_since: float | None = None
        while True:
            await asyncio.sleep(_RELAY_LOOK_SECONDS)
            with contextlib.suppress(P2PDaemonError, OSError, ValueError):
                before = self.relayed.is_set()
                await self._learn_addresses(p2p)
                if self.relayed.is_set():
                    missing_since = None
                elif before or missing_since is not None:
                    missing_since = missing_since or time.monotonic()
                    lost_for = time.monotonic() - missing_since
                    if lost_for > _RELAY_LOST_SECONDS and await self._bootstrap_answers():
                        self.cut_off.set()

    async def _bootstrap_answers(self) -> bool:
        dht = self.dht
        known = [PeerID.from_base58(peer_id_of(address)) for address in self.initial_peers]
        return dht is not None and any(
            await asyncio.gather(*(dht.protocol.call_ping(peer) for peer in known))
        )

    async def close(self) -> None:
        for watch in self._watches:
            watch.cancel()
        dht, self.dht = self.dht, None
        p2p, self.p2p = self.p2p, None
        if dht is not None:
            with contextlib.suppress(P2PDaemonError, OSError, asyncio.IncompleteReadError):
                await dht.shutdown()
        if p2p is not None:
            await p2p.shutdown()


async def measure_clocks(p2p: P2P, addresses: tuple[str, ...]) -> list[float]:
    """Seconds that this machine's clock is ahead of each peer that answers."""

    async def measure(address: str) -> float | None:
        peer_id = PeerID.from_base58(peer_id_of(address))
        with contextlib.suppress(PeerUnreachable, RemoteError):
            return (await probe(p2p, peer_id, _PROBE_SECONDS)).clock_ahead
        return None

    skews = await asyncio.gather(*map(measure, addresses))
    return [skew for skew in skews if skew is not None]


async def probe(p2p: P2P, peer_id: PeerID, seconds: float) -> Probe:
    """Raises: PeerUnreachable, RemoteError."""
    started, clock = time.perf_counter(), get_dht_time()
    with peer_errors():
        async with asyncio.timeout(seconds):
            answer = await p2p.call_protobuf_handler(
                peer_id, "DHTProtocol.rpc_ping", dht_pb2.PingRequest(), dht_pb2.PingResponse
            )
    rtt = time.perf_counter() - started
    ahead = clock + rtt / 2 - answer.dht_time
    return Probe(rtt, ahead if answer.dht_time and math.isfinite(ahead) else None)


class Bootstrap:
    """A peer that others join through; an ``async with`` scope that serves no blocks."""

    def __init__(self, config: BootstrapConfig) -> None:
        self._peer = Peer(
            initial_peers=config.initial_peers,
            host=config.host,
            port=config.port,
            announce=config.announce,
            identity_path=config.identity_path,
            relay=config.relay,
        )

    @property
    def lost(self) -> asyncio.Event:
        """Set when the peer broke for good and its process should end."""
        return self._peer.lost

    @property
    def addresses(self) -> tuple[str, ...]:
        """Full addresses, ``/ip4/…/tcp/…/p2p/…``, for others' ``initial_peers``."""
        return self._peer.addresses

    async def __aenter__(self) -> Bootstrap:
        await self._peer.__aenter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._peer.close()
