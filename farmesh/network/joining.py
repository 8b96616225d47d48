"""A peer's way into the swarm: started, tried again, watched, and ended."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Coroutine, Iterator

from hivemind.dht import DHTNode
from hivemind.dht.protocol import ValidationError
from hivemind.p2p import P2P, P2PDaemonError
from hivemind.proto import dht_pb2
from hivemind.utils.timed_storage import MAX_DHT_TIME_DISCREPANCY_SECONDS

from farmesh.errors import ClockSkew, ConfigError, SwarmUnreachable
from farmesh.hivemind import open_daemon, open_dht
from farmesh.network.addresses import check_identity, check_port_is_free
from farmesh.network.bounds import BoundedRecords
from farmesh.network.failures import quiet
from farmesh.network.options import PeerOptions
from farmesh.network.peer import Peer
from farmesh.network.probing import measure_clocks
from farmesh.network.reachability import RPC_CHECK, ReachabilityCheck
from farmesh.network.watching import watch_clock, watch_daemon, watch_relays

_FIRST_PAUSE_SECONDS = 0.2  # before the second try
_LONGEST_PAUSE_SECONDS = 2.0


@contextlib.asynccontextmanager
async def joined(options: PeerOptions) -> AsyncIterator[Peer]:
    """A peer in the swarm, for as long as the scope lasts.

    Raises:
        ConfigError: the port is in use, the identity is none, or the daemon does not start.
        ClockSkew: this machine's clock is too far from the swarm's.
        SwarmUnreachable: no bootstrap peer answered within ``join_timeout``.
    """
    if options.identity_path is not None:
        check_identity(options.identity_path)
    if options.port and not options.client_mode:
        check_port_is_free(options.host, options.port)
    async with contextlib.AsyncExitStack() as scope:
        peer = await _join(options, scope)
        watches = [watch_daemon(peer)]
        if options.uses_relays:
            watches.append(watch_relays(peer))
        if options.initial_peers:
            watches.append(watch_clock(peer))
        with _running(*watches):
            yield peer


async def _join(options: PeerOptions, scope: contextlib.AsyncExitStack) -> Peer:
    """Try until the swarm lets this peer in; it stays there until ``scope`` ends."""
    deadline = time.monotonic() + options.join_timeout
    pause = _FIRST_PAUSE_SECONDS
    while True:
        try:
            async with contextlib.AsyncExitStack() as attempt:
                peer = await _start(options, attempt)
                scope.push_async_exit(attempt.pop_all())
                return peer
        except (P2PDaemonError, RuntimeError, ValidationError) as error:
            if not options.initial_peers:
                raise ConfigError(f"The p2p daemon did not start: {error}") from error
            if time.monotonic() + pause > deadline:
                raise SwarmUnreachable(
                    f"No bootstrap peer answered within {options.join_timeout:.0f} seconds. "
                    "Check the address, and that the bootstrap peer is running."
                ) from error
        await asyncio.sleep(pause)
        pause = min(_LONGEST_PAUSE_SECONDS, pause * 1.6)


async def _start(options: PeerOptions, scope: contextlib.AsyncExitStack) -> Peer:
    p2p = await scope.enter_async_context(_daemon(options))
    dht = await scope.enter_async_context(_dht(p2p, options))
    peer = Peer(p2p, dht, options.bootstrap_peers)
    await peer.look_around()
    if not options.is_dht_client:
        check = ReachabilityCheck(lambda: (*peer.addresses, *options.initial_peers))
        await p2p.add_protobuf_handler(RPC_CHECK, quiet(check.answer), dht_pb2.PingRequest)
    return peer


@contextlib.asynccontextmanager
async def _daemon(options: PeerOptions) -> AsyncIterator[P2P]:
    p2p = await open_daemon(**options.for_daemon())
    try:
        yield p2p
    finally:
        await p2p.shutdown()


@contextlib.asynccontextmanager
async def _dht(p2p: P2P, options: PeerOptions) -> AsyncIterator[DHTNode]:
    try:
        dht = await open_dht(
            p2p,
            initial_peers=list(options.initial_peers) or None,
            client_mode=options.is_dht_client,
            # A node that just left is forgotten by its neighbours after one failed call.
            blacklist_time=2.0,
            num_workers=8,
            record_validator=BoundedRecords(),
        )
    except ValidationError:  # the swarm did not let this peer in; nearly always for its clock
        await _check_clock(p2p, options)
        raise
    try:
        yield dht
    finally:
        with contextlib.suppress(P2PDaemonError, OSError, asyncio.IncompleteReadError):
            await dht.shutdown()


async def _check_clock(p2p: P2P, options: PeerOptions) -> None:
    """Raises: ClockSkew."""
    for ahead in await measure_clocks(p2p, options.bootstrap_peers):
        if abs(ahead) > MAX_DHT_TIME_DISCREPANCY_SECONDS:
            raise ClockSkew(ahead, MAX_DHT_TIME_DISCREPANCY_SECONDS)


@contextlib.contextmanager
def _running(*jobs: Coroutine[None, None, None]) -> Iterator[None]:
    tasks = [asyncio.create_task(job, name="farmesh-p2pd") for job in jobs]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
