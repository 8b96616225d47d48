"""Nothing is lost: on a slow line, in storage that is full, in files that are too large."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager

import pytest
from playwright.sync_api import BrowserContext, Route, expect

from chat.models.backend import Backend
from farmesh.params import SamplingParams
from tests.browser.inside import InsideApp, inside
from tests.support.browser import Tab, more, titles
from tests.support.fakes import FakeClient, ready_backend

LONG = "word " * 4000


@asynccontextmanager
async def scripted() -> AsyncIterator[Backend]:
    client = FakeClient(step=0.01, max_context=100_000)
    client.enqueue(*[LONG] * 10)
    yield ready_backend(client, defaults=SamplingParams(max_new_tokens=len(LONG)))


@pytest.fixture(scope="module")
def app() -> Iterator[InsideApp]:
    with inside(scripted) as running:
        yield running


@pytest.fixture
def tab(app: InsideApp, person: Callable[..., BrowserContext]) -> Iterator[Tab]:
    opened = Tab(person(), app)  # type: ignore[arg-type]
    yield opened
    assert not opened.errors


@contextmanager
def nothing_arrives(tab: Tab) -> Iterator[None]:
    """What is sent by way of Gradio is on the line until the scope is left."""
    held: list[Route] = []
    broken = [True]
    tab.page.route(
        "**/gradio_api/**", lambda route: held.append(route) if broken else route.continue_()
    )
    yield
    broken.clear()
    for route in held:
        route.continue_()


def roles(tab: Tab) -> list[str]:
    return [message["role"] for message in tab.on_server()["messages"]]


def test_message_and_stop_are_there_before_the_server_answers(tab: Tab) -> None:
    """Stop came after 1.6 s, what was typed meanwhile was wiped, a second Enter was a red error."""
    coming = tab.page.locator("#fm-coming")
    with nothing_arrives(tab):
        tab.send("What is a <b>hop</b>?")
        expect(coming).to_contain_text("What is a <b>hop</b>?")
        expect(tab.stop_button).to_be_visible()
        expect(tab.box).to_have_value("")
        tab.box.press("Enter")
        tab.box.press_sequentially("And then")
    tab.wait_growing(20)
    expect(coming).to_be_empty()
    assert tab.users == ["What is a <b>hop</b>?"]
    expect(tab.box).to_have_value("And then")
    expect(tab.page.locator(".fm-notice")).to_be_hidden()

    with nothing_arrives(tab):  # behind a reply that is being written
        tab.send("And then what?")
        expect(tab.page.locator("#fm-next")).to_contain_text("And then what?")
    expect(tab.page.locator("#fm-queued-slot")).to_contain_text("And then what?")
    expect(tab.page.locator("#fm-next")).to_be_empty()
    tab.page.get_by_role("button", name="Take back").click()
    expect(tab.box).to_have_value("And then what?")
    expect(tab.page.locator("#fm-queued-slot")).to_be_hidden()
    tab.box.press("Enter")
    expect(tab.page.locator("#fm-queued-slot")).to_contain_text("And then what?")
    tab.page.keyboard.press("Escape")
    tab.wait_idle(replies=1)
    expect(tab.box).to_have_value("And then what?")
    expect(tab.box).to_be_focused()


def test_stop_overtakes_the_message_and_is_heard(tab: Tab) -> None:
    """Escape half a second after Enter was lost, and the reply ran to its end."""
    with nothing_arrives(tab):
        tab.send("Tell me everything.")
        expect(tab.stop_button).to_be_visible()
        with tab.page.expect_response("**/farmesh/stop*"):
            tab.page.keyboard.press("Escape")
        expect(tab.stop_button).to_be_hidden()
    tab.until(lambda: tab.users == ["Tell me everything."])
    assert tab.bots == []
    assert roles(tab) == ["user"]
    tab.page.locator("#fm-history").get_by_role("button", name="Retry").click()
    tab.wait_growing(20)
    tab.stop_button.click()
    tab.wait_idle(replies=1)


def test_refused_message_comes_back_before_what_was_typed_since(tab: Tab) -> None:
    with nothing_arrives(tab):
        tab.send("x" * 30_000)
        expect(tab.box).to_have_value("")
        tab.box.fill("Never mind")
    expect(tab.page.locator(".fm-notice")).to_contain_text("Nothing was sent")
    expect(tab.box).to_have_value("x" * 30_000 + "\nNever mind")
    expect(tab.stop_button).to_be_hidden()
    assert tab.users == []


def test_draft_belongs_to_its_chat(tab: Tab) -> None:
    """What was written in one chat stood in the box of the next one."""
    tab.box.fill("Half a")
    first = tab.chat_id
    tab.page.locator("#fm-new").click()
    tab.until(lambda: tab.chat_id != first)
    expect(tab.box).to_have_value("")
    tab.send("Something else")
    tab.wait_growing(5)
    tab.box.fill("Another half")
    tab.page.keyboard.press("Escape")
    tab.wait_idle(replies=1)
    tab.reload()
    expect(tab.box).to_have_value("Another half")


def exported(title: str, megabytes: float) -> dict[str, object]:
    """A conversation as a file to import: its megabytes are in versions, which cost no drawing."""
    message = {"role": "user", "text": title}
    long = {"role": "assistant", "after": 1, "text": "word " * int(megabytes * 200_000)}
    data = json.dumps({"title": title, "messages": [message], "versions": [long]}).encode()
    return {"name": f"{title}.json", "mimeType": "application/json", "buffer": data}


def test_large_conversations_are_imported_and_push_nothing_out(tab: Tab) -> None:
    """A chat of 4.9 MB opened empty; a second one silently deleted all others."""
    tab.send("The first one")
    tab.wait_growing(5)
    tab.page.keyboard.press("Escape")
    tab.wait_idle(replies=1)
    tab.until(lambda: titles(tab) == ["The first one"])
    file = tab.page.locator("#fm-chats input[type=file]")
    for number, title in enumerate(("Large", "Larger"), 2):
        file.set_input_files(exported(title, 4.9))
        tab.until(lambda title=title: tab.users == [title], saying=title)
        tab.until(lambda number=number: len(titles(tab)) == number)
    file.set_input_files(exported("Too large", 9))
    expect(tab.page.locator(".fm-mention")).to_contain_text("too large")
    assert len(titles(tab)) == 3
    tab.reload()
    tab.until(lambda: tab.users == ["Larger"])
    for title in ("The first one", "Large"):
        tab.page.locator(".fm-open", has_text=title).last.click()
        tab.until(lambda title=title: tab.users == [title])


def test_storage_that_takes_nothing_more_is_said(tab: Tab) -> None:
    """The oldest chats went to make room, or the newest was not kept, without a word."""
    tab.page.evaluate("""() => {
      const full = () => { throw new DOMException("full", "QuotaExceededError"); };
      Storage.prototype.setItem = IDBObjectStore.prototype.put = full;
    }""")
    tab.send("Keep this")
    tab.wait_growing(5)
    tab.page.keyboard.press("Escape")
    tab.wait_idle(replies=1)
    expect(tab.page.locator(".fm-mention")).to_contain_text("this chat is not kept")


def test_files_go_with_a_message(tab: Tab) -> None:
    """Nothing but typed text could be sent."""
    page, chips = tab.page, tab.page.locator("#fm-files li")
    field = page.locator("#fm-composer input[type=file]")
    notes = {"name": "notes <b>.md", "mimeType": "text/markdown", "buffer": b"# Hops\n\n```x```"}
    field.set_input_files([notes])
    expect(chips).to_contain_text("notes <b>.md")
    expect(chips).to_contain_text("15 tokens")
    field.set_input_files([{"name": "x.png", "mimeType": "image/png", "buffer": b"\x89PNG\0\0"}])
    expect(page.locator(".fm-mention")).to_contain_text("x.png is no text")
    expect(chips).to_have_count(1)
    large = {"name": "log.txt", "mimeType": "text/plain", "buffer": b"line\n" * 50_000}
    field.set_input_files([large])
    expect(page.locator("#fm-mentions")).to_contain_text("250,015 tokens, and 75,000 tokens fit")
    tab.send("What is this?")
    assert tab.users == []
    expect(tab.box).to_have_value("What is this?")
    page.get_by_role("button", name="Remove log.txt").click()
    tab.box.press("Enter")
    tab.wait_growing(5)
    page.keyboard.press("Escape")
    tab.wait_idle(replies=1)
    expect(chips).to_have_count(0)
    said = "File: notes <b>.md\n````\n# Hops\n\n```x```\n````\n\nWhat is this?"
    assert tab.on_server()["messages"][0]["text"] == said
    shown = page.locator("#fm-history .user-row")
    expect(shown.locator("summary")).to_have_text("notes <b>.md")
    expect(shown.locator("details > .fm-typed")).to_be_hidden()
    shown.locator("summary").click()
    expect(shown.locator("details > .fm-typed")).to_contain_text("# Hops")


def test_chats_have_addresses_pins_and_excerpts(tab: Tab) -> None:
    """Back left the page, and a search led to a chat but not to what was found in it."""
    addresses = []
    for text in ("About hops and spans", "About blocks"):
        tab.send(text)
        tab.wait_growing(5)
        tab.page.keyboard.press("Escape")
        tab.wait_idle(replies=1)
        tab.until(lambda text=text: text in titles(tab))
        addresses.append(tab.page.url)
        tab.page.locator("#fm-new").click()
        tab.until(lambda: tab.users == [])
    tab.page.go_back()
    tab.until(lambda: tab.users == ["About blocks"])
    expect(tab.page).to_have_title("About blocks · FarMesh Chat")
    expect(tab.page.locator(".fm-heading")).to_have_text(["Today"])
    more(tab, 1, "Pin")
    expect(tab.page.locator(".fm-heading")).to_have_text(["Pinned", "Today"])
    assert titles(tab) == ["About hops and spans", "About blocks"]
    tab.page.get_by_placeholder("Search chats").fill("AND SPANS")
    expect(tab.page.locator(".fm-open small")).to_have_text("About hops and spans")
    tab.page.locator(".fm-open").click()
    expect(tab.page.locator("#fm-history .fm-found")).to_contain_text("About hops and spans")
    tab.page.goto(addresses[1])
    tab.page.reload()  # another fragment alone loads nothing
    tab.wait_attached()
    tab.until(lambda: tab.users == ["About blocks"])


def test_settings_say_what_they_are(tab: Tab) -> None:
    """A preset's name stood over other values, and a number that was cleared was 0."""
    tab.tune()
    temperature = tab.page.locator("#fm-temperature input[type=number]")
    changed = tab.page.locator("#fm-preset-changed")
    own = temperature.input_value()
    expect(changed).to_be_hidden()
    tab.set_number("temperature", 1.3)
    expect(changed).to_have_text("changed since")
    tab.set_number("temperature", float(own))
    expect(changed).to_be_hidden()
    temperature.fill("")
    temperature.blur()
    expect(temperature).to_have_value(str(float(own)))
