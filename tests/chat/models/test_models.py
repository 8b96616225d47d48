"""The models of the catalogue, and what is refused before anything is started."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import cast

import pytest

from chat.errors import ChatError
from chat.models.backend import Backend, Stage
from chat.models.embedded.swarm import EmbeddedSwarm
from chat.models.open_models import Models
from chat.models.opening import join_command, opened
from chat.settings.catalogue import ModelEntry, load_catalogue
from chat.settings.schema import ModelSettings, Settings
from farmesh.errors import CheckpointError
from tests.support.waiting import until

ENTRY = """
[{id}]
name = "{id}"
licence = "MIT"
checkpoint = "{checkpoint}"
context = 512
{more}
"""


def models(folder: Path, *entries: str) -> Models:
    path = folder / "models.toml"
    path.write_text("\n".join(entries))
    settings = Settings(models=ModelSettings(default="first", catalogue=path))
    return Models(settings, load_catalogue(path))


def entry(model_id: str, checkpoint: str = "models/guide", more: str = "") -> str:
    return ENTRY.format(id=model_id, checkpoint=checkpoint, more=more)


def test_default_model_without_files_ends_the_start(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="'first' has no checkpoint"):
        models(tmp_path, entry("first", "./nowhere"))


async def test_other_models_are_refused_in_words_for_the_page(tmp_path: Path) -> None:
    """A folder's path on the operator's disk is nobody's business."""
    known = models(tmp_path, entry("first"), entry("second", str(tmp_path / "nowhere")))
    with pytest.raises(ChatError, match="does not offer that model") as unknown:
        await known.open("third")
    with pytest.raises(ChatError, match="second cannot be opened") as broken:
        await known.open("second")
    assert str(tmp_path) not in str(unknown.value) + str(broken.value)


class Nodes:
    """Stands for an own swarm that starts without trouble."""

    def __init__(self) -> None:
        self.running = False

    async def __aenter__(self) -> None:
        self.running = True

    async def __aexit__(self, *_: object) -> None:
        self.running = False

    async def changes(self) -> AsyncIterator[None]:
        await asyncio.get_running_loop().create_future()
        yield


async def test_nodes_of_a_model_that_failed_are_ended(tmp_path: Path) -> None:
    """They went on until the app ended, and those of the next try had the same names and keys."""
    model = ModelEntry(id="m", name="M", licence="MIT", checkpoint=str(tmp_path), context=512)
    backend, nodes = Backend("M"), Nodes()
    async with opened(backend, Settings(), model, cast(EmbeddedSwarm, nodes)):
        await until(lambda: backend.status.stage is Stage.FAILED)
        assert "no config.json" in backend.status.text
        await until(lambda: not nodes.running)


def test_join_command_carries_all_that_a_node_must_be_told() -> None:
    """Without the prefix, a folder called otherwise elsewhere made a node of another model."""
    here = join_command("models/guide", "guide-hf", ["/ip4/127.0.0.1/tcp/1/p2p/Qm"])
    peers = "--peers /ip4/127.0.0.1/tcp/1/p2p/Qm"
    assert here.endswith(f"-m farmesh serve models/guide --prefix guide-hf {peers}")
    others = ["/ip4/192.0.2.2/tcp/1/p2p/Qm"]
    elsewhere = join_command("~/my model", "x", others)
    assert "'~/my model'" in elsewhere
    assert elsewhere.endswith("--peers /ip4/192.0.2.2/tcp/1/p2p/Qm --host 0.0.0.0")
