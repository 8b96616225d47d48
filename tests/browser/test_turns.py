"""Turns in a real browser: edit, versions, undo, continue, queue, reload, and what it costs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from playwright.sync_api import BrowserContext, Locator, expect

from tests.browser.cable import cable_to
from tests.support.browser import App, Tab


def message(tab: Tab, role: str, index: int) -> Locator:
    """The row of a message: its text and its buttons."""
    return tab.page.locator(f"#fm-history .{role}-row").nth(index)


def edit(tab: Tab, role: str, index: int, text: str) -> None:
    row = message(tab, role, index)
    row.hover()
    row.get_by_role("button", name="Edit").click()
    row.locator("textarea").fill(text)
    row.get_by_role("button", name="Save").click()


def pager(tab: Tab, role: str, index: int) -> Locator:
    """Where the versions of a message are paged through."""
    return message(tab, role, index).locator(".fm-pager")


def step(tab: Tab, role: str, index: int, which: str) -> None:
    pager(tab, role, index).get_by_role("button", name=f"{which} version").click()


def continue_button(tab: Tab) -> Locator:
    return tab.page.locator("#fm-history").get_by_role("button", name="Continue")


def test_reload_finds_the_running_reply(tab: Tab) -> None:
    """gradio: a reload killed the answer."""
    tab.make_replies_long()
    tab.send("Tell me about nodes.")
    before = tab.wait_growing(60)
    tab.reload()
    after = tab.wait_growing(len(before) + 60)
    assert after.startswith(before[:30])
    assert tab.users == ["Tell me about nodes."]
    tab.stop_button.click()
    tab.wait_idle(replies=1)


def test_closed_tab_ends_the_nodes_work(person: Callable[[], BrowserContext], app: App) -> None:
    """gradio#4016: nobody there, and the machines worked on."""
    tab = Tab(person(), app)
    tab.make_replies_long()
    tab.send("Tell me everything about spans.")
    tab.wait_growing(100)
    tab.page.close()
    assert app.rests()


def test_double_click_and_enter_spam_are_one_message(tab: Tab) -> None:
    tab.box.fill("Hello")
    tab.page.locator("#fm-send").dblclick()
    tab.wait_idle(replies=1)
    tab.box.fill("What is a hop?")
    for _ in range(5):
        tab.box.press("Enter")
    tab.wait_idle(replies=2)
    tab.taken()
    assert [m["role"] for m in tab.on_server()["messages"]] == ["user", "assistant"] * 2
    assert tab.users == ["Hello", "What is a hop?"]


def test_regenerate_keeps_versions_to_page_through(tab: Tab) -> None:
    tab.tune()
    tab.set_number("temperature", 1.5)
    tab.send("Hello")
    tab.wait_idle(replies=1)
    first = tab.bots[0]
    message(tab, "bot", 0).hover()
    tab.page.get_by_role("button", name="Retry").click()
    expect(pager(tab, "bot", 0)).to_contain_text("2 / 2")
    step(tab, "bot", 0, "Earlier")
    expect(pager(tab, "bot", 0)).to_contain_text("1 / 2")
    assert tab.bots == [first]


def test_edit_in_the_middle_of_a_chat(tab: Tab) -> None:
    """Nothing led back to a branch that did not end the chat, and a restart lost all but one."""
    before = ["Hello", "What is a block?", "What is a node?"]
    after = ["Hello", "What is a span?"]
    for number, text in enumerate(before, 1):
        tab.send(text)
        tab.wait_idle(replies=number)
    edit(tab, "user", 1, "What is a span?")
    tab.until(lambda: tab.users == after)
    tab.wait_idle(replies=2)
    assert "remembered" in tab.status, "the part before the edit was computed again"
    for which, users in (("Earlier", before), ("Later", after), ("Earlier", before)):
        step(tab, "user", 1, which)
        tab.until(lambda users=users: tab.users == users)
    expect(pager(tab, "user", 1).get_by_role("button", name="Earlier version")).to_be_disabled()
    edit(tab, "bot", 0, "Good day\tto you")
    tab.until(lambda: tab.bots[0].startswith("Good day"))
    assert tab.users == before
    expect(pager(tab, "bot", 0)).to_contain_text("2 / 2")

    tab.until(lambda: kept_versions(tab) == 7)
    tab.forget_on_server()  # as a restart does
    tab.reload()
    tab.until(lambda: tab.users == before)
    expect(pager(tab, "bot", 0)).to_contain_text("2 / 2")
    step(tab, "bot", 0, "Earlier")
    expect(pager(tab, "user", 1)).to_contain_text("1 / 2")
    step(tab, "user", 1, "Later")
    tab.until(lambda: tab.users == after)


def kept_versions(tab: Tab) -> int:
    """How many messages this browser keeps beside those that are shown."""
    kept = "id => JSON.parse(localStorage.getItem(`farmesh.chat.${id}`) || '{}').versions?.length"
    return int(tab.page.evaluate(kept, tab.chat_id) or 0)


def test_undo_leaves_the_box_alone_and_can_be_undone(tab: Tab) -> None:
    """It overwrote what stood in the box, and the turn was gone for good."""
    for number, text in enumerate(("Hello", "What is a hop?"), 1):
        tab.send(text)
        tab.wait_idle(replies=number)
    replies = tab.bots
    message(tab, "bot", 1).get_by_role("button", name="Undo").click()
    expect(tab.box).to_have_value("What is a hop?")
    tab.box.fill("Something else")
    message(tab, "bot", 0).get_by_role("button", name="Undo").click()
    tab.until(lambda: tab.users == [])
    expect(tab.box).to_have_value("Something else")
    for users in (["Hello"], ["Hello", "What is a hop?"]):
        tab.page.get_by_role("button", name="Bring it back").click()
        tab.until(lambda users=users: tab.users == users)
    assert tab.bots == replies
    expect(tab.page.get_by_role("button", name="Bring it back")).to_be_hidden()
    expect(tab.box).to_have_value("Something else")


def test_continue_a_reply_cut_at_its_limit(tab: Tab) -> None:
    tab.tune()
    tab.set_number("max-new-tokens", 4)
    tab.taken()
    tab.send("What is FarMesh?")
    tab.wait_idle(replies=1)
    cut = tab.bots[0]
    assert "cut at its limit" in tab.status
    tab.set_number("max-new-tokens", 100)
    tab.taken()
    continue_button(tab).click()
    tab.until(lambda: len("".join(tab.bots)) > len(cut))
    tab.wait_idle(replies=1)
    assert tab.bots[0].startswith(cut)


def test_next_message_waits_behind_the_running_reply(tab: Tab) -> None:
    """OW queues it; Gradio's interface disabled the box."""
    tab.make_replies_long(tokens=120)
    tab.send("Tell me about blocks.")
    tab.wait_growing(10)
    tab.send("And about nodes?")
    expect(tab.page.locator(".fm-queued")).to_contain_text("And about nodes?")
    tab.wait_idle(replies=2)
    assert tab.users == ["Tell me about blocks.", "And about nodes?"]


def test_stop_works_for_every_kind_of_generation(tab: Tab) -> None:
    """ChatInterface could not stop a reply to an edited message."""
    tab.make_replies_long()

    def stop_it() -> None:
        tab.wait_growing(20)
        tab.stop_button.click()
        tab.wait_idle(replies=1)
        assert "stopped" in tab.status

    tab.send("Tell me a lot.")
    stop_it()
    message(tab, "bot", 0).hover()
    tab.page.get_by_role("button", name="Retry").click()
    stop_it()
    continue_button(tab).click()
    stop_it()
    edit(tab, "user", 0, "Tell me even more.")
    stop_it()
    assert tab.users == ["Tell me even more."]


def test_five_tabs_at_once_and_two_more(person: Callable[[], BrowserContext], app: App) -> None:
    """The sixth tab never loaded and the fifth got no reply: every tab held a connection open.

    With a reply running or waiting in each of seven tabs there is still room for Stop.
    """
    somebody = person()
    tabs = [Tab(somebody, app) for _ in range(5)]
    for number, tab in enumerate(tabs):
        tab.send(f"Hello {number}")
    for number, tab in enumerate(tabs):
        tab.wait_idle(replies=1)
        mine = tab.page.locator("#fm-history [data-testid=user]")
        expect(mine).to_have_text([f"Hello {number}"])  # and nobody else's
    tabs += [Tab(somebody, app) for _ in range(2)]
    for tab in tabs:
        tab.make_replies_long()
        tab.send("Tell me everything.")
    for tab in reversed(tabs):
        tab.until(lambda t=tab: "Tell me everything." in t.users)
        tab.page.keyboard.press("Escape")
        tab.wait_idle()


def test_network_that_was_away(person: Callable[[], BrowserContext], app: App) -> None:
    """A laptop that slept, a train in a tunnel: the reply stood still, and what was written went.

    Gradio loads the page anew when it is back.
    """
    with cable_to(app.url) as cable:
        tab = Tab(person(), replace(app, url=cable.url))
        tab.make_replies_long()
        tab.send("Tell me everything.")
        tab.wait_growing(40)
        tab.box.fill("Half a")
        cable.cut()
        expect(tab.page.locator("#fm-state")).to_have_text("The app does not answer")
        before = tab.live
        with tab.page.expect_navigation():
            cable.mend()
        tab.wait_attached()
        assert tab.wait_growing(len(before) + 60).startswith(before[:30])
        expect(tab.box).to_have_value("Half a")
        tab.stop_button.click()
        tab.wait_idle(replies=1)
        cable.cut()
        tab.send("Half a message")
        expect(tab.page.locator("#fm-state")).to_have_text("The app does not answer")
        with tab.page.expect_navigation():
            cable.mend()
        tab.wait_attached()
        expect(tab.box).to_have_value("Half a message")


def test_two_people_at_once(person: Callable[[], BrowserContext], app: App) -> None:
    tabs = [Tab(person(), app) for _ in range(2)]
    for tab in tabs:
        tab.make_replies_long()
    for name, tab in zip(("ann", "bob"), tabs, strict=True):
        tab.send(f"I am {name}, tell me everything.")
    lengths = [len(tab.wait_growing(30)) for tab in tabs]
    for tab, length in zip(tabs, lengths, strict=True):
        tab.wait_growing(length)
    for name, tab in zip(("ann", "bob"), tabs, strict=True):
        tab.stop_button.click()
        tab.wait_idle(replies=1)
        assert tab.users == [f"I am {name}, tell me everything."]


def test_third_reply_of_a_person_waits_in_line(
    person: Callable[[], BrowserContext], app: App
) -> None:
    somebody = person()
    tabs = [Tab(somebody, app) for _ in range(3)]
    for tab in tabs:
        tab.make_replies_long()
        tab.send("Tell me everything.")
    expect(tabs[2].page.locator("#fm-status")).to_contain_text("waiting for a reply")
    tabs[0].stop_button.click()
    tabs[2].wait_growing(5)
    for tab in tabs:
        tab.stop_button.click() if tab.stop_button.is_visible() else None
        tab.wait_idle(replies=1)


def test_message_that_never_fits_stays_in_the_box(tab: Tab) -> None:
    text = "word " * 3000
    tab.box.fill(text)
    tab.box.press("Enter")
    expect(tab.page.locator(".fm-notice")).to_contain_text("1,024")
    expect(tab.page.locator(".fm-notice")).to_contain_text("nothing was sent")
    tab.until(lambda: tab.box.input_value() == text)
    assert tab.users == []


def test_oldest_turns_leave_and_the_person_is_told(tab: Tab) -> None:
    """chat.petals.dev#3: every long conversation ended in a crash."""
    filler = "One two three four five six seven eight nine ten. " * 14
    for number in range(1, 8):
        tab.send(f"{number}. {filler}")
        tab.wait_idle(replies=number)
        if "no longer fit" in tab.page.locator("#fm-meter-slot").inner_text():
            break
    else:
        pytest.fail("the context never became full")
    assert not tab.page.locator(".fm-notice").is_visible()


def test_wrong_setting_is_said_and_nothing_is_changed(tab: Tab) -> None:
    tab.tune()
    tab.page.locator("#fm-seed textarea").fill("minus one")
    tab.taken()
    tab.send("Hello")
    expect(tab.page.locator(".fm-notice")).to_contain_text("Seed must be a whole number")
    expect(tab.box).to_have_value("Hello")
    tab.page.locator("#fm-seed textarea").fill("7")
    tab.taken()
    tab.box.press("Enter")
    tab.wait_idle(replies=1)


def test_same_seed_same_text(tab: Tab) -> None:
    tab.tune()
    tab.set_number("temperature", 1.5)
    tab.page.locator("#fm-seed textarea").fill("12345")
    tab.taken()
    replies = []
    for _ in range(2):
        tab.send("Hello")
        tab.wait_idle(replies=1)
        replies.append(tab.bots[0])
        tab.page.locator("#fm-new").click()
        tab.until(lambda: tab.users == [])
    assert replies[0] == replies[1]


def test_newest_text_stays_in_sight_until_somebody_scrolls_up(tab: Tab) -> None:
    """Text that grew between two scrolls was taken for a person who had scrolled up."""
    at_end = """() => { const log = document.getElementById("fm-log");
      return log.scrollHeight - log.scrollTop - log.clientHeight < 60; }"""
    for number in range(1, 4):
        tab.send(f"{number}. " + "One two three four five six seven eight nine ten. " * 12)
        tab.wait_idle(replies=number)
        tab.until(lambda: tab.page.evaluate(at_end))
        tab.page.wait_for_timeout(300)
        assert tab.page.evaluate(at_end)
    tab.make_replies_long(tokens=400)
    tab.send("Tell me everything.")
    tab.wait_growing(60)
    tab.page.locator("#fm-log").hover()
    tab.page.mouse.wheel(0, -600)
    tab.wait_growing(len(tab.live) + 200)
    assert not tab.page.evaluate(at_end), "the page took the reader back down"
    tab.send("And more?")  # now they want to see it, when the reply before it has ended
    tab.until(lambda: tab.page.evaluate(at_end), 120)
    tab.stop_button.click()
    tab.wait_idle()
