"""A span of decoder layers, loaded from a checkpoint and run on packed tokens."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch

from farmesh.checkpoint.linear import pack_linears
from farmesh.checkpoint.reader import Checkpoint
from farmesh.core import Span
from farmesh.node.attention import PackedBatch
from farmesh.node.cache import KVCache
from farmesh.node.lora import LoraAdapter, LoraRows
from farmesh.node.quantize import quantize_linears
from farmesh.node.rotary import RotaryPositions
from farmesh.node.runners import RUNNERS


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
        adapters: Sequence[LoraAdapter] = (),
    ) -> None:
        self.span = span
        self.device = device
        self.dtype = dtype
        self.hidden_size = checkpoint.hidden_size
        family, config = checkpoint.family, checkpoint.config
        self._runner = RUNNERS[family.runner]
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
