"""FarMeshClient: joins a swarm, knows its nodes, opens inference sessions."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from functools import partial
from typing import Any

from transformers import PreTrainedConfig

from farmesh.checkpoint.families import prefixes_of
from farmesh.checkpoint.reader import Checkpoint
from farmesh.client.dialling import Dialler
from farmesh.client.ends import Ends
from farmesh.client.lookout import Lookout
from farmesh.client.session import InferenceSession
from farmesh.client.stem import Stem
from farmesh.client.view import SwarmView
from farmesh.config import ClientConfig
from farmesh.core import SwarmSnapshot
from farmesh.errors import FarMeshError
from farmesh.guides import Guides
from farmesh.hub.progress import Progress
from farmesh.network.libp2p import libp2p_network
from farmesh.network.transport import NetworkFactory


class FarMeshClient:
    """A client of one model's swarm; an ``async with`` scope.

    Entering loads the client's part of the checkpoint and returns; the swarm is joined in the
    background, and sessions wait for it.

    Raises on entry:
        CheckpointError: the checkpoint cannot be used.
        ConfigError: an address cannot be parsed.
    """

    def __init__(
        self,
        config: ClientConfig,
        *,
        network: NetworkFactory | None = None,
        progress: Progress | None = None,
        ends: Ends | None = None,
        tokenizer: Any = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """
        Args:
            network: how the swarm is joined; None: over libp2p.
            progress: told, in another thread, how many bytes of how many have come from the hub.
            ends: the client's part of the model; None: the configured checkpoint's.
            tokenizer: transformers'; replies can be held to a grammar only when it is known.
            clock: seconds that only move forward.
        """
        self.config = config
        self._tokenizer = tokenizer
        self.guides: Guides | None = None  # None: replies are not held to grammars
        self._progress = progress
        self._ends = ends or Ends(
            Checkpoint(
                config.checkpoint,
                revision=config.revision,
                cache_dir=config.cache_dir,
                token=config.hf_token,
            ),
            threads=config.threads or 1,
            make_stem=partial(Stem, quantize=config.quantize, threads=config.threads),
            clock=clock,
        )
        checkpoint = self._ends.checkpoint
        prefix = config.dht_prefix or checkpoint.default_prefix
        join = network or libp2p_network(
            connect_timeout=config.connect_timeout,
            initial_peers=config.initial_peers,
            client_mode=True,
        )
        self._view = SwarmView(prefix, checkpoint.num_blocks, config)
        self._lookout = Lookout(self._view, join, config, clock)
        self._dialler = Dialler(self._lookout, config, checkpoint.hidden_size)

    def __repr__(self) -> str:
        state = "JOINED" if self.joined else "JOINING"
        return f"<FarMeshClient {state} {self.prefix}, {self._view.num_online} nodes online>"

    # --- the model --------------------------------------------------------------------------------

    @property
    def num_blocks(self) -> int:
        return self._ends.checkpoint.num_blocks

    @property
    def hidden_size(self) -> int:
        return self._ends.checkpoint.hidden_size

    @property
    def max_context(self) -> int:
        """Tokens that a session can hold: the model's context, within the configured limit."""
        return min(self._ends.checkpoint.max_context, self.config.max_session_tokens)

    @property
    def model_config(self) -> PreTrainedConfig:
        """The checkpoint's config, as transformers reads it."""
        return self._ends.checkpoint.config

    @property
    def eos_token_ids(self) -> frozenset[int]:
        return self._ends.checkpoint.eos_token_ids

    # --- the swarm --------------------------------------------------------------------------------

    @property
    def prefix(self) -> str:
        """The model's key in the DHT."""
        return self._view.prefix

    @property
    def joined(self) -> bool:
        """Whether a bootstrap peer has answered."""
        return self._lookout.joined

    @property
    def join_error(self) -> FarMeshError | None:
        """Why joining has not succeeded so far."""
        return self._lookout.join_error

    @property
    def snapshot(self) -> SwarmSnapshot:
        """The swarm as last seen, with the round trips measured from here."""
        return self._view.snapshot

    async def refresh(self) -> SwarmSnapshot:
        """Look at the DHT now.

        Raises: SwarmUnreachable when the swarm was not joined or does not answer.
        """
        await self._lookout.look()
        return self.snapshot

    async def look_for(self, names: Collection[str]) -> dict[str, SwarmSnapshot]:
        """Who serves other models in this swarm, by the names that were asked for.

        Args:
            names: of models on the hub, of GGUF files without their ending, or DHT keys. A model
                that no node lists is left out of the answer.

        Raises: SwarmUnreachable when the swarm was not joined or does not answer.
        """
        keys = {key: name for name in names for key in (name, *prefixes_of(name))}
        return {keys[seen.prefix]: seen for seen in await self._lookout.look_for(keys)}

    # --- lifetime ---------------------------------------------------------------------------------

    async def __aenter__(self) -> FarMeshClient:
        await self._ends.load(self._progress)
        if self._tokenizer is not None:
            self.guides = Guides(self._tokenizer, self.eos_token_ids)
        await self._lookout.__aenter__()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._lookout.__aexit__()
        if self.guides is not None:
            self.guides.close()
        self._ends.close()

    def session(self, max_length: int | None = None) -> InferenceSession:
        """A new inference session; its hops are opened by its first reply."""
        length = min(max_length or self.max_context, self.max_context)
        return InferenceSession(self._lookout, self._dialler, self._ends, length, self.guides)
