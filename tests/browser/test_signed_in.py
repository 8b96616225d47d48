"""People who sign in: their conversations are kept by the server, and only for them."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, expect

from tests.support.browser import App, Tab, more, start_app, titles, wait_ready

PASSWORD = "correct horse battery"


@pytest.fixture(scope="module")
def accounts(tmp_path_factory: pytest.TempPathFactory, project: Path) -> Path:
    path = tmp_path_factory.mktemp("access") / "access.json"
    for name in ("ann", "bob"):
        subprocess.run(
            [sys.executable, "-m", "chat.accounts", "--file", str(path), "add-user", name],
            input=f"{PASSWORD}\n{PASSWORD}\n",
            text=True,
            check=True,
            cwd=project,
        )
    return path


def start(accounts: Path, folder: Path) -> App:
    app = start_app(
        folder,
        FARMESH_CHAT_ACCESS_SIGN_IN="password",
        FARMESH_CHAT_ACCESS_FILE=str(accounts),
        FARMESH_CHAT_CHAT_CONVERSATIONS_FILE=str(folder / "kept.sqlite"),
    )
    wait_ready(app)
    return app


def end(app: App) -> None:
    app.process.send_signal(signal.SIGTERM)
    app.process.wait(20)


@pytest.fixture
def closed_app(accounts: Path, tmp_path: Path) -> Iterator[App]:
    app = start(accounts, tmp_path)
    yield app
    end(app)


class SignedIn(Tab):
    """A tab whose person signs in first."""

    def __init__(self, context: BrowserContext, app: App, name: str) -> None:
        page = context.new_page()
        page.goto(app.url)
        page.get_by_label("Name").fill(name)
        page.get_by_label("Password").fill(PASSWORD)
        page.get_by_role("button", name="Sign in").click()
        page.wait_for_selector("#fm-name")
        page.close()
        super().__init__(context, app)


def test_conversations_are_kept_by_the_server_for_their_person_only(
    person: Callable[[], BrowserContext], closed_app: App, accounts: Path
) -> None:
    """gradio#10559: a restart lost every conversation; a browser's storage is one device only."""
    ann = SignedIn(person(), closed_app, "ann")
    expect(ann.page.locator("#fm-name")).to_have_text("ann")
    for number, text in enumerate(("What is a block?", "What is a hop?"), 1):
        ann.send(text)
        ann.wait_idle(replies=1)
        ann.until(lambda n=number: len(titles(ann)) == n)
        ann.page.locator("#fm-new").click()
        ann.until(lambda: ann.users == [])
    more(ann, 1, "Rename")
    ann.page.locator("#fm-chat-list input").fill("Zebra")
    ann.page.keyboard.press("Enter")
    ann.until(lambda: titles(ann) == ["Zebra", "What is a hop?"])
    assert "block" not in ann.page.evaluate("JSON.stringify({...localStorage})")
    ann.page.get_by_placeholder("Search chats").fill("zEB")
    ann.until(lambda: titles(ann) == ["Zebra"])
    ann.page.locator("#fm-temporary").check()
    ann.send("My secret is xyzzy")
    ann.wait_idle(replies=1)

    bob = SignedIn(person(), closed_app, "bob")
    assert titles(bob) == []
    address = f"{closed_app.url}/farmesh/kept"
    assert bob.page.request.get(address).json() == []
    (zebra,) = (e for e in ann.page.request.get(address).json() if e["title"] == "Zebra")
    assert bob.page.request.get(f"{address}/{zebra['id']}").status == 404
    assert not ann.errors

    end(closed_app)
    folder = closed_app.log.parent
    assert b"xyzzy" not in b"".join(path.read_bytes() for path in folder.glob("kept.sqlite*"))
    again = start(accounts, folder)
    try:
        other_device = SignedIn(person(), again, "ann")
        other_device.until(lambda: titles(other_device) == ["Zebra", "What is a hop?"])
        other_device.page.locator(".fm-open", has_text="Zebra").click()
        other_device.until(lambda: other_device.users == ["What is a block?"])
        more(other_device, 0, "Delete")
        other_device.page.get_by_role("button", name="Really delete?").click()
        other_device.until(lambda: titles(other_device) == ["What is a hop?"])
        other_device.page.get_by_role("button", name="Sign out").click()
        expect(other_device.page.get_by_label("Password")).to_be_visible()
    finally:
        end(again)
