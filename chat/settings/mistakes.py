"""What is wrong with a setting, in one sentence with a way out."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pydantic import BaseModel, ValidationError

from chat.settings.origin import Layer
from chat.settings.schema import SECRETS

# --- One sentence for what is wrong -----------------------------------------------------------


def sentence(
    error: ValidationError,
    model: type[BaseModel],
    layers: Sequence[Layer],
    prefix: tuple[str, ...] = (),
) -> str:
    first = error.errors(include_url=False)[0]
    inner = tuple(str(part) for part in first["loc"] if not isinstance(part, int))
    path = (*prefix, *inner)
    dotted = ".".join(path)
    layer = next((layer for layer in reversed(layers) if layer.has(path)), layers[0])
    origin = layer.origin(path)
    if first["type"] == "extra_forbidden":
        known = sorted(fields_of(_model_at(model, inner[:-1])))
        kind = "section" if len(path) == 1 and not prefix else "setting"
        return f"{origin}: there is no {kind} {dotted}{nearest(path[-1], known)}"
    if first["type"].startswith("model"):
        return f"{origin}: {dotted} must be a table; it starts with a line like [{dotted}]."
    if first["type"] == "missing":
        return f"{origin}: {dotted} is missing."
    if path[-1] == "peers":
        return (
            f"{origin}: {first['input']!r} is not the address of a peer; "
            f"one looks like /ip4/10.0.0.5/tcp/31337/p2p/Qm...."
        )
    if path[-1] == "gateway_url":
        return (
            f"{origin}: {first['input']!r} is not the address of a FarMesh Chat; "
            f"one looks like https://chat.example.org."
        )
    if path[-1] in SECRETS:
        return f"{origin}: {dotted} must be a text."
    reason = first["msg"].removeprefix("Value error, ").replace("Input should", "should")
    return f"{origin}: {dotted} is {first['input']!r}, but {reason[0].lower()}{reason[1:]}."


def nearest(name: str, known: Iterable[str]) -> str:
    """``"; did you mean …?"`` or a full stop."""
    match = difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)
    return f"; did you mean {match[0]}?" if match else "."


def _model_at(model: type[BaseModel], path: tuple[str, ...]) -> object:
    at: object = model
    for key in path:
        at = fields_of(at)[key].annotation
    return at


def fields_of(annotation: object) -> Mapping[str, Any]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation.model_fields
    return {}
