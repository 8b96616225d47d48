"""A real app, and a page of it in a real Chromium."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from playwright.sync_api import BrowserContext, Locator, Page, expect

from benchmarks.processes import nodes_of
from tests.support.ports import free_port

CHROMIUM_FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]


# Two frames, and what they have set off.
TAKEN = """() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() =>
  setTimeout(() => requestIdleCallback(done), 50))))"""


# Long enough for any machine: what comes true is waited for no longer than it takes.
START_SECONDS = 170


MODEL_SECONDS = 120_000  # milliseconds; a reply of the bundled model


@dataclass
class App:
    """A running app and its children."""

    process: subprocess.Popen[str]
    url: str
    log: Path

    def nodes(self) -> list[int]:
        """Process ids of the nodes (not of the bootstrap peer)."""
        return nodes_of(self.process.pid)

    def work(self) -> float:
        """Seconds of CPU time that the nodes have used so far."""
        ticks = 0
        for pid in self.nodes():
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            ticks += int(fields[11]) + int(fields[12])
        return ticks / os.sysconf("SC_CLK_TCK")

    def rests(self) -> bool:
        """Whether the nodes do next to nothing from half a second on."""
        time.sleep(0.5)
        before = self.work()
        time.sleep(1)
        return self.work() - before < 0.25


def start_app(folder: Path, *flags: str, **environ: str) -> App:
    port, log = free_port(), folder / "app.log"
    project = Path(__file__).resolve().parents[2]
    with log.open("w") as out:
        process = subprocess.Popen(
            [sys.executable, "app.py", "--port", str(port), "--no-browser", *flags],
            cwd=project,
            stdout=out,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ, "FARMESH_CHAT_SWARM_STATE_DIR": str(folder / "state"), **environ},
        )
    return App(process, f"http://127.0.0.1:{port}", log)


def wait_ready(app: App) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        assert app.process.poll() is None, app.log.read_text()
        try:
            if httpx.get(f"{app.url}/readyz", timeout=2).status_code == 200:
                return
        except httpx.HTTPError:
            pass
        time.sleep(0.2)
    raise AssertionError(f"not ready after {START_SECONDS} s\n{app.log.read_text()}")


class Tab:
    """One browser tab that shows the app."""

    def __init__(self, context: BrowserContext, app: App, *, forget: bool = False) -> None:
        """
        Args:
            forget: what others have left in this browser's storage.
        """
        self.app = app
        self.errors: list[str] = []
        self.page: Page = context.new_page()
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        if forget:
            wanted = {"origin": app.url, "storageTypes": "local_storage,indexeddb"}
            context.new_cdp_session(self.page).send("Storage.clearDataForOrigin", wanted)
        self.open()

    def open(self) -> None:
        self.page.goto(self.app.url)
        self.wait_attached()

    def reload(self) -> None:
        self.page.reload()
        self.wait_attached()

    def wait_attached(self) -> None:
        expect(self.page.locator("#fm-meter-slot")).to_contain_text(
            re.compile("[Tt]oken"), timeout=MODEL_SECONDS
        )

    @property
    def chat_id(self) -> str:
        return str(self.page.evaluate("sessionStorage.getItem('farmesh.chat')"))

    def on_server(self) -> Any:
        """What the app has of this chat."""
        return self.page.evaluate(
            "async id => (await fetch(`./farmesh/chat/${id}`)).json()", self.chat_id
        )

    def forget_on_server(self) -> None:
        """As a restart of the app does."""
        self.page.evaluate("id => fetch(`./farmesh/chat/${id}`, {method: 'DELETE'})", self.chat_id)

    @property
    def box(self) -> Locator:
        return self.page.locator("#fm-box textarea")

    @property
    def stop_button(self) -> Locator:
        return self.page.locator("#fm-stop")

    @property
    def live(self) -> str:
        """The text of the growing reply."""
        texts = self.page.locator("#fm-live [data-testid=bot]").all_inner_texts()
        return texts[0] if texts else ""

    @property
    def users(self) -> list[str]:
        return self.page.locator("#fm-history [data-testid=user]").all_inner_texts()

    @property
    def bots(self) -> list[str]:
        return self.page.locator("#fm-history [data-testid=bot]").all_inner_texts()

    @property
    def status(self) -> str:
        return self.page.locator("#fm-status").inner_text()

    def send(self, text: str) -> None:
        self.box.fill(text)
        self.box.press("Enter")

    def wait_growing(self, longer_than: int = 0) -> str:
        """Wait until the live reply has more characters than so many."""
        self.until(lambda: len(self.live) > longer_than)
        return self.live

    def wait_idle(self, replies: int | None = None) -> None:
        if replies is not None:
            expect(self.page.locator("#fm-history [data-testid=bot]")).to_have_count(
                replies, timeout=MODEL_SECONDS
            )
        expect(self.stop_button).to_be_hidden(timeout=MODEL_SECONDS)
        expect(self.page.locator("#fm-live")).to_be_hidden(timeout=MODEL_SECONDS)

    def until(
        self, condition: Callable[[], bool], seconds: float = 60, *, saying: str = ""
    ) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > deadline:
                raise AssertionError(f"{saying}\n{self.page.locator('#fm-main').inner_text()}")
            self.page.wait_for_timeout(20)

    def tune(self) -> None:
        """Open the settings."""
        if not self.page.locator("#fm-tune").is_visible():
            self.page.locator("[data-toggle=tune]").click()
        more = self.page.locator("#fm-more > button")
        if more.get_attribute("class") is None or "open" not in more.get_attribute("class"):
            more.click()
            self.taken()  # what is in it has come

    def set_number(self, name: str, value: float) -> None:
        field = self.page.locator(f"#fm-{name} input[type=number]")
        field.fill(str(value))
        field.blur()

    def make_replies_long(self, tokens: int = 900) -> None:
        """The bundled model is brief: let it go on until its limit, and say something there."""
        self.tune()
        self.set_number("max-new-tokens", tokens)
        # Without these it repeats its end-of-reply token, which has no text.
        self.set_number("temperature", 1.4)
        self.set_number("repetition-penalty", 1.6)
        self.page.locator("#fm-endless input").check()
        self.taken()

    def taken(self) -> None:
        """Wait until the page has taken a setting in: Gradio does so with one of the next frames.

        No person is faster than that.
        """
        self.page.evaluate(TAKEN)


def titles(tab: Tab) -> list[str]:
    return tab.page.locator("#fm-chat-list .fm-open").all_inner_texts()


def more(tab: Tab, index: int, label: str) -> None:
    row = tab.page.locator("#fm-chat-list li[data-id]").nth(index)
    row.hover()
    row.locator("summary").click()
    row.get_by_role("button", name=label).click()
