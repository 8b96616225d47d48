"""Frozen settings of the engine; each knob one line with unit and meaning."""

from __future__ import annotations

import enum
import math
from dataclasses import dataclass, field
from pathlib import Path

from farmesh.core import Span
from farmesh.errors import ConfigError


class Relay(enum.StrEnum):
    """Whether a peer is reached through others, or others through it."""

    AUTO = "auto"  # through the bootstrap peers when libp2p finds that nobody gets in directly
    ALWAYS = "always"  # through the bootstrap peers, from behind a router or a firewall
    NEVER = "never"  # directly or not at all
    OFFER = "offer"  # directly, and others through it


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientConfig:
    """How a client joins a swarm and holds its sessions."""

    checkpoint: Path | str  # folder with safetensors, GGUF file, or a name on the hub
    revision: str | None = None  # branch, tag or commit on the hub; None: its main branch
    cache_dir: Path | None = None  # of what comes from the hub; None: the hub's own (HF_HOME)
    hf_token: str | None = field(default=None, repr=False)  # None: HF_TOKEN, or who is logged in
    active_adapter: str | None = None  # LoRA that the nodes apply, by its name in the swarm
    initial_peers: tuple[str, ...] = ()  # addresses of bootstrap peers, /ip4/…/p2p/…
    dht_prefix: str | None = None  # None: derived from the checkpoint's name
    threads: int = 0  # for embeddings, norm and LM head; 0: one of torch's, few for packed weights
    quantize: str = "auto"  # their weights: auto, as a GGUF file has them | none | int8
    refresh_period: float = 15.0  # seconds between looks at the DHT; shorter while blocks miss
    prefill_chunk: int = 512  # tokens per prefill message, lowered to keep messages <= 2 MiB
    pipelined_chunk: int = 128  # ... and where each hop can work at another chunk meanwhile
    connect_timeout: float = 5.0  # seconds to open a stream to a node
    step_timeout_floor: float = 1.0  # seconds; no step is called slow sooner than this ...
    step_timeout_factor: float = 10.0  # ... nor before this many times its observed duration
    silence_timeout: float = 2.0  # seconds without a word before a hop is asked if it lives
    max_reroutes: int = 8  # hops lost in a row, without a token between, before giving up
    missing_blocks_timeout: float = 30.0  # seconds to wait for blocks that nobody serves
    ban_seconds: float = 15.0  # first demotion of a lost node; doubles with each failure
    use_push: bool = True  # let nodes hand activations straight to the next hop ...
    push_gain: float = 0.005  # seconds ... that it must save: both work more than for a reply
    max_session_tokens: int = 8192  # longest session asked for, lowered to the model's context


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeConfig:
    """What a node serves and how much of the machine it may use."""

    checkpoint: Path | str  # folder with safetensors, GGUF file, or a name on the hub
    revision: str | None = None  # branch, tag or commit on the hub; None: its main branch
    cache_dir: Path | None = None  # of what comes from the hub; None: the hub's own (HF_HOME)
    initial_peers: tuple[str, ...] = ()  # empty: this node founds a swarm of its own
    span: Span | None = None  # None: the blocks that the swarm serves worst
    num_blocks: int | None = None  # how many, when the span is chosen; None: what fits
    dht_prefix: str | None = None  # None: derived from the checkpoint's name
    host: str = "127.0.0.1"  # address to listen on
    port: int = 0  # TCP port to listen on; 0: a free one
    announce: tuple[str, ...] = ()  # full addresses to announce instead of the listened one
    identity_path: Path | None = None  # private key file, made when missing; None: a new identity
    relay: Relay = Relay.AUTO  # through the bootstrap peers: auto | always | never
    public_name: str | None = None  # shown to others beside the node
    device: str = "auto"  # auto | cpu | cuda | cuda:N
    dtype: str = "auto"  # auto: float32 on CPUs, bfloat16 on GPUs
    quantize: str = (
        "auto"  # auto: as a GGUF file has them, where that is fast | none | int8 | int4 | nf4
    )
    adapters: tuple[str, ...] = ()  # LoRAs to serve beside the plain model: folders, hub names
    threads: int = 0  # torch threads; 0: torch's default
    cache_tokens: int = 16384  # tokens of context held in the KV cache, per block, all sessions
    max_session_tokens: int = 131072  # longest session accepted, lowered to cache_tokens
    max_batch_tokens: int = 512  # tokens of one packed forward
    prefill_tokens_beside_decodes: int = 64  # most prefill tokens of a tick that also decodes
    max_sessions: int = 4096  # open at once, of all peers; each costs a stream and a task
    max_sessions_per_peer: int = 1024  # open at once, of one peer; a web app is one peer
    max_cache_tokens_per_peer: int = 0  # tokens of one peer in the KV cache; 0: all that are free
    max_queued_sessions_per_peer: int = 32  # sessions of one peer that may wait for cache
    max_queued_bytes_per_peer: int = 256 * 2**20  # activations of one peer that wait their turn
    allowed_peers: tuple[str, ...] = ()  # peer ids that are served; empty: everybody
    max_queued_sessions: int = 64  # sessions that may wait for cache
    alloc_timeout: float = 10.0  # seconds that a session waits for cache when it names no limit
    session_grace: float = 30.0  # seconds a KV cache outlives a stream that dropped
    update_period: float = 30.0  # seconds between announcements in the DHT
    rebalance_period: float = 120.0  # seconds, on average, between thoughts of moving; 0: never
    balance_quality: float = 0.75  # the swarm's weakest block, relative to what a move would give
    throughput: float | None = None  # announced, blocks x tokens/s; None: as measured at start
    push_timeout: float = 5.0  # seconds for the next hop to accept a pushed activation

    def __post_init__(self) -> None:
        if not 0 <= self.port <= 65535:
            raise ConfigError(f"port must be between 0 and 65535, not {self.port}.")
        if self.cache_tokens < 1:
            raise ConfigError(f"cache_tokens must be at least 1, not {self.cache_tokens}.")
        if self.max_session_tokens < 1:
            raise ConfigError(
                f"max_session_tokens must be at least 1, not {self.max_session_tokens}."
            )
        if not 0 <= self.balance_quality <= 1:
            raise ConfigError(f"balance_quality must be from 0 to 1, not {self.balance_quality}.")
        if self.throughput is not None and not 0 <= self.throughput < math.inf:
            raise ConfigError(f"throughput must be a number from 0 up, not {self.throughput}.")
        for name in _QUOTAS:
            if getattr(self, name) < (name == "max_sessions_per_peer"):
                raise ConfigError(f"{name} must not be {getattr(self, name)}.")


_QUOTAS = (
    "max_sessions_per_peer",
    "max_cache_tokens_per_peer",
    "max_queued_sessions_per_peer",
    "max_queued_bytes_per_peer",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class BootstrapConfig:
    """A peer that others join through; serves no blocks."""

    host: str = "127.0.0.1"  # address to listen on
    port: int = 0  # TCP port to listen on; 0: a free one
    announce: tuple[str, ...] = ()  # full addresses to announce instead of the listened one
    identity_path: Path | None = None  # private key file, made when missing
    initial_peers: tuple[str, ...] = ()  # other bootstrap peers to join
    relay: Relay = Relay.OFFER  # offer: carry traffic for nodes behind routers | never
