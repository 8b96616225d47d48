"""``serve``: a node with some blocks of a model."""

from __future__ import annotations

import argparse
import asyncio
import gc

from farmesh.cli.arguments import given
from farmesh.cli.process import Running, note
from farmesh.cli.ready import say_ready, until_lost
from farmesh.config import NodeConfig, Relay
from farmesh.lean import return_memory


def node_config(arguments: argparse.Namespace) -> NodeConfig:
    """What ``serve`` was told. Raises: ConfigError."""
    return given(NodeConfig, arguments, relay=Relay(arguments.relay))


def start(arguments: argparse.Namespace) -> Running:
    config = node_config(arguments)
    from farmesh.hub.progress import FetchBar
    from farmesh.network.transport import first_of
    from farmesh.node import FarNode

    model = f"{config.checkpoint}" + (f" --prefix {config.dht_prefix}" if config.dht_prefix else "")

    async def run() -> int:
        while True:
            # It may ask the hub: in a thread, so that Ctrl-C is heard meanwhile.
            node = await asyncio.to_thread(FarNode, config, progress=FetchBar())
            async with node:
                _settle()
                say_ready(
                    f"Serving blocks {node.info.span} of {config.checkpoint}",
                    node.addresses,
                    arguments.address_file,
                    model=model,
                    peers=config.initial_peers or node.addresses,
                )
                await first_of(node.lost, node.cut_off)
                if node.lost.is_set():
                    return await until_lost(node.lost)
            note("No relay takes this node in any more; it joins the swarm anew.")

    return run()


def _settle() -> None:
    """Keep what is loaded for good out of garbage collections, each of which stalls all streams."""
    gc.collect()
    gc.freeze()
    return_memory()
