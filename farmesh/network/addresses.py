"""Peers' addresses and identities, checked before the daemon sees them."""

from __future__ import annotations

import ipaddress
import re
import socket
from pathlib import Path

from hivemind.p2p import PeerID
from hivemind.proto import crypto_pb2
from hivemind.utils.multiaddr import Multiaddr

from farmesh.core import PeerId
from farmesh.errors import ConfigError


def is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def check_address(address: str, *, needs_peer: bool) -> None:
    """Raises: ConfigError, naming the address and what it should look like."""
    example = "/ip4/192.0.2.1/tcp/31337/p2p/12D3KooW…"
    try:
        protocols = [protocol.name for protocol in Multiaddr(address).protocols()]
    except Exception as error:  # the parser raises many types
        raise ConfigError(
            f"{address!r} is not a peer's address; one looks like {example}."
        ) from error
    if needs_peer and "p2p" not in protocols:
        raise ConfigError(f"{address!r} lacks the peer's id; an address looks like {example}.")
    if not needs_peer and re.search(r"/(tcp|udp)/0(/|$)", address):
        raise ConfigError(f"{address!r} names no port; an announced address needs the real one.")


def check_identity(path: Path) -> None:
    """Raises: ConfigError: there is no such folder, or the file holds no private key."""
    if not path.parent.is_dir():
        raise ConfigError(f"There is no folder {path.parent} to keep the identity {path.name} in.")
    try:
        if path.exists():
            key = crypto_pb2.PrivateKey.FromString(path.read_bytes())
            if key.key_type == crypto_pb2.RSA:  # as hivemind makes them; the daemon takes others
                PeerID.from_identity(path.read_bytes())
    except Exception as error:  # parsers of protobuf and keys raise many types
        raise ConfigError(
            f"{path} is not a peer's identity; name another file, or one that does not exist yet."
        ) from error


def peer_id_of(address: str) -> PeerId:
    """Whose address it is; of one through a relay, the last."""
    return address.rpartition("/p2p/")[2]


def check_port_is_free(host: str, port: int) -> None:
    """Raises: ConfigError when nobody can listen there."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise ConfigError(
                f"Port {port} on {host} cannot be used ({error.strerror}). "
                "Choose another with --port, or 0 for any free one."
            ) from error
