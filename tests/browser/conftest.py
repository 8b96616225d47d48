"""A real app with its embedded swarm, and a real Chromium to look at it."""

from __future__ import annotations

import re
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, expect, sync_playwright

from tests.support.browser import CHROMIUM_FLAGS, App, Tab, start_app, wait_ready

expect.set_options(timeout=30_000)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark these tests, and run them last: what fails in milliseconds should fail first."""
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.browser)
            item.add_marker(pytest.mark.swarm)
            # Gradio's queue uses what pandas is giving up.
            item.add_marker(pytest.mark.filterwarnings("ignore::DeprecationWarning:gradio.*"))
    items.sort(key=lambda item: here in item.path.parents)


@pytest.fixture(scope="package")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    running = start_app(
        tmp_path_factory.mktemp("app"),
        FARMESH_CHAT_CHAT_GRACE_SECONDS="40",
        FARMESH_CHAT_CHAT_TURNS_PER_MINUTE="200",
    )
    try:
        wait_ready(running)
        yield running
    finally:
        running.process.send_signal(signal.SIGTERM)
        running.process.wait(10)


# For this package only: Playwright keeps an event loop running in this thread, and no test with a
# loop of its own could run beside it.
@pytest.fixture(scope="package")
def browser(chromium: str) -> Iterator[Browser]:
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=chromium, args=CHROMIUM_FLAGS)
        yield running
        running.close()


@pytest.fixture
def person(browser: Browser) -> Iterator[Callable[[], BrowserContext]]:
    """Makes people: each with cookies and storage of their own."""
    contexts: list[BrowserContext] = []

    def make(**options: object) -> BrowserContext:
        size = {"width": 1280, "height": 800}
        contexts.append(browser.new_context(viewport=size, **options))  # type: ignore[arg-type]
        return contexts[-1]

    yield make
    for context in contexts:
        context.close()


@pytest.fixture(scope="package")
def cached(browser: Browser) -> Iterator[BrowserContext]:
    """A browser that has the page's scripts already: most of a page's opening is loading them."""
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    yield context
    context.close()


@pytest.fixture
def tab(cached: BrowserContext, app: App) -> Iterator[Tab]:
    """A tab of somebody new."""
    cached.clear_cookies()
    opened = Tab(cached, app, forget=True)
    yield opened
    opened.page.close()
    assert not opened.errors


def words(text: str) -> str:
    return re.sub(r"\s+", " ", text).strip()
