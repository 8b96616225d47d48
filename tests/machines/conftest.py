"""A whole deployment on this machine: what compose.yaml starts, and what stands in front."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright

from tests.machines.compose import Machine
from tests.support.browser import CHROMIUM_FLAGS


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.machines)
            item.add_marker(pytest.mark.timeout(900))  # seven processes may start first
            item.add_marker(pytest.mark.filterwarnings("ignore::DeprecationWarning:gradio.*"))


@pytest.fixture(scope="package")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """The bootstrap peer and the three nodes of compose.yaml, healthy."""
    started = Machine(tmp_path_factory.mktemp("machine"), {"PUBLIC_IP": "127.0.0.1"})
    try:
        for name in ("node-1", "node-2", "node-3"):
            started.start(name)
        yield started
    finally:
        codes = started.end()
    assert set(codes.values()) == {0}, codes


@pytest.fixture(scope="package")
def browser(chromium: str) -> Iterator[Browser]:
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=chromium, args=CHROMIUM_FLAGS)
        yield running
        running.close()
