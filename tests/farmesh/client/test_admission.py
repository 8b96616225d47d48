"""Who is served by a node, how much of it one peer may take, and whom it knows itself."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
import torch

from farmesh.core import NodeState, Span
from farmesh.errors import MissingBlocks, ProtocolError, QuotaExceeded, SwarmBusy
from farmesh.events import FinishReason
from farmesh.node.quota import Account
from farmesh.node.session import NodeSession
from farmesh.wire.failures import CODE_BUSY
from farmesh.wire.messages import Step
from farmesh.wire.metadata import StepMetadata
from tests.support.harness import generate, greedy, service, swarm_of
from tests.support.simulation import simulated
from tests.support.waiting import until

PROMPT = [1, 2, 3]


@simulated
async def test_a_private_node_serves_its_list_alone(checkpoint: Path) -> None:
    """Bug prevented: an allow-list that only hides the node, or shuts its members out."""
    async with swarm_of(checkpoint, "a=0:4", allowed_peers=("friend",)) as swarm:
        stranger = await swarm.client(missing_blocks_timeout=0.3)
        with pytest.raises(MissingBlocks, match="private swarm"):
            await generate(stranger.session(), PROMPT, greedy(1))
    async with swarm_of(checkpoint, "a=0:2 b=2:4", allowed_peers=("peer3", "a", "b")) as swarm:
        friend = await swarm.client()  # the third to join, named after that
        assert len((await generate(friend.session(), PROMPT, greedy(2))).tokens) == 2


@simulated
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


@simulated
async def test_what_an_operator_says_of_a_node(checkpoint: Path) -> None:
    """Bug prevented: --throughput is measured over, --max-session-tokens is not kept."""
    options = {"throughput": 12.5, "max_session_tokens": 32}
    async with swarm_of(checkpoint, "a=0:4", **options) as swarm:
        info = swarm.nodes["a"].info
        assert info.throughput == 12.5
        assert info.inference_rps != 12.5, "what is measured is announced beside it"
        session = (await swarm.client()).session()
        reply = await generate(session, PROMPT, greedy(64))
        assert len(PROMPT) + len(reply.tokens) == 32
        assert reply.finished.reason is FinishReason.CONTEXT_FULL


@simulated
async def test_a_node_measures_who_comes_behind_it(checkpoint: Path) -> None:
    """Bug prevented: a node announces ways to nodes that no route takes behind it, or to none."""
    async with swarm_of(checkpoint, "a=0:2 b=2:4 c=1:4 d=0:2") as swarm:
        await swarm.nodes["a"]._announcer.measure_next_hops()
        await swarm.nodes["b"]._announcer.measure_next_hops()
        assert set(swarm.nodes["a"].info.next_pings) == {"b", "c"}
        assert not swarm.nodes["b"].info.next_pings, "nothing comes behind the last block"


@simulated
async def test_a_node_notices_a_copy_of_its_identity(
    checkpoint: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Bug prevented: a node takes what it said itself, now or before its restart, for another's;
    or says nothing of another peer that pushes it out of the swarm."""
    async with swarm_of(checkpoint, "a=0:4", update_period=5.0) as swarm:
        before = {"inference_rps": 7.0, "state": NodeState.ONLINE}
        swarm.set_record("a", **before)  # an earlier process of this node, perhaps
        await asyncio.sleep(60.0)
        assert "Another peer" not in caplog.text
        swarm.set_record("a", **before)
        await until(lambda: "Another peer uses this node's identity" in caplog.text, 10.0)
        swarm.set_record("a", **before)
        await asyncio.sleep(20.0)
        assert caplog.text.count("Another peer") == 1


@simulated
async def test_cache_of_one_peer_is_limited(checkpoint: Path) -> None:
    """Bug prevented: one peer fills the KV cache, or is refused while its own chats are idle."""
    options = {"cache_tokens": 256, "max_cache_tokens_per_peer": 64, "alloc_timeout": 0.2}
    async with swarm_of(checkpoint, "a=0:4", **options) as swarm:
        client = await swarm.client(
            missing_blocks_timeout=0.2
        )  # over before its chats count as idle
        cache = service(swarm.nodes["a"])._cache
        sessions = [client.session() for _ in range(3)]
        for session in sessions[:2]:
            assert (await generate(session, PROMPT, greedy(20))).tokens
        with pytest.raises(SwarmBusy) as refused:
            await generate(sessions[2], PROMPT, greedy(20))
        assert "as much of the node's cache as one may" in str(refused.value.__cause__)
        assert cache.tokens_total - cache.tokens_free <= 64
        await asyncio.sleep(1.1)  # idle now: its own chats give way, the oldest first
        assert (await generate(sessions[2], PROMPT, greedy(20))).tokens
        assert cache.tokens_total - cache.tokens_free <= 64
        other = await swarm.client()
        assert (await generate(other.session(), PROMPT, greedy(20))).tokens


@simulated
async def test_a_longer_session_than_the_quota_is_asked_for_less(checkpoint: Path) -> None:
    """Bug prevented: a client waits for cache that it can never have."""
    async with swarm_of(checkpoint, "a=0:4", max_cache_tokens_per_peer=64) as swarm:
        client = await swarm.client()
        reply = await generate(client.session(), PROMPT, greedy(10))
        assert len(reply.tokens) == 10


@simulated
async def test_nobody_keeps_more_than_a_share_while_others_wait(checkpoint: Path) -> None:
    """Bug prevented: who came first with many busy sessions shuts everybody else out."""
    async with swarm_of(checkpoint, "a=0:4", cache_tokens=128, alloc_timeout=2.0) as swarm:
        greedy_one, newcomer = await swarm.client(), await swarm.client()
        running = [
            asyncio.create_task(generate(greedy_one.session(), PROMPT, greedy(40)))
            for _ in range(3)
        ]
        scheduler = service(swarm.nodes["a"]).scheduler
        await until(lambda: scheduler._cache.allocator.free == 0, seconds=20.0)
        assert len((await generate(newcomer.session(), PROMPT, greedy(30))).tokens) == 30
        for reply in await asyncio.gather(*running):
            assert len(reply.tokens) == 40  # evicted ones came back and ended too


def step(start: int, tokens: int = 16) -> Step:
    return Step(torch.zeros(1, tokens, 64), StepMetadata(start_from_position=start))


def test_what_waits_of_one_peer_is_limited() -> None:
    """Bug prevented: steps that can never run fill the memory, over many sessions."""
    size = step(0).hidden_states.nbytes
    account = Account(max_queued_bytes=3 * size)
    sessions = [
        NodeSession(("peer", str(n)), Span(0, 4), batch=1, max_length=100, account=account)
        for n in range(2)
    ]
    for session in (*sessions, sessions[0]):
        session.put(step(50))
    with pytest.raises(QuotaExceeded) as refused:
        sessions[1].put(step(60))
    assert (refused.value.quota, refused.value.code) == ("queue", CODE_BUSY)
    sessions[0].drop_steps()
    sessions[1].put(step(60))
    assert account.queued_bytes == 2 * size


@simulated
async def test_what_was_computed_waits_no_more(checkpoint: Path) -> None:
    """Bug prevented: an account that only ever grows, until the peer is refused for good."""
    async with swarm_of(checkpoint, "a=0:4") as swarm:
        client = await swarm.client()
        session = client.session()
        await generate(session, PROMPT, greedy(5))
        node = service(swarm.nodes["a"])
        (account,) = node.sessions.accounts.values()
        await until(lambda: account.queued_bytes == 0)
        await session.close()
        await until(lambda: not node.sessions.accounts)


@simulated
async def test_waiting_sessions_of_one_peer_are_limited(checkpoint: Path) -> None:
    """Bug prevented: one peer takes all places of the queue for cache."""
    options = {"cache_tokens": 48, "max_queued_sessions_per_peer": 1, "alloc_timeout": 1.0}
    async with swarm_of(checkpoint, "a=0:4", **options) as swarm:
        client = await swarm.client(missing_blocks_timeout=0.5)
        results = await asyncio.gather(
            *(generate(client.session(), PROMPT, greedy(40)) for _ in range(5)),
            return_exceptions=True,
        )
        assert any(not isinstance(result, BaseException) for result in results)
        refused = [result for result in results if isinstance(result, BaseException)]
        assert all(isinstance(result, SwarmBusy) for result in refused)


@pytest.mark.parametrize("hypo_ids", [torch.tensor(0), torch.tensor([[0]]), torch.tensor([0, 0])])
def test_beams_of_a_wrong_shape_are_refused(hypo_ids: torch.Tensor) -> None:
    """Bug prevented: an internal error, with its traceback in the log, for a peer's odd message."""
    session = NodeSession(("peer", "s"), Span(0, 4), batch=1, max_length=10)
    with pytest.raises(ProtocolError, match="permutation"):
        session.reorder(hypo_ids)
