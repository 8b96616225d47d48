"""The nodes' work after Stop, and after a tab is gone, counted in steps on the nodes themselves."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext
from playwright.sync_api import Error as PlaywrightError

from chat.access.callers import person_in
from chat.models.backend import Backend, Engine
from farmesh.params import SamplingParams
from tests.browser.inside import InsideApp, inside, wait_until
from tests.support.browser import Tab
from tests.support.harness import Swarm, service

MOST = 2  # token steps


class Counted:
    """Two real nodes that serve the bundled model, and how many steps each has computed."""

    def __init__(self, guide: Path) -> None:
        self.guide = guide
        self.swarm: Swarm | None = None

    @asynccontextmanager
    async def opening(self) -> AsyncIterator[Backend]:
        from transformers import AutoTokenizer

        async with Swarm(self.guide) as self.swarm:
            await self.swarm.serve("first", "0:4")
            await self.swarm.serve("second", "4:8")
            client = await self.swarm.client()
            tokenizer = AutoTokenizer.from_pretrained(self.guide)
            own = SamplingParams(max_new_tokens=900, temperature=1.4, repetition_penalty=1.6)
            backend = Backend("Guide", own)

            async def open_engine(_: Backend) -> Engine:
                return Engine(client, tokenizer, 1024)

            await backend.start(open_engine)
            yield backend

    def steps(self) -> tuple[int, ...]:
        assert self.swarm is not None
        return tuple(service(node).scheduler.ticks for node in self.swarm.nodes.values())


@pytest.fixture(scope="module")
def counted(guide: Path) -> Counted:
    return Counted(guide)


@pytest.fixture(scope="module")
def inside_app(counted: Counted) -> Iterator[InsideApp]:
    with inside(counted.opening, grace_seconds=30.0) as app:
        app.note = counted.steps
        yield app


@pytest.fixture
def writing(inside_app: InsideApp, person: Callable[[], BrowserContext], counted: Counted) -> Tab:
    """A tab in which a long reply is being written."""
    tab = Tab(person(), inside_app)  # type: ignore[arg-type]
    tab.make_replies_long()
    tab.send("Tell me everything.")
    wait_writing(tab, counted)
    return tab


def wait_writing(tab: Tab, counted: Counted) -> None:
    tab.wait_growing(80)
    before = counted.steps()
    wait_until(lambda: counted.steps()[0] > before[0] + 2)


def at_rest(counted: Counted) -> tuple[int, ...]:
    """The steps computed when nothing has been computed for a hundred times a step's time."""
    while True:
        before = counted.steps()
        time.sleep(0.6)
        if counted.steps() == before:
            return before


def steps_after(path: str, app: InsideApp, counted: Counted) -> list[int]:
    """The steps that each node computed after the app had heard a request."""
    wait_until(lambda: any(heard == path for heard, _ in app.heard))
    told = next(steps for heard, steps in app.heard if heard == path)
    return [end - start for start, end in zip(told, at_rest(counted), strict=True)]


def test_stop_ends_the_nodes_work_within_two_steps(
    writing: Tab, inside_app: InsideApp, counted: Counted
) -> None:
    """FastChat#3583: Stop hid the reply while the machines went on computing it."""
    for _ in range(4):
        inside_app.heard.clear()
        writing.stop_button.click()
        after = steps_after("/farmesh/stop", inside_app, counted)
        assert max(after) <= MOST, f"steps after Stop on each node: {after}"
        writing.wait_idle(replies=1)
        writing.page.keyboard.press("Alt+Enter")  # continue it
        wait_writing(writing, counted)


def test_closed_tab_ends_the_nodes_work_within_two_steps(
    writing: Tab, inside_app: InsideApp, counted: Counted
) -> None:
    """gradio#4016: nobody there, and the machines worked on.

    Counted from the moment that the app is told; the reply itself waits for its tab to come back,
    and goes on where it was.
    """
    inside_app.heard.clear()
    before = writing.live
    chat = inside_app.store.find(writing.chat_id, person_of_tab(writing))
    assert chat is not None
    writing.page.close(run_before_unload=True)
    after = steps_after("/farmesh/leave", inside_app, counted)
    assert max(after) <= MOST, f"steps on each node after the tab was gone: {after}"
    assert chat.running, "the reply should wait for its tab"
    assert chat.view.live is not None
    assert chat.view.live.text.startswith(before[:20])
    inside_app.call(chat.stop())


def test_tab_that_dies_without_a_word_ends_the_nodes_work_as_soon(
    writing: Tab, inside_app: InsideApp, counted: Counted
) -> None:
    """A crashed tab says nothing, and Gradio looked only at its next update whether it was there.

    Counted from the moment that its stream breaks.
    """
    chat = inside_app.store.find(writing.chat_id, person_of_tab(writing))
    assert chat is not None
    told: list[tuple[int, ...]] = []
    attendance = chat.attendance
    leave = attendance.leave
    attendance.leave = lambda: (told.append(counted.steps()), leave())  # type: ignore[method-assign]
    inside_app.heard.clear()
    with pytest.raises(PlaywrightError):
        writing.page.goto("chrome://crash")
    wait_until(lambda: bool(told))
    assert not any(path == "/farmesh/leave" for path, _ in inside_app.heard)
    after = [end - start for start, end in zip(told[0], at_rest(counted), strict=True)]
    assert max(after) <= MOST, f"steps on each node after the tab was gone: {after}"
    inside_app.call(chat.stop())


def person_of_tab(tab: Tab) -> str:
    cookies = tab.page.context.cookies()
    return person_in("; ".join(f"{cookie['name']}={cookie['value']}" for cookie in cookies))
