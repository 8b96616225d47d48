"""Hosts of a small internet: network namespaces on one bridge, and some behind a router.

A host behind a router (NAT) gets out and nobody gets in: nftables masquerades, and drops what was
not asked for. Needs root, iproute2 and nftables (`make netns` installs them).
"""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass

from tests.support.processes import Command

_numbers = itertools.count()

# Addresses of a network that libp2p takes for public; nothing here leaves the namespaces.
_PUBLIC = "45.67.89."
_PRIVATE = "192.168.7."

_NAT = """
table ip farmesh {
    chain out { type nat hook postrouting priority 100; oifname "eth0" masquerade; }
    chain in {
        type filter hook forward priority 0; policy drop;
        ct state established,related accept
        iifname "lan" oifname "eth0" accept
    }
}
"""


def why_not() -> str | None:
    """Why no hosts can be made here, or None."""
    missing = [tool for tool in ("ip", "nft") if shutil.which(tool) is None]
    if missing:
        return f"{' and '.join(missing)} not found; `make netns` installs what is needed"
    if os.geteuid() != 0:
        return "network namespaces take root"
    name = f"farmesh-try-{os.getpid()}"
    try:
        _run("ip", "netns", "add", name)
        _run("ip", "netns", "exec", name, "nft", "--file", "-", text=_NAT)
    except subprocess.CalledProcessError as error:
        return f"network namespaces cannot be made here: {error.stderr.strip()}"
    finally:
        with contextlib.suppress(subprocess.CalledProcessError):
            _run("ip", "netns", "del", name)
    return None


def _run(*command: str, text: str = "") -> str:
    return subprocess.run(command, input=text, check=True, capture_output=True, text=True).stdout


@dataclass(frozen=True, slots=True)
class Host:
    """One network namespace: what runs there has its own addresses, ports and loopback."""

    namespace: str
    address: str

    def run(self, *command: str) -> str:
        return _run("ip", "netns", "exec", self.namespace, *command)

    def start(self, *command: str, **environment: str) -> Command:
        return Command("ip", "netns", "exec", self.namespace, *command, **environment)

    def farmesh(self, *arguments: str, **environment: str) -> Command:
        """``python -m farmesh`` there."""
        command = (sys.executable, "-m", "farmesh", *arguments)
        return self.start(*command, OMP_NUM_THREADS="1", **environment)


class Internet:
    """A ``with`` scope of hosts that reach one another by public addresses."""

    def __init__(self) -> None:
        self._prefix = f"fm{os.getpid()}x{next(_numbers)}"
        self._scope = contextlib.ExitStack()
        self._addresses = itertools.count(2)
        self._hub = ""

    def __enter__(self) -> Internet:
        with self._scope:
            self._hub = self._namespace("hub")
            self._ip(self._hub, "link add bridge type bridge", "link set bridge up")
            self._scope = self._scope.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._scope.close()

    def host(self, name: str) -> Host:
        """A host with a public address."""
        namespace = self._namespace(name)
        address = f"{_PUBLIC}{next(self._addresses)}"
        _run(
            *f"ip -n {self._hub} link add to-{name} type veth peer name eth0 netns".split(),
            namespace,
        )
        self._ip(self._hub, f"link set to-{name} master bridge", f"link set to-{name} up")
        self._ip(namespace, f"addr add {address}/24 dev eth0", "link set eth0 up")
        return Host(namespace, address)

    def behind_router(self, name: str) -> Host:
        """A host with a private address behind a router that lets nobody in."""
        router = self.host(f"{name}-gw")
        namespace = self._namespace(name)
        link = f"ip -n {router.namespace} link add lan type veth peer name eth0 netns {namespace}"
        _run(*link.split())
        self._ip(router.namespace, f"addr add {_PRIVATE}1/24 dev lan", "link set lan up")
        self._ip(
            namespace,
            f"addr add {_PRIVATE}2/24 dev eth0",
            "link set eth0 up",
            f"route add default via {_PRIVATE}1",
        )
        router.run("sysctl", "-qw", "net.ipv4.ip_forward=1")
        _run("ip", "netns", "exec", router.namespace, "nft", "--file", "-", text=_NAT)
        return Host(namespace, f"{_PRIVATE}2")

    def _namespace(self, name: str) -> str:
        namespace = f"{self._prefix}-{name}"
        _run("ip", "netns", "add", namespace)
        self._scope.callback(_run, "ip", "netns", "del", namespace)
        self._ip(namespace, "link set lo up")
        return namespace

    @staticmethod
    def _ip(namespace: str, *commands: str) -> None:
        _run("ip", "-n", namespace, "-batch", "-", text="\n".join(commands) + "\n")
