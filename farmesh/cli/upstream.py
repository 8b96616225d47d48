"""What the two upstream commands share: addresses, and flags that are taken and not needed."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from farmesh.constants import PUBLIC_INITIAL_PEERS


def add_network(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--host_maddrs", nargs="+", metavar="MADDR", help="addresses to listen on")
    parser.add_argument(
        "--announce_maddrs", nargs="+", metavar="MADDR", help="addresses to announce"
    )
    parser.add_argument("--port", type=int, help="port to listen on")
    parser.add_argument("--public_ip", help="announce this IPv4 address with --port")
    parser.add_argument("--identity_path", help="private key file, made when missing")
    swarm = parser.add_mutually_exclusive_group()
    swarm.add_argument(
        "--initial_peers", nargs="+", metavar="MADDR", help="bootstrap peers to join"
    )
    swarm.add_argument("--new_swarm", action="store_true", help="found a private swarm")


def network_flags(arguments: argparse.Namespace, *, public: bool) -> list[str]:
    """The network part of a ``python -m farmesh`` command line.

    ``public``: without --initial_peers or --new_swarm join the public swarm, as upstream does.
    """
    flags: list[str] = []
    host, port = "0.0.0.0", arguments.port
    if arguments.host_maddrs:
        host, listened = _host_and_port(arguments.host_maddrs[0])
        port = port if port is not None else listened
    flags += ["--host", host, "--port", str(port or 0)]
    announce = list(arguments.announce_maddrs or [])
    if arguments.public_ip and port:
        announce.append(f"/ip4/{arguments.public_ip}/tcp/{port}")
    for address in announce:
        flags += ["--announce", address]
    if arguments.identity_path:
        flags += ["--identity", arguments.identity_path]
    peers = arguments.initial_peers or []
    if not peers and public and not arguments.new_swarm:
        peers = PUBLIC_INITIAL_PEERS
    return [*flags, "--peers", *peers] if peers else flags


def _host_and_port(address: str) -> tuple[str, int]:
    """``/ip4/0.0.0.0/tcp/31337`` (also ip6) to host and port."""
    parts = address.strip("/").split("/")
    if len(parts) < 4 or parts[0] not in ("ip4", "ip6") or parts[2] != "tcp":
        sys.exit(
            f"{address!r} is not an address to listen on; write it like /ip4/0.0.0.0/tcp/31337."
        )
    return parts[1], int(parts[3])


def ignore(parser: argparse.ArgumentParser, flags: Sequence[str], switches: Sequence[str]) -> None:
    """Flags that upstream has and this engine does not need; accepted so that scripts still run."""
    for flag in flags:
        parser.add_argument(flag, nargs="*", help=argparse.SUPPRESS)
    for switch in switches:
        parser.add_argument(switch, action="store_true", help=argparse.SUPPRESS)
