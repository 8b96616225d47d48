"""FarMesh: run large language models together, block by block, over a swarm of nodes.

The public names are imported when first used, so that ``import farmesh`` stays cheap.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from farmesh.checkpoint.gguf_model import open_gguf
    from farmesh.checkpoint.tokenizer import load_tokenizer
    from farmesh.client.client import FarMeshClient
    from farmesh.client.session import InferenceSession
    from farmesh.config import BootstrapConfig, ClientConfig, NodeConfig
    from farmesh.core import Hop, NodeInfo, NodeState, Route, Span, SwarmSnapshot
    from farmesh.errors import FarMeshError
    from farmesh.events import (
        Event,
        FinishReason,
        GenerationFinished,
        GenerationStats,
        PrefillProgress,
        Rerouted,
        RouteFound,
        TokenGenerated,
        WaitingForBlocks,
        WaitingForCache,
    )
    from farmesh.network.bootstrap import Bootstrap
    from farmesh.node import FarNode
    from farmesh.params import SamplingParams
    from farmesh.upstream.model import AutoDistributedModelForCausalLM

_HOMES = {
    "farmesh.checkpoint.gguf_model": ("open_gguf",),
    "farmesh.checkpoint.tokenizer": ("load_tokenizer",),
    "farmesh.client.client": ("FarMeshClient",),
    "farmesh.config": ("BootstrapConfig", "ClientConfig", "NodeConfig"),
    "farmesh.core": ("Hop", "NodeInfo", "NodeState", "Route", "Span", "SwarmSnapshot"),
    "farmesh.events": (
        "Event",
        "FinishReason",
        "GenerationFinished",
        "GenerationStats",
        "PrefillProgress",
        "Rerouted",
        "RouteFound",
        "TokenGenerated",
        "WaitingForBlocks",
        "WaitingForCache",
    ),
    "farmesh.params": ("SamplingParams",),
    "farmesh.upstream.model": ("AutoDistributedModelForCausalLM",),
    "farmesh.errors": ("FarMeshError",),
    "farmesh.node": ("FarNode",),
    "farmesh.network.bootstrap": ("Bootstrap",),
    "farmesh.client.session": ("InferenceSession",),
}
_HOME_OF = {name: module for module, names in _HOMES.items() for name in names}

__all__ = [  # noqa: RUF022 - grouped by module, as above
    "open_gguf",
    "load_tokenizer",
    "FarMeshClient",
    "BootstrapConfig",
    "ClientConfig",
    "NodeConfig",
    "Event",
    "FinishReason",
    "GenerationFinished",
    "GenerationStats",
    "Hop",
    "NodeInfo",
    "NodeState",
    "PrefillProgress",
    "Rerouted",
    "Route",
    "RouteFound",
    "SamplingParams",
    "Span",
    "SwarmSnapshot",
    "TokenGenerated",
    "WaitingForBlocks",
    "WaitingForCache",
    "AutoDistributedModelForCausalLM",
    "FarMeshError",
    "FarNode",
    "Bootstrap",
    "InferenceSession",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOME_OF[name]), name)
