"""What a node answers to other peers: inference streams, pushes, questions about itself."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
import uuid
from collections.abc import Mapping
from types import TracebackType
from typing import Any

import torch
from hivemind.utils.tensor_descr import BatchTensorDescriptor

from farmesh.config import NodeConfig, Relay
from farmesh.core import PeerId
from farmesh.errors import ProtocolError, QuotaExceeded, RemoteError, StreamBroken, TransportError
from farmesh.network.transport import PeerStream, Transport
from farmesh.node.blocks import BlockStack
from farmesh.node.cache import KVCache
from farmesh.node.quota import Account
from farmesh.node.scheduler import Scheduler
from farmesh.node.session import NodeSession
from farmesh.node.threads import ThreadPlan
from farmesh.node.tick import Superseded
from farmesh.wire.failures import CODE_BUSY, CODE_CLOSING, CODE_INVALID
from farmesh.wire.messages import Step, StepReply
from farmesh.wire.metadata import NextServer, StepMetadata
from farmesh.wire.tensors import is_dummy
from farmesh.wire.uids import chain_uid, parse_chain

logger = logging.getLogger(__name__)

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
        stack: BlockStack,
        cache: KVCache,
        transport: Transport,
        threads: ThreadPlan | None = None,
    ) -> None:
        self._config = config
        self._prefix = prefix
        self._stack = stack
        self._cache = cache
        self._transport = transport
        self._max_length = min(
            config.max_session_tokens,
            cache.tokens_total,
            config.max_cache_tokens_per_peer or cache.tokens_total,
        )
        self._accounts: dict[PeerId, Account] = {}
        self._sessions: dict[tuple[PeerId, str], NodeSession] = {}
        self._owners: dict[int, asyncio.Task[Any]] = {}
        self._pushes: set[asyncio.Task[None]] = set()
        self._closing = False
        self._sweeper: asyncio.Task[None] | None = None
        self.scheduler = Scheduler(
            stack,
            cache,
            max_batch_tokens=config.max_batch_tokens,
            prefill_tokens_beside_decodes=config.prefill_tokens_beside_decodes,
            max_waiting=config.max_queued_sessions,
            max_waiting_per_peer=config.max_queued_sessions_per_peer,
            max_tokens_per_peer=config.max_cache_tokens_per_peer,
            threads=threads,
        )

    def __repr__(self) -> str:
        return f"<NodeService {self._prefix} {self._stack.span} {len(self._sessions)} sessions>"

    @property
    def max_elements(self) -> int:
        """Elements of the largest tensor that a peer may send: a session's whole context."""
        return self._max_length * self._stack.hidden_size

    @property
    def sessions(self) -> tuple[NodeSession, ...]:
        return tuple(self._sessions.values())

    @property
    def cache_tokens_left(self) -> int:
        """In the DHT's unit: K and V counted apart, per block."""
        return 2 * self._cache.tokens_free * len(self._stack.span)

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
        tasks = [*self._pushes, *self._owners.values()]
        if self._sweeper is not None:
            tasks.append(self._sweeper)
        for session in list(self._sessions.values()):
            session.evict(RemoteError(CODE_CLOSING, "the node is shutting down"))
        if self._owners:  # attached streams still tell their peers that sentence
            await asyncio.wait(list(self._owners.values()), timeout=_GOODBYE_SECONDS)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self.scheduler.__aexit__(kind, error, traceback)

    # --- inference streams --------------------------------------------------------------------

    async def inference(self, stream: PeerStream) -> None:
        """Serve one stream until its peer closes it, it breaks, or its session must end."""
        async with asyncio.timeout(_OPENING_SECONDS):
            first = await stream.receive()
        if first is None:
            return
        session = self._attach(stream.peer_id, first)
        owner = asyncio.current_task()
        if owner is not None:
            self._owners[id(session)] = owner
        reader = asyncio.create_task(self._read(stream, session, first))
        worker = asyncio.create_task(self._work(stream, session))
        try:
            await asyncio.wait({reader, worker}, return_when=asyncio.FIRST_COMPLETED)
            # The reader ends in order only when the peer closed the session.
            closed = reader.done() and not reader.cancelled() and reader.exception() is None
            if closed:
                self._drop(session)
            for task in (worker, reader):
                if task.done() and not task.cancelled():
                    task.result()
        except StreamBroken:
            self._detach(session, owner)
            raise
        except BaseException:
            if self._owners.get(id(session)) is owner:  # else a new stream has taken over
                self._drop(session)
            raise
        finally:
            for task in (reader, worker):
                task.cancel()
            await asyncio.gather(reader, worker, return_exceptions=True)
            if self._owners.get(id(session)) is owner:
                del self._owners[id(session)]

    def _attach(self, peer_id: PeerId, first: Step) -> NodeSession:
        """The session that a stream's first message opens or, with ``resume``, re-attaches to.

        Raises:
            ProtocolError: the message cannot open a session.
            RemoteError: the node is closing.
        """
        if self._closing:
            raise RemoteError(CODE_CLOSING, "the node is shutting down")
        self._check_allowed(peer_id)
        metadata = first.metadata
        span = parse_chain(first.uid, self._prefix)
        if not self._stack.span.covers(span):
            raise ProtocolError(f"this node serves blocks {self._stack.span}, not {span}")
        session_id = metadata.session_id
        if session_id is None:
            session_id = uuid.uuid4().hex  # nobody can guess it and push into the session
        key = (peer_id, session_id)
        known = self._sessions.get(key)
        if known is not None:
            if not metadata.resume:
                raise ProtocolError("a session with this id is open already")
            self._take_over(known)
            if known.span == span and not known.evicted:
                return known
            self._drop(known)
        self._check_opening(first, metadata)
        session = NodeSession(
            key,
            span,
            batch=int(first.hidden_states.shape[0]),
            max_length=metadata.max_length or 0,
            adapter=metadata.active_adapter,
            account=self._open_account(peer_id),
        )
        session.account.sessions += 1
        session.superseded = lambda: self.scheduler.cancel(session)
        self._sessions[key] = session
        self.scheduler.admit(session)
        return session

    def _check_allowed(self, peer_id: PeerId) -> None:
        allowed = self._config.allowed_peers
        if allowed and peer_id not in allowed:
            raise ProtocolError("this node serves a private swarm; ask its operator to be let in")

    def _open_account(self, peer_id: PeerId) -> Account:
        """Raises: QuotaExceeded, RemoteError: no session more, of this peer or of anybody."""
        account = self._accounts.get(peer_id) or Account(self._config.max_queued_bytes_per_peer)
        if account.sessions >= self._config.max_sessions_per_peer:
            sentence = "this peer has too many sessions open on this node; try again later"
            raise QuotaExceeded("sessions", sentence)
        if len(self._sessions) >= self._config.max_sessions:
            raise RemoteError(CODE_BUSY, "too many sessions are open on this node; try again later")
        self._accounts[peer_id] = account
        return account

    def _check_opening(self, first: Step, metadata: StepMetadata) -> None:
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

    def _take_over(self, session: NodeSession) -> None:
        """A new stream claims the session; the old one, half dead, lets go of it."""
        session.detached_at = None
        old = self._owners.pop(id(session), None)
        if old is not None:
            old.cancel()

    def _detach(self, session: NodeSession, owner: asyncio.Task[Any] | None) -> None:
        """The stream broke: the cache stays for a grace period, the work stops."""
        if self._owners.get(id(session)) is owner:
            session.detached_at = time.monotonic()
            self.scheduler.cancel(session)

    def _drop(self, session: NodeSession) -> None:
        if self._sessions.get(session.key) is session:
            del self._sessions[session.key]
            self.scheduler.forget(session)
            session.drop_steps()
            session.account.sessions -= 1
            if not session.account.sessions:
                self._accounts.pop(session.key[0], None)

    async def _read(self, stream: PeerStream, session: NodeSession, first: Step) -> None:
        step: Step | None = first
        while step is not None:
            self._check_step(session, step)
            session.put(step)
            step = await stream.receive()

    def _check_step(self, session: NodeSession, step: Step) -> None:
        batch, _, hidden_size = step.hidden_states.shape
        if hidden_size != self._stack.hidden_size or batch != session.batch:
            raise ProtocolError(
                f"hidden_states must be [{session.batch}, tokens, {self._stack.hidden_size}]"
            )
        if not is_dummy(step.prompts):
            raise ProtocolError("prompts inside a session are not supported by this node")

    async def _work(self, stream: PeerStream, session: NodeSession) -> None:
        while True:
            step = await session.next_step(patience=self._config.push_timeout * 4)
            started = time.monotonic()
            try:
                output = await self._compute(session, step)
            except Superseded:
                continue
            finally:
                session.release(step)
            seconds = time.monotonic() - started
            if step.metadata.next_servers and step.tokens:
                await self._push_or_reply(stream, session, step, output, seconds)
            else:
                await stream.send(self._reply(session, step, output, seconds))

    def _reply(
        self, session: NodeSession, step: Step, output: torch.Tensor, seconds: float
    ) -> StepReply:
        return StepReply(
            output,
            step_id=step.metadata.step_id,
            position=session.position,
            compute_seconds=seconds,
            cache_tokens_left=self.cache_tokens_left,
        )

    async def _compute(self, session: NodeSession, step: Step) -> torch.Tensor:
        start = step.metadata.start_from_position
        if start is not None and start < session.position:
            self.scheduler.rewind(session, start)
        if not is_dummy(step.hypo_ids):
            self._reorder(session, step.hypo_ids)
        if step.tokens == 0:
            return step.hidden_states
        if session.position + step.tokens > session.max_length:
            raise ProtocolError(
                f"Maximum length exceeded: {session.position} + {step.tokens} tokens "
                f"do not fit into {session.max_length}"
            )
        timeout = step.metadata.alloc_timeout
        return await self.scheduler.run(
            session,
            step.hidden_states.to(self._stack.dtype),
            alloc_timeout=self._config.alloc_timeout if timeout is None else min(timeout, 600.0),
        )

    def _reorder(self, session: NodeSession, hypo_ids: torch.Tensor) -> None:
        """Beam search: row i continues row ``hypo_ids[i]``; a permutation moves no data."""
        order = hypo_ids.tolist() if hypo_ids.shape == (session.batch,) else []
        if sorted(order) != list(range(session.batch)):
            raise ProtocolError("hypo_ids must be a permutation of the session's batch rows")
        session.rows = [session.rows[index] for index in order]

    # --- node to node -------------------------------------------------------------------------

    async def _push_or_reply(
        self,
        stream: PeerStream,
        session: NodeSession,
        step: Step,
        output: torch.Tensor,
        seconds: float,
    ) -> None:
        """Hand the output to the next hop.

        A peer that asked for ``push_ack`` is told that the push arrived, or gets the output to
        carry it on itself; the next step is computed meanwhile. Any other peer gets the output
        first, as upstream does.
        """
        reply = self._reply(session, step, output, seconds)
        if not step.metadata.push_ack:
            await stream.send(reply)
        task = asyncio.create_task(self._push(stream, step, output, reply))
        self._pushes.add(task)
        task.add_done_callback(self._pushes.discard)

    async def _push(
        self, stream: PeerStream, step: Step, output: torch.Tensor, reply: StepReply
    ) -> None:
        target, *rest = step.metadata.next_servers
        pushed = False
        try:
            async with asyncio.timeout(self._config.push_timeout):
                await self._transport.push(target.peer_id, self._pushed_step(step, output, rest))
            pushed = True
        except (TransportError, TimeoutError) as error:
            logger.info("push to …%s failed: %s", target.peer_id[-4:], error)
        if step.metadata.push_ack:
            if pushed:
                reply = StepReply(
                    output[:, :0],
                    step_id=reply.step_id,
                    position=reply.position,
                    pushed=True,
                    compute_seconds=reply.compute_seconds,
                    cache_tokens_left=reply.cache_tokens_left,
                )
            with contextlib.suppress(StreamBroken):
                await stream.send(reply)

    def _pushed_step(self, step: Step, output: torch.Tensor, rest: list[NextServer]) -> Step:
        """The message for the next hop: this step's metadata, addressed to its session there."""
        target = step.metadata.next_servers[0]
        metadata = StepMetadata(
            session_id=target.session_id,
            step_id=step.metadata.step_id,
            start_from_position=step.metadata.start_from_position,
            next_servers=tuple(rest),
            pushed=True,
            alloc_timeout=step.metadata.alloc_timeout,
            epoch=step.metadata.epoch,
            push_ack=step.metadata.push_ack,
        )
        return Step(
            output, metadata, uid=chain_uid(self._prefix, target.span), hypo_ids=step.hypo_ids
        )

    async def push(self, peer_id: PeerId, step: Step) -> None:
        """Queue a pushed step in the session it names; unknown sessions are ignored quietly.

        The session's owner is the client, not ``peer_id``: its id is the secret that only the
        hops of its route know.
        """
        self._check_allowed(peer_id)
        session_id = step.metadata.session_id
        if session_id is None:
            raise ProtocolError("a push needs a session_id")
        for session in self._sessions.values():
            if session.key[1] == session_id:
                self._check_step(session, step)
                session.put(step)
                return
        if step.metadata.push_ack:
            raise RemoteError(CODE_INVALID, "no such session")

    # --- questions ----------------------------------------------------------------------------

    async def info(self, peer_id: PeerId, uid: str) -> Mapping[str, Any]:
        """The keys that reference clients rely on; with a served uid also the tensor schemas."""
        answer: dict[str, Any] = {
            "version": VERSION,
            "dht_client_mode": self._config.relay is Relay.ALWAYS,
            "cache_tokens_available": self.cache_tokens_left // 2,
        }
        if self.scheduler.full_at is not None:  # seconds; this engine's own key
            answer["cache_full_ago"] = round(time.monotonic() - self.scheduler.full_at, 3)
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

    # --- housekeeping -------------------------------------------------------------------------

    async def _sweep(self) -> None:
        """Free sessions whose stream has been gone for longer than the grace period."""
        while True:
            await asyncio.sleep(_SWEEP_SECONDS)
            limit = time.monotonic() - self._config.session_grace
            for session in list(self._sessions.values()):
                if session.detached_at is not None and session.detached_at < limit:
                    self._drop(session)


def _descriptor(size: tuple[int, ...], dtype: torch.dtype) -> BatchTensorDescriptor:
    """A tensor's schema with the first dimension free."""
    return BatchTensorDescriptor(*size, dtype=dtype)
