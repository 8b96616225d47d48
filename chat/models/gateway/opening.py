"""Opening a model of another FarMesh Chat: what it offers, its tokenizer, and the client of it."""

from __future__ import annotations

import asyncio
import importlib
import logging
import tempfile
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

from chat.errors import GatewayFailure
from chat.models.backend import Backend, Engine
from chat.models.gateway.client import GatewayClient
from chat.models.gateway.http import GatewayHttp, part_of_path, strange
from chat.protocol.mesh import MeshModel, MeshModels, TokenizerFiles
from chat.settings.catalogue import Catalogue, ModelEntry
from chat.settings.schema import Settings, SwarmSettings
from farmesh.errors import CheckpointError

log = logging.getLogger(__name__)

ASK_SECONDS = 5.0  # that the page waits for the list of models
OPEN_SECONDS = 600.0  # for a model that the other app has to load first
ASK_AGAIN_SECONDS = 2.0


def http_of(swarm: SwarmSettings) -> GatewayHttp:
    return GatewayHttp(swarm.gateway_url, swarm.gateway_key.get_secret_value())


async def offered(settings: Settings, catalogue: Catalogue) -> tuple[Settings, Catalogue]:
    """The other app's models in the place of the catalogue's, and which one comes first.

    When it cannot be asked now, the page offers what the settings name, and opens it later.
    """
    wanted = settings.models.default
    async with http_of(settings.swarm) as http:
        try:
            found = await http.get("/mesh/models", MeshModels, ASK_SECONDS)
            entries = tuple(_entry(model, http.name) for model in found.models)
        except GatewayFailure as failure:
            log.warning("%s", failure.short)
            known = [entry for entry in catalogue.models if entry.id == wanted]
            entry = known[0] if known else _entry_of(wanted, http.name)
            return settings, replace(catalogue, models=(entry,))
    if entries and wanted not in {entry.id for entry in entries}:
        names = ", ".join(entry.id for entry in entries)
        log.warning(
            "%s has no model %s; this page begins with %s. It has: %s.",
            *(http.app, wanted, entries[0].id, names),
        )
        wanted = entries[0].id
    models = settings.models.model_copy(update={"default": wanted})
    return settings.model_copy(update={"models": models}), replace(catalogue, models=entries)


async def open_gateway(
    backend: Backend, swarm: SwarmSettings, model: ModelEntry, stack: AsyncExitStack
) -> Engine:
    """
    Raises:
        GatewayFailure: the other app cannot be asked, or does not have this model.
        CheckpointError: its tokenizer cannot be used.
    """
    http = await stack.enter_async_context(http_of(swarm))
    described = await _described(backend, http, model.id)
    tokenizer = await asyncio.to_thread(load_tokenizer, described)
    client = GatewayClient(http, model.id, described, tokenizer, backend.warn)
    await stack.enter_async_context(client)
    context = min(model.context, described.context)
    where = f"through {http.name}"
    return Engine(client, tokenizer, context, described.chat_template, where, guides=client.guides)


async def _described(backend: Backend, http: GatewayHttp, model_id: str) -> TokenizerFiles:
    """The tokenizer; a model that the other app has to open first is waited for."""
    path = f"/mesh/models/{part_of_path(model_id)}/tokenizer"
    deadline = asyncio.get_running_loop().time() + OPEN_SECONDS
    while True:
        try:
            return await http.get(path, TokenizerFiles)
        except GatewayFailure as failure:
            if failure.code != "model_opening" or asyncio.get_running_loop().time() > deadline:
                raise
            backend.doing(failure.short)
            await asyncio.sleep(ASK_AGAIN_SECONDS)


def load_tokenizer(described: TokenizerFiles) -> Any:
    """
    Raises:
        CheckpointError: these files make no tokenizer.
    """
    transformers = importlib.import_module("transformers")
    with tempfile.TemporaryDirectory(prefix="farmesh-tokenizer-") as folder:
        for name, text in described.files.items():
            Path(folder, name).write_text(text, "utf-8")
        try:
            tokenizer = transformers.AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
        except (OSError, ValueError, KeyError) as error:
            log.warning("a gateway's tokenizer: %s", error)
            raise CheckpointError("The other app's tokenizer cannot be used here.") from None
    if not (described.chat_template or getattr(tokenizer, "chat_template", None)):
        raise CheckpointError("The other app's model has no chat template.")
    return tokenizer


def _entry(model: MeshModel, host: str) -> ModelEntry:
    """
    Raises:
        GatewayFailure: the other app says of its model what cannot be.
    """
    try:
        model.sampling.params()
        return ModelEntry(
            id=model.id,
            name=model.name,
            description=model.description,
            licence=model.licence,
            checkpoint=model.id,
            context=model.context,
            sampling=model.sampling,
        )
    except ValueError as error:  # pydantic's is one, and that of wrong sampling
        raise strange(host) from error


def _entry_of(model_id: str, host: str) -> ModelEntry:
    """A model of which nothing is known but its name."""
    return ModelEntry(
        id=model_id,
        name=model_id,
        description=f"A model of {host}.",
        licence="see there",
        checkpoint=model_id,
        context=1_000_000,  # the other app knows better
    )
