"""Chats on a real client and real nodes (in this process): exact whatever people do in between."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from chat.live.chat import Chat, ChatLimits
from chat.live.limits import Line, TurnRate
from chat.live.prompts import Request
from chat.models.backend import Backend, Engine
from farmesh.params import SamplingParams
from tests.chat.test_session import say, settle, texts
from tests.farmesh.harness import Swarm

GREEDY = Request(SamplingParams(temperature=0.0, max_new_tokens=24))


@pytest.fixture(scope="module")
def tokenizer(guide: Path) -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(guide)


@pytest.fixture
async def backend(guide: Path, tokenizer: Any) -> AsyncIterator[Backend]:
    async with Swarm(guide) as swarm:
        await swarm.serve("first", "0:4")
        await swarm.serve("second", "4:8")
        client = await swarm.client()
        backend = Backend("Guide")

        async def open_engine(_: Backend) -> Engine:
            return Engine(client, tokenizer, 1024)

        await backend.start(open_engine)
        yield backend


def open_chat(backend: Backend) -> Chat:
    limits = ChatLimits(TurnRate(1000), Line(8, 8, 8), 5.0)
    return Chat("x" * 43, "somebody", backend, limits)


async def fresh(backend: Backend, *messages: str) -> list[str]:
    """What a chat says in which nothing else ever happened."""
    chat = open_chat(backend)
    for text in messages:
        view = await say(chat, text, GREEDY)
    await chat.close()
    return texts(view)


async def test_every_detour_ends_where_a_fresh_chat_does(backend: Backend) -> None:
    """petals#495: sessions only append, so an edit gave nonsense or computed all of it again."""
    chat = open_chat(backend)
    for text in ("Hello", "What is a block?", "What is a hop?"):
        await say(chat, text, GREEDY)
    straight = texts(chat.view)

    await chat.edit(chat.view.entries[2].node_id, "What is a span?", GREEDY)  # in the middle
    view = await settle(chat)
    assert texts(view) == await fresh(backend, "Hello", "What is a span?")
    assert view.entries[-1].message.stats is not None
    assert view.entries[-1].message.stats.reused_tokens > 10

    await chat.regenerate(GREEDY)
    assert texts(await settle(chat))[-1] == texts(view)[-1]

    assert await chat.undo() == "What is a span?"
    await say(chat, "What is a node?", GREEDY)
    assert texts(chat.view) == await fresh(backend, "Hello", "What is a node?")

    await chat.send("Tell me more", GREEDY)  # and stop at once
    async for view in chat.watch(0.0):
        if view.live and view.live.text:
            break
    await chat.stop()
    await chat.undo()
    await chat.undo()
    for text in ("What is a block?", "What is a hop?"):
        await say(chat, text, GREEDY)
    assert texts(chat.view) == straight
    await chat.close()


async def test_second_turn_reads_only_what_is_new(backend: Backend) -> None:
    chat = open_chat(backend)
    first = (await say(chat, "Hello", GREEDY)).entries[-1].message.stats
    second = (await say(chat, "What is a block?", GREEDY)).entries[-1].message.stats
    assert first is not None
    assert second is not None
    # All of the first turn but its last token, which the nodes have not seen yet.
    assert second.reused_tokens >= first.prompt_tokens + first.generated_tokens - 1
    await chat.close()


async def test_continuing_equals_never_having_been_cut(backend: Backend) -> None:
    whole = (await fresh(backend, "What is FarMesh?"))[-1]
    chat = open_chat(backend)
    short = Request(SamplingParams(temperature=0.0, max_new_tokens=5))
    view = await say(chat, "What is FarMesh?", short)
    while view.entries[-1].message.cut and len(texts(view)[-1]) < len(whole):
        await chat.continue_reply(short)
        view = await settle(chat)
    assert texts(view)[-1].startswith(whole)
    await chat.close()


async def test_chat_is_exact_after_its_cache_was_given_back(backend: Backend) -> None:
    chat = open_chat(backend)
    await say(chat, "Hello", GREEDY)
    await chat.rest()
    view = await say(chat, "What is a hop?", GREEDY)
    assert texts(view) == await fresh(backend, "Hello", "What is a hop?")
    await chat.close()


async def test_chats_at_once_do_not_mix(backend: Backend) -> None:
    questions = ("Hello", "What is a block?", "What is a node?", "How do I add a node?")
    alone = [await fresh(backend, question) for question in questions]
    chats = [open_chat(backend) for _ in questions]
    together = await asyncio.gather(
        *(say(chat, question, GREEDY) for chat, question in zip(chats, questions, strict=True))
    )
    assert [texts(view) for view in together] == alone
    for chat in chats:
        await chat.close()
