"""The app's life: first paint, a node that dies, and an end with open tabs."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import httpx
from playwright.sync_api import BrowserContext, expect

from tests.support.browser import MODEL_SECONDS, App, Tab, start_app, wait_ready
from tests.support.ports import patience


def test_page_opens_before_the_swarm_is_there_and_ends_with_open_tabs(
    person: Callable[[], BrowserContext], tmp_path: Path
) -> None:
    """The page stayed white until every node had joined; SIGTERM hung while a tab was open."""
    app = start_app(tmp_path)
    context = person()
    while True:
        assert app.process.poll() is None, app.log.read_text()
        try:
            httpx.get(app.url)
            break
        except httpx.HTTPError:
            time.sleep(0.1)
    assert httpx.get(f"{app.url}/readyz").status_code == 503
    page = context.new_page()
    page.goto(app.url)
    box = page.locator("#fm-box textarea")
    box.fill("Hello")  # before anybody serves a block
    box.press("Enter")
    expect(page.locator("#fm-history [data-testid=user]")).to_have_text("Hello")
    wait_ready(app)
    expect(page.locator("#fm-history [data-testid=bot]")).to_have_count(1, timeout=MODEL_SECONDS)
    expect(page.locator("#fm-state")).to_have_text("2 nodes, all blocks served · on this machine")

    tab = Tab(context, app)
    tab.make_replies_long()
    tab.send("Tell me everything.")
    tab.wait_growing(5)
    nodes = app.nodes()
    asked = time.monotonic()
    app.process.send_signal(signal.SIGTERM)
    assert app.process.wait(15) == 0
    assert time.monotonic() - asked < 5 * patience()
    assert not [pid for pid in nodes if Path(f"/proc/{pid}").exists()], "orphans"
    assert "Traceback" not in app.log.read_text(), app.log.read_text()
    expect(page.locator("#fm-state")).to_have_text("The app does not answer")


def test_node_killed_between_messages_is_healed(tab: Tab, app: App) -> None:
    tab.send("Hello")
    tab.wait_idle(replies=1)
    os.kill(app.nodes()[0], signal.SIGKILL)
    tab.send("What is a block?")
    tab.wait_idle(replies=2)
    assert not tab.page.locator(".fm-notice").is_visible()


def test_node_killed_in_mid_reply_is_said_and_survived(tab: Tab, app: App) -> None:
    """petals#587: the replacement started at position 0 and the client tried for ever."""
    tab.make_replies_long(tokens=700)
    tab.send("Tell me everything.")
    before = tab.wait_growing(40)
    os.kill(app.nodes()[-1], signal.SIGKILL)
    tab.until(lambda: "waiting up to" in tab.status or "node left" in tab.status)
    after = tab.wait_growing(len(before) + 400)
    assert after.startswith(before[:30])
    tab.stop_button.click()
    tab.wait_idle(replies=1)
