"""Which model the app starts with: the one that the settings name, or another where that is not to
be had."""

from __future__ import annotations

import asyncio
import logging

from chat.models.fit import Machine, fit
from chat.models.sources import within_reach
from chat.settings.catalogue import Catalogue, ModelEntry
from chat.settings.schema import Settings
from farmesh.errors import FarMeshError

log = logging.getLogger(__name__)

DECIDE_SECONDS = 8.0  # pip is asked where its index is, which takes a slow machine seconds


async def at_start(
    settings: Settings, catalogue: Catalogue, machine: Machine
) -> tuple[Settings, str]:
    """The settings with the model to start with; a sentence for people when it is another one."""
    if settings.swarm.mode != "embedded":
        return settings, ""
    wanted = catalogue[settings.models.default]
    if wanted.instead is None or not (why := await _what_stands_against(wanted, settings, machine)):
        return settings, ""
    other = catalogue[wanted.instead]
    note = f"This is {other.name}, because {why}"
    log.warning("%s", note)
    models = settings.models.model_copy(update={"default": other.id})
    return settings.model_copy(update={"models": models}), note


async def _what_stands_against(model: ModelEntry, settings: Settings, machine: Machine) -> str:
    """Nothing, when the model can be had and fits."""
    fits = fit(model, settings.swarm, machine)
    if fits.is_short:
        free = machine.free / 1e9
        return f"{model.name} {fits.sentence}, of which {free:.1f} are free."
    if not model.sources:
        return ""
    try:
        async with asyncio.timeout(DECIDE_SECONDS):
            await within_reach(model, settings)
    except TimeoutError:
        return f"{model.name} is not on this machine, and no network answers."
    except FarMeshError as error:
        return str(error)
    return ""
