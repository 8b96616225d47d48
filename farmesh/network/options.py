"""How a peer joins a swarm and is reached, as the p2p daemon's options: no I/O."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hivemind.p2p import PeerID

from farmesh.config import Relay
from farmesh.errors import ConfigError
from farmesh.network.addresses import check_address, is_loopback, peer_id_of


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerOptions:
    """How a peer joins a swarm, and how others are to reach it.

    Raises:
        ConfigError: an address cannot be parsed, or nobody is named who could relay.
    """

    initial_peers: tuple[str, ...] = ()
    host: str = "127.0.0.1"
    port: int = 0  # 0: any that is free
    announce: tuple[str, ...] = ()  # addresses instead of those that the daemon finds
    identity_path: Path | None = None
    client_mode: bool = False  # serves nothing
    relay: Relay = Relay.NEVER
    join_timeout: float = 30.0  # seconds

    def __post_init__(self) -> None:
        if self.relay is Relay.ALWAYS and not self.initial_peers:
            raise ConfigError(
                "Only a peer that joins others (--peers) can be reached through them."
            )
        for address in self.initial_peers:
            check_address(address, needs_peer=True)
        for address in self._announced():
            check_address(address, needs_peer=False)

    @property
    def bootstrap_peers(self) -> tuple[PeerID, ...]:
        return tuple(PeerID.from_base58(peer_id_of(address)) for address in self.initial_peers)

    @property
    def is_dht_client(self) -> bool:
        """Whether this peer asks the DHT and keeps no part of it: others cannot just call it."""
        return self.client_mode or self.relay is Relay.ALWAYS

    @property
    def uses_relays(self) -> bool:
        """Whether others may get here through a relay."""
        return "use_auto_relay" in self._reachability()

    def for_daemon(self) -> dict[str, Any]:
        """What :func:`farmesh.hivemind.open_daemon` is told."""
        family = "ip6" if ":" in self.host else "ip4"
        return {
            "initial_peers": list(self.initial_peers) or None,
            "host_maddrs": [f"/{family}/{self.host}/tcp/{self.port}"],
            "announce_maddrs": self._announced() or None,
            "identity_path": str(self.identity_path) if self.identity_path else None,
            "dht_mode": "client" if self.is_dht_client else "server",
            **self._reachability(),
        }

    def _announced(self) -> list[str]:
        """Without this peer's id, which the daemon adds by itself."""
        return [re.sub(r"/p2p/\w+/?$", "", address) for address in self.announce]

    def _reachability(self) -> dict[str, Any]:
        """Whether others get here directly or through others.

        A peer that knows itself to be public also relays for those that are not.
        """
        here_alone = is_loopback(self.host) and not self.announce
        if here_alone and not self.client_mode and self.relay is not Relay.ALWAYS:
            return {"auto_nat": False, "use_relay": False}
        options: dict[str, Any] = {"auto_nat": False, "use_relay": True}  # may dial through others
        through_others = {"use_auto_relay": True, "trusted_relays": list(self.initial_peers)}
        match self.relay:
            case Relay.NEVER:
                return options
            case Relay.ALWAYS:
                return options | through_others | {"force_reachability": "private"}
            case Relay.AUTO if self.initial_peers and not self.announce:
                return options | through_others | {"auto_nat": True}
            case Relay.AUTO | Relay.OFFER:
                return options | {"auto_nat": True, "force_reachability": "public"}
