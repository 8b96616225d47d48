"""The sessions that are open on a node: whose they are, which task serves each, how many."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator
from typing import Any

from farmesh.config import NodeConfig
from farmesh.core import PeerId, Span
from farmesh.errors import QuotaExceeded, RemoteError, StreamBroken
from farmesh.node.quota import Account
from farmesh.node.scheduler import Scheduler
from farmesh.node.session import NodeSession
from farmesh.wire.failures import CODE_BUSY

Key = tuple[PeerId, str]  # a peer, and what it calls its session


class Sessions:
    """Opens, hands over and drops sessions; the scheduler knows exactly those that are in here."""

    def __init__(
        self,
        config: NodeConfig,
        scheduler: Scheduler,
        clock: Callable[[], float],
        *,
        states: bool = False,
    ) -> None:
        """
        Args:
            states: whether sessions keep states here.
        """
        self._config = config
        self._scheduler = scheduler
        self._clock = clock
        self._states = states
        self._open: dict[Key, NodeSession] = {}
        self._owners: dict[NodeSession, asyncio.Task[Any]] = {}
        self.accounts: dict[PeerId, Account] = {}  # of the peers that have sessions

    def __repr__(self) -> str:
        return f"<Sessions {len(self._open)} open, {len(self._owners)} attached>"

    def __len__(self) -> int:
        return len(self._open)

    def __iter__(self) -> Iterator[NodeSession]:
        return iter(tuple(self._open.values()))

    @property
    def owners(self) -> tuple[asyncio.Task[Any], ...]:
        """The tasks that serve a session at the moment."""
        return tuple(self._owners.values())

    def get(self, key: Key) -> NodeSession | None:
        return self._open.get(key)

    def named(self, session_id: str) -> NodeSession | None:
        """By the id alone, which only the hops of its route know."""
        return next((session for key, session in self._open.items() if key[1] == session_id), None)

    def open(
        self, key: Key, span: Span, *, batch: int, max_length: int, adapter: str | None
    ) -> NodeSession:
        """
        Raises:
            QuotaExceeded: this peer has all the sessions that one peer may have.
            RemoteError: ``busy``, all peers together have as many as fit.
        """
        session = NodeSession(
            key,
            span,
            batch=batch,
            max_length=max_length,
            adapter=adapter,
            account=self._account(key[0]),
            states=self._states,
            superseded=self._scheduler.cancel,
            clock=self._clock,
        )
        session.account.sessions += 1
        self._open[key] = session
        self._scheduler.admit(session)
        return session

    def _account(self, peer_id: PeerId) -> Account:
        account = self.accounts.get(peer_id) or Account(self._config.max_queued_bytes_per_peer)
        if account.sessions >= self._config.max_sessions_per_peer:
            sentence = "this peer has too many sessions open on this node; try again later"
            raise QuotaExceeded("sessions", sentence)
        if len(self._open) >= self._config.max_sessions:
            raise RemoteError(CODE_BUSY, "too many sessions are open on this node; try again later")
        self.accounts[peer_id] = account
        return account

    @contextlib.contextmanager
    def served(self, session: NodeSession) -> Iterator[None]:
        """While the calling task serves a session; a task that did so before lets go of it.

        When the stream breaks, the cache stays for a grace period and the work stops. However else
        it ends, so does the session, unless another task has taken over.
        """
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("sessions are served by tasks")
        self._end_owner(session)
        self._owners[session] = task
        session.attach()
        keep = False
        try:
            yield
        except StreamBroken:
            keep = True
            raise
        finally:
            if self._owners.get(session) is task:
                del self._owners[session]
                if keep:
                    session.detach()
                    self._scheduler.cancel(session)
                else:
                    self.drop(session)

    def drop(self, session: NodeSession) -> None:
        """Free all that a session holds; a stream that is still attached to it ends."""
        if self._open.get(session.key) is not session:
            return
        self._end_owner(session)
        del self._open[session.key]
        self._scheduler.forget(session)
        session.drop_steps()
        session.account.sessions -= 1
        if not session.account.sessions:
            self.accounts.pop(session.peer_id, None)

    def _end_owner(self, session: NodeSession) -> None:
        owner = self._owners.pop(session, None)
        if owner is not None:
            owner.cancel()

    def sweep(self) -> None:
        """Drop sessions whose stream has been gone for longer than the grace period."""
        for session in self:
            if session.abandoned(self._config.session_grace):
                self.drop(session)
