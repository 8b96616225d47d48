"""A swarm over hosts of its own: ports, routers, relays and clocks as they are out there."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.netns.hosts import Host, Internet, why_not
from tests.support.models import Oracle
from tests.support.processes import Command

pytestmark = [pytest.mark.netns, pytest.mark.timeout(420)]

PREFIX = "_netns"
PROMPT = list(range(5, 45))


@dataclass
class Swarm:
    """Peers on hosts, and what they say."""

    checkpoint: Path
    running: contextlib.ExitStack
    addresses: list[str] = field(default_factory=list)  # of the bootstrap peers

    def bootstrap(self, host: Host, port: int, *options: str) -> Command:
        """A bootstrap peer, at a port that others may dial."""
        listening = ("--host", "0.0.0.0", "--port", str(port))
        announce = ("--announce", f"/ip4/{host.address}/tcp/{port}")
        peer = self._start(host.farmesh("bootstrap", *listening, *announce, *self._peers, *options))
        self.addresses.append(peer.wait_for(r"^/ip\S+$"))
        return peer

    @property
    def _peers(self) -> list[str]:
        return ["--peers", *self.addresses] if self.addresses else []

    def serve(self, host: Host, span: str, *options: str) -> Command:
        """A node that is still starting."""
        return self._start(
            host.farmesh(
                *("serve", str(self.checkpoint), *self._peers, "--blocks", span),
                *("--prefix", PREFIX, "--host", "0.0.0.0", "--threads", "1"),
                *("--cache-tokens", "2048", "--update-period", "2", *options),
            )
        )

    def ask(self, host: Host, count: int) -> tuple[list[int], list[str]]:
        """Tokens and hops of a reply that a client on ``host`` gets."""
        arguments = (str(self.checkpoint), PREFIX, str(count), ",".join(self.addresses))
        ids = map(str, PROMPT)
        client = self._start(host.start(sys.executable, "-m", "tests.netns.ask", *arguments, *ids))
        reply = json.loads(client.wait_for(r"^(\{.*\})$"))
        client.end()
        return reply["tokens"], reply["route"]

    def status(self, host: Host) -> dict[str, Any]:
        flags = ("--prefix", PREFIX, "--num-blocks", "4", "--json")
        return json.loads(host.run(sys.executable, "-m", "farmesh", "status", *self._peers, *flags))

    def _start(self, command: Command) -> Command:
        self.running.callback(command.end)
        return command


@pytest.fixture
def internet() -> Iterator[Internet]:
    if reason := why_not():
        pytest.skip(reason)
    with Internet() as internet:
        yield internet


@pytest.fixture
def swarm(checkpoint: Path) -> Iterator[Swarm]:
    with contextlib.ExitStack() as running:
        yield Swarm(checkpoint, running)


def test_a_node_behind_a_router_is_reached_through_a_relay(
    internet: Internet, swarm: Swarm, oracle: Oracle
) -> None:
    """Bug prevented: whoever has no public address cannot serve, or is announced and not reached.

    The ports are those that a Space may dial. The three bootstrap peers and the public node can all
    relay: of four, libp2p chooses within seconds.
    """
    for name, port in (("boot", 443), ("second", 80), ("third", 31337)):
        swarm.bootstrap(internet.host(name), port)
    public = internet.host("public")
    announced = f"/ip4/{public.address}/tcp/8080"
    first = swarm.serve(public, "0:2", "--port", "8080", "--announce", announced)
    hidden = swarm.serve(internet.behind_router("hidden"), "2:4", "--relay", "always")
    assert first.wait_for(r"^/ip\S+$").startswith(announced)
    assert "/p2p-circuit/" in hidden.wait_for(r"^/ip\S+$")
    client = internet.behind_router("client")
    tokens, route = swarm.ask(client, 24)
    assert tokens == oracle.greedy(PROMPT, 24)
    assert len(route) == 2
    shown = swarm.status(client)
    assert [node["using_relay"] for node in sorted(shown["nodes"], key=by_start)] == [False, True]
    assert all(node["rtt_seconds"] is not None for node in shown["nodes"])
    assert [peer["rtt_seconds"] is not None for peer in shown["bootstrap_peers"]] == [True] * 3


def by_start(node: dict[str, Any]) -> int:
    return int(node["start_block"])


def test_a_node_finds_out_that_it_needs_a_relay_and_one_that_dies_is_replaced(
    internet: Internet, swarm: Swarm, oracle: Oracle
) -> None:
    """Bug prevented: an operator has to know what NAT is; a dead relay takes its nodes along."""
    boots = {}
    for number in range(5):
        host = internet.host(f"b{number}")
        boots[host.address] = swarm.bootstrap(host, 31337)
    swarm.serve(internet.behind_router("hidden"), "0:4", "--verbose")
    client = internet.host("client")
    assert swarm.ask(client, 8)[0] == oracle.greedy(PROMPT, 8)
    (node,) = swarm.status(client)["nodes"]
    assert node["using_relay"]
    # Kill one after the other, so that every relay that it may have is gone once.
    for address in list(boots)[:3]:
        boots[address].process.kill()
        swarm.addresses = [peer for peer in swarm.addresses if f"/{address}/" not in peer]
    assert swarm.ask(client, 8)[0] == oracle.greedy(PROMPT, 8)
