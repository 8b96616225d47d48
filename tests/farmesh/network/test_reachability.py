"""How a peer is reached: directly, through a relay, or anew when no relay takes it in any more.

And what upstream's nodes are told when they ask whether they can be.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hivemind.p2p import P2P, P2PContext, P2PDaemonError, P2PHandlerError, PeerID
from hivemind.proto import dht_pb2

from farmesh.config import BootstrapConfig, NodeConfig, Relay
from farmesh.core import Span
from farmesh.errors import ConfigError, RemoteError
from farmesh.network import reachability
from farmesh.network.addresses import peer_id_of
from farmesh.network.bootstrap import Bootstrap
from farmesh.network.joining import joined
from farmesh.network.options import PeerOptions
from farmesh.network.peer import Peer
from farmesh.network.reachability import RPC_CHECK, ReachabilityCheck, ask
from farmesh.network.watching import watch_relays
from farmesh.node import FarNode, Machine
from tests.support.waiting import PATIENCE, until

BOOT = "/ip4/203.0.113.7/tcp/443/p2p/QmPgiDQKDHEJm7z6ruw2Sbb1jg1oCmSs86cRmtHB7L2PgJ"
PUBLIC = ("/ip4/198.51.100.4/tcp/8080",)


def options(**given: Any) -> dict[str, Any]:
    chosen = PeerOptions(**{"host": "0.0.0.0", "initial_peers": (BOOT,), **given}).for_daemon()
    known = ("auto_nat", "use_relay", "use_auto_relay", "force_reachability")
    return {key: chosen[key] for key in known if chosen.get(key)}


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"relay": Relay.AUTO, "host": "127.0.0.1"}, {}),
        ({"relay": Relay.AUTO, "host": "::1"}, {}),
        ({"relay": Relay.OFFER, "host": "127.0.0.1"}, {}),
        ({"relay": Relay.NEVER}, {"use_relay": True}),
        ({"client_mode": True, "host": "127.0.0.1"}, {"use_relay": True}),
        ({"relay": Relay.AUTO}, {"use_relay": True, "auto_nat": True, "use_auto_relay": True}),
        (
            {"relay": Relay.AUTO, "announce": PUBLIC},
            {"use_relay": True, "auto_nat": True, "force_reachability": "public"},
        ),
        (
            {"relay": Relay.OFFER},
            {"use_relay": True, "auto_nat": True, "force_reachability": "public"},
        ),
        (
            {"relay": Relay.ALWAYS, "host": "127.0.0.1"},
            {"use_relay": True, "use_auto_relay": True, "force_reachability": "private"},
        ),
    ],
)
def test_what_the_daemon_is_told(given: dict[str, Any], expected: dict[str, Any]) -> None:
    """Prevents a private swarm on loopback that looks for relays, and a client that dials none."""
    assert options(**given) == expected


def test_a_relay_needs_peers() -> None:
    """Prevents a node that waits for ever for relays of a swarm that it founded itself."""
    with pytest.raises(ConfigError, match="--peers"):
        PeerOptions(relay=Relay.ALWAYS)


def test_whose_address_it_is() -> None:
    """Prevents the relay's id from being taken for that of the peer behind it."""
    assert peer_id_of(BOOT) == BOOT.rpartition("/")[2]
    assert peer_id_of(f"{BOOT}/p2p-circuit/p2p/12D3KooWhidden") == "12D3KooWhidden"


class Daemon:
    """A p2p daemon whose addresses a test sets."""

    def __init__(self) -> None:
        self.addresses = ["/ip4/192.168.7.2/tcp/4001/p2p/Qm"]

    async def get_visible_maddrs(self, latest: bool = False) -> list[str]:
        return self.addresses


@pytest.mark.parametrize("bootstrap_answers", [True, False])
async def test_a_relay_that_stays_away(bootstrap_answers: bool) -> None:
    """Prevents an hour out of reach after a relay's restart, and restarts while all is down."""
    asked = asyncio.Event()

    async def answers(peer_id: PeerID) -> bool:
        asked.set()
        return bootstrap_answers

    daemon: Any = Daemon()
    dht = SimpleNamespace(protocol=SimpleNamespace(call_ping=answers))
    peer = Peer(daemon, dht, PeerOptions(initial_peers=(BOOT,)).bootstrap_peers)
    relayed, cut_off = peer.whereabouts.relayed, peer.whereabouts.cut_off
    watch = asyncio.create_task(watch_relays(peer, every=0.01, patience=0.05))
    try:
        daemon.addresses = [f"{BOOT}/p2p-circuit/p2p/Qm", *daemon.addresses]
        await until(relayed.is_set)
        assert peer.addresses[0].startswith(BOOT)
        daemon.addresses = daemon.addresses[1:]
        await until(asked.is_set)
        assert not relayed.is_set()
        await until(lambda: cut_off.is_set() is bootstrap_answers)
    finally:
        watch.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await watch


@contextlib.asynccontextmanager
async def hidden_peer(swarm: Peer) -> AsyncIterator[P2P]:
    """A peer that has joined, answers about itself, and listens nowhere."""
    daemon = await P2P.create(initial_peers=list(swarm.addresses), no_listen=True, use_relay=False)

    async def yes(request: dht_pb2.PingRequest, context: P2PContext) -> dht_pb2.PingResponse:
        return dht_pb2.PingResponse(available=True)

    try:
        await daemon.add_protobuf_handler(RPC_CHECK, yes, dht_pb2.PingRequest)
        yield daemon
    finally:
        await daemon.shutdown()


async def test_upstream_asks_whether_it_can_be_dialled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Prevents a Petals node behind a router from taking itself for public, because those whom it
    asks do not answer, or answer over the connection that it made itself."""
    monkeypatch.setattr(reachability, "_DIAL_SECONDS", 30.0)  # however busy this machine is
    async with (
        joined(PeerOptions()) as asked,
        joined(PeerOptions(initial_peers=asked.addresses)) as public,
    ):
        judge = PeerID.from_base58(asked.peer_id)
        async with hidden_peer(asked) as hidden:
            assert await ask(hidden, judge, judge)
            assert await ask(hidden, judge, PeerID.from_base58(public.peer_id))
            assert not await ask(hidden, judge, hidden.peer_id)
            assert await ask(asked.p2p, hidden.peer_id, hidden.peer_id), "or this proves nothing"
            with pytest.raises(P2PHandlerError, match="needs a peer's id"):
                await ask(hidden, judge, PeerID(b""))
            options = PeerOptions(initial_peers=asked.addresses, client_mode=True)
            async with joined(options) as client:
                with pytest.raises(P2PDaemonError, match="not supported"):
                    await ask(hidden, PeerID.from_base58(client.peer_id), judge)


async def test_one_dialled_after_the_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """Prevents strangers from starting as many daemons here as they like."""
    check, dialled = ReachabilityCheck(lambda: ()), asyncio.Event()

    async def dial(peer_id: PeerID) -> bool:
        return await dialled.wait()

    monkeypatch.setattr(check, "_can_be_dialled", dial)
    context: Any = SimpleNamespace(local_id=PeerID(b"this peer"))
    request = dht_pb2.PingRequest(peer=dht_pb2.NodeInfo(node_id=b"another"))
    first = asyncio.create_task(check.answer(request, context))
    await until(lambda: check._dialling.locked())
    with pytest.raises(RemoteError, match="another reachability check"):
        await check.answer(request, context)
    dialled.set()
    assert (await first).available


async def test_a_copied_identity_is_noticed(
    checkpoint: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Prevents two machines with one identity file that push each other out of the swarm, neither
    of them saying why. When nodes say so is tested in simulated time."""
    async with Bootstrap(BootstrapConfig()) as bootstrap, contextlib.AsyncExitStack() as scope:
        config = NodeConfig(
            checkpoint=checkpoint,
            initial_peers=bootstrap.addresses,
            span=Span(0, 4),
            dht_prefix="_test",
            threads=1,
            update_period=0.2,
            identity_path=tmp_path / "identity",
        )
        ahead = 0.0  # seconds
        machine = Machine(clock=lambda: time.monotonic() + ahead, shortest_record=PATIENCE)
        await scope.enter_async_context(FarNode(config, machine=machine))
        await scope.enter_async_context(FarNode(config, machine=machine))
        ahead = PATIENCE  # what an earlier process of theirs announced is gone by now
        await until(lambda: "Another peer uses this node's identity" in caplog.text)
        assert "serves blocks 0:4" in caplog.text
