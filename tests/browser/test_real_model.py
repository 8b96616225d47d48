"""A real chat model in a real browser: the first thing that somebody types."""

from __future__ import annotations

import re
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext

from tests.support.browser import App, Tab, start_app, wait_ready

pytestmark = [pytest.mark.real, pytest.mark.timeout(600)]

COMMON = {"the", "a", "of", "and", "is", "in", "to", "with", "on", "waves", "sea"}


@pytest.fixture(scope="module")
def real_app(real_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    folder = tmp_path_factory.mktemp("real")
    catalogue, settings = folder / "models.toml", folder / "chat.toml"
    catalogue.write_text(
        f'[real]\nname = "SmolLM2"\nlicence = "Apache-2.0"\ncheckpoint = "{real_model}"\n'
        "context = 2048\nsampling = { max_new_tokens = 48, temperature = 0.0 }\n"
    )
    settings.write_text(f'[models]\ncatalogue = "{catalogue}"\ndefault = "real"\n')
    running = start_app(folder, "--config", str(settings), FARMESH_CHAT_MODELS_DEFAULT="real")
    wait_ready(running)
    yield running
    running.process.send_signal(signal.SIGTERM)
    running.process.wait(20)


def test_a_haiku_about_the_sea(person: Callable[[], BrowserContext], real_app: App) -> None:
    """Bug prevented: a chat app that cannot chat; tokens of a real vocabulary that are shown as
    something else than words, or all at once."""
    tab = Tab(person(), real_app)
    tab.send("Write a haiku about the sea")
    grown = {len(tab.wait_growing(length)) for length in (0, 8, 16)}
    assert len(grown) > 1, "it was not streamed"
    tab.wait_idle(replies=1)
    words = re.findall(r"[a-z]+", tab.bots[0].lower())
    assert len(words) > 8
    assert COMMON & set(words)
    assert "<|" not in tab.bots[0]

    tab.send("Now one about a mountain")
    tab.wait_idle(replies=2)
    assert "remembered" in tab.status
    assert len(re.findall(r"[a-z]+", tab.bots[1].lower())) > 4
    assert not tab.errors
