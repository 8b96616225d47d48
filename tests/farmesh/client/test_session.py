"""Inference sessions over the in-process transport, judged by transformers, token for token."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

import pytest

from farmesh.errors import ContextOverflow, SessionBusy, SessionClosed
from farmesh.events import FinishReason, PrefillProgress, RouteFound, TokenGenerated
from farmesh.node.session import SessionState
from farmesh.params import SamplingParams
from tests.support.harness import Reply, banned, generate, generate_until, greedy, swarm_of
from tests.support.models import Oracle
from tests.support.simulation import simulated
from tests.support.waiting import until

TWO_HOPS = "a=0:2 b=2:4"


def prompt_of(length: int, seed: int = 0, vocab: int = 512) -> list[int]:
    return random.Random(f"prompt{seed}").choices(range(vocab), k=length)


@pytest.mark.parametrize(
    "layout",
    [
        "a=0:4",
        TWO_HOPS,
        "a=0:1 b=1:4",
        "a=0:1 b=1:3 c=3:4",
        "a=0:3 b=1:4",
        "a=0:1 b=1:2 c=2:3 d=3:4",
    ],
)
@simulated
async def test_greedy_tokens_are_transformers_over_several_turns(
    checkpoint: Path, oracle: Oracle, layout: str
) -> None:
    """Prevents wrong positions, masks or caches: any would change some greedy token."""
    async with swarm_of(checkpoint, layout) as swarm:
        client = await swarm.client()
        async with client.session() as session:
            ids: list[int] = []
            for turn in range(3):
                ids += prompt_of(7 + 5 * turn, turn)
                reply = await generate(session, ids, greedy(9))
                assert reply.tokens == oracle.greedy(ids, 9)
                ids += reply.tokens
        assert set(swarm.pages_used().values()) == {0}


@simulated
async def test_grouped_heads_and_tied_embeddings(
    grouped_checkpoint: Path, grouped_oracle: Oracle
) -> None:
    """Prevents repeated or mixed up key heads, and a LM head that was not loaded."""
    async with swarm_of(grouped_checkpoint, "a=0:2 b=2:5 c=5:6") as swarm:
        client = await swarm.client()
        async with client.session() as session:
            ids = prompt_of(30)
            reply = await generate(session, ids, greedy(12))
            assert reply.tokens == grouped_oracle.greedy(ids, 12)


@pytest.mark.parametrize("use_push", [True, False])
@simulated
async def test_long_prompts_in_small_chunks(
    checkpoint: Path, oracle: Oracle, use_push: bool
) -> None:
    """Prevents chunks that overtake one another or leave a hole, pushed or relayed."""
    async with swarm_of(checkpoint, "a=0:1 b=1:3 c=3:4", max_batch_tokens=32) as swarm:
        client = await swarm.client(prefill_chunk=11, use_push=use_push)
        async with client.session() as session:
            ids = prompt_of(300)
            reply = await generate(session, ids, greedy(5))
            assert reply.tokens == oracle.greedy(ids, 5)
            progress = reply.of(PrefillProgress)
            assert [event.done for event in progress] == sorted(event.done for event in progress)
            assert progress[-1].done == progress[-1].total == 300


@simulated
async def test_a_second_turn_prefills_only_the_new_tokens(checkpoint: Path, oracle: Oracle) -> None:
    """Prevents turns whose cost grows with the conversation."""
    async with swarm_of(checkpoint, TWO_HOPS) as swarm:
        client = await swarm.client()
        async with client.session() as session:
            ids = prompt_of(50)
            ids += (await generate(session, ids, greedy(10))).tokens
            before = swarm.computed()
            assert before == {"a": 59, "b": 59}  # the last token was never fed back
            ids += prompt_of(6, 1)
            reply = await generate(session, ids, greedy(4))
            assert reply.tokens == oracle.greedy(ids, 4)
            new = 1 + 6 + 3
            assert swarm.computed() == {"a": 59 + new, "b": 59 + new}
            assert reply.finished.stats.reused_tokens == 59
            assert reply.finished.stats.prompt_tokens == 66


@simulated
async def test_edits_rewinds_and_repeats_reuse_the_common_prefix(
    checkpoint: Path, oracle: Oracle
) -> None:
    """Prevents tokens of an edited message from staying in the caches."""
    async with swarm_of(checkpoint, TWO_HOPS) as swarm:
        client = await swarm.client()
        async with client.session() as session:
            first = prompt_of(40)
            wanted = [
                first,
                first + prompt_of(5, 1),
                first[:20] + prompt_of(15, 2),  # an edit in the middle
                first[:20],  # a rewind
                first[:20],  # the same once more: regenerate
                prompt_of(3, 3),  # something else altogether
                first,
            ]
            for ids in wanted:
                reply = await generate(session, ids, greedy(6))
                assert reply.tokens == oracle.greedy(ids, 6)
                assert session.token_ids == ids + reply.tokens


@simulated
async def test_regenerating_computes_one_token_of_the_prompt_again(checkpoint: Path) -> None:
    """Prevents a full prefill when the user only asks for another answer."""
    async with swarm_of(checkpoint, TWO_HOPS) as swarm:
        client = await swarm.client()
        async with client.session() as session:
            ids = prompt_of(40)
            await generate(session, ids, greedy(5))
            before = swarm.computed()["a"]
            await generate(session, ids, greedy(5))
            assert swarm.computed()["a"] - before == 1 + 4


@pytest.mark.parametrize("kind", [RouteFound, PrefillProgress, TokenGenerated])
@simulated
async def test_a_stopped_reply_leaves_the_session_ready(
    checkpoint: Path, oracle: Oracle, kind: type
) -> None:
    """Prevents a Stop, at any moment, from spoiling the caches of the next turn."""
    async with swarm_of(checkpoint, "a=0:1 b=1:3 c=3:4", max_batch_tokens=16) as swarm:
        client = await swarm.client(prefill_chunk=16)
        async with client.session() as session:
            ids = prompt_of(200)
            await generate_until(session, ids, greedy(50), kind)
            other = ids[:120] + prompt_of(30, 1)
            reply = await generate(session, other, greedy(8))
            assert reply.tokens == oracle.greedy(other, 8)
            assert not reply.reroutes
        await until(lambda: not any(swarm.pages_used().values()))
        assert not banned(client)


@simulated
async def test_stop_at_every_moment_of_a_reply(checkpoint: Path, oracle: Oracle) -> None:
    """Prevents a cancel between any two awaits from leaving half a step behind."""
    random.seed(5)
    async with swarm_of(checkpoint, "a=0:2 b=2:4", max_batch_tokens=16) as swarm:
        client = await swarm.client(prefill_chunk=12)
        async with client.session() as session:
            ids = prompt_of(60)
            for attempt in range(15):
                reply = Reply()

                async def read(ids: list[int] = ids, reply: Reply = reply) -> None:
                    async for event in session.generate(ids, greedy(30)):
                        reply.events.append(event)

                task = asyncio.create_task(read())
                await asyncio.sleep(random.random() * 0.12)
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
                assert reply.tokens == oracle.greedy(ids, 30)[: len(reply.tokens)]
                ids = ids[: random.randrange(1, 60)] + prompt_of(random.randrange(1, 60), attempt)
            assert (await generate(session, ids, greedy(6))).tokens == oracle.greedy(ids, 6)
        await until(lambda: not any(swarm.pages_used().values()))
        assert not banned(client)


@simulated
async def test_stop_really_stops_the_nodes_work(checkpoint: Path) -> None:
    """Prevents nodes from prefilling a long prompt that nobody waits for any more."""
    async with swarm_of(checkpoint, TWO_HOPS, max_batch_tokens=8) as swarm:
        client = await swarm.client(prefill_chunk=64)
        async with client.session() as session:
            await generate_until(session, prompt_of(1000), greedy(5), PrefillProgress)
            await asyncio.sleep(0.1)
            stopped = swarm.computed()
            await asyncio.sleep(60.0)
            assert swarm.computed() == stopped
            assert stopped["a"] < 900


@simulated
async def test_many_sessions_at_once_share_forwards_and_not_tokens(
    checkpoint: Path, oracle: Oracle
) -> None:
    """Prevents chats that see one another's cache, and nodes that serve them one by one."""
    async with swarm_of(checkpoint, TWO_HOPS) as swarm:
        client = await swarm.client()
        sessions = [client.session() for _ in range(8)]
        prompts = [prompt_of(5 + 9 * index, index) for index in range(8)]
        for _ in range(2):
            replies = await asyncio.gather(
                *(
                    generate(session, ids, greedy(12))
                    for session, ids in zip(sessions, prompts, strict=True)
                )
            )
            for index, reply in enumerate(replies):
                assert reply.tokens == oracle.greedy(prompts[index], 12)
                prompts[index] = prompts[index] + reply.tokens + prompt_of(4, 50 + index)
        node = swarm.nodes["a"].service
        assert node is not None
        assert node.scheduler.ticks < 0.7 * 8 * 2 * 13
        await asyncio.gather(*(session.close() for session in sessions))
        assert set(swarm.pages_used().values()) == {0}


@simulated
async def test_a_long_prompt_does_not_disturb_somebody_elses_reply(
    checkpoint: Path, oracle: Oracle
) -> None:
    """Prevents mixing up rows when prefill and decodes are packed into one forward."""
    async with swarm_of(checkpoint, TWO_HOPS, max_batch_tokens=64) as swarm:
        client = await swarm.client()
        async with client.session() as talker, client.session() as reader:
            short, long = prompt_of(9), prompt_of(400, 1)
            talk = asyncio.create_task(generate(talker, short, greedy(40)))
            read = await generate(reader, long, greedy(4))
            assert read.tokens == oracle.greedy(long, 4)
            assert (await talk).tokens == oracle.greedy(short, 40)


@simulated
async def test_an_idle_session_gives_way_and_is_rebuilt(checkpoint: Path, oracle: Oracle) -> None:
    """Prevents idle chats from filling a node, and evicted ones from ending with an error."""
    async with swarm_of(checkpoint, TWO_HOPS, cache_tokens=256) as swarm:
        client = await swarm.client(max_session_tokens=256)
        async with client.session() as one, client.session() as other:
            ids = prompt_of(150)
            reply = await generate(one, ids, greedy(5))
            assert reply.tokens == oracle.greedy(ids, 5)
            theirs = prompt_of(150, 1)
            reply = await generate(other, theirs, greedy(5))  # pushes the idle one out
            assert reply.tokens == oracle.greedy(theirs, 5)
            ids = ids + prompt_of(4, 2)
            reply = await generate(one, ids, greedy(5))
            assert reply.tokens == oracle.greedy(ids, 5)
            assert not banned(client)


@simulated
async def test_two_chats_that_do_not_fit_together_both_end(
    checkpoint: Path, oracle: Oracle
) -> None:
    """Prevents chats at work from evicting each other for ever."""
    async with swarm_of(checkpoint, TWO_HOPS, cache_tokens=256) as swarm:
        client = await swarm.client(max_session_tokens=256, missing_blocks_timeout=20.0)
        async with client.session() as one, client.session() as other:
            first, second = prompt_of(120), prompt_of(120, 1)
            replies = await asyncio.gather(
                generate(one, first, greedy(60)), generate(other, second, greedy(60))
            )
            assert replies[0].tokens == oracle.greedy(first, 60)
            assert replies[1].tokens == oracle.greedy(second, 60)
            # Both prompts and replies once, and what one eviction costs; no ping-pong.
            assert swarm.computed()["a"] <= 2 * 180 + 3 * 180
            assert not banned(client)


@simulated
async def test_the_same_seed_gives_the_same_text_whatever_else_runs(checkpoint: Path) -> None:
    """Prevents sampled text from depending on batching, routes or other chats."""
    params = SamplingParams(max_new_tokens=20, temperature=1.5, top_p=0.95, seed=42)
    ids = prompt_of(12)
    async with swarm_of(checkpoint, TWO_HOPS) as swarm:
        client = await swarm.client()
        async with client.session() as session:
            alone = await generate(session, ids, params)
        sessions = [client.session() for _ in range(4)]
        others = [
            SamplingParams(max_new_tokens=20, temperature=2.0, repetition_penalty=1.3, seed=seed)
            for seed in range(3)
        ]
        replies = await asyncio.gather(
            *(
                generate(session, ids, sampling)
                for session, sampling in zip(sessions, [params, *others], strict=True)
            )
        )
        assert replies[0].tokens == alone.tokens
        assert len({tuple(reply.tokens) for reply in replies}) == 4
        assert alone.finished.stats.seed == 42
    async with swarm_of(checkpoint, "a=0:1 b=1:4") as swarm:
        client = await swarm.client()
        async with client.session() as session:
            assert (await generate(session, ids, params)).tokens == alone.tokens


@simulated
async def test_a_drawn_seed_is_told_and_repeats_the_reply(checkpoint: Path) -> None:
    """Prevents a reply that nobody can reproduce."""
    async with swarm_of(checkpoint, "a=0:4") as swarm:
        client = await swarm.client()
        async with client.session() as session:
            ids = prompt_of(5)
            first = await generate(session, ids, SamplingParams(max_new_tokens=8))
            seed = first.finished.stats.seed
            again = await generate(session, ids, SamplingParams(max_new_tokens=8, seed=seed))
            assert again.tokens == first.tokens


@simulated
async def test_a_stop_token_ends_the_reply_and_is_part_of_it(
    checkpoint: Path, oracle: Oracle
) -> None:
    """Prevents replies that run on after their end."""
    async with swarm_of(checkpoint, TWO_HOPS) as swarm:
        client = await swarm.client()
        async with client.session() as session:
            ids = prompt_of(5)
            expected = oracle.greedy(ids, 10)
            end = expected[4]
            sampling = SamplingParams(max_new_tokens=10, temperature=0, stop_token_ids=(end,))
            reply = await generate(session, ids, sampling)
            assert reply.tokens == expected[: expected.index(end) + 1]
            assert reply.finished.reason is FinishReason.END_OF_SEQUENCE


@simulated
async def test_the_context_fills_up_to_its_last_token(checkpoint: Path, oracle: Oracle) -> None:
    """Prevents a node's refusal at the end of the context from looking like a lost node."""
    async with swarm_of(checkpoint, TWO_HOPS, cache_tokens=64) as swarm:
        client = await swarm.client(max_session_tokens=64)
        async with client.session() as session:
            ids = prompt_of(60)
            reply = await generate(session, ids, greedy(50))
            assert reply.tokens == oracle.greedy(ids, 4)
            assert reply.finished.reason is FinishReason.CONTEXT_FULL
            with pytest.raises(ContextOverflow):
                await generate(session, prompt_of(64), greedy(1))
            reply = await generate(session, prompt_of(63), greedy(9))
            assert reply.tokens == oracle.greedy(prompt_of(63), 1)
            assert not reply.reroutes


@simulated
async def test_one_reply_at_a_time_and_none_after_the_end(checkpoint: Path) -> None:
    """Prevents two replies that write into the same caches."""
    async with swarm_of(checkpoint, TWO_HOPS) as swarm:
        client = await swarm.client()
        session = client.session()
        running = session.generate(prompt_of(5), greedy(50))
        await anext(running)
        with pytest.raises(SessionBusy):
            await generate(session, prompt_of(5), greedy(1))
        await running.aclose()
        await generate(session, prompt_of(5), greedy(1))
        with pytest.raises(ValueError, match="empty"):
            await generate(session, [], greedy(1))
        await generate(session, prompt_of(5), greedy(1))
        await session.close()
        await session.close()
        with pytest.raises(SessionClosed):
            await generate(session, prompt_of(5), greedy(1))


@simulated
async def test_a_session_closed_during_its_reply_frees_the_nodes(checkpoint: Path) -> None:
    """Prevents a running reply from opening new hops after its session was closed."""
    async with swarm_of(checkpoint, TWO_HOPS) as swarm:
        client = await swarm.client()
        session = client.session()
        task = asyncio.create_task(generate(session, prompt_of(5), greedy(500)))
        await until(lambda: session.position > 10)
        await session.close()
        with pytest.raises(SessionClosed):
            await task
        services = [node.service for node in swarm.nodes.values()]
        await until(lambda: not any(service.sessions for service in services if service))


@simulated
async def test_a_reader_slower_than_the_engine_gets_every_event(
    checkpoint: Path, oracle: Oracle
) -> None:
    """Prevents lost tokens when a page reads more slowly than the nodes compute."""
    async with swarm_of(checkpoint, "a=0:4") as swarm:
        client = await swarm.client()
        async with client.session() as session:
            ids, reply = prompt_of(5), Reply()
            async for event in session.generate(ids, greedy(66)):
                if isinstance(event, TokenGenerated) and event.index == 0:
                    await asyncio.sleep(1.0)  # the engine runs ahead as far as it may
                for _ in range(5):
                    await asyncio.sleep(0)  # ... and stays there to the end
                reply.events.append(event)
            reply.check(ids)
            assert reply.tokens == oracle.greedy(ids, 66)
            assert reply.finished.reason is FinishReason.MAX_NEW_TOKENS


@simulated
async def test_cancelled_while_its_hops_are_opened(checkpoint: Path) -> None:
    """Prevents hops that were opened a moment before the Stop from staying open for ever."""
    async with swarm_of(checkpoint, TWO_HOPS) as swarm:
        client = await swarm.client()
        swarm.net.stop("b")  # a opens, b does not answer
        session = client.session()
        task = asyncio.create_task(generate(session, prompt_of(5), greedy(5)))
        node = swarm.nodes["a"].service
        assert node is not None
        await until(lambda: bool(node.sessions))
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await session.close()
        await until(
            lambda: all(kept.state is SessionState.DETACHED for kept in node.sessions), seconds=1.0
        )
        swarm.net.resume("b")


@simulated
async def test_a_prefill_counts_what_was_reused(checkpoint: Path) -> None:
    """Prevents a status line that claims more or less than the caches held."""
    async with swarm_of(checkpoint, TWO_HOPS) as swarm:
        client = await swarm.client()
        async with client.session() as session:
            ids = prompt_of(30)
            await generate(session, ids, greedy(3))
            reply = await generate(session, ids[:10] + prompt_of(9, 1), greedy(3))
            assert reply.of(PrefillProgress)[0].reused == 10
            assert reply.finished.stats.reused_tokens == 10
            assert not reply.of(RouteFound)


@simulated
async def test_a_session_takes_the_shortest_limit_of_its_route(
    checkpoint: Path, oracle: Oracle
) -> None:
    """Prevents "nobody serves these blocks" from nodes whose sessions must be shorter."""
    async with swarm_of(checkpoint, "a=0:2 b=2:4", cache_tokens=64) as swarm:
        client = await swarm.client()
        async with client.session() as session:
            assert session.max_length > 64
            reply = await generate(session, prompt_of(40), greedy(100))
            assert reply.tokens == oracle.greedy(prompt_of(40), 24)
            assert reply.finished.reason is FinishReason.CONTEXT_FULL
            assert session.max_length == 64
            with pytest.raises(ContextOverflow):
                await generate(session, prompt_of(64), greedy(1))
