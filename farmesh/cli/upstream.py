"""What the two upstream commands share: addresses, and flags that mean nothing here."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import Any

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


def add_without_effect(
    parser: argparse.ArgumentParser, flags: Sequence[str], switches: Sequence[str] = ()
) -> None:
    """Flags that upstream has and this engine has no use for; scripts that pass them still run."""
    for flag in flags:
        values = "+" if flag.endswith("_devices") else 1
        parser.add_argument(flag, nargs=values, action=_WithoutEffect, help=argparse.SUPPRESS)
    for switch in switches:
        parser.add_argument(switch, nargs=0, action=_WithoutEffect, help=argparse.SUPPRESS)


def say_without_effect(arguments: argparse.Namespace) -> None:
    """One sentence on stderr about the flags given that mean nothing here."""
    given: list[str] = getattr(arguments, _WithoutEffect.dest, [])
    if given:
        what = "has" if len(given) == 1 else "have"
        sys.stderr.write(f"{', '.join(given)} {what} no effect here.\n")


class _WithoutEffect(argparse.Action):
    """Remembers that the flag was given."""

    dest = "without_effect"

    def __init__(self, option_strings: Sequence[str], dest: str, **options: Any) -> None:
        super().__init__(option_strings, self.dest, default=argparse.SUPPRESS, **options)

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option_string: str | None = None,
    ) -> None:
        given = [*getattr(namespace, self.dest, []), option_string]
        setattr(namespace, self.dest, list(dict.fromkeys(given)))
