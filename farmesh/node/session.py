"""A node's side of one inference session: its cache rows, its position, the steps that wait."""

from __future__ import annotations

import asyncio
import enum
import time
from collections import deque
from collections.abc import Callable, Sequence

import torch

from farmesh.core import PeerId, Span
from farmesh.errors import ProtocolError, RemoteError
from farmesh.node.cache import Extent
from farmesh.node.quota import Account
from farmesh.wire.messages import Step

_REMEMBERED_STEPS = 256  # step ids kept to recognise duplicates
_MAX_WAITING_STEPS = 256


class SessionState(enum.Enum):
    """What became of a session."""

    ATTACHED = enum.auto()  # a stream serves it
    DETACHED = enum.auto()  # its stream broke; its cache waits for another one
    EVICTED = enum.auto()  # its cache is gone, for good


class NodeSession:
    """One session: batch rows in the KV cache and an inbox of steps in the order they may run.

    Steps arrive from the session's own stream and from other nodes' pushes. They run when the
    session's position has reached theirs, so pushes may overtake one another on the way. A step
    of a newer epoch drops everything older, wherever it waits.

    The scheduler moves its position and evicts it, the registry attaches and detaches it.
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
        superseded: Callable[[NodeSession], None] = lambda _: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """
        Args:
            key: whose it is, and its id.
            max_length: in tokens.
            adapter: LoRA that its tokens run with; None: the plain model.
            superseded: called when a step of a newer epoch arrives.
        """
        self.key = key
        self.span = span
        self.max_length = max_length
        self.adapter = adapter
        self.account = account or Account()
        self.opened = clock()
        self._superseded = superseded
        self._clock = clock
        self._rows = [Extent() for _ in range(batch)]
        self._position = 0
        self._epoch = 0
        self._detached_at: float | None = None
        self._failure: RemoteError | None = None
        self._steps: list[Step] = []
        self._seen: deque[str] = deque(maxlen=_REMEMBERED_STEPS)
        self._news = asyncio.Event()

    def __repr__(self) -> str:
        tokens = f"{self._position}/{self.max_length} tokens"
        return f"<NodeSession {self.state.name} {tokens} | {self.span}>"

    @property
    def peer_id(self) -> PeerId:
        """Whose session it is."""
        return self.key[0]

    @property
    def batch(self) -> int:
        return len(self._rows)

    @property
    def rows(self) -> Sequence[Extent]:
        """Where the cache of each batch row lies."""
        return self._rows

    @property
    def position(self) -> int:
        """Tokens now in the KV cache."""
        return self._position

    @property
    def state(self) -> SessionState:
        if self._failure is not None:
            return SessionState.EVICTED
        return SessionState.ATTACHED if self._detached_at is None else SessionState.DETACHED

    # --- transitions ----------------------------------------------------------------------------

    def attach(self) -> None:
        """A stream is there."""
        self._detached_at = None

    def detach(self) -> None:
        """Its stream broke."""
        self._detached_at = self._clock()

    def abandoned(self, grace: float) -> bool:
        """Whether no stream has been there for ``grace`` seconds."""
        return self._detached_at is not None and self._detached_at + grace < self._clock()

    def evict(self, error: RemoteError) -> None:
        """Its pages are gone: whoever waits for the next step gets ``error``."""
        self._position = 0
        self._failure = error
        self._news.set()

    def advance(self, position: int) -> None:
        """Its first ``position`` tokens are in the cache."""
        self._position = position

    def rewind(self, position: int) -> None:
        """Keep ``position`` tokens at the most."""
        self._position = min(self._position, position)

    def reorder(self, hypo_ids: torch.Tensor) -> None:
        """Beam search: row i continues row ``hypo_ids[i]``; a permutation moves no data.

        Raises: ProtocolError: anything else.
        """
        order = hypo_ids.tolist() if hypo_ids.shape == (self.batch,) else []
        if sorted(order) != list(range(self.batch)):
            raise ProtocolError("hypo_ids must be a permutation of the session's batch rows")
        self._rows = [self._rows[index] for index in order]

    # --- steps that wait ------------------------------------------------------------------------

    def put(self, step: Step) -> None:
        """Queue a step; duplicates and steps of older epochs vanish.

        Raises:
            ProtocolError: too many steps wait.
            QuotaExceeded: too many bytes of this session's peer wait.
        """
        epoch = step.metadata.epoch
        if epoch is not None and epoch < self._epoch:
            return
        step_id = step.metadata.step_id
        if step_id is not None:
            if step_id in self._seen:
                return
            self._seen.append(step_id)
        if len(self._steps) >= _MAX_WAITING_STEPS:
            raise ProtocolError("too many steps wait in one session")
        if epoch is not None and epoch > self._epoch:
            self._epoch = epoch
            # What has no epoch opens or resumes the session, and its answer is waited for.
            self.drop_steps(lambda waiting: waiting.metadata.epoch is not None)
            self._superseded(self)
        self.account.take(_size(step))
        self._steps.append(step)
        self._news.set()

    def drop_steps(self, which: Callable[[Step], bool] = lambda _: True) -> None:
        """Forget what waits, or some of it."""
        steps, self._steps = self._steps, []
        for step in steps:
            if which(step):
                self.release(step)
            else:
                self._steps.append(step)

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
                waiting_since = waiting_since or self._clock()
                if self._clock() - waiting_since > patience:
                    raise ProtocolError(
                        f"a step starts beyond the {self._position} tokens of its session"
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
            if start is None or start <= self._position:
                return self._steps.pop(index)
        return None


def _size(step: Step) -> int:
    return step.hidden_states.nbytes + step.hypo_ids.nbytes
