"""Upstream's public API over this engine: code written for it runs after changing one import.

``AutoDistributedModelForCausalLM.from_pretrained`` gives a model whose ``generate`` and
``inference_session`` behave as upstream's documentation says. It is synchronous, as callers
expect: each model has a thread in which the engine's asyncio loop runs.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import logging
from collections.abc import Iterator, Sequence
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import torch

from farmesh.client.client import FarMeshClient
from farmesh.config import ClientConfig
from farmesh.constants import PUBLIC_INITIAL_PEERS
from farmesh.hub.progress import FetchBar
from farmesh.upstream.loop import LoopThread
from farmesh.upstream.session import DistributedSession, Length, Request, Streamer, reply

logger = logging.getLogger(__name__)

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


class DistributedCausalLM:
    """A causal language model whose blocks run in a swarm. Made by ``from_pretrained``."""

    def __init__(self, loop: LoopThread, client: FarMeshClient) -> None:
        """
        Args:
            client: entered, in the loop; both are this model's to close.
        """
        self.config = client.model_config
        self.device = torch.device("cpu")  # where results are put
        self._loop = loop
        self._client = client
        self._active: ContextVar[DistributedSession | None] = ContextVar("session", default=None)
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
        """Leave the swarm. Also happens when the process ends; closing twice does nothing."""
        atexit.unregister(self.close)
        if not self._loop.closed:
            self._loop.run(self._client.__aexit__(None, None, None))
            self._loop.close()

    # --- sessions -------------------------------------------------------------------------------

    def inference_session(self, *, max_length: int) -> DistributedSession:
        """A session for up to ``max_length`` tokens; use it in a ``with`` statement."""
        return DistributedSession(self._loop, self._client.session(max_length), self._active)

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
        sampling = {
            "temperature": (1.0 if temperature is None else temperature) if do_sample else 0.0,
            "top_k": (top_k or 0) if do_sample else 0,
            "top_p": 1.0 if top_p is None or not do_sample else top_p,
            "repetition_penalty": 1.0 if repetition_penalty is None else repetition_penalty,
        }
        request = Request(
            _prompts(inputs if inputs is not None else input_ids),
            Length(max_new_tokens, max_length),
            sampling,
            streamer,
        )
        session = session or self.active_session
        if session is not None:
            rows = [session.generate(request)]
        else:
            rows = self._loop.run(self._without_session(request))
        return _stack(rows, self._pad_token_id).to(self.device)

    @property
    def _pad_token_id(self) -> int:
        pad = getattr(self.config, "pad_token_id", None)
        return int(pad) if pad is not None else min(self._client.eos_token_ids, default=0)

    async def _without_session(self, request: Request) -> list[list[int]]:
        """Each prompt with its reply, in a session of its own."""
        if not request.prompts:
            raise ValueError("generate needs inputs, or a session that goes on")
        if request.streamer is not None and len(request.prompts) > 1:
            raise ValueError("a streamer takes a batch of one")

        async def one(prompt: list[int]) -> list[int]:
            params = request.params(len(prompt))
            async with self._client.session(len(prompt) + params.max_new_tokens) as session:
                return prompt + await reply(session, [], prompt, params, request.streamer)

        return list(await asyncio.gather(*(one(prompt) for prompt in request.prompts)))


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
            model_name_or_path: a checkpoint folder, a GGUF file, or a name on the hub; of that
                only the embeddings, final norm, LM head and configuration are fetched.
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
        limits: dict[str, Any] = {} if max_retries is None else {"max_reroutes": max_retries}
        config = ClientConfig(
            checkpoint=model_name_or_path,
            revision=revision,
            cache_dir=None if cache_dir is None else Path(cache_dir),
            hf_token=next((one for one in (token, use_auth_token) if isinstance(one, str)), None),
            active_adapter=active_adapter or None,
            initial_peers=tuple(map(str, initial_peers)),
            dht_prefix=dht_prefix,
            use_push=use_server_to_server,
            **limits,
        )
        loop = LoopThread()
        try:
            client = FarMeshClient(config, progress=FetchBar())
            loop.run(client.__aenter__())
        except BaseException:
            loop.close()
            raise
        return DistributedCausalLM(loop, client)
