"""All chats together: who reaches which, who goes first, what is given back."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from chat.errors import ChatError
from chat.ids import is_id, new_id
from chat.live.limits import Caller, Line, LineFull, TooManyTurns, TurnRate
from chat.live.store import ChatStore
from chat.settings.schema import ChatSettings
from tests.support.chats import ASK, say
from tests.support.fakes import FakeClient, ready_backend
from tests.support.simulation import simulated
from tests.support.waiting import until


def store_of(client: FakeClient, **settings: object) -> ChatStore:
    clock = settings.pop("clock", None)
    chat_settings = ChatSettings.model_validate(settings)
    return ChatStore(ready_backend(client), chat_settings, *([clock] if clock else []))  # type: ignore[list-item]


def test_ids_are_256_bits_and_nothing_else_is_an_id() -> None:
    assert is_id(new_id())
    assert not any(
        is_id(text) for text in ("", "1", "a" * 42, "a" * 44, "é" * 43, None, "a" * 43 + "\n")
    )


async def test_nobody_reaches_a_chat_without_its_owners_cookie() -> None:
    """textgen#58: users saw each other's history."""
    async with store_of(FakeClient()) as store:
        chat_id, owner = new_id(), new_id()
        await say(store.open(chat_id, owner), "secret")
        with pytest.raises(ChatError) as wrong:
            store.open(chat_id, new_id())
        with pytest.raises(ChatError) as malformed:
            store.open("1", owner)
        assert str(wrong.value) == str(malformed.value), "the sentence told a guesser what exists"
        assert store.open(chat_id, owner).view.entries


async def test_least_recently_used_chat_leaves_but_no_running_one() -> None:
    client = FakeClient(step=0.05)
    async with store_of(client, max_chats=2) as store:
        owner, ids = new_id(), [new_id() for _ in range(3)]
        running = store.open(ids[0], owner)
        client.enqueue("x" * 100)
        await running.send("go", ASK)
        idle = store.open(ids[1], owner)
        store.open(ids[2], owner)
        assert len(store) == 2
        assert store.open(ids[0], owner) is running
        assert store.open(ids[1], owner) is not idle


async def test_idle_chats_give_their_cache_back_and_keep_their_text() -> None:
    """Idle sessions filled the nodes until nobody could chat."""
    now = [0.0]
    client = FakeClient()
    async with store_of(client, idle_minutes=1, clock=lambda: now[0]) as store:
        chat = store.open(new_id(), new_id())
        await say(chat, "1")
        now[0] = 61
        await store.sweep()
        assert client.sessions[0].closed
        assert not chat.holds_cache
        client.enqueue("again")
        assert [e.message.text for e in (await say(chat, "2")).entries][-1] == "again"


async def test_closing_ends_every_reply_and_session() -> None:
    client = FakeClient(step=0.02)
    store = store_of(client)
    async with store:
        for _ in range(3):
            client.enqueue("x" * 500)
            await store.open(new_id(), new_id()).send("go", ASK)
        await until(lambda: len(client.calls) == 3)
    assert all(call.ended for call in client.calls)
    assert all(session.closed for session in client.sessions)


@simulated
async def test_line_is_fair_between_people() -> None:
    """One person's pile of messages made everybody else wait."""
    line, order = Line(running=2, per_person=1, waiting=10), []

    async def turn(person: str) -> None:
        async with line.admit(
            Caller.of(person), lambda ahead: order.append((person, "ahead", ahead))
        ):
            order.append((person, "runs"))
            await asyncio.sleep(0.02)

    await asyncio.gather(*(turn(person) for person in ("a", "a", "a", "b")))
    runs = [entry[0] for entry in order if entry[1] == "runs"]
    assert runs == ["a", "b", "a", "a"]
    assert (line.running, line.waiting) == (0, 0)
    assert ("a", "ahead", 1) in order


@simulated
async def test_line_survives_every_cancellation() -> None:
    """A person who stopped while waiting kept a place for ever."""
    line = Line(running=1, per_person=1, waiting=10)

    async def turn() -> None:
        async with line.admit(Caller.of("a"), lambda ahead: None):
            await asyncio.sleep(0.01)

    tasks = [asyncio.create_task(turn()) for _ in range(6)]
    await asyncio.sleep(0)
    for task in tasks[::2]:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert (line.running, line.waiting) == (0, 0)


async def test_full_line_turns_away_with_a_sentence() -> None:
    line = Line(running=1, per_person=1, waiting=0)
    async with line.admit(Caller.of("a"), lambda ahead: None):
        with pytest.raises(LineFull, match="Try again"):
            async with line.admit(Caller.of("b"), lambda ahead: None):
                pass


def at_home(cookie: str) -> Caller:
    """Somebody with the page open, whose household has one address."""
    return Caller(cookie, cookie, place="at:home")


async def test_a_thrown_away_cookie_is_not_a_new_person_without_end() -> None:
    """Whoever reloaded without a cookie had a minute's messages again, and every place in line."""
    rate = TurnRate(2, people=3)
    for number in range(6):
        rate.take(at_home(f"cookie {number}"), 0.0)
    with pytest.raises(TooManyTurns, match="More than 6 messages a minute came from your network"):
        rate.take(at_home("cookie 7"), 0.0)
    rate.take(Caller.of("elsewhere"), 0.0)
    rate.take(at_home("cookie 7"), 61.0)
    line = Line(running=9, per_person=1, waiting=0, people=3)
    async with contextlib.AsyncExitStack() as running:
        for number in range(3):
            await running.enter_async_context(line.admit(at_home(f"cookie {number}"), print))
        with pytest.raises(LineFull):
            await running.enter_async_context(line.admit(at_home("cookie 3"), print))
        await running.enter_async_context(line.admit(Caller.of("elsewhere"), print))
        await running.enter_async_context(line.admit(Caller.of("at:home"), print))  # a program
    assert line.running == 0
    async with line.admit(at_home("cookie 3"), print):
        assert line.running == 1


def test_a_program_has_what_its_household_leaves_of_one_persons_share() -> None:
    """One person had two shares, one on the page and one for programs; or a program of the
    household's left nothing for the people in it."""
    rate = TurnRate(3, people=2)
    program = Caller("at:home", "cache")
    rate.take(at_home("mother"), 0.0)
    rate.take(at_home("child"), 0.0)
    rate.take(program, 0.0)
    with pytest.raises(TooManyTurns, match="That is more than 3 messages a minute"):
        rate.take(program, 0.0)
    rate.take(at_home("mother"), 0.0)
    rate.take(at_home("mother"), 0.0)
    with pytest.raises(TooManyTurns, match="That is more than 3 messages a minute"):
        rate.take(at_home("mother"), 0.0)
    rate.take(at_home("child"), 0.0)


def test_a_refused_message_costs_nobody_anything() -> None:
    """A household at its limit used up every person's own messages by trying."""
    rate = TurnRate(2, people=1)
    rate.take(at_home("mother"), 0.0)
    rate.take(at_home("mother"), 30.0)
    for _ in range(5):
        with pytest.raises(TooManyTurns) as refused:
            rate.take(at_home("child"), 40.0)
    assert refused.value.wait == 20
    rate.take(at_home("child"), 61.0)
