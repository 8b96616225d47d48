"""``bootstrap``: a peer that others join the swarm through."""

from __future__ import annotations

import argparse

from farmesh.cli.arguments import given
from farmesh.cli.process import Running
from farmesh.cli.ready import say_ready, until_lost
from farmesh.config import BootstrapConfig


def start(arguments: argparse.Namespace) -> Running:
    config = given(BootstrapConfig, arguments)
    from farmesh.network.bootstrap import Bootstrap

    async def run() -> int:
        async with Bootstrap(config) as peer:
            at = peer.addresses
            say_ready(
                "Bootstrap peer ready", at, arguments.address_file, model="CHECKPOINT", peers=at
            )
            return await until_lost(peer.lost)

    return run()
