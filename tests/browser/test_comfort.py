"""Formulas, reasoning, code, and installing the page as an app."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, expect

from chat.models.backend import Backend
from tests.browser.inside import InsideApp, inside
from tests.support.browser import App, Tab
from tests.support.fakes import FakeClient, ready_backend

FORMULAS = (
    "Inline $a^2$ and \\(b^2\\), displayed $$c^2$$ and \\[d^2\\], "
    "no formula: `$x$`, and it costs 5 dollars."
)
REASONED = (
    "<think>First I count.\nThen I add.</think>The answer is 4.\n\n```python\nprint(2 + 2)\n```"
)


@asynccontextmanager
async def scripted() -> AsyncIterator[Backend]:
    """A model that says what it is told to."""
    client = FakeClient(step=0.002)
    client.enqueue(FORMULAS, REASONED)
    yield ready_backend(client)


@pytest.fixture
def talking(person: Callable[[], BrowserContext]) -> Iterator[Tab]:
    with inside(scripted) as app:
        inner: InsideApp = app
        tab = Tab(person(), inner)  # type: ignore[arg-type]
        yield tab
        assert not tab.errors


def test_formulas_reasoning_and_code(talking: Tab) -> None:
    """Gradio draws formulas between $$ only; reasoning stood in the middle of the reply."""
    talking.send("Formulas, please")
    talking.wait_idle(replies=1)
    reply = talking.page.locator("#fm-history .bot-row").last
    expect(reply.locator(".katex-html")).to_have_count(4)
    expect(reply.locator("code")).to_have_text("$x$")

    talking.send("Think, please")
    talking.until(lambda: "The answer is 4." in talking.bots[-1] or len(talking.bots) > 2)
    expect(talking.stop_button).to_be_hidden()
    log = talking.page.locator("#fm-history")
    expect(log.get_by_text("The answer is 4.")).to_be_visible()
    thought = log.get_by_role("button", name="Thinking")
    expect(thought).to_be_visible()
    expect(log.get_by_text("First I count.")).to_be_hidden()  # folded
    thought.click()
    expect(log.get_by_text("First I count.")).to_be_visible()
    code = log.locator("pre").last
    expect(code).to_contain_text("print(2 + 2)")
    code.hover()
    expect(log.get_by_role("button", name="copy").last).to_be_attached()


def test_page_can_be_installed(tab: Tab, app: App) -> None:
    """A manifest that Chromium refuses says nothing: the button to install is just not there."""
    session = tab.page.context.new_cdp_session(tab.page)
    answer = session.send("Page.getAppManifest")
    assert answer["errors"] == []
    assert answer["url"].endswith("/farmesh/assets/manifest.json")
    problems = session.send("Page.getInstallabilityErrors")["installabilityErrors"]
    assert [p["errorId"] for p in problems if p["errorId"] != "in-incognito"] == []


def test_likes_are_written_down_where_the_page_says_so(
    person: Callable[[], BrowserContext], tmp_path: Path
) -> None:
    file = tmp_path / "likes.jsonl"
    with inside(scripted, likes_file=str(file)) as app:
        tab = Tab(person(), app)  # type: ignore[arg-type]
        expect(tab.page.locator("#fm-side")).to_contain_text("Likes and dislikes are written down")
        tab.send("What is a hop?")
        tab.wait_idle(replies=1)
        tab.page.locator("#fm-history .bot-row").hover()
        tab.page.get_by_role("button", name="Like", exact=True).click()
        tab.until(file.exists)
        (line,) = map(json.loads, file.read_text().splitlines())
        assert (line["liked"], line["message"], line["model"]) == (True, "What is a hop?", "Fake")
        assert line["reply"] == FORMULAS
        assert not tab.errors


def test_nothing_is_liked_by_default(tab: Tab) -> None:
    """Feedback buttons that send a conversation away without a word."""
    tab.send("Hello")
    tab.wait_idle(replies=1)
    tab.page.locator("#fm-history .bot-row").hover()
    expect(tab.page.get_by_role("button", name="Copy message").last).to_be_visible()
    expect(tab.page.get_by_role("button", name="Like", exact=True)).to_have_count(0)
    assert "Likes" not in tab.page.locator("#fm-side").inner_text()
