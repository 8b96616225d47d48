"""What was said stands on the page as it was said, and can be copied and changed there."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager

import pytest
from playwright.sync_api import BrowserContext, Locator, expect

from chat.models.backend import Backend
from tests.browser.inside import inside
from tests.support.browser import Tab
from tests.support.fakes import FakeClient, ready_backend

TYPED = (
    "How do I use List<String> in Java? It does not compile.",
    "if a<b then c>d\n\n    indented,  two  spaces",
    "$5 and then $10, __init__, 2*3*4, # no heading, `no code`",
)
REPLY = (
    "Use Vec<String> or `List<String>`: if a<b then c>d. It costs $5 and then $10, or $x^2$.\n\n"
    "<b>bold</b><script>window.stolen = 1</script>\n\n```java\nList<String> a;\n```"
)


@asynccontextmanager
async def scripted() -> AsyncIterator[Backend]:
    client = FakeClient(step=0.001)
    client.enqueue(*[REPLY] * 6)
    yield ready_backend(client)


@pytest.fixture(params=[1280, 390])
def talking(request: pytest.FixtureRequest, person: Callable[..., BrowserContext]) -> Iterator[Tab]:
    with inside(scripted) as app:
        context = person(has_touch=request.param < 900)
        context.grant_permissions(["clipboard-read", "clipboard-write"])
        tab = Tab(context, app)  # type: ignore[arg-type]
        tab.page.set_viewport_size({"width": request.param, "height": 780})
        yield tab
        assert not tab.errors


def row(tab: Tab, role: str, index: int) -> Locator:
    return tab.page.locator(f"#fm-history .{role}-row").nth(index)


def start_editing(tab: Tab, role: str, index: int) -> Locator:
    message = row(tab, role, index)
    message.hover()
    message.get_by_role("button", name="Edit").click()
    box = message.locator("textarea")
    expect(box).to_be_focused()
    return box


def test_nothing_that_was_said_vanishes(talking: Tab) -> None:
    """Text after < was gone, prices were typeset, and __init__ was bold in one's own words."""
    for number, text in enumerate(TYPED, 1):
        talking.send(text)
        talking.wait_idle(replies=number)
    assert talking.users == list(TYPED)
    reply = row(talking, "bot", 0)
    for words in ("Use Vec<String> or List<String>: if a<b then c>d. It costs $5 and then $10, or",
                  "<script>window.stolen = 1</script>", "List<String> a;"):  # fmt: skip
        expect(reply).to_contain_text(words)
    expect(reply.locator("b, strong")).to_have_text("bold")
    expect(reply.locator(".katex-html")).to_have_count(1)
    assert talking.page.evaluate("window.stolen") is None
    talking.reload()
    assert talking.users == list(TYPED)


def test_what_is_copied_is_what_was_said(talking: Tab) -> None:
    talking.send(TYPED[1])
    talking.wait_idle(replies=1)
    for role, text in (("user", TYPED[1]), ("bot", REPLY)):
        row(talking, role, 0).hover()
        row(talking, role, 0).get_by_role("button", name="Copy message").click()
        talking.until(
            lambda text=text: talking.page.evaluate("navigator.clipboard.readText()") == text
        )


def test_editing_has_room_keys_and_the_focus(talking: Tab) -> None:
    """A box of 160 x 64 pixels, in which Enter and Escape did nothing."""
    talking.send(TYPED[0])
    talking.wait_idle(replies=1)
    wide = talking.page.locator("#fm-foot").bounding_box()
    box = start_editing(talking, "user", 0)
    place = box.bounding_box()
    assert wide is not None
    assert place is not None
    assert place["width"] > 0.85 * wide["width"]
    expect(box).to_have_value(TYPED[0])
    box.fill("Changed my mind")
    box.press("Escape")
    expect(box).to_have_count(0)
    expect(row(talking, "user", 0).get_by_role("button", name="Edit")).to_be_focused()
    assert talking.users == [TYPED[0]]

    box = start_editing(talking, "user", 0)
    box.fill("Two")
    box.press("Shift+Enter")
    box.press_sequentially("lines <T>")
    box.press("Enter")
    talking.until(lambda: talking.users == ["Two\nlines <T>"])
    talking.wait_idle(replies=1)

    box = start_editing(talking, "bot", 0)
    expect(box).to_have_value(REPLY)
    box.fill("Use Vec<String>")
    box.press("Enter")  # a reply has many lines
    box.press_sequentially("... important")
    box.press("Control+Enter")
    talking.until(lambda: talking.bots == ["Use Vec<String>\n... important"])

    start_editing(talking, "user", 0).fill("Not this")
    row(talking, "user", 0).get_by_role("button", name="Cancel").click()
    talking.box.press("ArrowUp")
    expect(row(talking, "user", 0).locator("textarea")).to_be_focused()
    row(talking, "user", 0).get_by_role("button", name="Save").click()


def test_edit_that_is_refused_is_not_lost(talking: Tab) -> None:
    talking.send("Hello")
    talking.wait_idle(replies=1)
    long = "word " * 5000
    box = start_editing(talking, "user", 0)
    box.fill(long)
    box.press("Enter")
    expect(talking.page.locator(".fm-notice")).to_contain_text("can be sent")
    expect(start_editing(talking, "user", 0)).to_have_value(long)
