"""What the picker says of models that a joined swarm serves, or not."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping

import pytest

from chat.models.offered import Offered, names_of
from chat.settings.catalogue import ModelEntry
from farmesh.client.client import FarMeshClient
from farmesh.config import ClientConfig
from farmesh.core import NodeInfo, NodeState, Span, SwarmSnapshot
from farmesh.errors import SwarmUnreachable
from farmesh.network.inprocess import InProcessSwarm
from tests.support.waiting import until


def entry(name: str, **fields: object) -> ModelEntry:
    known = {"id": name, "name": name, "licence": "MIT", "context": 512, **fields}
    return ModelEntry.model_validate(known)


def node(start: int, end: int, state: NodeState = NodeState.ONLINE) -> NodeInfo:
    return NodeInfo(f"peer{start}", Span(start, end), state=state, throughput=1.0)


class Swarm:
    """Answers once, then no more."""

    def __init__(self, *seen: SwarmSnapshot) -> None:
        self.seen = {snapshot.prefix: snapshot for snapshot in seen}
        self.looks = 0

    async def look_for(self, names: Collection[str]) -> Mapping[str, SwarmSnapshot]:
        self.looks += 1
        if self.looks > 1:
            raise SwarmUnreachable("It is gone.")
        return {name: seen for name, seen in self.seen.items() if name in names}


@pytest.mark.parametrize(
    ("fields", "names"),
    [
        ({"checkpoint": "models/guide"}, {"models/guide"}),
        ({"checkpoint": "a/B-GGUF:c/B.Q4_0.gguf"}, {"B.Q4_0"}),
        ({"checkpoint": "./B-00001-of-00003.gguf"}, {"B"}),
        ({"checkpoint": "a/B", "dht_prefix": "own"}, {"own"}),
        ({"sources": ["a/B", {"wheel": "w==1", "file": "w/C.gguf"}]}, {"a/B", "C"}),
    ],
)
def test_names_in_a_swarm(fields: dict[str, object], names: set[str]) -> None:
    """Bug prevented: a model is said to be missing since the swarm has it under another name."""
    assert names_of(entry("m", **fields)) == names


async def test_sentences(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bugs prevented: a swarm that does not answer for a moment serves nothing any more; nodes that
    are only starting are counted; a model is called missing before anybody has looked."""
    monkeypatch.setattr("chat.models.offered.LOOK_SECONDS", 0.0)
    offered = Offered([entry(name, checkpoint=name) for name in ("all", "some", "joining", "no")])
    assert {offered.sentence(name) for name in ("all", "some", "joining", "no")} == {""}
    swarm = Swarm(
        SwarmSnapshot("all", 4, (node(0, 3), node(2, 4))),
        SwarmSnapshot("some", 4, (node(0, 1), node(3, 4))),
        SwarmSnapshot("joining", 4, (node(0, 4, NodeState.JOINING),)),
        SwarmSnapshot("unknown", 4, (node(0, 4),)),
    )
    looking = asyncio.create_task(offered.keep_looking(swarm))
    await until(lambda: swarm.looks >= 2)
    looking.cancel()
    assert offered.sentence("all") == "served by this swarm"
    assert offered.sentence("some") == "this swarm serves 2 of its 4 blocks"
    assert offered.sentence("joining") == offered.sentence("no") == "nobody in this swarm serves it"


async def test_a_client_finds_models_by_their_names(guide: object) -> None:
    """Bug prevented: only one family's form of a name is looked for in the swarm."""
    swarm = InProcessSwarm()
    async with swarm.network("teller") as network:
        for prefix, blocks in {"Llama-3-hf": 2, "Qwen3-0-6B": 1, "other": 1}.items():
            await network.directory.register_model(prefix, blocks, 60.0)
            await network.directory.announce(prefix, node(0, 1), 60.0)
        config = ClientConfig(checkpoint=str(guide), initial_peers=())
        async with FarMeshClient(config, network=swarm.network) as client:
            await until(lambda: client.joined)
            found = await client.look_for(["meta/Llama-3", "Qwen/Qwen3-0.6B", "no/such"])
    assert {name: (seen.prefix, seen.is_complete) for name, seen in found.items()} == {
        "meta/Llama-3": ("Llama-3-hf", False),
        "Qwen/Qwen3-0.6B": ("Qwen3-0-6B", True),
    }
