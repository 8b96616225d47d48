"""Another FarMesh Chat in a swarm's place: its ``/v1`` makes the tokens, ``/mesh`` tells the rest.

To the chats :class:`GatewayClient` is what ``farmesh.FarMeshClient`` is: token ids in, events out.
A session sends the whole list of ids every time; the app there finds the inference session that it
has kept for it, so only what is new is computed (``docs/decisions``: the gateway).
"""

from __future__ import annotations

import asyncio
import json
import random
import secrets
from array import array
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from typing import Any

from chat.errors import GatewayFailure
from chat.models.gateway.http import GatewayHttp
from chat.models.gateway.reply import Reply
from chat.protocol.mesh import MeshStatus, NodeStatus, SwarmStatus, TokenizerFiles
from farmesh import Guide, Guides
from farmesh.core import NodeInfo, NodeState, Route, SwarmSnapshot, cache_tokens
from farmesh.errors import ContextOverflow, SessionClosed
from farmesh.events import Event, TokenGenerated
from farmesh.params import KNOBS, Grammar, GrammarKind, SamplingParams

LOOK_SECONDS = 5.0  # between looks at the other app's swarm


class GatewayClient:
    """One model of another app; an ``async with`` scope.

    What the chats need of it: :class:`chat.models.backend.Client`.
    """

    def __init__(
        self,
        http: GatewayHttp,
        model_id: str,
        described: TokenizerFiles,
        tokenizer: Any,
        told: Callable[[str], None] = lambda _: None,
    ) -> None:
        """
        Args:
            tokenizer: tokens that it does not know are refused.
            told: is given what is wrong over there, empty when nothing is.
        """
        self.http, self.model_id, self.vocabulary = http, model_id, len(tokenizer)
        self.max_context = described.context
        self.eos_token_ids = frozenset(described.end_of_sequence)
        self.guides = Guides(tokenizer, self.eos_token_ids)
        self._told = told
        self._snapshot = SwarmSnapshot(model_id, 0)
        self._looking: asyncio.Task[None] | None = None

    def __repr__(self) -> str:
        return f"<GatewayClient {self.http.name} {self.model_id}>"

    @property
    def snapshot(self) -> SwarmSnapshot:
        """The other app's swarm, as it last told."""
        return self._snapshot

    def session(self) -> GatewaySession:
        return GatewaySession(self)

    async def __aenter__(self) -> GatewayClient:
        await self.look()
        self._looking = asyncio.create_task(self._keep_looking(), name="look at the gateway")
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.gather(self._looking, return_exceptions=True)
        self.guides.close()

    async def look(self) -> None:
        """Ask for the swarm once."""
        try:
            status = await self.http.get("/mesh/status?sessions=false", MeshStatus)
            for swarm in status.swarms:
                if swarm.model == self.model_id:
                    self._snapshot = snapshot_of(swarm)
            own = status.model == self.model_id  # what it says of itself is about its first model
            self._told("" if status.ready or not own else status.status[:200])
        except GatewayFailure as failure:
            self._snapshot = SwarmSnapshot(self._snapshot.prefix, self._snapshot.num_blocks)
            self._told(failure.short)

    async def _keep_looking(self) -> None:
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            await self.look()


class GatewaySession:
    """One chat's token ids; the inference session that holds their caches is over there."""

    def __init__(self, client: GatewayClient) -> None:
        self._client = client
        # The app over there keeps sessions apart by it: no chat's caches serve another chat.
        self._salt = secrets.token_hex(16)
        self._ids = array("q")
        self._closed = False
        self.route: Route | None = None

    def __repr__(self) -> str:
        return f"<GatewaySession {len(self._ids)} tokens at {self._client.http.name}>"

    @property
    def position(self) -> int:
        """Tokens that were said or heard so far; the other app holds at most so many."""
        return len(self._ids)

    async def close(self) -> None:
        """Nothing is sent: the other app gives an idle session back by itself."""
        self._closed = True
        self._ids = array("q")

    async def generate(
        self, token_ids: Sequence[int], sampling: SamplingParams
    ) -> AsyncGenerator[Event, None]:
        """As ``farmesh.InferenceSession.generate``; closing it ends the work over there.

        Raises:
            ContextOverflow, SessionClosed: nothing was sent.
            GatewayFailure: the other app does not answer, refuses, or broke off.
        """
        if self._closed:
            raise SessionClosed("This session was closed.")
        if len(token_ids) >= self._client.max_context:
            raise ContextOverflow(len(token_ids) + 1, self._client.max_context)
        seed = sampling.seed if sampling.seed is not None else random.getrandbits(63)
        body = body_of(self._client.model_id, token_ids, sampling, seed, self._salt)
        self._ids = array("q", token_ids)
        client = self._client
        guide = await client.guides.start(sampling.grammar) if sampling.grammar else None
        reply = Reply(client.http, client.vocabulary, len(token_ids), sampling, seed, self.route)
        try:
            async with aclosing(self._client.http.stream("/v1/completions", body)) as chunks:
                async for chunk in chunks:
                    for event in reply.take(chunk):
                        if isinstance(event, TokenGenerated):
                            self._ids.append(event.token_id)
                            await self._check(guide, event.token_id)
                        self.route = reply.route
                        yield event
        except GatewayFailure as failure:
            if failure.code != "context_length_exceeded":
                raise
            raise ContextOverflow(len(token_ids) + 1, self._client.max_context) from failure
        yield reply.finished()

    async def _check(self, guide: Guide | None, token_id: int) -> None:
        """Older apps know no grammars, and would not say so.

        Raises:
            GatewayFailure: the other app does not hold the reply to its grammar.
        """
        if guide is None:
            return
        banned = await guide.banned()
        if banned is None or banned[token_id]:
            raise GatewayFailure(f"{self._client.http.app} does not hold replies to a form.")
        guide.take(token_id)


def body_of(
    model_id: str, token_ids: Sequence[int], sampling: SamplingParams, seed: int, salt: str
) -> dict[str, Any]:
    """The request: everything is said, so that no default of the other app's model counts.

    Stop strings are not: text is this side's affair, and a reply that reaches one is closed.
    """
    return {
        "model": model_id,
        "prompt": list(token_ids),
        "stream": True,
        "max_tokens": sampling.max_new_tokens,
        **{
            knob.name: getattr(sampling, knob.name)
            for knob in KNOBS
            if knob.name != "max_new_tokens"
        },
        "seed": seed,
        "stop": [],
        "stop_token_ids": list(sampling.stop_token_ids),
        "ignore_eos": sampling.ignore_eos,
        "logprobs": sampling.logprobs,
        "cache_salt": salt,
        "return_token_ids": True,
        "return_tokens_as_token_ids": True,
        "return_events": True,
        **({"structured_outputs": _asked(sampling.grammar)} if sampling.grammar else {}),
    }


def _asked(grammar: Grammar) -> dict[str, Any]:
    """A grammar as a request for a completion has it."""
    choices = grammar.kind is GrammarKind.CHOICE
    return {str(grammar.kind): json.loads(grammar.text) if choices else grammar.text}


def snapshot_of(swarm: SwarmStatus) -> SwarmSnapshot:
    """The other app's swarm as this app draws its own; round trips are from there."""
    nodes = tuple(filter(None, map(_node, swarm.nodes)))
    rtts = {node.peer_id: node.rtt_seconds for node in swarm.nodes if node.rtt_seconds is not None}
    return SwarmSnapshot(swarm.prefix, min(swarm.num_blocks, 10_000), nodes, rtts)


def _node(node: NodeStatus) -> NodeInfo | None:
    try:
        span, state = node.blocks.span, NodeState[node.state.upper()]
    except (ValueError, KeyError):
        return None
    per_second, left = node.decode_tokens_per_second, node.context_tokens_left
    return NodeInfo(
        peer_id=node.peer_id,
        span=span,
        state=state,
        throughput=node.throughput,
        public_name=node.name or None,
        version=node.version,
        inference_rps=per_second * len(span) if per_second else None,
        adapters=tuple(node.adapters),
        torch_dtype=node.dtype,
        quant_type=node.quantisation,
        cache_tokens_left=cache_tokens(left, span) if left is not None else None,
    )
