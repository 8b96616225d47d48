"""Nodes as real processes over libp2p: the same text as transformers, through real kills."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path

import pytest

from farmesh.config import NodeConfig
from farmesh.core import Span
from farmesh.node import FarNode
from farmesh.params import SamplingParams
from tests.support.harness import generate, greedy, service
from tests.support.models import Oracle
from tests.support.processes import PREFIX, Peer, processes, wait_until_gone
from tests.support.swarms import client_of, during, prompt_of
from tests.support.waiting import until

pytestmark = [pytest.mark.swarm, pytest.mark.timeout(240)]


async def test_two_nodes_over_several_turns(checkpoint: Path, oracle: Oracle) -> None:
    """Prevents a process border from changing a token, or a turn from starting over."""
    with processes(checkpoint) as swarm:
        nodes = [swarm.serve("0:2"), swarm.serve("2:4")]
        for node in nodes:
            node.address()
        async with client_of(swarm, 2) as client, client.session() as session:
            ids = prompt_of(60)
            held = 0
            for turn in range(3):
                reply = await generate(session, ids, greedy(12))
                assert reply.tokens == oracle.greedy(ids, 12)
                assert reply.finished.stats.reused_tokens == held
                assert reply.finished.stats.hops == 2
                held = len(ids) + 11  # the last token was not fed back yet
                ids = ids + reply.tokens + prompt_of(5, turn)
            sampling = SamplingParams(max_new_tokens=12, seed=7, temperature=1.3)
            drawn = await generate(session, ids, sampling)
            again = await generate(session, ids, sampling)
            assert drawn.tokens == again.tokens
        for node in nodes:
            assert node.end() == 0
            assert not wait_until_gone(node.session_id)
        assert swarm.bootstrap.end() == 0
        assert not wait_until_gone(swarm.bootstrap.session_id)


async def test_a_second_turn_is_counted_on_the_node(checkpoint: Path, oracle: Oracle) -> None:
    """Prevents turns that prefill the whole history again: counted where it is computed."""
    with processes(checkpoint) as swarm:
        swarm.serve("2:4").address()
        config = NodeConfig(
            checkpoint=checkpoint,
            initial_peers=(swarm.address,),
            span=Span(0, 2),
            dht_prefix=PREFIX,
            threads=1,
            cache_tokens=2048,
        )
        async with (
            FarNode(config) as node,
            client_of(swarm, 2) as client,
            client.session() as session,
        ):
            ids = prompt_of(100)
            first = await generate(session, ids, greedy(6))
            assert service(node).scheduler.tokens_computed == 105
            ids = ids + first.tokens + prompt_of(9, 1)
            second = await generate(session, ids, greedy(6))
            assert second.tokens == oracle.greedy(ids, 6)
            assert service(node).scheduler.tokens_computed == 105 + 1 + 9 + 5


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
async def test_a_node_that_is_killed_or_stopped_in_a_reply(
    checkpoint: Path, oracle: Oracle, number: signal.Signals
) -> None:
    """Prevents a reply that ends with its node while a spare one is there (petals#587)."""
    with processes(checkpoint) as swarm:
        spans = ["0:2", "2:4", "0:2", "1:4"]
        nodes = [swarm.serve(span) for span in spans]
        by_id: dict[str, Peer] = {node.peer_id(): node for node in nodes}
        async with client_of(swarm, 4) as client, client.session() as session:
            ids = prompt_of(200)
            victims: list[str] = []

            def strike() -> None:
                assert session.route is not None
                victims.append(session.route.hops[-1].peer_id)
                by_id[victims[0]].signal(number)

            reply, pause = await during(session, ids, 60, 20, strike)
            assert reply.tokens == oracle.greedy(ids, 60)
            assert [event.lost.peer_id for event in reply.reroutes] == victims
            assert pause < 30.0
            print(f"longest pause after {number.name}: {pause:.2f} s")
            ids = ids + reply.tokens + prompt_of(5, 1)
            assert (await generate(session, ids, greedy(6))).tokens == oracle.greedy(ids, 6)
        if number == signal.SIGKILL:
            assert not wait_until_gone(by_id[victims[0]].session_id), "its p2p daemon lives on"


async def test_a_lone_node_that_is_killed_and_replaced(checkpoint: Path, oracle: Oracle) -> None:
    """Prevents a session that cannot wait for the node which its supervisor starts again."""
    with processes(checkpoint) as swarm:
        swarm.serve("0:2").address()
        victim = swarm.serve("2:4")
        victim.address()
        async with (
            client_of(swarm, 2, missing_blocks_timeout=90.0) as client,
            client.session() as session,
        ):
            ids = prompt_of(50)

            def replace() -> None:
                victim.signal(signal.SIGKILL)
                swarm.serve("1:4")

            reply, _ = await during(session, ids, 30, 10, replace)
            assert reply.tokens == oracle.greedy(ids, 30)
            assert len(reply.reroutes) == 1


async def test_stop_stops_the_nodes(checkpoint: Path, oracle: Oracle) -> None:
    """Prevents nodes from working on for a reply that was stopped, over a real network."""
    with processes(checkpoint) as swarm:
        for node in (swarm.serve("0:2"), swarm.serve("2:4")):
            node.address()
        async with client_of(swarm, 2) as client, client.session() as session:
            ids = prompt_of(30)
            task = asyncio.create_task(generate(session, ids, greedy(400)))
            await until(lambda: session.position > 40)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            reply = await generate(session, ids, greedy(10))
            assert reply.tokens == oracle.greedy(ids, 10)
            assert reply.finished.stats.reused_tokens == 29
