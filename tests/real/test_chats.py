"""Chats with a real model through two real nodes, against transformers alone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from chat.live.chat import Chat, ChatLimits
from chat.live.limits import Line, TurnRate
from chat.live.prompts import Request
from chat.models.backend import Backend, Engine
from farmesh.params import SamplingParams
from tests.real.conftest import RealSwarm
from tests.support.chats import say, settle, texts
from tests.support.real import Judge

CONTEXT = 2048  # tokens
LENGTH = 28  # tokens of a reply, unless it ends by itself
GREEDY = Request(SamplingParams(temperature=0.0, max_new_tokens=LENGTH))
QUESTIONS = (
    "What is the capital of France? Answer in two words.",
    "Write a haiku about the sea.",
    "Count from one to seven.",
    "Say hello in Chinese and in Greek.",
)


@pytest.fixture
async def backend(swarm: RealSwarm, tokenizer: Any) -> AsyncIterator[Backend]:
    async with swarm.client() as client:
        backend = Backend("SmolLM2")

        async def open_engine(_: Backend) -> Engine:
            return Engine(client, tokenizer, CONTEXT)

        await backend.start(open_engine)
        yield backend


def open_chat(backend: Backend) -> Chat:
    limits = ChatLimits(TurnRate(1000), Line(8, 8, 8), 5.0)
    return Chat("x" * 43, "somebody", backend, limits)


def turns_of(contents: list[str]) -> list[dict[str, str]]:
    roles = ("user", "assistant")
    return [{"role": roles[i % 2], "content": text} for i, text in enumerate(contents)]


class Straight:
    """The same chat by transformers, where a reply's own tokens are never tokenised again."""

    def __init__(self, judge: Judge) -> None:
        self._judge = judge
        self.ids: list[int] = []
        self.texts: list[str] = []

    def say(self, text: str) -> str:
        """What the model answers."""
        judge = self._judge
        if self.texts:
            marked = judge.prompt(turns_of(["#", "#", text]))
            after = marked[len(marked) - 1 - marked[::-1].index(judge.end, 3) :]
            whole = judge.tokenizer.encode(
                f"<|im_end|>\n<|im_start|>user\n{text}<|im_end|>\n<|im_start|>assistant\n",
                add_special_tokens=False,
            )
            assert whole[-len(after) :] == after
            prompt = self.ids + whole
        else:
            prompt = judge.prompt(turns_of([text]))
        told = [token for token in judge.say(prompt, LENGTH).tokens if token != judge.end]
        self.ids = prompt + told
        self.texts += [text, judge.text(told)]
        return self.texts[-1]


def test_the_template_is_transformers(tokenizer: Any, judge: Judge) -> None:
    """Bug prevented: a turn is put into other tokens than the model was trained with."""
    from chat.conversation.prompt import PromptBuilder
    from chat.conversation.tree import Message

    said = [
        "Hello!",
        "Hi. How can I help?",
        "Was ist 1+1? 🙂 你好",
        "2",
        "  def f():\n\treturn 1\n",
    ]
    for count in (1, 3, 5):
        turns = turns_of(said[:count])
        messages = [Message(turn["role"], turn["content"]) for turn in turns]
        builder = PromptBuilder(tokenizer)
        assert list(builder.prompt("", messages)) == judge.prompt(turns)
        system = [{"role": "system", "content": "Be brief."}, *turns]
        assert list(builder.prompt("Be brief.", messages)) == judge.prompt(system)


async def test_turns_an_edit_and_a_rewind(backend: Backend, judge: Judge) -> None:
    """Bugs prevented: the end of a turn is shown, or not noticed; a turn drifts from what the
    nodes hold; an edit far back leaves something of what was there."""
    chat, straight = open_chat(backend), Straight(judge)
    for question in QUESTIONS[:3]:
        view = await say(chat, question, GREEDY)
        assert texts(view)[-1] == straight.say(question)
    assert "<|" not in "".join(texts(view))
    first = view.entries[1].message
    assert not first.cut, "the model did not end its turn by itself"
    assert first.text.strip() == "Paris." or "Paris" in first.text

    await chat.edit(view.entries[2].node_id, "And of Italy?", GREEDY)
    view, edited = await settle(chat), Straight(judge)
    for question in (QUESTIONS[0], "And of Italy?"):
        edited.say(question)
    assert texts(view) == edited.texts
    stats = view.entries[-1].message.stats
    assert stats is not None
    assert stats.reused_tokens > stats.prompt_tokens // 2

    await chat.undo()
    view = await say(chat, QUESTIONS[1], GREEDY)
    assert texts(view) == straight.texts[:4]
    await chat.close()


async def test_four_people_at_once(backend: Backend) -> None:
    """Bug prevented: what one person asks changes another one's reply."""
    alone = []
    for question in QUESTIONS:
        chat = open_chat(backend)
        alone.append(texts(await say(chat, question, GREEDY)))
        await chat.close()
    chats = [open_chat(backend) for _ in QUESTIONS]
    together = await asyncio.gather(
        *(say(chat, question, GREEDY) for chat, question in zip(chats, QUESTIONS, strict=True))
    )
    assert [texts(view) for view in together] == alone
    await asyncio.gather(*(chat.close() for chat in chats))


async def test_a_stop_string_across_tokens(backend: Backend) -> None:
    """Bug prevented: a stop string that no single token holds is not seen, or its start shown."""
    chat = open_chat(backend)
    whole = texts(await say(chat, QUESTIONS[2], GREEDY))[-1]
    at = len(whole) // 2
    stop = whole[at : at + 6]
    request = Request(SamplingParams(temperature=0.0, max_new_tokens=LENGTH, stop=(stop,)))
    await chat.regenerate(request)
    shown = [view.live.text async for view in chat.watch(0.0) if view.live]
    cut = whole[: whole.index(stop)]
    assert texts(chat.view)[-1] == cut
    assert all(cut.startswith(text) for text in shown)
    await chat.close()
