"""A span of decoder layers, loaded from a checkpoint and run on packed tokens."""

from __future__ import annotations

from collections.abc import Callable

import torch

from farmesh.checkpoint import Checkpoint
from farmesh.core import Span
from farmesh.node.attention import ATTENTION_NAME, PackedBatch
from farmesh.node.cache import KVCache


class BlockStack:
    """The blocks of one span: transformers' own decoder layers with packed attention."""

    def __init__(
        self, checkpoint: Checkpoint, span: Span, device: torch.device, dtype: torch.dtype
    ) -> None:
        self.span = span
        self.device = device
        self.dtype = dtype
        self.hidden_size = checkpoint.hidden_size
        config = checkpoint.config
        heads = int(config.num_attention_heads)
        self.kv_heads = int(getattr(config, "num_key_value_heads", None) or heads)
        self.head_dim = int(getattr(config, "head_dim", None) or self.hidden_size // heads)
        family = checkpoint.family
        skeleton = family.skeleton(config, ATTENTION_NAME)
        self._rotary = family.rotary_embedding(skeleton, config).to(device)
        self._layers = {block: skeleton.get_submodule(f"{family.blocks}.{block}") for block in span}
        self._checkpoint = checkpoint

    def __repr__(self) -> str:
        return f"<BlockStack {self.span} {self.dtype} on {self.device}>"

    def load(self, progress: Callable[[int, int], None] | None = None) -> None:
        """Read the weights, block by block; ``progress(done, total)`` after each."""
        prefix = self._checkpoint.family.blocks
        for done, (block, layer) in enumerate(self._layers.items(), start=1):
            self._checkpoint.load_module(layer, f"{prefix}.{block}.", self.dtype)
            layer.to(self.device)
            if progress is not None:
                progress(done, len(self._layers))

    def make_cache(self, tokens: int) -> KVCache:
        """An empty KV cache for ``tokens`` tokens of context in every block."""
        return KVCache(
            self.span,
            tokens=tokens,
            kv_heads=self.kv_heads,
            head_dim=self.head_dim,
            dtype=self.dtype,
            device=self.device,
        )

    @torch.inference_mode()
    def forward(self, hidden_states: torch.Tensor, span: Span, packed: PackedBatch) -> torch.Tensor:
        """Run ``span`` (within this stack) on packed tokens.

        Shapes: ``[1, tokens, hidden]`` in and out, in this stack's dtype and on the CPU.
        """
        hidden_states = hidden_states.to(self.device, self.dtype)
        positions = packed.position_ids
        position_embeddings = self._rotary(hidden_states, positions)
        for block in span:
            hidden_states = self._layers[block](
                hidden_states,
                attention_mask=None,
                position_ids=positions,
                past_key_values=None,
                use_cache=False,
                position_embeddings=position_embeddings,
                packed=packed,
            )
        return hidden_states.cpu()
