"""What one tick of the scheduler runs: pure."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch

from farmesh.node.session import NodeSession

# Ticks this short run on the event loop itself: handing them to a thread and back costs two
# wake-ups, and nothing on a node is in more of a hurry than they are.
INLINE_SECONDS = 0.005
LIVE_SECONDS = 0.5  # a session that decoded this recently will decode again soon
# Each prompt that waits may lengthen a tick beside decodes by this much of a decode tick: one
# newcomer is hardly noticed, and many do not wait for one another while few are served.
_PREFILL_SHARE = 0.5
_MIN_PREFILL = 8  # tokens of prefill a tick beside decodes, however slow
_SMOOTHING = 0.2  # weight of the newest observation


class Superseded(Exception):
    """The step was overtaken by a newer epoch: its peer does not want the result any more."""


@dataclass(eq=False, slots=True)
class Work:
    """One step of one session, run in one or several ticks.

    ``hidden_states`` is ``[batch, tokens, hidden]``; each batch row has its own cache extent.
    """

    session: NodeSession
    hidden_states: torch.Tensor
    position: int  # where the step starts
    deadline: float  # monotonic seconds; still without cache then means busy
    result: asyncio.Future[torch.Tensor]
    version: int = 0  # of the session's states, when the step came
    done: int = 0  # tokens computed
    starved: bool = False  # it waits for cache
    outputs: list[torch.Tensor] = field(default_factory=list)
    cancelled: bool = False

    @property
    def batch(self) -> int:
        return int(self.hidden_states.shape[0])

    @property
    def remaining(self) -> int:
        return int(self.hidden_states.shape[1]) - self.done

    @property
    def is_decode(self) -> bool:
        return self.hidden_states.shape[1] == 1


@dataclass(frozen=True, slots=True)
class Slice:
    """The next ``tokens`` of one work (of every batch row) that run in this tick."""

    work: Work
    tokens: int


def plan_tick(
    works: Sequence[Work], *, max_tokens: int, prefill_tokens: int, decodes_live: bool
) -> list[Slice]:
    """Choose what runs next: all decodes first, then prefill within what is left.

    While somebody's reply is being decoded (now, or a moment ago on its way through other nodes),
    prefill gets at most ``prefill_tokens`` a tick, so that a long prompt never stalls a stream.
    Half of the prefill goes to the oldest prompt and half to the shortest: short prompts overtake
    long ones, and long ones still always move. At least one slice is planned when there is work.
    """
    slices: list[Slice] = []
    budget = max_tokens
    decodes = [work for work in works if work.is_decode]
    for work in decodes:
        if budget < work.batch and slices:
            break
        slices.append(Slice(work, 1))
        budget -= work.batch
    prefills = [work for work in works if not work.is_decode]
    if not prefills:
        return slices
    if decodes or decodes_live:
        budget = min(budget, prefill_tokens)
    oldest, *others = prefills
    shortest_first = sorted(others, key=lambda work: work.remaining)
    share = budget if not others else max(1, budget // 2)
    for work in (oldest, *shortest_first):
        allowed = min(share if work is oldest else budget, budget) // work.batch
        tokens = min(work.remaining, max(allowed, 0 if slices else 1))
        if tokens > 0:
            slices.append(Slice(work, tokens))
            budget -= tokens * work.batch
    return slices


class TickTimes:
    """How long ticks take, learned from those that ran: a decode tick, and a token of prefill."""

    def __init__(self, inline_seconds: float = INLINE_SECONDS) -> None:
        self._inline_seconds = inline_seconds
        self._decode: float | None = None  # seconds
        self._prefill_token: float | None = None  # seconds

    def observe(self, slices: Sequence[Slice], seconds: float) -> None:
        prefill = sum(item.tokens * item.work.batch for item in slices if not item.work.is_decode)
        if not prefill:
            self._decode = _smooth(self._decode, seconds)
        elif prefill >= _MIN_PREFILL:
            beyond = max(0.0, seconds - (self._decode or 0.0))
            self._prefill_token = _smooth(self._prefill_token, beyond / prefill)

    def is_short(self, slices: Sequence[Slice]) -> bool:
        """Whether a tick of these will be over before a thread would be worth its while."""
        decodes = all(item.work.is_decode for item in slices)
        return decodes and self._decode is not None and self._decode < self._inline_seconds

    def prefill_beside_decodes(self, prompts: int, most: int) -> int:
        """Tokens of prefill that keep a tick short for those who decode.

        ``prompts`` is how many wait; each may have ``most`` tokens a tick at the most.
        """
        if not self._decode or not self._prefill_token:
            return prompts * most
        affordable = int(_PREFILL_SHARE * self._decode / self._prefill_token)
        return prompts * min(most, max(_MIN_PREFILL, affordable))


def _smooth(old: float | None, new: float) -> float:
    return new if old is None else old + _SMOOTHING * (new - old)
