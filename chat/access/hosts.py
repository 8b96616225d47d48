"""The names under which this app answers."""

from __future__ import annotations

import ipaddress
import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass

from chat.places import LOOPBACK, on_a_space
from chat.settings.schema import ServerSettings


@dataclass(frozen=True, slots=True)
class Hosts:
    """The names that the app may be called by: a foreign page can point others at it."""

    names: frozenset[str] = frozenset()
    suffixes: tuple[str, ...] = ()
    addresses: bool = False  # any IP address: nobody can point one at another machine
    any: bool = False

    def allow(self, host: str) -> bool:
        """``host`` as in the header, with its port."""
        name = _name(host).lower().rstrip(".")
        if self.any or name in self.names or name.endswith(self.suffixes or ("\n",)):
            return True
        return self.addresses and _is_address(name)


def hosts_of(server: ServerSettings, environ: Mapping[str, str] = os.environ) -> Hosts:
    """What the settings mean; without a word from the operator, only this machine's own names."""
    if "*" in server.allowed_hosts or (not server.allowed_hosts and on_a_space(environ)):
        return Hosts(any=True)  # a Space's names are its proxy's affair
    names = LOOPBACK | {name.lower() for name in server.allowed_hosts}
    suffixes = (".gradio.live",) if server.share else ()
    if server.host in LOOPBACK or server.allowed_hosts:
        return Hosts(names, suffixes)
    own = socket.gethostname().lower()
    return Hosts(names | {own, f"{own}.local"}, suffixes, addresses=True)


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name.strip("[]"))
    except ValueError:
        return False
    return True


def _name(host: str) -> str:
    """``[::1]:7860`` and ``localhost:7860`` without the port."""
    return host if host.endswith("]") else host.rpartition(":")[0] or host
