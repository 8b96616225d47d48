"""Who is served by a node, how much of it one peer may take, and whom it knows itself."""

from __future__ import annotations

from pathlib import Path

import pytest

from farmesh.errors import MissingBlocks, SwarmBusy
from tests.farmesh.harness import generate, greedy, service, swarm_of, until

PROMPT = [1, 2, 3]


async def test_a_private_node_serves_its_list_alone(checkpoint: Path) -> None:
    """Bug prevented: an allow-list that only hides the node, or shuts its members out."""
    async with swarm_of(checkpoint, "a=0:4", allowed_peers=("friend",)) as swarm:
        stranger = await swarm.client(missing_blocks_timeout=0.3)
        with pytest.raises(MissingBlocks, match="private swarm"):
            await generate(stranger.session(), PROMPT, greedy(1))
    async with swarm_of(checkpoint, "a=0:2 b=2:4", allowed_peers=("peer3", "a", "b")) as swarm:
        friend = await swarm.client()  # the third to join, named after that
        assert len((await generate(friend.session(), PROMPT, greedy(2))).tokens) == 2


async def test_sessions_of_one_peer_are_limited(checkpoint: Path) -> None:
    """Bug prevented: one peer opens streams until the node has no descriptors left."""
    async with swarm_of(checkpoint, "a=0:4", max_sessions_per_peer=2) as swarm:
        client = await swarm.client(missing_blocks_timeout=0.3)
        sessions = [client.session() for _ in range(3)]
        for session in sessions[:2]:
            await generate(session, PROMPT, greedy(1))
        with pytest.raises(SwarmBusy):
            await generate(sessions[2], PROMPT, greedy(1))
        await sessions[0].close()
        await until(lambda: len(service(swarm.nodes["a"]).sessions) == 1)
        assert (await generate(sessions[2], PROMPT, greedy(1))).tokens


async def test_a_node_measures_who_comes_behind_it(checkpoint: Path) -> None:
    """Bug prevented: a node announces ways to nodes that no route takes behind it, or to none."""
    async with swarm_of(checkpoint, "a=0:2 b=2:4 c=1:4 d=0:2") as swarm:
        await swarm.nodes["a"]._measure_next_hops()
        await swarm.nodes["b"]._measure_next_hops()
        assert set(swarm.nodes["a"].info.next_pings) == {"b", "c"}
        assert not swarm.nodes["b"].info.next_pings, "nothing comes behind the last block"
