"""How a family's decoder layers are called on packed tokens.

Nearly all hand the packed batch through transformers' attention interface, and are called as their
model's own trunk calls them. Falcon and BLOOM do not use that interface: their attention modules
are given a packed forward here; all weights, and everything else in their layers, stay
transformers' own.
"""

from __future__ import annotations

from typing import Any, Protocol

import torch
from transformers.models.bloom.modeling_bloom import BloomAttention
from transformers.models.bloom.modeling_bloom import build_alibi_tensor as bloom_alibi
from transformers.models.falcon.modeling_falcon import FalconAttention
from transformers.models.falcon.modeling_falcon import build_alibi_tensor as falcon_alibi

from farmesh.node.attention import ATTENTION_NAME, BlockBatch, PackedBatch, packed_attention
from farmesh.node.calls import Call, TrunkCalls, chooses_by_length, joined


class Calls(Protocol):
    """What the blocks of one model are called with."""

    def of(self, hidden_states: torch.Tensor, packed: PackedBatch) -> list[Call]:
        """For each block of the model."""


class BlockRunner(Protocol):
    """Knows how the layers of a family are called."""

    attention: str  # what transformers is told to build the layers with

    def prepare(self, layer: torch.nn.Module) -> None:
        """Once per layer, before its weights are loaded; parameter names must stay."""

    def calls(self, trunk: Any, blocks: str, hidden_size: int, device: torch.device) -> Calls:
        """For a trunk whose buffers have been computed; its blocks are taken out of it.

        Raises: UnsupportedModel.
        """


class InterfaceRunner:
    """Families whose attention looks itself up in ``AttentionInterface``."""

    attention = ATTENTION_NAME

    def prepare(self, layer: torch.nn.Module) -> None:
        return None

    def calls(self, trunk: Any, blocks: str, hidden_size: int, device: torch.device) -> Calls:
        return TrunkCalls(trunk, blocks, hidden_size, device)


class _PackedFalconAttention(FalconAttention):
    """Falcon's attention over packed tokens; ``alibi`` carries the packed batch."""

    def forward(
        self,
        hidden_states: torch.Tensor,
        alibi: BlockBatch,
        position_embeddings: Any = None,
        **_: Any,
    ) -> tuple[torch.Tensor, None]:
        query, key, value = self._heads(self.query_key_value(hidden_states))
        bias = None
        if self.config.alibi:
            scale = self.inv_norm_factor

            def bias(context: int) -> torch.Tensor:
                mask = torch.ones(1, context, dtype=torch.long, device=query.device)
                return falcon_alibi(mask, self.num_heads, query.dtype) * scale
        else:
            cos, sin = (part[:, None] for part in position_embeddings)
            query, key = _rotate(query, cos, sin), _rotate(key, cos, sin)
        output, _none = packed_attention(
            self, query, key, value, alibi, scaling=self.inv_norm_factor, bias=bias
        )
        return self.dense(output.flatten(2)), None

    def _heads(self, fused: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Query, key and value ``[1, heads, tokens, head_dim]``; keys are not repeated."""
        if self.new_decoder_architecture:
            groups = self.num_heads // self.num_kv_heads
            split = fused.unflatten(-1, (self.num_kv_heads, groups + 2, self.head_dim))
            query, key, value = (
                split[..., :-2, :].flatten(2, 3),
                split[..., -2, :],
                split[..., -1, :],
            )
        elif self.multi_query:
            split = fused.unflatten(-1, (self.num_heads + 2, self.head_dim))
            query, key, value = split[..., :-2, :], split[..., -2:-1, :], split[..., -1:, :]
        else:
            split = fused.unflatten(-1, (self.num_heads, 3, self.head_dim))
            query, key, value = split.unbind(-2)
        return query.transpose(1, 2), key.transpose(1, 2), value.transpose(1, 2)


class _PackedBloomAttention(BloomAttention):
    """BLOOM's attention over packed tokens; ``alibi`` carries the packed batch."""

    def forward(
        self,
        hidden_states: torch.Tensor,
        residual: torch.Tensor,
        alibi: BlockBatch,
        **_: Any,
    ) -> tuple[torch.Tensor, None]:
        query, key, value = self._reshape(self.query_key_value(hidden_states))

        def bias(context: int) -> torch.Tensor:
            mask = torch.ones(1, context, dtype=torch.long, device=query.device)
            return bloom_alibi(mask, self.num_heads, query.dtype)

        output, _none = packed_attention(
            self, query, key, value, alibi, scaling=self.inv_norm_factor, bias=bias
        )
        return self.dense(output.flatten(2)) + residual, None


class _AlibiRunner:
    """Families whose layers pass ``alibi`` on to their attention, and nothing else of ours."""

    attention = "eager"

    def __init__(self, attention: type[torch.nn.Module]) -> None:
        self._attention = attention

    def prepare(self, layer: torch.nn.Module) -> None:
        # The same module with another forward: its parameters and their names stay.
        layer.self_attention.__class__ = self._attention

    def calls(self, trunk: Any, blocks: str, hidden_size: int, device: torch.device) -> Calls:
        return _AlibiCalls(getattr(trunk, "rotary_emb", None), len(getattr(trunk, blocks)))


class _AlibiCalls:
    """Layers that take nothing but the batch, and position embeddings where there are any."""

    def __init__(self, rotary: Any, blocks: int) -> None:
        self._rotary = rotary
        self._blocks = blocks
        self._by_session = rotary is not None and chooses_by_length(rotary)

    def of(self, hidden_states: torch.Tensor, packed: PackedBatch) -> list[Call]:
        parts = [part.rows for part in packed.segments] if self._by_session else [slice(None)]
        heard = [self._call(hidden_states, packed, rows) for rows in parts]
        call = joined(heard, packed.sizes) if len(heard) > 1 else heard[0]
        return [call] * self._blocks

    def _call(self, hidden_states: torch.Tensor, packed: PackedBatch, rows: slice) -> Call:
        named: dict[str, Any] = {"alibi": BlockBatch(packed), "attention_mask": None}
        if self._rotary is not None:
            named["position_embeddings"] = self._rotary(
                hidden_states, position_ids=packed.position_ids[:, rows]
            )
        return Call([], named)


def _rotate(states: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
    """Rotary position embedding in the half-split layout (arXiv:2104.09864, section 3.4.2)."""
    first, second = states.chunk(2, dim=-1)
    return states * cos + torch.cat((-second, first), dim=-1) * sin


RUNNERS: dict[str, BlockRunner] = {
    "interface": InterfaceRunner(),
    "falcon": _AlibiRunner(_PackedFalconAttention),
    "bloom": _AlibiRunner(_PackedBloomAttention),
}
