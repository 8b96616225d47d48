"""Addresses of the public swarm. Nothing in this project uses them unless it is asked to.

The reserved addresses and peer ids are those of upstream's public bootstrap peers (Petals); the
DNS names are FarMesh's. The app's default swarm is private and local.
"""

from __future__ import annotations

_FIRST = "QmedTaZXmULqwspJXz44SsPZyTNKxhnnFvYRajfH7MGhCY"
_SECOND = "QmQGTqmM7NKjV6ggU1ZCap8zWiyKR89RViDXiqehSiCpY5"

PUBLIC_INITIAL_PEERS = [
    f"/dns/bootstrap1.farmesh.dev/tcp/31337/p2p/{_FIRST}",
    f"/dns/bootstrap2.farmesh.dev/tcp/31338/p2p/{_SECOND}",
    f"/dns6/bootstrap1.farmesh.dev/tcp/31337/p2p/{_FIRST}",
    f"/dns6/bootstrap2.farmesh.dev/tcp/31338/p2p/{_SECOND}",
    f"/ip4/159.89.214.152/tcp/31337/p2p/{_FIRST}",
    f"/ip4/159.203.156.48/tcp/31338/p2p/{_SECOND}",
]
