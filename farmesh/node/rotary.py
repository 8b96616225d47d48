"""Positions of packed tokens, and their rotary embeddings."""

from __future__ import annotations

from typing import Any

import torch

from farmesh.node.attention import PackedBatch


class RotaryPositions:
    """A model's rotary embedding, applied to packed tokens; nothing for models without one."""

    def __init__(self, module: Any, device: torch.device) -> None:
        self._module: Any = None if module is None else module.to(device)
        self.by_type = hasattr(module, "layer_types")  # Gemma 3: one set per type of layer
        # These choose their frequencies by the longest context they see: sessions, packed
        # together, must not choose for one another.
        types = getattr(module, "rope_type", None)
        kinds = set(types.values()) if isinstance(types, dict) else {types}
        self.by_session = bool(kinds & {"dynamic", "longrope"})

    def begin(self, hidden_states: torch.Tensor, packed: PackedBatch) -> PackedPositions:
        return PackedPositions(self, hidden_states, packed)

    def at(self, position_ids: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Cosines and sines ``[1, positions, head_dim]`` of any positions ``[1, positions]``."""
        cos, sin = self._module(torch.empty(0), position_ids)
        return cos, sin

    def compute(
        self, hidden_states: torch.Tensor, packed: PackedBatch, layer_type: str | None
    ) -> tuple[torch.Tensor, torch.Tensor] | None:
        """Cosines and sines ``[1, tokens, head_dim]``."""
        if self._module is None:
            return None
        extra = (layer_type,) if self.by_type else ()
        if not self.by_session:
            cos, sin = self._module(hidden_states, packed.position_ids, *extra)
            return cos, sin
        parts = [
            self._module(
                hidden_states,
                packed.position_ids[:, segment.row : segment.row + segment.tokens],
                *extra,
            )
            for segment in packed.segments
        ]
        return torch.cat([cos for cos, _ in parts], 1), torch.cat([sin for _, sin in parts], 1)


class PackedPositions:
    """The position embeddings of one forward, computed once per type of layer."""

    def __init__(
        self, rotary: RotaryPositions, hidden_states: torch.Tensor, packed: PackedBatch
    ) -> None:
        self._rotary = rotary
        self._hidden_states = hidden_states
        self._packed = packed
        self._known: dict[str | None, Any] = {}

    def of(self, layer_type: str | None) -> Any:
        if not self._rotary.by_type:
            layer_type = None
        if layer_type not in self._known:
            self._known[layer_type] = self._rotary.compute(
                self._hidden_states, self._packed, layer_type
            )
        return self._known[layer_type]
