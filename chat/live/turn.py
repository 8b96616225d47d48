"""One reply, from its place in the line to its end."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import dataclass
from enum import Enum

from chat import words
from chat.conversation.prompt import Prompt
from chat.conversation.reply import Phase, Presenter, ReplyView
from chat.conversation.tree import Message
from chat.errors import Notice
from chat.live.attendance import Attendance, Presence
from chat.live.held import HeldSession
from chat.live.limits import Caller, Line
from chat.live.prompts import Asked, Prompts
from chat.models.backend import Backend, Engine
from chat.models.health import Tone, headline
from farmesh.core import Route
from farmesh.errors import FarMeshError, SessionClosed
from farmesh.events import Event, FinishReason, TokenGenerated, WaitingForBlocks
from farmesh.text import TextStream

log = logging.getLogger(__name__)

LIMITS = (FinishReason.MAX_NEW_TOKENS, FinishReason.CONTEXT_FULL)  # a reply that can go on


class State(Enum):
    """How far a turn has got."""

    OPENING = "opening"  # waits for the model
    IN_LINE = "in line"
    RUNNING = "running"
    ENDED = "ended"


@dataclass(frozen=True, slots=True)
class Place:
    """Where in the conversation a reply goes; ids of nodes."""

    parent: int  # the user's message that it answers
    continues: int | None = None  # the reply that it makes longer
    replaced: int | None = None  # the reply that was shown before, for when nothing comes


@dataclass(frozen=True, slots=True)
class Means:
    """What a turn is made with: its chat's own things, and the line that chats share."""

    backend: Backend
    caller: Caller  # whom it counts on
    line: Line
    prompts: Prompts
    held: HeldSession
    attendance: Attendance
    clock: Callable[[], float]


class Turn:
    """One reply in the making; whatever happens, it ends by :meth:`_end`."""

    def __init__(self, asked: Asked, place: Place, means: Means) -> None:
        self.place = place
        self.prompt: Prompt | None = None  # None until the model is open and the line has room
        self.notice: Notice | None = None  # why it failed
        self.message: Message | None = None  # what it made, once it has ended
        self._asked = asked
        self._means = means
        self._state = State.OPENING
        self._status = f"{means.backend.name} is being opened"
        self._presenter: Presenter | None = None
        self._stop_note = ""  # why it is being stopped
        self._task: asyncio.Task[None] | None = None
        self._over = asyncio.Event()

    def __repr__(self) -> str:
        return f"<Turn {self._state.name} {self.used} tokens>"

    @property
    def view(self) -> ReplyView:
        if self._presenter is not None:
            return self._presenter.view
        begun = self._asked.begun.text if self._asked.begun else ""
        return ReplyView(begun, self._status, Phase.QUEUED)

    @property
    def route(self) -> Route | None:
        return self._presenter.route if self._presenter else None

    @property
    def used(self) -> int:
        """Tokens of context that it takes so far."""
        prompt = len(self.prompt.token_ids) if self.prompt else 0
        return prompt + (len(self._presenter.token_ids) if self._presenter else 0)

    @property
    def stopped(self) -> bool:
        """Whether somebody wanted it to end."""
        return self._stop_note != ""

    @property
    def status(self) -> str:
        """One line about how it ended."""
        return self.message.note if self.message else self._stop_note

    def start(self, ended: Callable[[Turn], None]) -> None:
        """Make the reply in a task; ``ended`` is called once, after everything else."""
        self._task = asyncio.create_task(self._make(), name="reply")
        # Not in the task: one that is cancelled before its first step runs nothing of its own.
        self._task.add_done_callback(lambda _: self._end(ended))

    async def stop(self, note: str) -> None:
        """End it, and wait until it has."""
        self.give_up(note)
        await self._over.wait()

    def give_up(self, note: str) -> None:
        """Let it end soon."""
        if self._task is not None and not self._task.done():
            self._stop_note = note
            self._task.cancel()

    # --- making it ---------------------------------------------------------------------------

    async def _make(self) -> None:
        means = self._means
        try:
            engine = await means.backend.ready()
            self._state = State.IN_LINE
            async with means.line.admit(means.caller, self._told_place):
                self._state = State.RUNNING
                await self._generate(engine)
        except asyncio.CancelledError:
            self._stop_note = self._stop_note or "stopped"
        except FarMeshError as error:
            self.notice = words.explain(error)
            log.info("a reply failed: %s", type(error).__name__)
            await means.held.give_back()
        except Exception as error:
            self.notice = words.explain(error)
            log.exception("a reply failed")
            await means.held.give_back()

    def _told_place(self, ahead: int) -> None:
        self._status = words.place_in_line(ahead)
        self._means.attendance.wake()

    async def _generate(self, engine: Engine) -> None:
        prompt = self.prompt = await self._means.prompts.fit(engine, self._asked)
        request, begun = self._asked.request, self._asked.begun
        stream = TextStream(engine.tokenizer, request.params.stop, context=prompt.beginning)
        text = begun.text if begun else request.begin
        self._presenter = presenter = Presenter(stream, text=text, status=self._status)
        try:
            await self._follow(engine, prompt, presenter)
        except SessionClosed:  # the nodes gave it up while the chat was idle
            self._means.held.lose()
            if presenter.token_ids:
                raise
            await self._follow(engine, prompt, presenter)

    async def _follow(self, engine: Engine, prompt: Prompt, presenter: Presenter) -> None:
        params, attendance = self._asked.request.params, self._means.attendance
        ends = set() if params.ignore_eos else {*engine.client.eos_token_ids}
        ends.update(params.stop_token_ids)
        session = self._means.held.open(engine.client)
        async with aclosing(session.generate(prompt.token_ids, params)) as events:
            async for event in events:
                match event:
                    case TokenGenerated(token_id) if token_id in ends:
                        pass  # has no text
                    case _:
                        presenter.take(event, self._means.clock())
                        self._explain(event, presenter)
                        attendance.wake()
                self._means.backend.heard(event)
                if presenter.stopped:
                    return
                if attendance.presence is Presence.AWAY:
                    presenter.say("Paused until the page is back", Phase.PAUSED)
                    await attendance.back()

    def _explain(self, event: Event, presenter: Presenter) -> None:
        """Say the same of missing nodes as the page's line of state does."""
        if isinstance(event, WaitingForBlocks):
            known = headline(self._means.backend)
            if known.tone is Tone.WAIT:
                left = f"waiting up to {event.seconds_left:.0f} s"
                presenter.say(f"{known.text}; {left}", Phase.WAITING)

    # --- its end -----------------------------------------------------------------------------

    def _end(self, ended: Callable[[Turn], None]) -> None:
        """Keep what arrived."""
        self._state = State.ENDED
        if self._presenter is not None and self.prompt is not None:
            self.message = self._kept(self._presenter, self.prompt)
        if self.message is None and self.notice is None and not self.stopped:
            self.notice = Notice("The model ended its reply at once, without a word.")
        try:
            ended(self)
        finally:
            self._over.set()

    def _kept(self, presenter: Presenter, prompt: Prompt) -> Message | None:
        """The message that the turn made; None when it made nothing."""
        cut = self.stopped or self.notice is not None or presenter.finished in LIMITS
        presenter.close(cut=cut)
        if not presenter.token_ids or not presenter.text:
            return None
        stats = presenter.stats
        parts = [
            self._stop_note,
            words.finish(presenter.finished) if presenter.finished else "",
            words.summary(stats) if stats else words.count(len(presenter.token_ids), "token"),
        ]
        return Message(
            "assistant",
            presenter.text,
            token_ids=prompt.beginning + presenter.tokens_shown,
            beyond=presenter.beyond,
            cut=cut,
            note=" · ".join(part for part in parts if part),
            params=self._asked.request.params,
            model=self._means.backend.name,
            stats=stats,
            seed=stats.seed if stats else self._asked.request.params.seed,
            time=int(time.time()),
        )
