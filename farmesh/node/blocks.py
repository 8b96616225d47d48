"""A span of decoder layers, loaded from a checkpoint and run on packed tokens."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch

from farmesh.checkpoint.linear import pack_linears
from farmesh.checkpoint.reader import Checkpoint
from farmesh.core import Span
from farmesh.node.attention import PackedBatch
from farmesh.node.cache import KVCache
from farmesh.node.lora import Adapter, LoraRows
from farmesh.node.quantize import quantize_linears
from farmesh.node.runners import ADAPTERS


class BlockStack:
    """The blocks of one span: transformers' own decoder layers with packed attention."""

    def __init__(
        self,
        checkpoint: Checkpoint,
        span: Span,
        device: torch.device,
        dtype: torch.dtype,
        *,
        quantize: str = "none",
        adapters: Sequence[Adapter] = (),
    ) -> None:
        self.span = span
        self.device = device
        self.dtype = dtype
        self.hidden_size = checkpoint.hidden_size
        family, config = checkpoint.family, checkpoint.config
        self._runner = ADAPTERS[family.adapter]
        self._quantize = quantize
        self._loras = adapters
        self._lora_rows = LoraRows()
        skeleton = family.skeleton(config, self._runner.attention)
        self._kv_shape = family.kv_shape(config)
        self._rotary = RotaryPositions(family.rotary_embedding(skeleton, config), device)
        self._layers = {block: skeleton.get_submodule(f"{family.blocks}.{block}") for block in span}
        self._layer_types = getattr(config, "layer_types", None)
        self._checkpoint = checkpoint

    def __repr__(self) -> str:
        return f"<BlockStack {self.span} {self.dtype} on {self.device}>"

    @property
    def adapters(self) -> tuple[str, ...]:
        """LoRAs that a session may ask for, by name."""
        return tuple(adapter.name for adapter in self._loras)

    @property
    def prefixes(self) -> list[str]:
        """Beginnings of the names of the tensors that this stack needs."""
        return [f"{self._checkpoint.family.blocks}.{block}." for block in self.span]

    def load(self, progress: Callable[[int, int], None] | None = None) -> None:
        """Read the weights, block by block; ``progress(done, total)`` after each."""
        prefix = self._checkpoint.family.blocks
        for done, (block, layer) in enumerate(self._layers.items(), start=1):
            self._runner.prepare(layer)
            self._checkpoint.load_module(layer, f"{prefix}.{block}.", self.dtype)
            if self._quantize != "none":
                quantize_linears(layer, self._quantize, self.dtype, self.device)
            layer.to(self.device)
            pack_linears(layer)
            for adapter in self._loras:
                adapter.attach(layer, block, self._lora_rows, self.dtype, self.device)
            if progress is not None:
                progress(done, len(self._layers))

    def make_cache(self, tokens: int) -> KVCache:
        """An empty KV cache for ``tokens`` tokens of context in every block."""
        return KVCache(
            self.span,
            tokens=tokens,
            kv_heads=self._kv_shape.heads,
            head_dim=self._kv_shape.head_dim,
            dtype=self.dtype,
            device=self.device,
        )

    @torch.inference_mode()
    def forward(self, hidden_states: torch.Tensor, span: Span, packed: PackedBatch) -> torch.Tensor:
        """Run ``span`` (within this stack) on packed tokens.

        Shapes: ``[1, tokens, hidden]`` in and out, in this stack's dtype and on the CPU.
        """
        hidden_states = hidden_states.to(self.device, self.dtype)
        embeddings = self._rotary.begin(hidden_states, packed)
        self._lora_rows.groups = packed.adapters
        for block in span:
            layer_type = self._layer_types[block] if self._layer_types else None
            hidden_states = self._runner.run(
                self._layers[block], hidden_states, embeddings.of(layer_type), packed
            )
        return hidden_states.cpu()


class RotaryPositions:
    """A model's rotary embedding, applied to packed tokens; nothing for models without one."""

    def __init__(self, module: Any, device: torch.device) -> None:
        self._module = None if module is None else module.to(device)
        self.by_type = hasattr(module, "layer_types")  # Gemma 3: one set per type of layer
        # These choose their frequencies by the longest context they see: sessions, packed
        # together, must not choose for one another.
        types = getattr(module, "rope_type", None)
        kinds = set(types.values()) if isinstance(types, dict) else {types}
        self._by_session = bool(kinds & {"dynamic", "longrope"})

    def begin(self, hidden_states: torch.Tensor, packed: PackedBatch) -> PackedPositions:
        return PackedPositions(self, hidden_states, packed)

    def compute(
        self, hidden_states: torch.Tensor, packed: PackedBatch, layer_type: str | None
    ) -> tuple[torch.Tensor, torch.Tensor] | None:
        """Cosines and sines ``[1, tokens, head_dim]``."""
        if self._module is None:
            return None
        extra = (layer_type,) if self.by_type else ()
        if not self._by_session:
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
