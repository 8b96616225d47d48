"""One conversation in a real browser: growing text, Stop, tabs that know nothing of each other."""

from __future__ import annotations

from collections.abc import Callable

from playwright.sync_api import BrowserContext, expect

from tests.support.browser import App, Tab


def test_reply_grows_and_is_kept(tab: Tab) -> None:
    """The page showed the reply only when it was complete."""
    tab.make_replies_long()
    tab.send("Tell me about the swarm.")
    first = tab.wait_growing(5)
    second = tab.wait_growing(len(first) + 20)
    assert second.startswith(first[:5])
    assert tab.users == ["Tell me about the swarm."]
    tab.stop_button.click()
    tab.wait_idle(replies=1)
    assert "stopped" in tab.status


def test_stop_ends_the_nodes_work(tab: Tab, app: App) -> None:
    """FastChat#3583: Stop hid the reply while the machines went on computing it."""
    tab.make_replies_long()
    before = app.work()
    tab.send("Tell me everything.")
    tab.wait_growing(200)
    assert app.work() > before, "this test does not see the nodes' work"
    tab.stop_button.click()
    expect(tab.stop_button).to_be_hidden()
    assert app.rests()


def test_second_tab_sees_nothing_of_the_first(
    person: Callable[[], BrowserContext], app: App
) -> None:
    """textgen#58: one page's chat showed up in another one."""
    somebody = person()
    first, second = Tab(somebody, app), Tab(somebody, app)
    stranger = Tab(person(), app)
    first.send("What is a block?")
    first.wait_idle(replies=1)
    second.send("Hello")
    second.wait_idle(replies=1)
    assert second.users == ["Hello"]
    for other in (second, stranger):
        other.reload()
    # The list of one's own chats has its title, the chat itself is in its own tab only.
    assert "What is a block?" not in second.page.locator("#fm-main").inner_text()
    assert "What is a block?" not in stranger.page.content()
    assert stranger.users == []
    assert first.users == ["What is a block?"]


def test_conversation_goes_on_from_what_the_nodes_hold(tab: Tab) -> None:
    tab.send("Hello")
    tab.wait_idle(replies=1)
    tab.send("What is a span?")
    tab.wait_idle(replies=2)
    assert "remembered" in tab.status
    tab.reload()
    assert tab.users == ["Hello", "What is a span?"]
