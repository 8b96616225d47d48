"""The real model in two real nodes, for all tests of this folder."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from farmesh import load_tokenizer
from farmesh.client.client import FarMeshClient
from farmesh.config import ClientConfig
from tests.support.processes import PREFIX, Peer, Processes, processes
from tests.support.real import Judge
from tests.support.waiting import until

CACHE_TOKENS = 2048  # of each node


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.real)
            item.add_marker(pytest.mark.swarm)
            item.add_marker(pytest.mark.timeout(600))  # the fixtures' work included


@pytest.fixture(scope="session")
def tokenizer(real_model: Path) -> Any:
    return load_tokenizer(real_model)


@pytest.fixture(scope="session")
def judge(real_model: Path) -> Judge:
    return Judge(real_model)


class RealSwarm:
    """A bootstrap peer and nodes of the model, by peer id."""

    def __init__(self, swarm: Processes) -> None:
        self.swarm = swarm
        self.nodes: dict[str, Peer] = {}

    def serve(self, *spans: str, cache_tokens: int = CACHE_TOKENS) -> None:
        """Start nodes and wait until they serve, in the numbers that transformers computes with."""
        options = "--cache-tokens", str(cache_tokens), "--quantize", "none"
        for node in [self.swarm.serve(span, *options) for span in spans]:
            self.nodes[node.peer_id()] = node

    @asynccontextmanager
    async def client(self, **options: Any) -> AsyncIterator[FarMeshClient]:
        config = ClientConfig(
            checkpoint=self.swarm.checkpoint,
            initial_peers=(self.swarm.address,),
            dht_prefix=PREFIX,
            quantize="none",
            refresh_period=1.0,
            step_timeout_floor=60.0,  # tests share the machine
            **options,
        )
        async with FarMeshClient(config) as client:
            await until(lambda: len(client.snapshot.online) >= len(self.nodes), seconds=60.0)
            yield client


@pytest.fixture(scope="session")
def swarm(real_model: Path) -> Iterator[RealSwarm]:
    with processes(real_model) as started:
        swarm = RealSwarm(started)
        swarm.serve("0:15", "15:30")
        yield swarm
