"""What inference sessions took, counted from the engine's events: for metrics and for accounting.

:class:`Ledger` stands between the chats and the engine's client. It passes every event on as it
is and remembers numbers only: no token, no text, no person.
"""

from __future__ import annotations

import logging
import secrets
import time
from collections import Counter, OrderedDict, deque
from collections.abc import AsyncGenerator, Callable, Collection, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from chat.models.backend import Client, InferenceSession
from farmesh.core import Hop, PeerId, Route, Span, SwarmSnapshot
from farmesh.events import Event, PrefillProgress, Rerouted, RouteFound, TokenGenerated
from farmesh.params import SamplingParams

log = logging.getLogger(__name__)

CLOSED_KEPT = 100  # accounts of closed sessions that can still be asked for
PEERS_KEPT = 1000  # nodes whose tokens are counted; the one longest not used is forgotten


class Outcome(StrEnum):
    """How a reply ended."""

    FINISHED = "finished"
    STOPPED = "stopped"  # by a person, a stop string, or a client that went away
    FAILED = "failed"


class Observer(Protocol):
    """Is told what cannot be read from totals later."""

    def first_token(self, seconds: float) -> None: ...
    def next_token(self, seconds: float) -> None: ...
    def ended(self, outcome: Outcome) -> None: ...


@dataclass(slots=True)
class Share:
    """What one node did for one session."""

    span: Span
    tokens: int = 0  # that went through its blocks
    position: int = 0  # tokens that it holds


@dataclass(eq=False, slots=True)
class Account:
    """One inference session's numbers."""

    number: str  # random; no part of any chat's id
    opened: float  # seconds since 1970
    model: str = ""
    running: bool = False
    replies: int = 0
    prompt_tokens: int = 0
    cached_tokens: int = 0  # of the prompts, already in the nodes' KV caches
    generated_tokens: int = 0
    reroutes: int = 0
    shares: dict[PeerId, Share] = field(default_factory=dict)

    def moved(self, hops: Collection[Hop]) -> None:
        """These hops hold nothing yet."""
        for hop in hops:
            known = self.shares.get(hop.peer_id)
            self.shares[hop.peer_id] = Share(hop.span, known.tokens if known else 0)

    def rewound(self, position: int) -> None:
        for share in self.shares.values():
            share.position = min(share.position, position)

    def reached(self, route: Route, position: int) -> dict[PeerId, int]:
        """All hops of the route hold so many tokens now; what that was for each."""
        done = {}
        for hop in route.hops:
            share = self.shares.setdefault(hop.peer_id, Share(hop.span))
            done[hop.peer_id] = max(0, position - share.position)
            share.tokens += done[hop.peer_id]
            share.position = max(share.position, position)
        return done


class Ledger:
    """The accounts of all sessions, and their totals."""

    def __init__(
        self, observer: Observer | None = None, clock: Callable[[], float] = time.perf_counter
    ) -> None:
        self.observer = observer
        self.clock = clock
        self.totals = Account("", time.time())
        self.outcomes: Counter[Outcome] = Counter()
        self.node_tokens: OrderedDict[PeerId, int] = OrderedDict()
        self._open: dict[str, tuple[Account, InferenceSession]] = {}
        self._closed: deque[Account] = deque(maxlen=CLOSED_KEPT)

    def __repr__(self) -> str:
        return f"<Ledger {len(self._open)} sessions, {self.totals.generated_tokens} tokens>"

    def watch(self, client: Client, model: str = "") -> Client:
        """The same client, its sessions counted."""
        return _WatchedClient(client, self, model)

    @property
    def open_accounts(self) -> list[tuple[Account, InferenceSession]]:
        return list(self._open.values())

    @property
    def closed_accounts(self) -> list[Account]:
        """The latest sessions that were closed, oldest first."""
        return list(self._closed)

    @property
    def cached_tokens(self) -> int:
        """Tokens that the nodes hold for all sessions at this moment."""
        return sum(session.position for _, session in self._open.values())

    def begin(self, session: InferenceSession, model: str) -> Account:
        account = Account(secrets.token_hex(8), time.time(), model)
        self._open[account.number] = account, session
        return account

    def end(self, account: Account) -> None:
        if self._open.pop(account.number, None) is not None:
            self._closed.append(account)

    def add(self, account: Account, **numbers: int) -> None:
        for one in (account, self.totals):
            for name, number in numbers.items():
                setattr(one, name, getattr(one, name) + number)

    def add_work(self, done: dict[PeerId, int]) -> None:
        for peer_id, tokens in done.items():
            self.node_tokens[peer_id] = self.node_tokens.pop(peer_id, 0) + tokens
        while len(self.node_tokens) > PEERS_KEPT:
            self.node_tokens.popitem(last=False)


class _WatchedClient:
    """Passes everything on; its sessions are watched."""

    def __init__(self, client: Client, ledger: Ledger, model: str) -> None:
        self._client, self._ledger, self._model = client, ledger, model

    @property
    def snapshot(self) -> SwarmSnapshot:
        return self._client.snapshot

    @property
    def max_context(self) -> int:
        return self._client.max_context

    @property
    def eos_token_ids(self) -> Collection[int]:
        return self._client.eos_token_ids

    def session(self) -> InferenceSession:
        return _WatchedSession(self._client.session(), self._ledger, self._model)


class _WatchedSession:
    """One session, its events counted on their way."""

    def __init__(self, session: InferenceSession, ledger: Ledger, model: str) -> None:
        self._session, self._ledger = session, ledger
        self._account = ledger.begin(session, model)

    @property
    def position(self) -> int:
        return self._session.position

    @property
    def route(self) -> Route | None:
        return self._session.route

    async def close(self) -> None:
        self._ledger.end(self._account)
        await self._session.close()

    async def generate(
        self, token_ids: Sequence[int], sampling: SamplingParams
    ) -> AsyncGenerator[Event, None]:
        counting = _Counting(self._ledger, self._account, self._session.route, len(token_ids))
        outcome = Outcome.FAILED
        self._account.running = True
        try:
            async with aclosing(self._session.generate(token_ids, sampling)) as events:
                async for event in events:
                    counting.take(event)
                    yield event
            outcome = Outcome.FINISHED
        except Exception:
            raise
        except BaseException:  # closed or cancelled by its reader
            outcome = Outcome.STOPPED
            raise
        finally:
            self._account.running = False
            counting.end(outcome)


class _Counting:
    """Counts one reply."""

    def __init__(
        self, ledger: Ledger, account: Account, route: Route | None, prompt_tokens: int
    ) -> None:
        self._ledger, self._account, self._route = ledger, account, route
        self._prompt_tokens = prompt_tokens
        self._cached: int | None = None
        self._generated = 0
        self._started = self._last = ledger.clock()
        self._waited: float | None = None  # seconds to the first token

    def take(self, event: Event) -> None:
        match event:
            case RouteFound(route) | Rerouted(_, _, route):
                self._new_route(route)
                if isinstance(event, Rerouted):
                    self._ledger.add(self._account, reroutes=1)
            case PrefillProgress(done, _, reused):
                self._know(reused)
                self._reached(done)
            case TokenGenerated(_, position, index):
                self._know(self._prompt_tokens - 1)
                self._reached(position)
                self._generated += 1
                self._ledger.add(self._account, generated_tokens=1)
                self._time(first=index == 0)
            case _:
                pass

    def end(self, outcome: Outcome) -> None:
        self._ledger.add(self._account, replies=1)
        self._ledger.outcomes[outcome] += 1
        if self._ledger.observer is not None:
            self._ledger.observer.ended(outcome)
        numbers = {
            "session": self._account.number,
            "model": self._account.model,
            "outcome": str(outcome),
            "prompt_tokens": self._prompt_tokens,
            "cached_tokens": self._cached or 0,
            "generated_tokens": self._generated,
            "ttft": self._waited,
            "seconds": self._ledger.clock() - self._started,
            "nodes": [hop.peer_id for hop in self._route.hops] if self._route else [],
        }
        log.info("a reply %s", outcome, extra=numbers)

    def _new_route(self, route: Route) -> None:
        before = set(self._route.hops) if self._route else set()
        self._account.moved([hop for hop in route.hops if hop not in before])
        self._route = route

    def _know(self, cached: int) -> None:
        """How much of the prompt the nodes held; said once, before anything else is computed."""
        if self._cached is None:
            self._cached = cached
            self._account.rewound(cached)
            self._ledger.add(self._account, prompt_tokens=self._prompt_tokens, cached_tokens=cached)

    def _reached(self, position: int) -> None:
        if self._route is not None:
            self._ledger.add_work(self._account.reached(self._route, position))

    def _time(self, *, first: bool) -> None:
        now = self._ledger.clock()
        if first:
            self._waited = now - self._started
        if self._ledger.observer is not None:
            told = self._ledger.observer.first_token if first else self._ledger.observer.next_token
            told(now - self._last)
        self._last = now
