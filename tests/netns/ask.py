"""A client on a host of its own: `python -m tests.netns.ask CHECKPOINT PREFIX COUNT PEERS IDS…`.

Prints the reply's token ids and its hops as one line of JSON.
"""

from __future__ import annotations

import asyncio
import json
import sys

from farmesh.client.client import FarMeshClient
from farmesh.config import ClientConfig
from farmesh.events import TokenGenerated
from farmesh.params import SamplingParams


async def ask(checkpoint: str, prefix: str, count: int, peers: str, ids: list[int]) -> None:
    config = ClientConfig(
        checkpoint=checkpoint,
        initial_peers=tuple(peers.split(",")),
        dht_prefix=prefix,
        refresh_period=1.0,
        missing_blocks_timeout=90.0,
    )
    sampling = SamplingParams(max_new_tokens=count, temperature=0.0, ignore_eos=True)
    async with FarMeshClient(config) as client, client.session() as session:
        events = [event async for event in session.generate(ids, sampling)]
        tokens = [event.token_id for event in events if isinstance(event, TokenGenerated)]
        route = [hop.peer_id for hop in session.route.hops] if session.route else []
        print(json.dumps({"tokens": tokens, "route": route}), flush=True)


if __name__ == "__main__":
    checkpoint, prefix, count, peers, *ids = sys.argv[1:]
    asyncio.run(ask(checkpoint, prefix, int(count), peers, list(map(int, ids))))
