"""Upstream's inference session: what it holds, and one reply in it."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Protocol

import torch

from farmesh.client.session import InferenceSession
from farmesh.errors import ContextOverflow, SessionClosed
from farmesh.events import TokenGenerated
from farmesh.params import SamplingParams
from farmesh.upstream.loop import LoopThread


class Streamer(Protocol):
    """transformers' streamers, ``TextStreamer`` for one."""

    def put(self, value: torch.Tensor) -> None: ...

    def end(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Length:
    """``max_new_tokens`` or ``max_length``, exactly one of them."""

    max_new_tokens: int | None
    max_length: int | None

    def __post_init__(self) -> None:
        if (self.max_new_tokens is None) == (self.max_length is None):
            raise ValueError("give exactly one of max_new_tokens and max_length")

    def new(self, have: int) -> int:
        """New tokens when ``have`` are there."""
        if self.max_new_tokens is not None:
            return self.max_new_tokens
        new = (self.max_length or 0) - have
        if new < 1:
            raise ValueError(f"max_length={self.max_length} leaves no room behind {have} tokens")
        return new


@dataclass(frozen=True, slots=True)
class Request:
    """What one ``generate`` call asks for."""

    prompts: list[list[int]]  # token ids; empty: go on where the session stopped
    length: Length
    sampling: Mapping[str, Any]  # fields of SamplingParams
    streamer: Streamer | None

    def params(self, have: int) -> SamplingParams:
        """With ``have`` tokens before the first new one.

        Raises: ValueError when there is no room behind them; InvalidSampling.
        """
        return SamplingParams(max_new_tokens=self.length.new(have), **self.sampling)


class DistributedSession:
    """Upstream's inference session: a conversation's tokens, whose caches live on the nodes."""

    def __init__(
        self,
        loop: LoopThread,
        session: InferenceSession,
        active: ContextVar[DistributedSession | None],
    ) -> None:
        """
        Args:
            loop: where the engine's session lives.
            active: the model's session that is used when none is named.
        """
        self._loop = loop
        self._session: InferenceSession | None = session
        self._ids: list[int] = []
        self._active = active
        self._scope = contextlib.ExitStack()  # while it is entered

    def __repr__(self) -> str:
        return f"<DistributedSession {len(self._ids)} tokens over {self._session!r}>"

    @property
    def inner(self) -> InferenceSession:
        """The engine's session.

        Raises: SessionClosed after the scope was left.
        """
        if self._session is None:
            raise SessionClosed("This session was closed.")
        return self._session

    @property
    def max_length(self) -> int:
        """Tokens that the session can hold."""
        return self.inner.max_length

    @property
    def output_ids(self) -> torch.Tensor | None:
        """All tokens so far ``[1, tokens]``, prompts included; None before the first call."""
        return torch.tensor([self._ids]) if self._ids else None

    @output_ids.setter
    def output_ids(self, value: torch.Tensor | None) -> None:
        self._ids = [] if value is None else value[0].tolist()

    @property
    def last_token_id(self) -> torch.Tensor | None:
        """The newest token, ``[1, 1]``."""
        return None if not self._ids else torch.tensor([self._ids[-1:]])

    @last_token_id.setter
    def last_token_id(self, value: torch.Tensor) -> None:
        self._ids[-1:] = value.reshape(-1).tolist()

    @property
    def position(self) -> int:
        """Tokens in the nodes' caches. Setting it forgets what follows."""
        return min(self.inner.position, len(self._ids))

    @position.setter
    def position(self, value: int) -> None:
        if not 0 <= value <= len(self._ids):
            raise ValueError(f"position must be between 0 and {len(self._ids)}, not {value}")
        del self._ids[value:]

    def __enter__(self) -> DistributedSession:
        """Inside the scope, ``generate`` uses this session when it is given none."""
        self._scope.callback(self._active.reset, self._active.set(self))
        return self

    def __exit__(self, *_: object) -> None:
        self._scope.close()
        self.close()

    def close(self) -> None:
        """Free the nodes' caches; closing twice does nothing."""
        session, self._session = self._session, None
        if session is not None and not self._loop.closed:
            self._loop.run(session.close())

    def generate(self, request: Request) -> list[int]:
        """The prompt, if there is one, with its reply; both stay in the session.

        Raises:
            ValueError: more than one prompt, or nothing to go on from.
            ContextOverflow: the session cannot hold that much.
            FarMeshError: the swarm cannot serve.
        """
        if len(request.prompts) > 1:
            raise ValueError("a session holds one sequence; open one session per row")
        prompt = request.prompts[0] if request.prompts else []
        if not prompt and not self._ids:
            raise ValueError("a new session needs inputs")
        have = len(self._ids) + len(prompt)
        params = request.params(have)
        if have + params.max_new_tokens > self.max_length:
            raise ContextOverflow(have + params.max_new_tokens, self.max_length)
        new = self._loop.run(reply(self.inner, self._ids, prompt, params, request.streamer))
        self._ids = [*self._ids, *prompt, *new]
        return prompt + new


async def reply(
    session: InferenceSession,
    known: list[int],
    prompt: list[int],
    params: SamplingParams,
    streamer: Streamer | None,
) -> list[int]:
    """The new tokens behind ``known`` and ``prompt``; a streamer sees prompt and tokens come."""
    if streamer is not None:
        streamer.put(torch.tensor([prompt]))
    new: list[int] = []
    async with contextlib.aclosing(session.generate(known + prompt, params)) as events:
        async for event in events:
            if isinstance(event, TokenGenerated):
                new.append(event.token_id)
                if streamer is not None:
                    streamer.put(torch.tensor([event.token_id]))
    if streamer is not None:
        streamer.end()
    return new
