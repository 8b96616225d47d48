"""The models of the catalogue that this app has open: a backend each, opened when first asked for.

A model that was opened stays open until the app ends: its nodes hold the KV caches of chats, and
who goes back to it should not wait again.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import AsyncExitStack

from chat.errors import ChatError
from chat.models.backend import Backend, Stage, Watch
from chat.models.embedded.swarm import EmbeddedSwarm
from chat.models.fit import GB, Fit, about, fit, label, this_machine
from chat.models.offered import Offered
from chat.models.opening import opened
from chat.settings.catalogue import Catalogue, ModelEntry
from chat.settings.schema import Settings
from farmesh.errors import FarMeshError
from farmesh.nursery import open_nursery

log = logging.getLogger(__name__)


class Models:
    """Opens models and keeps them; an ``async with`` scope that opens the default one.

    Raises on construction:
        FarMeshError: the default model cannot be served.
    """

    def __init__(
        self,
        settings: Settings,
        catalogue: Catalogue,
        watch: Watch | None = None,
        *,
        forked: bool = False,
    ) -> None:
        """
        Args:
            watch: puts something between the chats and each client, to count what passes.
            forked: nodes that this app starts are forks of one process.
        """
        self._settings = settings
        self._catalogue = catalogue
        self._watch = watch
        self._forked = forked and settings.swarm.mode == "embedded"
        self._machine = this_machine()
        self._offered = Offered(catalogue.models)
        self._scope = AsyncExitStack()
        self._open: dict[str, Backend] = {}
        first = catalogue[settings.models.default]
        self._first_swarm = self._swarm_of(first)
        self.default = self._backend_of(first)

    def __repr__(self) -> str:
        return f"<Models {', '.join(map(repr, self._open.values()))}>"

    @property
    def entries(self) -> tuple[ModelEntry, ...]:
        """All models that can be asked for, in the catalogue's order."""
        return self._catalogue.models

    @property
    def backends(self) -> tuple[Backend, ...]:
        """Those that are open, or being opened."""
        return tuple(self._open.values())

    async def __aenter__(self) -> Models:
        if self._forked:
            await asyncio.to_thread(open_nursery)
        first = self._catalogue[self.default.id]
        await self._keep(self.default, first, self._first_swarm, self._offered)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._scope.aclose()

    def offer(self, entry: ModelEntry) -> tuple[str, str]:
        """What the menu says of a model: its line, and what is told when it is pointed at."""
        fits, served = self.fit(entry), self._offered.sentence(entry.id)
        return label(entry, fits, served), about(entry, fits, served)

    def fit(self, entry: ModelEntry) -> Fit:
        """What the model needs of this machine, as it was at start."""
        return fit(entry, self._settings.swarm, self._machine)

    async def open(self, model_id: str) -> Backend:
        """The backend of a model; it is opened in the background if it is not open yet.

        Raises:
            ChatError: the catalogue has no such model, or it cannot be served here.
        """
        entry = next((entry for entry in self.entries if entry.id == model_id), None)
        if entry is None:
            raise ChatError("This app does not offer that model any more; reload the page.")
        known = self._open.get(model_id)
        if known is not None and known.status.stage is not Stage.FAILED:
            return known
        if (fits := fit(entry, self._settings.swarm, this_machine())).is_short:
            raise ChatError(_no_room(entry, fits))
        log.info("opening the model %s", model_id)
        try:
            swarm = self._swarm_of(entry)
        except FarMeshError as error:  # its sentence names folders, which are the operator's
            log.error("%s", error)
            raise ChatError(
                f"{entry.name} cannot be opened on this machine; the app's log says why."
            ) from error
        backend = self._backend_of(entry)
        await self._keep(backend, entry, swarm)
        return backend

    async def _keep(
        self,
        backend: Backend,
        entry: ModelEntry,
        swarm: EmbeddedSwarm | None,
        offered: Offered | None = None,
    ) -> None:
        """Open a model in the background, until the app ends."""
        self._open[entry.id] = backend
        opening = opened(backend, self._settings, entry, swarm, offered, forked=self._forked)
        await self._scope.enter_async_context(opening)

    def _swarm_of(self, entry: ModelEntry) -> EmbeddedSwarm | None:
        if self._settings.swarm.mode != "embedded" or entry.sources:
            return None  # of a model with sources it is made when one of them has answered
        return EmbeddedSwarm(self._settings.swarm, entry, forked=self._forked)

    def _backend_of(self, entry: ModelEntry) -> Backend:
        return Backend(entry.name, entry.sampling.params(), self._watch, entry.id)


def _no_room(entry: ModelEntry, fits: Fit) -> str:
    if fits.is_too_large:
        return f"{entry.name} {fits.sentence}. A swarm of more machines can serve it."
    return f"{entry.name} {fits.sentence}, of which {fits.machine.free / GB:.1f} are free now."
