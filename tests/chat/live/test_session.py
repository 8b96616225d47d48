"""One chat and its turns, on a swarm of canned replies. Each test names the bug it prevents."""

from __future__ import annotations

import asyncio
import threading

import pytest

from chat.conversation.data import from_data
from chat.conversation.reply import Phase
from chat.errors import ChatError, Forward
from chat.live.prompts import Request
from farmesh.core import Span
from farmesh.errors import ContextOverflow, MissingBlocks, RetriesExhausted, SessionClosed
from farmesh.params import SamplingParams
from tests.support.chats import ASK, say, settle, texts
from tests.support.fakes import FakeClient, FakeTokenizer, new_chat
from tests.support.simulation import simulated
from tests.support.waiting import PATIENCE, until


async def test_second_turn_extends_the_ids_of_the_first() -> None:
    """Replies tokenised again drift from what the nodes hold, and everything is computed anew."""
    client = FakeClient()
    chat = new_chat(client)
    client.enqueue([72, 105, 0xF0, 0x9F, 0x91, 0x8B], "fine")  # "Hi👋" in odd pieces
    await say(chat, "Hello")
    view = await say(chat, "How are you?")
    assert texts(view) == ["Hello", "Hi👋", "How are you?", "fine"]
    first, second = client.calls
    assert second.token_ids[: len(first.token_ids) + 7] == (
        *first.token_ids, 72, 105, 0xF0, 0x9F, 0x91, 0x8B, 256,
    )  # fmt: skip
    assert len(client.sessions) == 1


async def test_text_arrives_unharmed() -> None:
    """gr.Chatbot turned tabs into spaces and cut leading ones; what we keep must be exact."""
    client = FakeClient()
    chat = new_chat(client)
    reply = "\tall: x\n\t\tcc -o x\n    end\x00 \u202bשלום\u202c e\u0301\n"
    client.enqueue(reply)
    assert texts(await say(chat, "\tMakefile?"))[1] == reply


@simulated
async def test_stop_ends_the_work_and_keeps_the_text() -> None:
    """Stop that only hides the reply leaves the nodes computing for nobody."""
    client = FakeClient(step=0.01)
    chat = new_chat(client)
    client.enqueue("abcdefgh" * 50, "next")
    await chat.send("go", ASK)
    watching = asyncio.create_task(settle(chat))
    await until(lambda: client.calls and client.calls[0].produced > 3)
    await chat.stop()
    call = client.calls[0]
    assert call.ended
    made = call.produced
    view = await watching
    assert view.entries[1].message.text == ("abcdefgh" * 50)[:made]
    assert view.entries[1].message.cut
    await asyncio.sleep(60.0)
    assert call.produced == made
    await say(chat, "and now?")
    assert client.calls[1].token_ids[: len(call.token_ids) + made] == (
        call.token_ids + tuple(("abcdefgh" * 50).encode()[:made])
    )


async def test_stop_string_is_neither_shown_nor_sent_back() -> None:
    """Tokens of a stop string in the prompt make the model stop at once in the next turn."""
    client = FakeClient()
    chat = new_chat(client)
    client.enqueue("one END two", "x")
    view = await say(chat, "go", Request(SamplingParams(stop=("END",))))
    assert texts(view)[1] == "one "
    await say(chat, "more")
    assert "A:one \x03" not in client.calls[1].text  # the end token is no text
    assert "A:one U:more" in client.calls[1].text


@simulated
async def test_nobody_watching_pauses_the_reply_and_a_reload_resumes_it() -> None:
    """A closed tab kept the swarm busy; a reload killed the answer (gradio)."""
    client = FakeClient(step=0.005)
    chat = new_chat(client)
    client.enqueue("x" * 200)
    await chat.send("go", ASK)
    async for view in chat.watch(0.0):
        if view.live and len(view.live.text) > 5:
            break  # the tab is closed
    made = client.calls[0].produced
    await asyncio.sleep(4.0)  # less than its grace
    assert client.calls[0].produced <= made + 1
    assert chat.view.live is not None
    assert chat.view.live.phase is Phase.PAUSED
    view = await settle(chat)
    assert texts(view)[1] == "x" * 200
    assert len(client.calls) == 1


@simulated
async def test_page_that_never_comes_back_ends_the_reply() -> None:
    """Abandoned replies held their place in the line for ever."""
    client = FakeClient(step=0.005)
    chat = new_chat(client, grace=600.0)
    client.enqueue("x" * 300)
    await chat.send("go", ASK)
    async for view in chat.watch(0.0):
        if view.live and view.live.text:
            break
    await asyncio.sleep(590.0)
    assert chat.running
    await until(lambda: not chat.running, 15.0)
    assert client.calls[0].ended
    assert "page was closed" in chat.view.entries[1].message.note


async def test_message_that_comes_twice_is_one_message() -> None:
    """A page that does not know whether its message has arrived could not send it again."""
    client = FakeClient(step=0.01)
    chat = new_chat(client)
    assert await chat.send("hi", ASK, "first")
    assert not await chat.send("hi", ASK, "first")
    assert await chat.send("hi", ASK, "second")  # the same words again are another message
    view = await settle(chat)
    assert texts(view) == ["hi", "ok", "hi", "ok"]
    assert view.sent == ("first", "second")


async def test_stop_that_overtakes_its_message_is_heard() -> None:
    """On a slow line Stop came first, did nothing, and the reply ran to its end."""
    client = FakeClient()
    chat = new_chat(client)
    await chat.stop(on_their_way=["first", "second"])
    assert await chat.send("1", ASK, "first")
    assert texts(chat.view) == ["1"]
    assert not chat.running
    assert not client.calls
    await chat.regenerate(ASK)  # it was wanted after all
    assert texts(await settle(chat)) == ["1", "ok"]
    await chat.send("2", ASK, "third")
    await chat.send("3", ASK, "second")  # something else is being answered by now
    assert texts(await settle(chat))[2:] == ["2", "ok", "3", "ok"]


async def test_messages_sent_at_once_keep_their_order() -> None:
    """Messages are looked at in a thread: a short one overtook the long one before it."""
    client = FakeClient(step=0.002)
    chat = new_chat(client)
    client.enqueue("first", "second")
    sent = (("1" * 900, "one"), ("2", "two"), ("2", "two"))
    took = await asyncio.gather(*(chat.send(text, ASK, name) for text, name in sent))
    assert took == [True, True, False]
    assert texts(await settle(chat)) == ["1" * 900, "first", "2", "second"]


async def test_a_turn_that_is_stopped_before_its_first_step_ends() -> None:
    """Stop in the very moment of Send: the task never ran, and the chat was busy for ever."""
    client = FakeClient()
    chat = new_chat(client)
    await chat.send("1", ASK)
    async with asyncio.timeout(PATIENCE):
        await chat.stop()
    assert not chat.running
    assert not client.calls
    assert texts(await say(chat, "2")) == ["1", "2", "ok"]


async def test_tokenising_leaves_the_loop_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Send in a long chat: for seconds nobody else's reply went on, and /healthz was silent."""
    client = FakeClient()
    chat = new_chat(client)
    goes_on, encode = threading.Event(), FakeTokenizer.encode

    def waits(self: FakeTokenizer, text: str, **options: bool) -> list[int]:
        assert goes_on.wait(PATIENCE), "the loop stands still"
        goes_on.clear()
        return encode(self, text, **options)

    async def go_on() -> None:
        while True:
            goes_on.set()
            await asyncio.sleep(0.001)

    monkeypatch.setattr(FakeTokenizer, "encode", waits)
    going = asyncio.create_task(go_on())
    view = await say(chat, "hello")
    going.cancel()
    assert view.notice is None
    assert texts(view) == ["hello", "ok"]


async def test_messages_wait_their_turn_in_order() -> None:
    """Two messages at once interleaved their tokens in one session."""
    client = FakeClient(step=0.002)
    chat = new_chat(client)
    client.enqueue("first", "second", "third")
    for text in ("1", "2", "3"):
        await chat.send(text, ASK)
    assert chat.view.queued == ("2", "3")
    view = await settle(chat)
    assert texts(view) == ["1", "first", "2", "second", "3", "third"]


@simulated
async def test_stop_gives_waiting_messages_back() -> None:
    """Stop threw away what the person had already written next."""
    client = FakeClient(step=0.01)
    chat = new_chat(client)
    client.enqueue("x" * 100)
    await chat.send("1", ASK)
    await chat.send("2", ASK, "second")
    await chat.send("3", ASK, "third")
    await until(lambda: client.calls)
    assert chat.take_back("second") == ("2",)
    assert chat.take_back("second") == ()
    assert chat.take_back("") == ()
    assert await chat.stop() == ("3",)
    assert not chat.running


async def test_regenerate_keeps_versions() -> None:
    """A regenerated reply destroyed the better one before it."""
    client = FakeClient()
    chat = new_chat(client)
    client.enqueue("one", "two", "three")
    await say(chat, "go")
    await chat.regenerate(ASK)
    view = await settle(chat)
    assert (texts(view)[1], view.entries[1].version, view.entries[1].versions) == ("two", 1, 2)
    assert client.calls[0].token_ids == client.calls[1].token_ids
    await chat.show_version(view.entries[1].node_id, -1)
    view = chat.view
    assert (texts(view)[1], view.entries[1].version) == ("one", 0)
    await say(chat, "and?")
    assert "A:one" in client.calls[2].text


async def test_failed_regeneration_leaves_the_old_reply() -> None:
    """An error during retry left the question without any answer."""
    client = FakeClient()
    chat = new_chat(client)
    client.enqueue("one", RetriesExhausted("no"))
    await say(chat, "go")
    await chat.regenerate(ASK)
    view = await settle(chat)
    assert texts(view) == ["go", "one"]
    assert view.notice is not None
    assert view.notice.forward is Forward.RETRY


async def test_editing_the_middle_gives_what_a_fresh_chat_would_give() -> None:
    """After an edit the nodes still held the old turns (petals#495: sessions only append)."""
    client, fresh_client = FakeClient(), FakeClient()
    chat, fresh = new_chat(client), new_chat(fresh_client)
    client.enqueue("a", "b", "c", "d", "e")
    for text in ("1", "2", "3"):
        await say(chat, text)
    second = chat.view.entries[2]
    await chat.edit(second.node_id, "two", ASK)
    view = await settle(chat)
    assert texts(view) == ["1", "a", "two", "d"]
    assert (view.entries[2].version, view.entries[2].versions) == (1, 2)
    fresh_client.enqueue("a", "d")
    await say(fresh, "1")
    await say(fresh, "two")
    assert client.calls[-1].token_ids == fresh_client.calls[-1].token_ids
    await chat.show_version(view.entries[2].node_id, -1)
    assert texts(chat.view) == ["1", "a", "2", "b", "3", "c"]


async def test_editing_a_reply_keeps_what_follows_and_is_what_the_model_sees() -> None:
    """An edited reply was shown, but the model went on seeing the old one."""
    client = FakeClient()
    chat = new_chat(client)
    client.enqueue("a", "b", "c")
    await say(chat, "1")
    await say(chat, "2")
    await chat.edit(chat.view.entries[1].node_id, "ANSWER", ASK)
    assert texts(chat.view) == ["1", "ANSWER", "2", "b"]
    await say(chat, "3")
    assert "A:ANSWERU:2A:bU:3" in client.calls[2].text


async def test_undo_gives_the_text_back_and_redo_the_turn() -> None:
    """What was taken back was gone for good."""
    client = FakeClient()
    chat = new_chat(client)
    await say(chat, "1")
    await say(chat, "2")
    assert await chat.undo() == "2"
    assert texts(chat.view) == ["1", "ok"]
    assert await chat.undo() == "1"
    assert await chat.undo() == ""
    await chat.redo()
    await chat.redo()
    assert texts(chat.view) == ["1", "ok", "2", "ok"]
    assert not chat.view.can_redo
    with pytest.raises(ChatError):
        await chat.redo()
    await chat.undo()
    view = await say(chat, "another 2")  # there is nothing to bring back now: it is a version
    assert not view.can_redo
    assert (view.entries[2].version, view.entries[2].versions) == (1, 2)


async def test_continue_goes_on_from_the_same_tokens() -> None:
    """Continue began a new sentence because the reply was closed in the prompt."""
    client = FakeClient()
    chat = new_chat(client)
    client.enqueue("Once upon", " a time", "x")
    view = await say(chat, "tell", Request(SamplingParams(max_new_tokens=9)))
    assert view.entries[1].message.cut
    await chat.continue_reply(ASK)
    view = await settle(chat)
    assert texts(view) == ["tell", "Once upon a time"]
    assert view.entries[1].versions == 1
    assert not view.entries[1].message.cut
    assert client.calls[1].token_ids == client.calls[0].token_ids + tuple(b"Once upon")
    await say(chat, "more")
    assert client.calls[2].text.count("Once upon a time") == 1


async def test_start_the_reply_with() -> None:
    client = FakeClient()
    chat = new_chat(client)
    client.enqueue(" that works.", "x")
    view = await say(chat, "why", Request(SamplingParams(), begin="Because"))
    assert texts(view)[1] == "Because that works."
    assert client.calls[0].text.endswith("A:Because")
    await say(chat, "ok")
    assert "A:Because that works.U:ok" in client.calls[1].text


async def test_oldest_turns_leave_and_the_system_prompt_stays() -> None:
    """Every long conversation ended in a crash at max length (chat.petals.dev#3)."""
    client = FakeClient(max_context=400)
    chat = new_chat(client)
    ask = Request(SamplingParams(max_new_tokens=40), system="be kind")
    for number in range(12):
        client.enqueue(f"answer {number}")
        view = await say(chat, f"question {number} " + "x" * 40, ask)
        assert view.notice is None
    assert view.dropped > 0
    last = client.calls[-1]
    assert last.text.startswith("S:be kind")
    assert "question 0" not in last.text
    assert len(last.token_ids) <= 360
    starts = {call.text[:30] for call in client.calls}
    assert len(starts) < 8, "the prefix moved in every turn: the cache is worth nothing"


async def test_message_that_never_fits_is_refused_with_numbers() -> None:
    client = FakeClient(max_context=200)
    chat = new_chat(client)
    with pytest.raises(ContextOverflow) as caught:
        await chat.send("x" * 300, ASK)
    assert caught.value.limit == 200
    assert not client.calls
    assert chat.view.entries == ()


async def test_rate_limit_says_how_long() -> None:
    client = FakeClient()
    chat = new_chat(client, per_minute=2)
    await say(chat, "1")
    await say(chat, "2")
    with pytest.raises(ChatError, match=r"Wait \d+ seconds"):
        await chat.send("3", ASK)


async def test_missing_blocks_is_a_sentence_and_retry_works() -> None:
    """chat.petals.dev#62: a traceback in the page and a dead chat."""
    client = FakeClient()
    chat = new_chat(client)
    client.enqueue(MissingBlocks(Span(3, 4)), "back")
    view = await say(chat, "hello?")
    assert texts(view) == ["hello?"]
    assert view.notice is not None
    assert "block 3" in view.notice.text
    await chat.regenerate(ASK)
    assert texts(await settle(chat)) == ["hello?", "back"]


async def test_session_that_was_given_up_is_rebuilt_without_a_word() -> None:
    client = FakeClient()
    chat = new_chat(client)
    client.enqueue("a", SessionClosed("idle"), "b")
    await say(chat, "1")
    view = await say(chat, "2")
    assert texts(view)[-1] == "b"
    assert view.notice is None
    assert len(client.sessions) == 2


async def test_unknown_error_is_no_traceback() -> None:
    client = FakeClient()
    chat = new_chat(client)
    client.enqueue(ZeroDivisionError("secret path /x"))
    view = await say(chat, "1")
    assert view.notice is not None
    assert "secret" not in view.notice.text
    assert not chat.holds_cache


async def test_restored_conversation_goes_on() -> None:
    """After a restart of the app the browser's copy of a chat must work like the chat itself."""
    client = FakeClient()
    chat = new_chat(client)
    data = [{"role": "user", "text": "1"}, {"role": "assistant", "text": "a\tb"}]
    chat.restore(from_data({"messages": data}))
    await say(chat, "2")
    assert client.calls[0].text == "U:1A:a\tbU:2A:"
    with pytest.raises(ValueError, match="Message 1"):
        from_data({"messages": [{"role": "root", "text": "x"}]})


async def test_what_waits_survives_an_error_and_a_retry() -> None:
    """The next message was lost when the reply before it failed."""
    client = FakeClient(step=0.002)
    chat = new_chat(client)
    client.enqueue(MissingBlocks(Span(3, 4)), "one", "two")
    await chat.send("1", ASK)
    await chat.send("2", ASK)
    view = await settle(chat)
    assert view.queued == ("2",)
    await chat.regenerate(ASK)
    assert texts(await settle(chat)) == ["1", "one", "2", "two"]


@simulated
async def test_reply_goes_on_while_the_page_shows_another_chat() -> None:
    """Looking at another chat for a moment cut the reply in half."""
    client = FakeClient(step=0.002)
    chat = new_chat(client)
    client.enqueue("x" * 50, "y" * 500)
    for last in ("x" * 50, "y" * 500):
        await chat.send(last, ASK)
        async for view in chat.watch(0.0):
            if view.live and view.live.text:
                chat.attendance.linger()
                break
        if last[0] == "x":
            await until(lambda: not chat.running)
            assert chat.view.entries[-1].message.text == last
    chat.attendance.leave()  # and now the page is closed
    made = client.calls[1].produced
    await asyncio.sleep(4.0)  # less than its grace
    assert client.calls[1].produced <= made + 1
    await chat.stop()
