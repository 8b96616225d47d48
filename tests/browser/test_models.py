"""Several models in one page: changing them in a conversation, and those that nobody serves."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, expect

from chat.models.embedded.swarm import EmbeddedSwarm
from chat.models.open_models import Models
from chat.settings.catalogue import load_catalogue
from chat.settings.schema import ModelSettings, Settings, SwarmSettings
from tests.browser.inside import InsideApp, inside
from tests.support.browser import MODEL_SECONDS, Tab
from tests.support.models import Shape, make_checkpoint

CATALOGUE = """
[guide]
name = "Guide"
licence = "MIT"
checkpoint = "models/guide"
context = 1024
sampling = {{ max_new_tokens = 160, temperature = 0.3 }}

[dice]
name = "Dice <b>&"
description = "Random weights."
licence = "CC0-1.0"
checkpoint = "{dice}"
context = 512
sampling = {{ max_new_tokens = 12, temperature = 0.9 }}

[gone]
name = "Gone"
licence = "MIT"
checkpoint = "{gone}"
context = 512
"""


@pytest.fixture(scope="module")
def dice(tmp_path_factory: pytest.TempPathFactory, guide: Path) -> Path:
    """A second model: random weights, the bundled model's tokenizer."""
    vocabulary = json.loads((guide / "config.json").read_text())["vocab_size"]
    folder = make_checkpoint(
        tmp_path_factory.mktemp("models") / "dice", Shape(vocab=vocabulary, context=512, eos=4)
    )
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        shutil.copy(guide / name, folder)
    return folder


@contextmanager
def app_with(dice: Path, folder: Path, **swarm: object) -> Iterator[InsideApp]:
    catalogue = folder / "models.toml"
    catalogue.write_text(CATALOGUE.format(dice=dice, gone=folder / "gone"))
    settings = Settings(
        swarm=SwarmSettings(state_dir=folder / "state", threads=1, **swarm),  # type: ignore[arg-type]
        models=ModelSettings(catalogue=catalogue, default="guide"),
    )
    with inside(lambda: Models(settings, load_catalogue(catalogue))) as app:
        yield app


@pytest.fixture(scope="module")
def app_of_three(dice: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[InsideApp]:
    with app_with(dice, tmp_path_factory.mktemp("three")) as app:
        yield app


def made_with(tab: Tab) -> str:
    return tab.page.locator("#fm-status details p").text_content() or ""


def test_model_is_changed_in_a_conversation(
    person: Callable[[], BrowserContext], app_of_three: InsideApp
) -> None:
    """chat.petals.dev and FastChat wipe the chat when another model is chosen."""
    tab = Tab(person(), app_of_three)  # type: ignore[arg-type]
    picker, state = tab.page.locator("#fm-model"), tab.page.locator("#fm-state")
    expect(picker.locator("option")).to_have_text(["Guide", "Dice <b>&", "Gone"])
    tab.send("Hello")
    tab.wait_idle(replies=1)
    first = tab.bots
    assert made_with(tab).startswith("Made with Guide, ")

    models = app_of_three.store.models
    is_open = models is not None and "dice" in models._open
    picker.select_option("dice")
    if not is_open:  # it is loaded, and says how far
        expect(tab.page.locator("#fm-progress")).to_be_visible()
    assert tab.users == ["Hello"]
    assert tab.bots == first
    tab.send("And you?")  # before it is ready
    tab.wait_idle(replies=2)
    assert made_with(tab).startswith("Made with Dice <b>&, at most 12 tokens, temperature 0.9")
    assert tab.bots[0] == first[0]
    expect(state).to_contain_text("2 nodes, all blocks served", timeout=MODEL_SECONDS)
    expect(tab.page.locator("#fm-progress")).to_be_hidden()
    expect(tab.page.locator("#fm-swarm .fm-cells")).to_have_attribute(
        "aria-label", "4 blocks, all served"
    )

    tab.reload()
    expect(picker).to_have_value("dice")
    picker.select_option("guide")  # open already
    tab.send("What is a block?")
    tab.wait_idle(replies=3)
    assert made_with(tab).startswith("Made with Guide, ")
    expect(tab.page.locator("#fm-swarm .fm-cells")).to_have_attribute(
        "aria-label", "8 blocks, all served"
    )
    assert tab.users == ["Hello", "And you?", "What is a block?"]
    # The app forgets it, as a restart does: the chat comes back with its own model.
    picker.select_option("dice")
    tab.until(lambda: "Dice" in tab.page.locator("#fm-header option:checked").inner_text())
    tab.send("Once more")
    tab.wait_idle(replies=4)
    tab.until(lambda: "Once more" in tab.page.evaluate("JSON.stringify({...localStorage})"))
    tab.page.evaluate("localStorage.setItem('farmesh.model', 'guide')")
    tab.forget_on_server()
    tab.reload()
    tab.until(lambda: len(tab.users) == 4)
    expect(picker).to_have_value("dice")
    assert not tab.errors


def test_changing_the_model_stops_a_running_reply(
    person: Callable[[], BrowserContext], app_of_three: InsideApp
) -> None:
    """The old model's reply ran on under the new one's name."""
    tab = Tab(person(), app_of_three)  # type: ignore[arg-type]
    tab.make_replies_long()
    tab.send("Tell me everything.")
    tab.wait_growing(40)
    tab.page.locator("#fm-model").select_option("dice")
    tab.wait_idle(replies=1)
    expect(tab.page.locator("#fm-status")).to_contain_text("another model was chosen")
    assert tab.users == ["Tell me everything."]
    number = tab.page.locator("#fm-max-new-tokens input")
    expect(number).to_have_value("900")  # chosen by the person: it stays


def test_model_that_is_not_there_says_so_and_the_chat_stays(
    person: Callable[[], BrowserContext], app_of_three: InsideApp
) -> None:
    tab = Tab(person(), app_of_three)  # type: ignore[arg-type]
    tab.send("Hello")
    tab.wait_idle(replies=1)
    tab.page.locator("#fm-model").select_option("gone")
    expect(tab.page.locator(".fm-notice")).to_contain_text("Gone cannot be opened on this machine")
    expect(tab.page.locator("#fm-model")).to_have_value("guide")
    tab.send("What is a block?")
    tab.wait_idle(replies=2)


def test_model_that_nobody_serves_says_what_would_serve_it(
    person: Callable[[], BrowserContext], dice: Path, tmp_path: Path
) -> None:
    """A swarm without the model: the page waited without a word, and nobody knew for what."""
    import asyncio
    import threading

    ready, end = threading.Event(), asyncio.Event()
    found: list[str] = []
    loop = asyncio.new_event_loop()

    async def swarm_of_guide() -> None:
        guide = load_catalogue(ModelSettings().catalogue)["guide"]
        settings = SwarmSettings(state_dir=tmp_path / "other", threads=1)
        async with EmbeddedSwarm(settings, guide) as swarm:
            found.extend(await swarm.addresses())
            ready.set()
            await end.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(swarm_of_guide(),))
    thread.start()
    try:
        assert ready.wait(60)
        with app_with(dice, tmp_path, mode="join", peers=tuple(found)) as app:
            tab = Tab(person(), app)  # type: ignore[arg-type]
            tab.page.locator("#fm-model").select_option("dice")
            expect(tab.page.locator("#fm-state")).to_have_text(
                "Nobody serves Dice <b>&", timeout=MODEL_SECONDS
            )
            wanted = tab.page.locator(".fm-wanted")
            expect(wanted).to_contain_text("Nobody serves blocks 0 to 3")
            expect(wanted.locator("code")).to_contain_text(f"--peers {found[0]} --blocks 0:4")
            tab.page.locator("#fm-model").select_option("guide")
            tab.send("Hello")
            tab.wait_idle(replies=1)
            tab.page.locator("#fm-model").hover()  # then it is looked up what is served now
            nobody = "nobody in this swarm serves it"
            expect(tab.page.locator("#fm-model option")).to_have_text(
                ["Guide · served by this swarm", f"Dice <b>& · {nobody}", f"Gone · {nobody}"]
            )
    finally:
        loop.call_soon_threadsafe(end.set)
        thread.join(20)
        loop.close()
