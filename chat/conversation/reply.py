"""From the engine's events to what a person sees of a running reply: its text and one line."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import assert_never

from chat import words
from farmesh.core import Route
from farmesh.events import (
    Event,
    FinishReason,
    GenerationFinished,
    GenerationStats,
    PrefillProgress,
    Rerouted,
    RouteFound,
    TokenGenerated,
    WaitingForBlocks,
    WaitingForCache,
)
from farmesh.text import TextStream

SPEED_WINDOW = 2.0  # seconds over which the speed shown while writing is averaged


class Phase(Enum):
    """What a running reply is doing."""

    QUEUED = "queued"  # waits in line, or for the swarm
    READING = "reading"  # prefill
    WRITING = "writing"
    WAITING = "waiting"  # for blocks or cache that the swarm lacks at the moment
    PAUSED = "paused"  # nobody watches; goes on when the page comes back
    DONE = "done"


@dataclass(frozen=True, slots=True)
class ReplyView:
    """A running reply at one moment."""

    text: str
    status: str
    phase: Phase
    progress: float | None = None  # 0 to 1 while reading
    route: Route | None = None
    rerouted: bool = False


class Presenter:
    """Takes the events of one reply in order; ``view`` is what to show now."""

    def __init__(self, stream: TextStream, *, text: str, status: str) -> None:
        """
        Args:
            text: what the reply starts with.
            status: the line that is shown until the first event.
        """
        self._stream = stream
        self._parts = [text]
        self._token_times: list[float] = []  # of the last SPEED_WINDOW seconds
        self._status = status
        self._phase = Phase.QUEUED
        self._progress: float | None = None
        self.route: Route | None = None
        self.token_ids: list[int] = []
        self.reroutes = 0
        self.finished: FinishReason | None = None
        self.stats: GenerationStats | None = None

    def __repr__(self) -> str:
        return f"<Presenter {self._phase.name} {len(self.token_ids)} tokens>"

    @property
    def text(self) -> str:
        if len(self._parts) > 1:
            self._parts = ["".join(self._parts)]
        return self._parts[0]

    @property
    def stopped(self) -> bool:
        """Whether a stop string ended the reply."""
        return self._stream.stopped

    @property
    def view(self) -> ReplyView:
        return ReplyView(
            self.text, self._status, self._phase, self._progress, self.route, self.reroutes > 0
        )

    def say(self, status: str, phase: Phase) -> None:
        """Show a line that is not about an event of the engine."""
        self._status, self._phase = status, phase

    def take(self, event: Event, now: float) -> None:
        match event:
            case RouteFound(route):
                self.route = route
                self.say(f"Route found over {words.count(len(route), 'hop')}", Phase.READING)
            case PrefillProgress(done, total, reused):
                self._prefill(done, total, reused)
            case TokenGenerated(token_id):
                self._token(token_id, now)
            case Rerouted(lost, _, route):
                self.route = route
                self.reroutes += 1
                which = words.blocks(lost.span)
                self.say(f"A node left; {which} continue elsewhere", Phase.WAITING)
            case WaitingForBlocks(missing, left):
                which = words.blocks(missing)
                self.say(
                    f"Nobody serves {which} just now; waiting up to {left:.0f} s", Phase.WAITING
                )
            case WaitingForCache(_, left):
                self.say(f"All nodes are full; waiting up to {left:.0f} s", Phase.WAITING)
            case GenerationFinished(reason, stats):
                self.finished, self.stats = reason, stats
            case _:
                assert_never(event)

    def close(self, *, cut: bool) -> None:
        """No more tokens will come; ``cut`` when the reply did not end by itself."""
        self._parts.append(self._stream.finish(drop_partial=cut))
        self._phase = Phase.DONE
        self._progress = None

    @property
    def tokens_shown(self) -> tuple[int, ...]:
        """The generated tokens that stand for shown text and nothing more."""
        return tuple(self.token_ids[: self._stream.tokens_shown])

    @property
    def beyond(self) -> int:
        return self._stream.text_beyond_tokens

    def _prefill(self, done: int, total: int, reused: int) -> None:
        self._progress = done / total if total else None
        known = f", {words.number(reused)} remembered" if reused else ""
        self.say(
            f"Reading {words.number(done)} of {words.count(total, 'token')}{known}", Phase.READING
        )

    def _token(self, token_id: int, now: float) -> None:
        self.token_ids.append(token_id)
        self._parts.append(self._stream.push(token_id))
        times = self._token_times
        times.append(now)
        while times[0] < now - SPEED_WINDOW:
            times.pop(0)
        took = times[-1] - times[0]
        speed = f" · {(len(times) - 1) / took:.1f} tokens/s" if took > 0.2 else ""
        self._progress = None
        self.say(f"Writing{speed}", Phase.WRITING)
