"""FarMesh: run large language models together, block by block, over a swarm of nodes.

The public names are imported when first used, so that ``import farmesh`` stays cheap.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # the same for type checkers; tests/test_packaging.py holds the two together
    from farmesh.checkpoint.gguf_model import open_gguf as open_gguf
    from farmesh.checkpoint.tokenizer import load_tokenizer as load_tokenizer
    from farmesh.client.client import FarMeshClient as FarMeshClient
    from farmesh.client.session import InferenceSession as InferenceSession
    from farmesh.config import BootstrapConfig as BootstrapConfig
    from farmesh.config import ClientConfig as ClientConfig
    from farmesh.config import NodeConfig as NodeConfig
    from farmesh.core import Hop as Hop
    from farmesh.core import NodeInfo as NodeInfo
    from farmesh.core import NodeState as NodeState
    from farmesh.core import Route as Route
    from farmesh.core import Span as Span
    from farmesh.core import SwarmSnapshot as SwarmSnapshot
    from farmesh.errors import FarMeshError as FarMeshError
    from farmesh.events import Event as Event
    from farmesh.events import FinishReason as FinishReason
    from farmesh.events import GenerationFinished as GenerationFinished
    from farmesh.events import GenerationStats as GenerationStats
    from farmesh.events import PrefillProgress as PrefillProgress
    from farmesh.events import Rerouted as Rerouted
    from farmesh.events import RouteFound as RouteFound
    from farmesh.events import TokenGenerated as TokenGenerated
    from farmesh.events import WaitingForBlocks as WaitingForBlocks
    from farmesh.events import WaitingForCache as WaitingForCache
    from farmesh.guides import Guide as Guide
    from farmesh.guides import Guides as Guides
    from farmesh.network.bootstrap import Bootstrap as Bootstrap
    from farmesh.node import FarNode as FarNode
    from farmesh.params import SamplingParams as SamplingParams
    from farmesh.upstream.model import (
        AutoDistributedModelForCausalLM as AutoDistributedModelForCausalLM,
    )

_HOMES = {
    "farmesh.checkpoint.gguf_model": ("open_gguf",),
    "farmesh.checkpoint.tokenizer": ("load_tokenizer",),
    "farmesh.client.client": ("FarMeshClient",),
    "farmesh.client.session": ("InferenceSession",),
    "farmesh.config": (
        "BootstrapConfig",
        "ClientConfig",
        "NodeConfig",
    ),
    "farmesh.core": (
        "Hop",
        "NodeInfo",
        "NodeState",
        "Route",
        "Span",
        "SwarmSnapshot",
    ),
    "farmesh.errors": ("FarMeshError",),
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
    "farmesh.guides": ("Guide", "Guides"),
    "farmesh.network.bootstrap": ("Bootstrap",),
    "farmesh.node": ("FarNode",),
    "farmesh.params": ("SamplingParams",),
    "farmesh.upstream.model": ("AutoDistributedModelForCausalLM",),
}
_HOME_OF = {name: module for module, names in _HOMES.items() for name in names}

__all__ = [*_HOME_OF]


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOME_OF[name]), name)
