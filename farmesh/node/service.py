"""What a node answers to other peers: inference streams, pushes, questions about itself."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Mapping
from types import TracebackType
from typing import Any

import torch
from hivemind.utils.tensor_descr import BatchTensorDescriptor

from farmesh.config import NodeConfig, Relay
from farmesh.core import PeerId, cache_tokens
from farmesh.errors import ProtocolError, RemoteError
from farmesh.network.transport import PeerStream, Transport
from farmesh.node.cache import KVCache
from farmesh.node.machine import Machine
from farmesh.node.pushing import Pusher
from farmesh.node.scheduler import Scheduler
from farmesh.node.session import NodeSession, SessionState
from farmesh.node.sessions import Sessions
from farmesh.node.stacks import Stack
from farmesh.node.steps import StepRunner
from farmesh.node.threads import ThreadPlan
from farmesh.wire.failures import CODE_CLOSING, CODE_INVALID
from farmesh.wire.messages import Step
from farmesh.wire.uids import parse_chain

VERSION = "2.3.0.farmesh1"  # of the wire protocol spoken, then of this engine
_MAX_BATCH = 64  # rows of one session
_SWEEP_SECONDS = 1.0
_GOODBYE_SECONDS = 0.5
_OPENING_SECONDS = 120.0  # for a stream's first message, which may be a whole prompt


class NodeService:
    """Answers peers with one stack of blocks; an ``async with`` scope around its scheduler."""

    def __init__(
        self,
        config: NodeConfig,
        prefix: str,
        stack: Stack,
        cache: KVCache,
        transport: Transport,
        threads: ThreadPlan,
        machine: Machine,
    ) -> None:
        self._config = config
        self._prefix = prefix
        self._stack = stack
        self._cache = cache
        self._clock = machine.clock
        self._max_length = min(
            config.max_session_tokens,
            cache.tokens_total,
            config.max_cache_tokens_per_peer or cache.tokens_total,
        )
        self._closing = False
        self._sweeper: asyncio.Task[None] | None = None
        self.scheduler = Scheduler(stack, cache, config, threads, machine)
        self.sessions = Sessions(config, self.scheduler, machine.clock)
        self._pusher = Pusher(transport, prefix, config.push_timeout)
        self._steps = StepRunner(
            config,
            stack,
            self.scheduler,
            self._pusher,
            lambda: self.cache_tokens_left,
            machine.clock,
        )

    def __repr__(self) -> str:
        state = "CLOSING" if self._closing else "OPEN"
        return f"<NodeService {state} {self._prefix} {self._stack.span} {self.sessions!r}>"

    @property
    def max_elements(self) -> int:
        """Elements of the largest tensor that a peer may send: a session's whole context."""
        return self._max_length * self._stack.hidden_size

    @property
    def cache_tokens_left(self) -> int:
        """In the DHT's unit."""
        return cache_tokens(self._cache.tokens_free, self._stack.span)

    async def __aenter__(self) -> NodeService:
        await self.scheduler.__aenter__()
        self._sweeper = asyncio.create_task(self._sweep(), name="farmesh-sweeper")
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._closing = True
        tasks: list[asyncio.Task[Any]] = [*self.sessions.owners]
        for session in self.sessions:
            session.evict(RemoteError(CODE_CLOSING, "the node is shutting down"))
        if tasks:  # attached streams still tell their peers that sentence
            await asyncio.wait(tasks, timeout=_GOODBYE_SECONDS)
        if self._sweeper is not None:
            tasks.append(self._sweeper)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._pusher.close()
        await self.scheduler.__aexit__(kind, error, traceback)

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(_SWEEP_SECONDS)
            self.sessions.sweep()

    # --- inference streams --------------------------------------------------------------------

    async def inference(self, stream: PeerStream) -> None:
        """Serve one stream until its peer closes it, it breaks, or its session must end."""
        async with asyncio.timeout(_OPENING_SECONDS):
            first = await stream.receive()
        if first is None:
            return
        session = self._session_for(stream.peer_id, first)
        with self.sessions.served(session):
            await self._steps.serve(stream, session, first)

    def _session_for(self, peer_id: PeerId, first: Step) -> NodeSession:
        """The session that a stream's first message opens or, with ``resume``, re-attaches to.

        Raises:
            ProtocolError: the message cannot open a session.
            RemoteError: the node is closing, or full.
        """
        if self._closing:
            raise RemoteError(CODE_CLOSING, "the node is shutting down")
        self._check_allowed(peer_id)
        metadata = first.metadata
        span = parse_chain(first.uid, self._prefix)
        if not self._stack.span.covers(span):
            raise ProtocolError(f"this node serves blocks {self._stack.span}, not {span}")
        # Nobody can guess an id of ours and push into the session.
        session_id = uuid.uuid4().hex if metadata.session_id is None else metadata.session_id
        known = self.sessions.get((peer_id, session_id))
        if known is not None:
            if not metadata.resume:
                raise ProtocolError("a session with this id is open already")
            if known.span == span and known.state is not SessionState.EVICTED:
                return known
            self.sessions.drop(known)
        return self.sessions.open(
            (peer_id, session_id),
            span,
            batch=int(first.hidden_states.shape[0]),
            max_length=self._checked_length(first),
            adapter=metadata.active_adapter,
        )

    def _check_allowed(self, peer_id: PeerId) -> None:
        allowed = self._config.allowed_peers
        if allowed and peer_id not in allowed:
            raise ProtocolError("this node serves a private swarm; ask its operator to be let in")

    def _checked_length(self, first: Step) -> int:
        """Tokens of the session that a message opens. Raises: ProtocolError: it cannot be."""
        metadata = first.metadata
        if metadata.max_length is None:
            raise ProtocolError("the first message of a session needs max_length")
        if metadata.max_length > self._max_length:
            raise ProtocolError(
                f"max_length {metadata.max_length} exceeds this node's {self._max_length}"
            )
        if metadata.active_adapter and metadata.active_adapter not in self._stack.adapters:
            raise ProtocolError(f"no adapter {metadata.active_adapter!r} is loaded here")
        if not 1 <= first.hidden_states.shape[0] <= _MAX_BATCH:
            raise ProtocolError(f"a session takes 1 to {_MAX_BATCH} batch rows")
        return metadata.max_length

    # --- pushes and questions -------------------------------------------------------------------

    async def push(self, peer_id: PeerId, step: Step) -> None:
        """Queue a pushed step in the session it names; unknown sessions are ignored quietly.

        The session's owner is the client, not ``peer_id``: its id is the secret that only the
        hops of its route know.
        """
        self._check_allowed(peer_id)
        if step.metadata.session_id is None:
            raise ProtocolError("a push needs a session_id")
        session = self.sessions.named(step.metadata.session_id)
        if session is not None:
            self._steps.check(session, step)
            session.put(step)
        elif step.metadata.push_ack:
            raise RemoteError(CODE_INVALID, "no such session")

    async def info(self, peer_id: PeerId, uid: str) -> Mapping[str, Any]:
        """The keys that reference clients rely on; with a served uid also the tensor schemas."""
        answer: dict[str, Any] = {
            "version": VERSION,
            "dht_client_mode": self._config.relay is Relay.ALWAYS,
            "cache_tokens_available": self.cache_tokens_left // 2,
        }
        if self.scheduler.full_at is not None:  # seconds; this engine's own key
            answer["cache_full_ago"] = round(self._clock() - self.scheduler.full_at, 3)
        if uid:
            if not self._stack.span.covers(parse_chain(uid, self._prefix)):
                raise ProtocolError("this block is not served here")
            hidden = _descriptor((1, 2048, self._stack.hidden_size), torch.float32)
            other = _descriptor((), torch.float32), _descriptor((), torch.int64)
            answer |= {
                "forward_schema": ((hidden,), {}),
                "outputs_schema": (hidden,),
                "keyword_names": (),
                "inference_schema": ((hidden, *other), {}),
            }
        return answer


def _descriptor(size: tuple[int, ...], dtype: torch.dtype) -> BatchTensorDescriptor:
    """A tensor's schema with the first dimension free."""
    return BatchTensorDescriptor(*size, dtype=dtype)
