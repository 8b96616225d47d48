"""Model families: which model types can be served, and what is special about some.

Nodes run transformers' own layers, found in transformers' own model (:mod:`anatomy`); a type of
which the test says that it is exact needs nothing here (docs/families.md). What is here: under
which key upstream's nodes look for a family's models, and which layers are called in another way.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from farmesh.checkpoint import tried
from farmesh.errors import UnsupportedModel


@dataclass(frozen=True, slots=True)
class Family:
    """What is special about a model family; most have nothing but their DHT prefix."""

    model_type: str
    runner: str = "interface"  # of farmesh.node.runners
    dht_prefix: Callable[[str], str] = lambda name: _last_part(name)


# --- DHT prefixes: upstream's rules, so that both kinds of nodes find one another ---------------


def _clean(name: str) -> str:
    return name.replace(".", "-").replace(" ", "-")


def _last_part(name: str) -> str:
    return _clean(name.split("/")[-1])


def _last_part_hf(name: str) -> str:
    short = _last_part(name)
    return short if short.endswith("-hf") else f"{short}-hf"


def _bloom_prefix(name: str) -> str:
    return f"{_clean(name)}-petals"


# --- The families -------------------------------------------------------------------------------

_SPECIAL: dict[str, Family] = {
    family.model_type: family
    for family in (
        Family("llama", dht_prefix=_last_part_hf),
        Family("mixtral", dht_prefix=_clean),
        Family("falcon", runner="falcon"),
        Family("bloom", runner="bloom", dht_prefix=_bloom_prefix),
    )
}


# Settings of types that are served with which a block is no map of hidden states alone.
_BEYOND = {
    "num_kv_shared_layers": "some of its blocks take keys and values from others",
    "hidden_size_per_layer_input": "its blocks take the tokens too, beside their hidden states",
}


def supported_models() -> tuple[str, ...]:
    """The model types that can be served, as ``config.json`` names them."""
    return tuple(sorted(tried.WORKS))


def prefixes_of(name: str) -> frozenset[str]:
    """The DHT keys that a model of this name may have, whatever its family."""
    families = (Family("any"), *_SPECIAL.values())
    return frozenset(family.dht_prefix(name) for family in families)


def family_of(config: Mapping[str, Any]) -> Family:
    """The family of a ``config.json``.

    Raises: UnsupportedModel, naming the architecture, why it is not served, and what is nearest.
    """
    model_type = str(config.get("model_type"))
    if model_type not in tried.WORKS:
        reason = tried.REFUSED.get(model_type)
        near = difflib.get_close_matches(model_type, supported_models(), n=3, cutoff=0.5)
        raise UnsupportedModel(
            f"Models of type {model_type!r} cannot be served here"
            + (f": {reason}." if reason else ".")
            + (f" The nearest types that can: {', '.join(near)}." if near else "")
            + " `python -m farmesh families` lists all."
        )
    text = config.get("text_config")
    for described in (config, text if isinstance(text, Mapping) else {}):
        for setting, reason in _BEYOND.items():
            if described.get(setting):
                raise UnsupportedModel(
                    f"This model of type {model_type!r} cannot be served: {reason} ({setting})."
                )
    return _SPECIAL.get(model_type) or Family(model_type)
