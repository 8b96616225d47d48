"""This engine and Petals 2.2.0.post1 in one swarm: the same tokens as transformers alone.

Real processes of the unmodified release; ``make interop`` installs it and runs this.
"""

from __future__ import annotations

import asyncio
import random
import signal
import time
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from pathlib import Path

import pytest

from farmesh.client.client import FarMeshClient
from farmesh.client.session import InferenceSession
from farmesh.config import ClientConfig
from farmesh.errors import ContextOverflow
from farmesh.events import FinishReason, PrefillProgress, TokenGenerated, WaitingForCache
from tests.interop.processes import PREFIX, MixedSwarm, PetalsNode, mixed_swarm
from tests.support.harness import Reply, generate, generate_until, greedy
from tests.support.models import Oracle
from tests.support.processes import Peer
from tests.support.waiting import until

pytestmark = [pytest.mark.interop, pytest.mark.timeout(400)]


def prompt_of(length: int, seed: int = 0) -> list[int]:
    return random.Random(f"interop{seed}").choices(range(512), k=length)


@asynccontextmanager
async def client_of(swarm: MixedSwarm, nodes: int) -> AsyncIterator[FarMeshClient]:
    config = ClientConfig(
        checkpoint=swarm.checkpoint,
        initial_peers=swarm.addresses,
        dht_prefix=PREFIX,
        refresh_period=1.0,
    )
    async with FarMeshClient(config) as client:
        await online(client, nodes)
        yield client


async def online(client: FarMeshClient, nodes: int) -> None:
    await until(lambda: len(client.snapshot.online) >= nodes, seconds=60.0)


def hops(session: InferenceSession) -> list[str]:
    assert session.route is not None
    return [hop.peer_id for hop in session.route.hops]


async def struck(
    session: InferenceSession, prompt: list[int], count: int, at: int, strike: Callable[[], None]
) -> tuple[Reply, float]:
    """A reply that a node is lost in after token ``at``, and its longest pause in seconds."""
    reply, last, pause = Reply(), time.monotonic(), 0.0
    async for event in session.generate(prompt, greedy(count)):
        reply.events.append(event)
        if isinstance(event, TokenGenerated):
            pause, last = max(pause, time.monotonic() - last), time.monotonic()
            if event.index == 0:
                pause = 0.0
            if event.index == at:
                strike()
                last = time.monotonic()
    reply.check(prompt)
    return reply, pause


async def test_our_client_through_petals_nodes(checkpoint: Path, oracle: Oracle) -> None:
    """Prevents a client that only its own engine's nodes understand.

    Petals 2.2 ignores ``start_from_position`` without a word: an edit, "try again" and the turn
    after Stop would be computed on top of tokens that are to be gone.
    """
    with mixed_swarm(checkpoint, bootstrap=False) as swarm:
        nodes = [swarm.petals("0:2"), swarm.petals("2:4")]
        async with client_of(swarm, 2) as client, client.session() as session:
            ids, held = prompt_of(60), 0
            for turn in range(3):  # turns: only what is new is computed
                reply = await generate(session, ids, greedy(12))
                assert reply.tokens == oracle.greedy(ids, 12)
                assert reply.finished.stats.reused_tokens == held
                assert hops(session) == [node.peer_id() for node in nodes]
                held, asked = len(ids) + 11, ids
                ids = ids + reply.tokens + prompt_of(5, turn)

            again = await generate(session, asked, greedy(12))  # "try again"
            assert again.tokens == oracle.greedy(asked, 12)

            edited = [*asked[:40], *prompt_of(7, 9)]  # an edit far back
            reply = await generate(session, edited, greedy(12))
            assert reply.tokens == oracle.greedy(edited, 12)

            stopped = await generate_until(session, edited, greedy(200), TokenGenerated)  # Stop
            assert stopped.tokens == oracle.greedy(edited, 1)
            after = [*edited, *stopped.tokens, *prompt_of(6, 10)]
            reply = await generate(session, after, greedy(12))
            assert reply.tokens == oracle.greedy(after, 12)


async def test_a_long_prompt_through_petals_nodes(checkpoint: Path, oracle: Oracle) -> None:
    """Prevents a prompt of several chunks from being written at the wrong place."""
    with mixed_swarm(checkpoint, bootstrap=False) as swarm:
        swarm.petals("0:4")
        async with client_of(swarm, 1) as client, client.session() as session:
            ids = prompt_of(700)
            async with aclosing(session.generate(ids, greedy(4))) as events:
                async for event in events:  # Stop while the prompt is read
                    if isinstance(event, PrefillProgress) and event.done:
                        break
            reply = await generate(session, ids, greedy(8))
            assert reply.tokens == oracle.greedy(ids, 8)


async def test_petals_nodes_that_end_sessions_by_the_clock(
    checkpoint: Path, oracle: Oracle
) -> None:
    """Prevents chats that die with Petals' limits: 5 minutes of rest, 30 minutes in all.

    Here they are seconds: a session ends in mid-reply, and another one while nobody writes.
    """
    with mixed_swarm(checkpoint, bootstrap=False) as swarm:
        swarm.petals("0:4", "--session_timeout", "2", "--step_timeout", "1")
        async with client_of(swarm, 1) as client, client.session() as session:
            ids = prompt_of(60)
            reply = await generate(session, ids, greedy(400))
            assert reply.tokens == oracle.greedy(ids, 400)
            assert reply.reroutes, "the reply was over before the session's time was"
            await asyncio.sleep(2.0)
            ids = ids + reply.tokens + prompt_of(5, 1)
            reply = await generate(session, ids, greedy(12))
            assert reply.tokens == oracle.greedy(ids, 12)


async def test_a_full_petals_node_is_waited_for(checkpoint: Path, oracle: Oracle) -> None:
    """Prevents a person's turn from failing because another chat holds the node's cache.

    Petals reserves a session's whole length up front: here it holds one session and no second.
    """
    with mixed_swarm(checkpoint, bootstrap=False) as swarm:
        swarm.petals("0:4", "--attn_cache_tokens", "1500")
        async with client_of(swarm, 1) as client:
            ids = prompt_of(60)
            first, second = client.session(), client.session()
            async with first, second:
                assert (await generate(first, ids, greedy(4))).tokens == oracle.greedy(ids, 4)
                waiting = asyncio.create_task(generate(second, ids, greedy(12)))
                await asyncio.sleep(3.0)
                assert not waiting.done()
                await first.close()
                reply = await waiting
                assert reply.tokens == oracle.greedy(ids, 12)
                assert reply.of(WaitingForCache)
                assert not reply.reroutes


async def test_a_petals_node_that_takes_shorter_sessions(checkpoint: Path, oracle: Oracle) -> None:
    """Prevents "nobody serves these blocks" from Petals nodes, which take 2048 tokens at most
    unless their model's heads are grouped, while a session asks for the model's whole context."""
    with mixed_swarm(checkpoint, bootstrap=False) as swarm:
        swarm.petals("0:4", "--inference_max_length", "128")
        async with client_of(swarm, 1) as client, client.session() as session:
            ids = prompt_of(60)
            reply = await generate(session, ids, greedy(200))
            assert reply.tokens == oracle.greedy(ids, 128 - 60)
            assert reply.finished.reason is FinishReason.CONTEXT_FULL
            assert session.max_length == 128
            with pytest.raises(ContextOverflow):
                await generate(session, prompt_of(128, 2), greedy(1))
            edited = [*ids[:20], *prompt_of(4, 3)]
            assert (await generate(session, edited, greedy(8))).tokens == oracle.greedy(edited, 8)


async def test_petals_client_through_our_nodes(checkpoint: Path, oracle: Oracle) -> None:
    """Prevents nodes that only their own engine's client understands."""
    with mixed_swarm(checkpoint) as swarm:
        swarm.ours("0:2")
        swarm.ours("2:4")
        await check_petals_client(swarm, oracle)


async def test_petals_client_through_a_mixed_route(checkpoint: Path, oracle: Oracle) -> None:
    """Prevents a route of both engines that only this engine's client can use."""
    with mixed_swarm(checkpoint) as swarm:
        swarm.ours("0:2")
        swarm.petals("2:4")
        await check_petals_client(swarm, oracle)


async def check_petals_client(swarm: MixedSwarm, oracle: Oracle) -> None:
    first, added = prompt_of(60), prompt_of(5, 1)
    turns = [(first, 16), (added, 16)]
    replies = await asyncio.to_thread(swarm.petals_client, turns)
    assert replies[0] == oracle.greedy(first, 16)
    assert replies[1] == oracle.greedy([*first, *replies[0], *added], 16)


@pytest.mark.parametrize("reachable", [True, False])
def test_a_petals_node_asks_whether_it_can_be_dialled(checkpoint: Path, reachable: bool) -> None:
    """Prevents a Petals node behind a router that takes itself for public in a swarm of ours, and
    one in the open that goes behind a relay. Nobody's answer counts as yes, a "no" must be ours."""
    options = () if reachable else ("--announce_maddrs", "/ip4/127.0.0.1/tcp/9")  # nobody is there
    with mixed_swarm(checkpoint) as swarm:
        node = swarm.start_petals("0:2", *options)
        how = node.wait_for(r"This server is accessible (.*)$")
        assert how == ("directly" if reachable else "via relays")


@pytest.mark.parametrize("lost", ["theirs", "ours"])
async def test_a_mixed_route_and_failover_to_the_other_engine(
    checkpoint: Path, oracle: Oracle, lost: str
) -> None:
    """Prevents replies that end with a node while one of the other engine could go on.

    ``lost`` serves the first half, the other engine the second; then the first half is killed in
    mid-reply while a spare of the other engine is there.
    """
    with mixed_swarm(checkpoint) as swarm:
        victim: PetalsNode | Peer
        if lost == "theirs":
            victim, rest = swarm.petals("0:2"), swarm.ours("2:4")
        else:
            victim, rest = swarm.ours("0:2"), swarm.petals("2:4")
        async with client_of(swarm, 2) as client, client.session() as session:
            ids = prompt_of(60)
            for turn in range(2):
                reply = await generate(session, ids, greedy(12))
                assert reply.tokens == oracle.greedy(ids, 12)
                ids = ids + reply.tokens + prompt_of(5, turn)
            shorter = [*ids[:30], *prompt_of(3, 8)]  # a rewind on a mixed route
            reply = await generate(session, shorter, greedy(12))
            assert reply.tokens == oracle.greedy(shorter, 12)
            before = hops(session)

            spare = swarm.ours("0:2") if lost == "theirs" else swarm.petals("0:2")
            await online(client, 3)

            def strike() -> None:
                victim.kill() if isinstance(victim, PetalsNode) else victim.signal(signal.SIGKILL)

            reply, pause = await struck(session, ids, 60, 20, strike)
            assert reply.tokens == oracle.greedy(ids, 60)
            assert [event.lost.peer_id for event in reply.reroutes] == before[:1]
            assert hops(session)[1:] == before[1:]
            assert hops(session)[0] not in before
            print(f"longest pause after SIGKILL of {lost}: {pause:.2f} s")
            assert pause < 15.0
            ids = ids + reply.tokens + prompt_of(5, 3)
            assert (await generate(session, ids, greedy(6))).tokens == oracle.greedy(ids, 6)
            assert rest.process.poll() is None
            assert spare.process.poll() is None
