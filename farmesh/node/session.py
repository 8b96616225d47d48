"""A node's side of one inference session: its cache rows, its position, the steps that wait."""

from __future__ import annotations

import asyncio
import math
import time
from collections import deque
from collections.abc import Callable

from farmesh.core import PeerId, Span
from farmesh.errors import ProtocolError, RemoteError
from farmesh.node.cache import Extent
from farmesh.node.quota import Account
from farmesh.wire.messages import Step

_REMEMBERED_STEPS = 256  # step ids kept to recognise duplicates
_MAX_WAITING_STEPS = 256


class NodeSession:
    """One session: batch rows in the KV cache and an inbox of steps in the order they may run.

    Steps arrive from the session's own stream and from other nodes' pushes. They run when the
    session's position has reached theirs, so pushes may overtake one another on the way. A step
    of a newer epoch drops everything older, wherever it waits.
    """

    def __init__(
        self,
        key: tuple[PeerId, str],
        span: Span,
        *,
        batch: int,
        max_length: int,
        adapter: str | None = None,
        account: Account | None = None,
    ) -> None:
        self.key = key
        self.account = account or Account()
        self.span = span
        self.adapter = adapter  # LoRA that its tokens run with; None: the plain model
        self.rows = [Extent() for _ in range(batch)]
        self.max_length = max_length  # tokens
        self.position = 0  # tokens now in the KV cache
        self.epoch = 0
        self.opened = time.monotonic()
        self.last_used = self.opened
        self.last_decoded = -math.inf  # when a one-token step of it was planned
        self.detached_at: float | None = None  # when its stream dropped; None: attached
        self.starved = False  # its work waits for cache
        self.superseded: Callable[[], None] = lambda: None  # called when a newer epoch arrives
        self._steps: list[Step] = []
        self._seen: deque[str] = deque(maxlen=_REMEMBERED_STEPS)
        self._news = asyncio.Event()
        self._failure: RemoteError | None = None

    def __repr__(self) -> str:
        state = "EVICTED" if self._failure else "DETACHED" if self.detached_at else "OPEN"
        return f"<NodeSession {state} {self.position}/{self.max_length} tokens | {self.span}>"

    @property
    def peer_id(self) -> PeerId:
        """Whose session it is."""
        return self.key[0]

    @property
    def batch(self) -> int:
        return len(self.rows)

    @property
    def evicted(self) -> bool:
        return self._failure is not None

    def evict(self, error: RemoteError) -> None:
        """Its pages are gone: whoever waits for the next step gets ``error``."""
        self._failure = error
        self._news.set()

    def put(self, step: Step) -> None:
        """Queue a step; duplicates and steps of older epochs vanish.

        Raises:
            ProtocolError: too many steps wait.
            QuotaExceeded: too many bytes of this session's peer wait.
        """
        epoch = step.metadata.epoch
        if epoch is not None and epoch < self.epoch:
            return
        step_id = step.metadata.step_id
        if step_id is not None:
            if step_id in self._seen:
                return
            self._seen.append(step_id)
        if len(self._steps) >= _MAX_WAITING_STEPS:
            raise ProtocolError("too many steps wait in one session")
        if epoch is not None and epoch > self.epoch:
            self.epoch = epoch
            self.drop_steps()
            self.superseded()
        self.account.take(_size(step))
        self._steps.append(step)
        self._news.set()

    def drop_steps(self) -> None:
        """Forget all that waits."""
        for step in self._steps:
            self.release(step)
        self._steps.clear()

    def release(self, step: Step) -> None:
        """A step that was taken needs no memory any more."""
        self.account.queued_bytes -= _size(step)

    async def next_step(self, *, patience: float) -> Step:
        """The next step that can run; ``release`` it when it is done with.

        Raises:
            RemoteError: the session was evicted.
            ProtocolError: a step beyond the session's position waited ``patience`` seconds for
                the steps before it.
        """
        waiting_since: float | None = None
        while True:
            if self._failure is not None:
                raise self._failure
            step = self._take()
            if step is not None:
                return step
            if self._steps:
                waiting_since = waiting_since or time.monotonic()
                if time.monotonic() - waiting_since > patience:
                    raise ProtocolError(
                        f"a step starts beyond the {self.position} tokens of its session"
                    )
            self._news.clear()
            try:
                async with asyncio.timeout(patience if self._steps else None):
                    await self._news.wait()
            except TimeoutError:
                continue

    def _take(self) -> Step | None:
        for index, step in enumerate(self._steps):
            start = step.metadata.start_from_position
            if start is None or start <= self.position:
                return self._steps.pop(index)
        return None


def _size(step: Step) -> int:
    return step.hidden_states.nbytes + step.hypo_ids.nbytes
