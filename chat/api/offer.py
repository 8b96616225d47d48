"""Which of the open models a request means."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

from chat.api.errors import PREFIX, ApiError
from chat.live.store import ChatStore
from chat.models.backend import Backend


@dataclass(frozen=True, slots=True)
class OpenModel:
    """What programs call the model."""

    id: str
    created: int = field(default_factory=lambda: int(time.time()))

    def ids(self, store: ChatStore) -> list[str]:
        """All models that can be asked for, the app's own first."""
        others = [entry.id for entry in store.models.entries] if store.models else []
        return [self.id, *(other for other in others if other != self.id)]

    async def backend(self, wanted: str, store: ChatStore) -> Backend:
        """What serves a model; one that is not open yet is being opened from here on.

        Raises:
            ApiError: there is no such model here.
            FarMeshError: it cannot be served here.
        """
        if wanted not in self.ids(store):
            raise ApiError(
                404,
                f"There is no model {wanted[:100]!r} here; GET {PREFIX}/models lists them.",
                param="model",
                code="model_not_found",
            )
        if wanted == self.id or store.models is None:
            return store.backend
        return await store.models.open(wanted)

    def card(self, model_id: str, backend: Backend) -> dict[str, Any]:
        card: dict[str, Any] = {
            "id": model_id,
            "object": "model",
            "created": self.created,
            "owned_by": "farmesh",
        }
        if model_id == self.id and backend.engine is not None:
            card["max_model_len"] = backend.engine.context
        return card
