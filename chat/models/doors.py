"""Which way this app gets its replies, and what stands in that way: said at start and in the page.

A Hugging Face Space may open connections to three ports only, which keeps it out of most swarms.
"""

from __future__ import annotations

import asyncio
import logging
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from urllib.parse import urlsplit

from chat import words
from chat.models.backend import Backend, Client
from chat.places import on_a_space
from chat.settings.schema import Settings
from farmesh.core import SwarmSnapshot

log = logging.getLogger(__name__)

SPACE_PORTS = (80, 443, 8080)  # that a Space can reach, by its documentation
PORTS = "a Space reaches the ports 80, 443 and 8080 only"
LOOK_SECONDS = 5.0
_PORT = re.compile(r"/(?:tcp|udp)/(\d+)")
_NEAR = re.compile(r"localhost|127\..*|\[?::1\]?")


def blocked(addresses: Sequence[str]) -> list[str]:
    """Of these peers those whose port a Space cannot reach."""
    found = [(address, _PORT.search(address)) for address in addresses]
    return [address for address, port in found if port and int(port[1]) not in SPACE_PORTS]


def in_use(settings: Settings) -> str:
    """Where the replies come from, in one sentence."""
    swarm = settings.swarm
    if swarm.mode == "gateway":
        key = "with a key" if swarm.gateway_key.get_secret_value() else "without a key"
        return f"Replies come from the FarMesh Chat at {swarm.gateway_url}, asked {key}."
    if swarm.mode == "join":
        return f"Replies come from the swarm of {words.count(len(swarm.peers), 'bootstrap peer')}."
    nodes = words.count(swarm.nodes, "node")
    return f"Replies come from {nodes} on this machine, which this app starts."


def warnings(settings: Settings, environ: Mapping[str, str] = os.environ) -> list[str]:
    """What will not work, or not as one might think; each with a way out."""
    swarm, found = settings.swarm, []
    if swarm.mode == "join" and on_a_space(environ) and (lost := blocked(swarm.peers)):
        which = "None of the peers" if len(lost) == len(swarm.peers) else "Some of the peers"
        found.append(
            f"{which} can be reached: {PORTS}, not that of {', '.join(lost)}. Let peers and nodes "
            "announce one of those, or set swarm.gateway_url to a FarMesh Chat beside the swarm."
        )
    url = urlsplit(swarm.gateway_url)
    bare = swarm.mode == "gateway" and url.scheme == "http" and url.hostname is not None
    if bare and not _NEAR.fullmatch(url.hostname or ""):
        found.append(
            f"Everything to {url.netloc} travels unencrypted, the key and what people write too; "
            "give swarm.gateway_url an https address."
        )
    return found


def say(settings: Settings) -> None:
    """Into the log: what is used, and what stands in its way."""
    log.info("%s", in_use(settings))
    for sentence in warnings(settings):
        log.warning("%s", sentence)


async def watch_ports(backend: Backend, client: Client) -> None:
    """Say in the page when a Space cannot reach the nodes that a swarm has."""
    while True:
        await asyncio.sleep(LOOK_SECONDS)
        backend.warn(unreached(client.snapshot))


def unreached(snapshot: SwarmSnapshot) -> str:
    """What to say when blocks are served by nodes only that do not answer from here."""
    silent = [node for node in snapshot.online if node.peer_id not in snapshot.rtts]
    answering = tuple(node for node in snapshot.online if node.peer_id in snapshot.rtts)
    if not silent or replace(snapshot, nodes=answering).is_complete:
        return ""
    return (
        f"{words.count(len(silent), 'node')} of {len(snapshot.online)} cannot be reached: {PORTS}"
    )
