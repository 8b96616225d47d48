"""A real model's tokens and logits through real nodes: long prompts, full caches, kills."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.real.conftest import RealSwarm
from tests.support.families import spy_on_logits
from tests.support.harness import generate, greedy
from tests.support.processes import processes
from tests.support.real import CONTEXT, Judge
from tests.support.swarms import during

LOGITS = 1e-4  # largest difference allowed in any logit
ROUNDED = 0.05  # the same through the kernels, which round activations to 16 bits
LONG = 1500  # tokens
REPLY = 6  # tokens


def prose(project: Path, tokenizer: Any, count: int, skip: int = 0) -> list[int]:
    """So many tokens of English: the project's own documents."""
    text = "".join(path.read_text("utf-8") for path in sorted((project / "docs").glob("*.md")))
    return list(tokenizer.encode(text, add_special_tokens=False)[skip : skip + count])


async def test_a_long_prompt_and_a_session_that_had_to_go(
    swarm: RealSwarm, judge: Judge, project: Path
) -> None:
    """Bugs prevented: logits drift over a long prompt; a session whose cache the nodes needed for
    another one goes on with less than it had."""
    first = prose(project, judge.tokenizer, 700, skip=LONG)
    long = prose(project, judge.tokenizer, LONG)
    async with swarm.client() as client:
        seen = spy_on_logits(client)
        evicted = client.session()
        before = await generate(evicted, first, greedy(REPLY))
        told = judge.say(first, REPLY)
        assert before.tokens == told.tokens
        assert (torch.cat(seen) - told.logits).abs().max() < LOGITS

        seen.clear()
        async with client.session() as session:
            reply = await generate(session, long, greedy(REPLY))
        told = judge.say(long, REPLY)
        assert reply.tokens == told.tokens
        assert (torch.cat(seen) - told.logits).abs().max() < LOGITS

        more = first + before.tokens + prose(project, judge.tokenizer, 9)
        after = await generate(evicted, more, greedy(REPLY))
        assert after.finished.stats.reused_tokens == 0, "nobody had to go"
        assert after.tokens == judge.say(more, REPLY).tokens
        await evicted.close()


async def test_a_node_that_is_killed_in_a_reply(swarm: RealSwarm, judge: Judge) -> None:
    """Bug prevented: the text goes on differently on another node."""
    swarm.serve("15:30")
    prompt = judge.prompt([{"role": "user", "content": "Write a short story about a lighthouse."}])
    async with swarm.client() as client, client.session() as session:

        def strike() -> None:
            assert session.route is not None
            swarm.nodes.pop(session.route.hops[-1].peer_id).signal(signal.SIGKILL)

        reply, pause = await during(session, prompt, 40, 12, strike)
    print(f"longest pause: {pause:.2f} s")
    assert len(reply.reroutes) == 1
    assert reply.tokens == judge.say(prompt, 40).tokens


async def test_through_the_kernels(real_model: Path, judge: Judge, project: Path) -> None:
    """Bug prevented: what the nodes do when nobody asks for float32 is another model, or chats that
    are computed together change one another's tokens."""
    prompts = [prose(project, judge.tokenizer, 40 + 60 * n, skip=100 * n) for n in range(5)]
    with processes(real_model) as started:
        swarm = RealSwarm(started)
        swarm.serve("0:15", "15:30", quantize="auto")
        async with swarm.client(quantize="auto") as client:
            assert {node.quant_type for node in client.snapshot.online} == {"int4"}
            seen = spy_on_logits(client)
            reply = await generate(client.session(), prompts[-1], greedy(40))
            told = judge.say(prompts[-1], 40)
            assert reply.tokens == told.tokens
            assert (torch.cat(seen) - told.logits).abs().max() < ROUNDED
            alone = [
                (await generate(client.session(), prompt, greedy(24))).tokens for prompt in prompts
            ]
            together = await asyncio.gather(
                *(generate(client.session(), prompt, greedy(24)) for prompt in prompts)
            )
            assert [one.tokens for one in together] == alone


@pytest.mark.slow
@pytest.mark.timeout(1800)
async def test_the_whole_context(real_model: Path, judge: Judge, project: Path) -> None:
    """Bug prevented: positions near the model's last one are computed otherwise, or refused."""
    prompt = prose(project, judge.tokenizer, CONTEXT - REPLY)
    told = judge.say(prompt, REPLY)
    with processes(real_model) as started:
        swarm = RealSwarm(started)
        swarm.serve("0:15", "15:30", cache_tokens=CONTEXT)
        async with swarm.client(silence_timeout=60.0) as client:
            seen = spy_on_logits(client)
            reply = await generate(client.session(), prompt, greedy(REPLY + 10))
    count = len(reply.tokens)
    assert count == REPLY
    assert reply.tokens == told.tokens
    assert (torch.cat(seen) - told.logits).abs().max() < LOGITS
