"""How a family's decoder layers are run on packed tokens.

``interface`` families hand the packed batch through transformers' attention interface. Falcon and
BLOOM do not use that interface: their attention modules are given a packed forward here; all
weights, and everything else in their layers, stay transformers' own.
"""

from __future__ import annotations

from typing import Any, Protocol

import torch
from transformers.models.bloom.modeling_bloom import BloomAttention
from transformers.models.bloom.modeling_bloom import build_alibi_tensor as bloom_alibi
from transformers.models.falcon.modeling_falcon import FalconAttention
from transformers.models.falcon.modeling_falcon import build_alibi_tensor as falcon_alibi

from farmesh.node.attention import ATTENTION_NAME, PackedBatch, packed_attention


class BlockRunner(Protocol):
    """Runs single layers of one family."""

    attention: str  # what transformers is told to build the layers with

    def prepare(self, layer: torch.nn.Module) -> None:
        """Once per layer, before its weights are loaded; parameter names must stay."""

    def run(
        self,
        layer: torch.nn.Module,
        hidden_states: torch.Tensor,
        position_embeddings: Any,
        packed: PackedBatch,
    ) -> torch.Tensor:
        """``[1, tokens, hidden]`` in and out."""


class InterfaceRunner:
    """Families whose attention looks itself up in ``AttentionInterface``."""

    attention = ATTENTION_NAME

    def prepare(self, layer: torch.nn.Module) -> None:
        return None

    def run(
        self,
        layer: torch.nn.Module,
        hidden_states: torch.Tensor,
        position_embeddings: Any,
        packed: PackedBatch,
    ) -> torch.Tensor:
        output: torch.Tensor = layer(
            hidden_states,
            attention_mask=None,
            position_ids=packed.position_ids,
            past_key_values=None,
            use_cache=False,
            position_embeddings=position_embeddings,
            packed=packed,
        )
        return output


class _PackedFalconAttention(FalconAttention):
    """Falcon's attention over packed tokens; ``alibi`` carries the packed batch."""

    def forward(
        self,
        hidden_states: torch.Tensor,
        alibi: PackedBatch,
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
            self, query, key, value, None, packed=alibi, scaling=self.inv_norm_factor, bias=bias
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
        alibi: PackedBatch,
        **_: Any,
    ) -> tuple[torch.Tensor, None]:
        query, key, value = self._reshape(self.query_key_value(hidden_states))

        def bias(context: int) -> torch.Tensor:
            mask = torch.ones(1, context, dtype=torch.long, device=query.device)
            return bloom_alibi(mask, self.num_heads, query.dtype)

        output, _none = packed_attention(
            self, query, key, value, None, packed=alibi, scaling=self.inv_norm_factor, bias=bias
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

    def run(
        self,
        layer: torch.nn.Module,
        hidden_states: torch.Tensor,
        position_embeddings: Any,
        packed: PackedBatch,
    ) -> torch.Tensor:
        output: torch.Tensor = layer(
            hidden_states,
            alibi=packed,
            attention_mask=None,
            position_embeddings=position_embeddings,
        )[0]
        return output


def _rotate(states: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
    """Rotary position embedding in the half-split layout (arXiv:2104.09864, section 3.4.2)."""
    first, second = states.chunk(2, dim=-1)
    return states * cos + torch.cat((-second, first), dim=-1) * sin


RUNNERS: dict[str, BlockRunner] = {
    "interface": InterfaceRunner(),
    "falcon": _AlibiRunner(_PackedFalconAttention),
    "bloom": _AlibiRunner(_PackedBloomAttention),
}
