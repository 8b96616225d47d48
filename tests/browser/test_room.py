"""Room on small screens, and on paper: nothing that one needs is pushed out."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager

import pytest
from playwright.sync_api import BrowserContext, Locator, expect

from chat.models.backend import Backend
from tests.browser.inside import inside
from tests.support.browser import Tab
from tests.support.fakes import FakeClient, ready_backend

WIDE_TABLE = "| " + " | ".join(f"column{i}" for i in range(14)) + " |\n" + "|---" * 14 + "|\n"
NODES = '<ul class="fm-nodes">' + "<li><b>node</b><span>blocks 0 to 3</span></li>" * 3 + "</ul>"


@asynccontextmanager
async def scripted() -> AsyncIterator[Backend]:
    client = FakeClient(step=0.001)
    client.enqueue(*[WIDE_TABLE] * 6)
    yield ready_backend(client)


@pytest.fixture(scope="module")
def talking(request: pytest.FixtureRequest, browser: object) -> Iterator[object]:
    with inside(scripted) as app:
        yield app


@pytest.fixture
def small(talking: object, person: Callable[..., BrowserContext]) -> Iterator[Tab]:
    tab = Tab(person(), talking)  # type: ignore[arg-type]
    yield tab
    assert not tab.errors


def inside_of(tab: Tab, part: Locator) -> bool:
    """Whether all of a part is on the screen."""
    box, size = part.bounding_box(), tab.page.viewport_size
    assert size is not None
    return box is not None and (
        box["x"] >= 0
        and box["y"] >= 0
        and box["x"] + box["width"] <= size["width"] + 1
        and box["y"] + box["height"] <= size["height"] + 1
    )


@pytest.mark.parametrize("size", [(390, 430), (780, 390), (640, 400), (1280, 800)])
def test_composer_stays_on_the_screen(small: Tab, size: tuple[int, int]) -> None:
    """After a refused long message it jumped into a second column, beside the page."""
    small.page.set_viewport_size({"width": size[0], "height": size[1]})
    small.send("word " * 5000)
    expect(small.page.locator(".fm-notice")).to_be_visible()
    for part in (small.box, small.page.locator("#fm-send"), small.page.locator(".fm-notice")):
        small.until(lambda part=part: inside_of(small, part), 20, saying=str(part))
    small.box.fill("short")
    small.box.press("Enter")
    small.wait_idle(replies=1)
    small.until(lambda: inside_of(small, small.page.locator("#fm-composer")), 20)


def test_stop_and_send_both_fit_in_the_composer_of_a_phone(small: Tab) -> None:
    """Bug prevented: while a reply is written, Send lies across the composer's edge."""
    small.page.set_viewport_size({"width": 390, "height": 780})
    small.page.evaluate("document.documentElement.classList.add('fm-sending')")
    expect(small.stop_button).to_be_visible()
    box = small.page.locator("#fm-composer").bounding_box()
    buttons = [part.bounding_box() for part in small.page.locator("#fm-composer button").all()]
    small.page.evaluate("document.documentElement.classList.remove('fm-sending')")
    assert box is not None
    right = box["x"] + box["width"]
    assert all(part["x"] + part["width"] <= right for part in buttons if part)


def test_wide_table_scrolls_and_breaks_no_word(small: Tab) -> None:
    small.page.set_viewport_size({"width": 390, "height": 780})
    small.send("A table")
    small.wait_idle(replies=1)
    table = small.page.locator("#fm-history table")
    assert table.evaluate("table => table.scrollWidth > table.clientWidth")
    lines = "cell => Math.round(cell.getBoundingClientRect().height)"
    heights = {cell.evaluate(lines) for cell in table.locator("th").all()}
    assert max(heights) < 60, "a word was broken"
    assert small.page.evaluate("document.documentElement.scrollWidth") <= 390


def test_list_of_chats_keeps_its_room_beside_many_nodes(small: Tab) -> None:
    """With three nodes one chat was to be seen, and none with 'Add a node' open."""
    small.page.set_viewport_size({"width": 1366, "height": 650})
    small.page.evaluate(
        """() => localStorage.setItem("farmesh.chats", JSON.stringify([...Array(9).keys()].map(
          i => ({id: `${i}`, title: `Chat ${i}`, updated: i}))))"""
    )
    small.reload()
    small.page.locator("#fm-swarm").evaluate("(map, html) => { map.innerHTML = html }", NODES * 4)
    rows = small.page.locator("#fm-chat-list li[data-id]")
    expect(rows).to_have_count(9)
    shown = small.page.locator("#fm-chat-list").bounding_box()
    card = small.page.locator("#fm-swarm-slot").bounding_box()
    assert shown is not None
    assert card is not None
    assert shown["height"] >= 5 * 30
    assert card["y"] >= shown["y"] + shown["height"], "the card lies over the list"
    assert card["y"] + card["height"] <= 651


def test_what_is_printed_is_the_conversation(small: Tab) -> None:
    small.send("Print me")
    small.wait_idle(replies=1)
    small.page.emulate_media(media="print")
    for part in ("#fm-side", "#fm-foot", "#fm-header", "#fm-tune", ".fm-actions"):
        expect(small.page.locator(part).first).to_be_hidden()
    expect(small.page.locator("#fm-history")).to_contain_text("Print me")
    small.page.emulate_media(media="screen")
