"""What streams to a page, and when: watchers that follow one another, pages that go."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import fields
from types import SimpleNamespace
from typing import Any, cast

import gradio as gr
import pytest
from starlette.requests import HTTPConnection

from chat.access.callers import VISITOR, Visitor
from chat.conversation.reply import Phase
from chat.ids import new_id
from chat.live import attendance
from chat.live.limits import Caller
from chat.live.prompts import Request
from chat.live.store import ChatStore
from chat.page.desk import Desk
from chat.page.parts import Parts
from chat.page.streams import STREAM, Streams
from chat.page.watching import MAX_STREAMS, Watching
from chat.settings.schema import ChatSettings
from farmesh.params import SamplingParams
from tests.support.fakes import FakeClient, ready_backend
from tests.support.waiting import PATIENCE, until

NAMES = [field.name for field in fields(Parts) if field.name != "knobs"]
PARTS = cast(Any, Parts)(**{name: name for name in NAMES}, knobs={})
PERSON = new_id()
# Longer than any test looks at: replies end when they are stopped.
LONG = "x" * 50_000
LONG_ASK = Request(SamplingParams(max_new_tokens=len(LONG)))


@pytest.fixture
def client() -> FakeClient:
    return FakeClient(step=0.002, max_context=2 * len(LONG))


@pytest.fixture
async def store(client: FakeClient) -> AsyncIterator[ChatStore]:
    settings = ChatSettings(running_turns=50, running_turns_per_person=50)
    async with ChatStore(ready_backend(client), settings) as opened:
        yield opened


class Tab:
    """A browser tab as the handlers see one."""

    def __init__(self, page: Watching, name: str, chat_id: str = "") -> None:
        self.page = page
        self.name = name
        self.values = {"chat_id": chat_id or new_id(), "model_id": ""}
        self.got: list[Any] = []
        self.by: list[int] = []  # which watcher it came from
        self.watchers = 0

    def watch(self) -> asyncio.Task[None]:
        scope = {"type": "http", VISITOR: Visitor(Caller.of(PERSON), PERSON)}
        asked = SimpleNamespace(session_hash=self.name, request=HTTPConnection(scope))
        request = cast(gr.Request, asked)

        self.watchers += 1

        async def follow(number: int = self.watchers) -> None:
            async for update in self.page.watch(self.values, request):
                self.got.append(update)
                self.by.append(number)

        return asyncio.create_task(follow())


async def test_two_watchers_of_a_tab_never_draw_in_turns(
    store: ChatStore, client: FakeClient
) -> None:
    """The older one's last update came after the newer one's: the status line stayed empty."""
    client.enqueue(LONG)
    tab = Tab(Watching(Desk(store, PARTS)), "tab")
    chat = store.open(tab.values["chat_id"], PERSON)
    await chat.send("Hello", LONG_ASK)
    older = tab.watch()
    await until(lambda: len(tab.got) > 2)
    newer = tab.watch()
    await asyncio.wait([older])
    await until(lambda: 2 in tab.by)
    first = tab.by.index(2)
    assert tab.by == sorted(tab.by)
    assert tab.got[first - 1] == gr.skip()  # what Gradio sends once more at its end: nothing
    assert {"history", "live", "status", "stop"} <= tab.got[first].keys()
    await chat.stop()
    await asyncio.wait([newer])
    assert "stopped" in tab.got[-2]["status"]["value"]


async def test_tabs_beyond_a_browsers_connections_look_now_and_then(
    store: ChatStore, client: FakeClient
) -> None:
    """Six streams to six tabs: Stop, and every new page, waited for a reply to end."""
    page = Watching(Desk(store, PARTS))
    client.enqueue(*[LONG] * (MAX_STREAMS + 1))
    tabs = [Tab(page, str(number)) for number in range(MAX_STREAMS + 1)]
    chats = [store.open(tab.values["chat_id"], PERSON) for tab in tabs]
    for chat in chats:
        await chat.send("Hello", LONG_ASK)
    streams = [tab.watch() for tab in tabs[:-1]]
    await until(lambda: all(tab.got for tab in tabs[:-1]))
    for _ in range(2):
        await asyncio.wait_for(tabs[-1].watch(), PATIENCE)
        made = client.calls[-1].produced
        await until(lambda more=made + 5: client.calls[-1].produced > more)
    looks = [update["live"]["value"][0]["content"][0]["text"] for update in tabs[-1].got[::2]]
    assert len(looks[1]) > len(looks[0]), "its reply stood still between two looks"
    assert not any(stream.done() for stream in streams)
    await chats[0].stop()
    await asyncio.wait(streams[:1])
    last = tabs[-1].watch()  # now there is room
    follows = len(tabs[-1].got) + 5  # a look has two updates
    await until(lambda: len(tabs[-1].got) > follows)
    assert not last.done()
    for chat in chats:
        await chat.stop()
    await asyncio.gather(last, *streams)


async def test_broken_stream_pauses_the_reply_at_once(store: ChatStore, client: FakeClient) -> None:
    """Gradio looks at its next update whether the page is there: some tokens too late."""
    client.enqueue(LONG)
    page = Watching(Desk(store, PARTS))
    tab = Tab(page, "tab")
    chat = store.open(tab.values["chat_id"], PERSON)
    await chat.send("Hello", LONG_ASK)
    stream = tab.watch()
    await until(lambda: len(tab.got) > 2)
    gone = asyncio.Event()

    async def receive() -> dict[str, str]:
        await gone.wait()
        return {"type": "http.disconnect"}

    async def gradio(scope: Any, receive: Any, send: Any) -> None:
        await receive()

    async def send(message: Any) -> None:
        raise AssertionError("nothing is sent here")

    scope = {"type": "http", "path": STREAM, "query_string": b"session_hash=tab"}
    serving = asyncio.create_task(Streams(gradio, page.gone)(scope, receive, send))
    await asyncio.sleep(0)
    made = client.calls[0].produced
    gone.set()
    await serving
    await asyncio.wait_for(stream, PATIENCE)  # ends although no update comes
    await until(lambda: chat.view.live and chat.view.live.phase is Phase.PAUSED)
    assert client.calls[0].produced <= made + 1
    await chat.stop()


async def test_stream_that_ends_as_it_should_pauses_nothing() -> None:
    gone: list[str] = []

    async def gradio(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.body", "body": b"x", "more_body": True})
        await send({"type": "http.response.body", "body": b""})
        await receive()

    async def receive() -> dict[str, str]:
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        pass

    scope = {"type": "http", "path": STREAM, "query_string": b"session_hash=tab"}
    await Streams(gradio, gone.append)(scope, receive, send)
    assert gone == []


async def test_second_page_of_a_chat_that_was_closed_goes_on(
    store: ChatStore, client: FakeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One of two tabs that show the same chat is closed: the other's reply must not stand still."""
    monkeypatch.setattr(attendance, "GONE", 0.05)
    client.enqueue(LONG)
    tab = Tab(Watching(Desk(store, PARTS)), "tab")
    chat = store.open(tab.values["chat_id"], PERSON)
    await chat.send("Hello", LONG_ASK)
    stream = tab.watch()
    await until(lambda: len(tab.got) > 2)
    store.leave([chat.id], PERSON)
    made = client.calls[0].produced
    await until(lambda: client.calls[0].produced > made + 3)
    await chat.stop()
    await asyncio.wait([stream])
