"""A hurried person: many things at once, in any order; at the end page and server agree."""

from __future__ import annotations

import contextlib
import random

import pytest
from playwright.sync_api import Error as PlaywrightError
from playwright.sync_api import expect

from tests.support.browser import Tab

QUICK = 500  # milliseconds that a hurried person tries to hit something


def act(tab: Tab, dice: random.Random) -> str:
    """Do one thing without waiting for what it leads to; what cannot be hit is left."""
    page, number = tab.page, dice.randrange(1000)

    def last(role: str, name: str) -> None:
        row = page.locator(f"#fm-history .{role}-row").last
        row.hover(timeout=QUICK)
        row.get_by_role("button", name=name, exact=True).first.click(timeout=QUICK)

    def edit() -> None:
        last("user", "Edit")
        page.locator("#fm-history textarea").last.fill(f"Edited {number}", timeout=QUICK)
        page.get_by_role("button", name="Save").last.click(timeout=QUICK)

    def send_and_stop() -> None:
        tab.send(f"At once {number}")
        tab.stop_button.click(timeout=QUICK)

    def another_chat() -> None:
        page.locator("#fm-new").click(timeout=QUICK)
        tab.send(f"New {number}")
        page.locator(".fm-open").last.click(timeout=QUICK)

    def reload_at_once() -> None:
        tab.send(f"Reload {number}")
        page.reload()
        tab.wait_attached()

    actions = {
        "send": lambda: tab.send(f"Hello {number}"),
        "send twice": lambda: (tab.send(f"First {number}"), tab.send(f"Second {number}")),
        "double click": lambda: (
            tab.box.fill(f"Double {number}"),
            page.locator("#fm-send").dblclick(timeout=QUICK),
        ),
        "stop": lambda: tab.stop_button.click(timeout=QUICK),
        "escape": lambda: page.keyboard.press("Escape"),
        "send and stop": send_and_stop,
        "retry": lambda: last("bot", "Retry"),
        "undo": lambda: last("bot", "Undo"),
        "edit": edit,
        "version": lambda: page.locator("#fm-history .fm-pager button:enabled").first.click(
            timeout=QUICK
        ),
        "continue": lambda: page.keyboard.press("Alt+Enter"),
        "another chat": another_chat,
        "reload": reload_at_once,
        "empty": lambda: tab.send("  "),
    }
    name = dice.choice(list(actions))
    with contextlib.suppress(PlaywrightError):  # gone before it could be hit: so it is for people
        actions[name]()
    return name


def wait_at_rest(tab: Tab, done: list[str]) -> None:
    """Stop goes away within a minute; if not, both sides are told."""
    try:
        expect(tab.stop_button).to_be_hidden(timeout=60_000)
    except AssertionError:
        page = tab.page.locator("#fm-main").inner_text()
        raise AssertionError(f"{done}\n{page}\n{tab.on_server()}\n{tab.errors}") from None


def agreed(tab: Tab) -> bool:
    """Whether the page shows what the server has."""
    chat = tab.on_server()
    asked = [m["text"] for m in chat["messages"] if m["role"] == "user"]
    replies = [m["text"] for m in chat["messages"] if m["role"] == "assistant"]
    return not chat["running"] and tab.users == asked and len(tab.bots) == len(replies)


@pytest.mark.parametrize("seed", range(3))
def test_hurry_leaves_page_and_server_agreeing(tab: Tab, seed: int) -> None:
    """A race between a click and a stream: a reply in the wrong chat, Stop that stays for ever."""
    dice = random.Random(seed)
    tab.tune()
    tab.set_number("max-new-tokens", 40)
    tab.page.locator("[data-toggle=tune]").click()
    done = []
    for _ in range(14):
        done.append(act(tab, dice))
        tab.page.wait_for_timeout(dice.choice((0, 0, 50, 400)))
    wait_at_rest(tab, done)
    tab.until(lambda: agreed(tab), saying=str(done))
    assert not tab.errors, done
    before = len(tab.users)
    tab.box.fill("Still there?")
    tab.box.press("Enter")
    tab.until(lambda: len(tab.users) == before + 1)
    wait_at_rest(tab, done)
    assert tab.users[-1] == "Still there?"
