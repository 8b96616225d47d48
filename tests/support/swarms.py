"""Clients of swarms that are processes."""

from __future__ import annotations

import random
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from farmesh.client.client import FarMeshClient
from farmesh.client.session import InferenceSession
from farmesh.config import ClientConfig
from farmesh.events import TokenGenerated
from tests.support.harness import Reply, greedy
from tests.support.processes import PREFIX, Processes
from tests.support.waiting import until


def prompt_of(length: int, seed: int = 0) -> list[int]:
    return random.Random(f"swarm{seed}").choices(range(512), k=length)


@asynccontextmanager
async def client_of(swarm: Processes, nodes: int, **options: float) -> AsyncIterator[FarMeshClient]:
    patient = {"connect_timeout": 20.0, "step_timeout_floor": 5.0, "silence_timeout": 5.0}
    config = ClientConfig(
        checkpoint=swarm.checkpoint,
        initial_peers=(swarm.address,),
        dht_prefix=PREFIX,
        refresh_period=1.0,
        **{**patient, **options},  # type: ignore[arg-type]
    )
    async with FarMeshClient(config) as client:
        await until(lambda: len(client.snapshot.online) >= nodes)
        yield client


async def during(
    session: InferenceSession, prompt: list[int], count: int, at: int, act: Callable[[], None]
) -> tuple[Reply, float]:
    """A reply in which something happens after token ``at``, and its longest pause."""
    reply, last, pause = Reply(), time.monotonic(), 0.0
    async for event in session.generate(prompt, greedy(count)):
        reply.events.append(event)
        if isinstance(event, TokenGenerated):
            now = time.monotonic()
            pause, last = max(pause, now - last if event.index else 0.0), now
            if event.index == at:
                act()
                last = time.monotonic()
    reply.check(prompt)
    return reply, pause
