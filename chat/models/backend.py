"""What the chats need of one model: its tokenizer and its client, opened in the background.

The page is there before the swarm is: whoever sends early waits in :meth:`Backend.ready`, and
``status`` says in words what is being waited for.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from typing import TYPE_CHECKING, Any, Protocol

from chat.errors import ChatError, GatewayFailure
from chat.words import explain
from farmesh.core import Route, SwarmSnapshot
from farmesh.errors import FarMeshError, IndexUnreachable
from farmesh.events import Event, Rerouted, TokenGenerated, WaitingForBlocks
from farmesh.params import SamplingParams

if TYPE_CHECKING:
    from farmesh import Guides

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
    where: str = ""  # whose nodes they are, in a few words
    join: str = ""  # the command that adds a node to this swarm
    guides: Guides | None = None  # hold replies to grammars; None: no reply is held to one


Watch = Callable[[Client, str], Client]


PROVEN_SECONDS = 15.0  # for so long the records of a node that came back may be missing


class Stage(Enum):
    """How far a backend has got."""

    STARTING = "starting"
    READY = "ready"
    RETRYING = "retrying"  # opening failed for a reason that may pass: it is tried again
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Status:
    """How a backend is at one moment."""

    stage: Stage
    since: float  # when the stage began, by the backend's clock
    text: str  # what is being done or went wrong, in a few words
    progress: float = 0.0  # of opening, from 0 to 1
    trouble: str = ""  # what is wrong with the app's own nodes or its gateway, if anything


class Backend:
    """One model; :meth:`start` opens it, everybody else waits for it."""

    def __init__(
        self,
        name: str,
        defaults: SamplingParams | None = None,
        watch: Watch | None = None,
        model_id: str = "",
        clock: Callable[[], float] = time.monotonic,
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
        self.defaults = defaults or SamplingParams()
        self._watch = watch
        self._clock = clock
        self._status = Status(Stage.STARTING, clock(), "Starting")
        self._engine: Engine | None = None
        self._failure: GatewayFailure | None = None
        self._settled = asyncio.Event()
        self._served = float("-inf")  # when a token last came through all blocks

    def __repr__(self) -> str:
        return f"<Backend {self.name} {self._status.stage.name}: {self._status.text}>"

    @property
    def status(self) -> Status:
        return self._status

    @property
    def age(self) -> float:
        """Seconds for which it has been in its stage."""
        return self._clock() - self._status.since

    @property
    def engine(self) -> Engine | None:
        """None until the model is open."""
        return self._engine

    @property
    def proven(self) -> bool:
        """Whether a reply has just passed all blocks, whatever the swarm's records say by now."""
        return self._clock() - self._served < PROVEN_SECONDS

    @property
    def snapshot(self) -> SwarmSnapshot | None:
        return self._engine.client.snapshot if self._engine else None

    async def start(self, opening: Callable[[Backend], Awaitable[Engine]]) -> None:
        """Open the engine; an error becomes this backend's state, with its sentence."""
        try:
            self.opened(await opening(self))
        except GatewayFailure as failure:
            self._fail(Stage.RETRYING, failure.short, failure)
        except IndexUnreachable as error:
            self._fail(Stage.RETRYING, str(error))
        except FarMeshError as error:
            self._fail(Stage.FAILED, str(error))
        except Exception as error:  # the page must say that it cannot go on
            log.exception("the model %s could not be opened", self.name)
            self._fail(Stage.FAILED, explain(error).text)

    async def ready(self) -> Engine:
        """
        Raises:
            ChatError, GatewayFailure: the model could not be opened.
        """
        await self._settled.wait()
        if self._engine is None:
            raise self._failure or ChatError(self._status.text)
        return self._engine

    # --- what those who open it say ----------------------------------------------------------

    def opened(self, engine: Engine) -> None:
        """It can be talked to."""
        client = self._watch(engine.client, self.id) if self._watch else engine.client
        self._engine = replace(engine, client=client)
        self._failure = None
        self._enter(Stage.READY, "Ready", progress=1.0)

    def doing(self, text: str, progress: float | None = None) -> None:
        """What is being done just now, and how far opening is."""
        if progress is None:
            progress = self._status.progress
        self._status = replace(self._status, text=text, progress=progress)

    def warn(self, trouble: str) -> None:
        """What is wrong with the app's own nodes or its gateway; nothing when it is empty."""
        self._status = replace(self._status, trouble=trouble)

    def heard(self, event: Event) -> None:
        """What the nodes just did for a reply: that is newer than their records."""
        if isinstance(event, TokenGenerated):
            self._served = self._clock()
        elif isinstance(event, WaitingForBlocks | Rerouted):
            self._served = float("-inf")

    def _fail(self, stage: Stage, text: str, failure: GatewayFailure | None = None) -> None:
        self._failure = failure
        self._enter(stage, text, self._status.progress)

    def _enter(self, stage: Stage, text: str, progress: float) -> None:
        self._status = Status(stage, self._clock(), text, progress, self._status.trouble)
        self._settled.set()
