"""Upstream's public API over this engine: code written for it runs after changing one import.

``AutoDistributedModelForCausalLM.from_pretrained`` gives a model whose ``generate`` and
``inference_session`` behave as upstream's documentation says. It is synchronous, as callers
expect: the engine's asyncio loop runs in a thread of its own.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import logging
import threading
from collections.abc import Coroutine, Iterator, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

import torch

from farmesh.client.client import FarMeshClient
from farmesh.client.session import InferenceSession
from farmesh.config import ClientConfig
from farmesh.constants import PUBLIC_INITIAL_PEERS
from farmesh.errors import ContextOverflow, SessionClosed
from farmesh.events import TokenGenerated
from farmesh.hub.progress import FetchBar
from farmesh.params import SamplingParams

logger = logging.getLogger(__name__)

_T = TypeVar("_T")

# Accepted because upstream's callers pass them; the engine has no such knob, or does it by itself.
_WITHOUT_EFFECT = frozenset(
    {
        "compression",
        "daemon_startup_timeout",
        "low_cpu_mem_usage",
        "max_backoff",
        "max_pinged",
        "min_backoff",
        "ping_n_servers",
        "request_timeout",
        "session_timeout",
        "show_route",
        "step_timeout",
        "trust_remote_code",
        "update_period",
    }
)


class Streamer(Protocol):
    """transformers' streamers, ``TextStreamer`` for one."""

    def put(self, value: torch.Tensor) -> None: ...

    def end(self) -> None: ...


class _Loop:
    """One asyncio loop in a daemon thread, shared by all models of this process."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._lock = threading.Lock()

    def run(self, work: Coroutine[Any, Any, _T]) -> _T:
        """Run to the end and return the result; an interrupt here cancels the work there."""
        future = asyncio.run_coroutine_threadsafe(work, self._started())
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise

    def _started(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                threading.Thread(
                    target=self._loop.run_forever, name="farmesh-loop", daemon=True
                ).start()
            return self._loop


_LOOP = _Loop()


@dataclass(frozen=True, slots=True)
class _Plan:
    """What one ``generate`` call asks for, checked."""

    prompt: list[int]  # new tokens of the caller
    known: list[int]  # tokens of the session before them
    params: SamplingParams

    @property
    def token_ids(self) -> list[int]:
        return self.known + self.prompt


class DistributedSession:
    """Upstream's inference session: a conversation's tokens, whose caches live on the nodes."""

    def __init__(self, model: DistributedCausalLM, max_length: int) -> None:
        self._model = model
        self._session: InferenceSession | None = model._client.session(max_length)
        self._ids: list[int] = []
        self._active = contextlib.ExitStack()  # while its scope is entered

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
        self._active.enter_context(self._model.use_session(self))
        return self

    def __exit__(self, *_: object) -> None:
        self._active.close()
        self.close()

    def close(self) -> None:
        """Free the nodes' caches; closing twice does nothing."""
        session, self._session = self._session, None
        if session is not None:
            _LOOP.run(session.close())


class DistributedCausalLM:
    """A causal language model whose blocks run in a swarm. Made by ``from_pretrained``."""

    def __init__(self, client: FarMeshClient, config: Any) -> None:
        self._client = client
        self.config = config
        self.device = torch.device("cpu")  # where results are put
        self._active: ContextVar[DistributedSession | None] = ContextVar("session", default=None)
        _LOOP.run(client.__aenter__())
        atexit.register(self.close)

    def __repr__(self) -> str:
        return f"<DistributedCausalLM {self._client!r}>"

    def to(self, device: Any = None, dtype: Any = None) -> DistributedCausalLM:
        """Where ``generate`` puts its results; the client's part itself computes on the CPU."""
        if isinstance(device, str | torch.device):
            self.device = torch.device(device)
        return self

    def cuda(self) -> DistributedCausalLM:
        return self.to("cuda")

    def eval(self) -> DistributedCausalLM:
        return self

    def close(self) -> None:
        """Leave the swarm. Also happens when the process ends."""
        atexit.unregister(self.close)
        _LOOP.run(self._client.__aexit__(None, None, None))

    # --- sessions -------------------------------------------------------------------------------

    def inference_session(self, *, max_length: int) -> DistributedSession:
        """A session for up to ``max_length`` tokens; use it in a ``with`` statement."""
        return DistributedSession(self, max_length)

    @property
    def active_session(self) -> DistributedSession | None:
        return self._active.get()

    @contextlib.contextmanager
    def use_session(
        self, session: DistributedSession | None
    ) -> Iterator[DistributedSession | None]:
        """``generate`` uses this session inside the block when it is given none."""
        token = self._active.set(session)
        try:
            yield session
        finally:
            self._active.reset(token)

    # --- generation -----------------------------------------------------------------------------

    def generate(
        self,
        inputs: torch.Tensor | None = None,
        *,
        max_new_tokens: int | None = None,
        max_length: int | None = None,
        do_sample: bool | None = False,
        temperature: float | None = None,
        top_k: int | None = None,
        top_p: float | None = None,
        repetition_penalty: float | None = None,
        session: DistributedSession | None = None,
        streamer: Streamer | None = None,
        input_ids: torch.Tensor | None = None,
        **others: Any,
    ) -> torch.Tensor:
        """Continue ``inputs`` ``[batch, tokens]``; returns them with the new tokens behind.

        Inside a session the result leaves out what the session held before the call, and
        ``inputs`` may be left out: the reply then goes on where it stopped. Exactly one of
        ``max_new_tokens`` and ``max_length`` (in tokens, the session's included) must be given.
        A sampling value that is None is neutral: upstream's chat backend passes all of them.

        Raises:
            ValueError: contradicting or unsupported arguments.
            ContextOverflow: the session cannot hold that much.
            FarMeshError: the swarm cannot serve.
        """
        _check_unsupported(others)
        inputs = inputs if inputs is not None else input_ids
        prompts = _prompts(inputs)
        session = session or self.active_session
        length = _Length(max_new_tokens, max_length)
        sampling = {
            "temperature": (1.0 if temperature is None else temperature) if do_sample else 0.0,
            "top_k": (top_k or 0) if do_sample else 0,
            "top_p": 1.0 if top_p is None or not do_sample else top_p,
            "repetition_penalty": 1.0 if repetition_penalty is None else repetition_penalty,
        }
        if session is not None:
            rows = [self._in_session(session, prompts, length, sampling, streamer)]
        else:
            rows = _LOOP.run(self._without_session(prompts, length, sampling, streamer))
        return _stack(rows, self._pad_token_id).to(self.device)

    @property
    def _pad_token_id(self) -> int:
        pad = getattr(self.config, "pad_token_id", None)
        return int(pad) if pad is not None else min(self._client.eos_token_ids, default=0)

    def _in_session(
        self,
        session: DistributedSession,
        prompts: list[list[int]],
        length: _Length,
        sampling: dict[str, Any],
        streamer: Streamer | None,
    ) -> list[int]:
        if len(prompts) > 1:
            raise ValueError("a session holds one sequence; open one session per row")
        prompt = prompts[0] if prompts else []
        known = session._ids
        if not prompt and not known:
            raise ValueError("a new session needs inputs")
        params = SamplingParams(max_new_tokens=length.new(len(known) + len(prompt)), **sampling)
        plan = _Plan(prompt, known, params)
        total = len(plan.token_ids) + params.max_new_tokens
        if total > session.max_length:
            raise ContextOverflow(total, session.max_length)
        new = _LOOP.run(_collect(session.inner, plan, streamer))
        session._ids = plan.token_ids + new
        return prompt + new

    async def _without_session(
        self,
        prompts: list[list[int]],
        length: _Length,
        sampling: dict[str, Any],
        streamer: Streamer | None,
    ) -> list[list[int]]:
        if not prompts:
            raise ValueError("generate needs inputs, or a session that goes on")
        if streamer is not None and len(prompts) > 1:
            raise ValueError("a streamer takes a batch of one")

        async def one(prompt: list[int]) -> list[int]:
            params = SamplingParams(max_new_tokens=length.new(len(prompt)), **sampling)
            async with self._client.session(len(prompt) + params.max_new_tokens) as session:
                return prompt + await _collect(session, _Plan(prompt, [], params), streamer)

        return list(await asyncio.gather(*(one(prompt) for prompt in prompts)))


@dataclass(frozen=True, slots=True)
class _Length:
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


async def _collect(session: InferenceSession, plan: _Plan, streamer: Streamer | None) -> list[int]:
    """The new tokens of one reply; a streamer sees each of them as it comes."""
    if streamer is not None:
        streamer.put(torch.tensor([plan.prompt]))
    new: list[int] = []
    async with contextlib.aclosing(session.generate(plan.token_ids, plan.params)) as events:
        async for event in events:
            if isinstance(event, TokenGenerated):
                new.append(event.token_id)
                if streamer is not None:
                    streamer.put(torch.tensor([event.token_id]))
    if streamer is not None:
        streamer.end()
    return new


def _prompts(inputs: torch.Tensor | None) -> list[list[int]]:
    if inputs is None:
        return []
    if inputs.dim() != 2 or inputs.is_floating_point():
        raise ValueError("inputs must be token ids [batch, tokens]")
    return [row for row in inputs.tolist() if row]


def _stack(rows: Sequence[list[int]], pad: int) -> torch.Tensor:
    """``[batch, longest]``; shorter rows end in padding."""
    longest = max(map(len, rows))
    return torch.tensor([row + [pad] * (longest - len(row)) for row in rows])


def _check_unsupported(others: dict[str, Any]) -> None:
    """Arguments of transformers' ``generate`` that change the result must not be dropped."""
    mask = others.pop("attention_mask", None)
    if mask is not None and not bool(torch.as_tensor(mask).bool().all()):
        raise ValueError("padding inside inputs is not supported; pass rows of equal length")
    if others.pop("num_beams", 1) not in (None, 1):
        raise ValueError("beam search is not supported; num_beams must be 1")
    for harmless in ("pad_token_id", "use_cache", "return_dict_in_generate"):
        others.pop(harmless, None)
    if others:
        raise ValueError(f"unsupported arguments: {', '.join(sorted(others))}")


class AutoDistributedModelForCausalLM:
    """Upstream's entry point: ``from_pretrained`` and nothing else."""

    @classmethod
    def from_pretrained(
        cls,
        model_name_or_path: str | Path,
        *,
        initial_peers: Sequence[str] = PUBLIC_INITIAL_PEERS,
        torch_dtype: Any = None,
        active_adapter: str | None = None,
        max_retries: int | None = None,
        dht_prefix: str | None = None,
        use_server_to_server: bool = True,
        revision: str | None = None,
        cache_dir: str | Path | None = None,
        token: str | bool | None = None,
        use_auth_token: str | bool | None = None,
        **others: Any,
    ) -> DistributedCausalLM:
        """Load the client's part of a checkpoint and join its swarm.

        Args:
            model_name_or_path: a checkpoint folder, or a name on the hub; of that only the
                embeddings, final norm, LM head and configuration are fetched.
            initial_peers: addresses of bootstrap peers; default: the public swarm.
            torch_dtype: accepted for compatibility; the client's part computes in float32.
            active_adapter: LoRA that the nodes apply, by its name in the swarm; only nodes that
                serve it are used.
            max_retries: lost nodes in a row before a reply is given up; None: the default.
            dht_prefix: key of the model in the DHT; None: derived from the name.
            use_server_to_server: let nodes hand activations straight to one another.
            revision: branch, tag or commit on the hub.
            cache_dir: where files from the hub are kept; None: the hub's own cache.
            token: for the hub; None or True: HF_TOKEN, or who is logged in here.
            use_auth_token: the same under its old name.

        Raises:
            CheckpointError, ConfigError: the checkpoint or an address cannot be used.
        """
        unknown = sorted(set(others) - _WITHOUT_EFFECT)
        if unknown:
            raise TypeError(f"from_pretrained got unknown arguments: {', '.join(unknown)}")
        if others:
            logger.debug("without effect here: %s", ", ".join(sorted(others)))
        config = ClientConfig(
            checkpoint=model_name_or_path,
            revision=revision,
            cache_dir=None if cache_dir is None else Path(cache_dir),
            hf_token=next((one for one in (token, use_auth_token) if isinstance(one, str)), None),
            active_adapter=active_adapter or None,
            initial_peers=tuple(map(str, initial_peers)),
            dht_prefix=dht_prefix,
            use_push=use_server_to_server,
            **({} if max_retries is None else {"max_reroutes": max_retries}),
        )
        client = _LOOP.run(_make_client(config))
        return DistributedCausalLM(client, client.model_config)


async def _make_client(config: ClientConfig) -> FarMeshClient:
    # It may ask the hub, which must not hold up the sessions of other models.
    return await asyncio.to_thread(FarMeshClient, config, progress=FetchBar())
