"""A model's tokenizer for a FarMesh Chat elsewhere that uses this one as its gateway.

With it, that app writes the very token ids that this one would, so the caches here stay valid and
its page behaves like this one's. A tokenizer is a part of the model that says nothing about chats.
"""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path
from typing import Any

from fastapi import FastAPI

from chat.api.errors import ApiError
from chat.api.offer import OpenModel
from chat.api.serving import opening
from chat.live.store import ChatStore
from chat.models.backend import Engine
from chat.protocol.mesh import TokenizerFiles
from farmesh.errors import FarMeshError


def add_routes(app: FastAPI, store: ChatStore, model: OpenModel) -> None:
    """Add ``/mesh/models/ID/tokenizer``."""
    kept: dict[str, tuple[Engine, TokenizerFiles]] = {}
    one_at_a_time = asyncio.Lock()

    @app.get("/mesh/models/{model_id}/tokenizer")
    async def tokenizer(model_id: str) -> TokenizerFiles:
        """The tokenizer of a model; one that is not open yet is being opened from here on."""
        engine = await _engine(store, model, model_id)
        async with one_at_a_time:
            known = kept.get(model_id)
            if known is None or known[0] is not engine:
                known = kept[model_id] = engine, await _files_of(engine)
        return known[1]


async def _engine(store: ChatStore, model: OpenModel, model_id: str) -> Engine:
    """
    Raises:
        ApiError: there is no such model, or it cannot be opened; not yet, perhaps.
    """
    try:
        backend = await model.backend(model_id, store)
        opening(backend)
        return await backend.ready()
    except FarMeshError as error:  # its sentence is made for the page
        raise ApiError(503, str(error), kind="server_error", code="swarm") from None


async def _files_of(engine: Engine) -> TokenizerFiles:
    files = await asyncio.to_thread(_saved, engine.tokenizer)
    if "tokenizer.json" not in files:
        sentence = "This model's tokenizer is of a kind that cannot be handed on."
        raise ApiError(501, sentence, kind="server_error", code="no_tokenizer")
    return TokenizerFiles(
        files=files,
        chat_template=engine.chat_template,
        end_of_sequence=sorted(engine.client.eos_token_ids),
        context=engine.context,
    )


def _saved(tokenizer: Any) -> dict[str, str]:
    """The tokenizer's files, those that are text."""
    with tempfile.TemporaryDirectory(prefix="farmesh-tokenizer-") as folder:
        tokenizer.save_pretrained(folder)
        names = sorted(Path(folder).glob("*.*"))
        return {path.name: path.read_text("utf-8") for path in names if path.suffix in _TEXTS}


_TEXTS = {".json", ".jinja", ".txt"}
