"""One peer of the swarm: its identity, its daemon, its DHT node, and where it is reached."""

from __future__ import annotations

import asyncio

from hivemind.dht import DHTNode
from hivemind.p2p import P2P, PeerID

from farmesh.core import PeerId
from farmesh.network.transport import Whereabouts


class Peer:
    """One libp2p identity that is in a swarm; :func:`farmesh.network.joining.joined` makes it."""

    def __init__(self, p2p: P2P, dht: DHTNode, bootstrap_peers: tuple[PeerID, ...]) -> None:
        self.p2p = p2p
        self.dht = dht
        self.bootstrap_peers = bootstrap_peers
        self.whereabouts = Whereabouts()

    def __repr__(self) -> str:
        return f"<Peer {self.peer_id} {self.whereabouts}>"

    @property
    def peer_id(self) -> PeerId:
        return str(self.p2p.peer_id.to_base58())

    @property
    def addresses(self) -> tuple[str, ...]:
        """Full addresses, ``/ip4/…/tcp/…/p2p/…``, for others' ``initial_peers``."""
        return self.whereabouts.addresses

    async def look_around(self) -> None:
        """Learn from the daemon where others reach this peer now.

        Raises: P2PDaemonError, OSError, ValueError.
        """
        self.whereabouts.move(map(str, await self.p2p.get_visible_maddrs(latest=True)))

    async def bootstrap_answers(self) -> bool:
        """Whether any bootstrap peer answers; they meet this peer again by it."""
        return any(await asyncio.gather(*map(self.dht.protocol.call_ping, self.bootstrap_peers)))
