"""What the chats need of one model: its tokenizer and its client, opened in the background.

The page is there before the swarm is: whoever sends early waits in :meth:`Backend.ready`, and
``state`` says in words what is being waited for.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any, Protocol

from chat.errors import ChatError, GatewayFailure
from chat.words import explain
from farmesh.core import Route, SwarmSnapshot
from farmesh.errors import FarMeshError
from farmesh.events import Event
from farmesh.params import SamplingParams

log = logging.getLogger(__name__)


class InferenceSession(Protocol):
    """What a chat uses of ``farmesh.InferenceSession``."""

    @property
    def position(self) -> int: ...
    @property
    def route(self) -> Route | None: ...
    def generate(
        self, token_ids: Sequence[int], sampling: SamplingParams
    ) -> AsyncGenerator[Event, None]: ...
    async def close(self) -> None: ...


class Client(Protocol):
    """What the chats use of ``farmesh.FarMeshClient``."""

    @property
    def snapshot(self) -> SwarmSnapshot: ...
    @property
    def max_context(self) -> int: ...
    @property
    def eos_token_ids(self) -> Collection[int]: ...
    def session(self) -> InferenceSession: ...


@dataclass(frozen=True, slots=True)
class Engine:
    """A model that can be talked to."""

    client: Client
    tokenizer: Any
    context: int  # tokens that a chat may hold
    chat_template: str | None = None


Watch = Callable[[Client, str], Client]


class Stage(Enum):
    """How far a backend has got."""

    STARTING = "starting"
    READY = "ready"
    FAILED = "failed"


class Backend:
    """One model; :meth:`start` opens it, everybody else waits for it."""

    def __init__(
        self,
        name: str,
        defaults: SamplingParams | None = None,
        watch: Watch | None = None,
        model_id: str = "",
    ) -> None:
        """
        Args:
            name: of the model, for people.
            watch: puts something between the chats and the client, to count what passes; is
                given the model's id too.
            model_id: the model's name in the catalogue.
        """
        self.name = name
        self.id = model_id
        self._watch = watch
        self.defaults = defaults or SamplingParams()
        self.stage = Stage.STARTING
        self.status = "Starting"  # what is being done, in a few words
        self.progress = 0.0  # of opening, from 0 to 1
        self.trouble = ""  # what is wrong with the app's own nodes or its gateway, if anything
        self.where = ""  # whose nodes they are, in a few words
        self.retrying = False  # opening failed for a reason that may pass: it is tried again
        self.join = ""  # the command that adds a node to this swarm
        self.engine: Engine | None = None
        self.ready_since = float("inf")  # monotonic seconds
        self._failure: GatewayFailure | None = None
        self._settled = asyncio.Event()

    def __repr__(self) -> str:
        return f"<Backend {self.name} {self.stage.name}: {self.status}>"

    @property
    def snapshot(self) -> SwarmSnapshot | None:
        return self.engine.client.snapshot if self.engine else None

    async def start(self, opening: Callable[[Backend], Awaitable[Engine]]) -> None:
        """Open the engine; an error becomes this backend's state, with its sentence."""
        try:
            engine = await opening(self)
            client = self._watch(engine.client, self.id) if self._watch else engine.client
            self.engine = replace(engine, client=client)
        except GatewayFailure as failure:
            self._failure, self.retrying = failure, True
            self._fail(failure.short)
        except FarMeshError as error:
            self._failure, self.retrying = None, False
            self._fail(str(error))
        except Exception as error:  # the page must say that it cannot go on
            log.exception("the model %s could not be opened", self.name)
            self._fail(explain(error).text)
        else:
            self.stage, self.status, self.progress = Stage.READY, "Ready", 1.0
            self._failure, self.retrying = None, False
            self.ready_since = time.monotonic()
        self._settled.set()

    async def ready(self) -> Engine:
        """
        Raises:
            ChatError, GatewayFailure: the model could not be opened.
        """
        await self._settled.wait()
        if self.engine is None:
            if self._failure is not None:
                raise self._failure
            raise ChatError(self.status)
        return self.engine

    def _fail(self, sentence: str) -> None:
        self.stage, self.status = Stage.FAILED, sentence
