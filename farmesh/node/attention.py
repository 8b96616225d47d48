"""Attention of packed tokens: every session's queries over its own KV cache, in place.

Registered with transformers' ``AttentionInterface``; decoder layers pass the extra keyword
argument ``packed`` through to it (tried on transformers 5.23).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
import torch.nn.functional as F
from transformers import AttentionInterface

from farmesh.node.cache import KVCache

ATTENTION_NAME = "farmesh_packed"  # in transformers' registry


@dataclass(eq=False)
class Segment:
    """Consecutive rows of a packed forward that belong to one batch row of one session."""

    row: int  # first row in the packed tensor
    tokens: int
    base: int  # first cache slot of this session's row
    position: int  # tokens of it already in the cache
    adapter: str | None = None  # LoRA of this session

    @property
    def context(self) -> int:
        """Tokens attended over, this step's included."""
        return self.position + self.tokens

    def is_plain_causal(self, window: int | None) -> bool:
        """Whether the kernel's own causal mode applies: a prompt from its very beginning."""
        return self.position == 0 and self.tokens > 1 and (window is None or self.tokens <= window)

    def mask(self, device: torch.device, dtype: torch.dtype, window: int | None) -> Any:
        """Additive causal mask ``[tokens, context]``; None when nothing has to be hidden.

        Built once per forward and window, shared by all blocks.
        """
        key = (window, dtype)
        if key not in self._masks:
            self._masks[key] = self._build_mask(device, dtype, window)
        return self._masks[key]

    def _build_mask(self, device: torch.device, dtype: torch.dtype, window: int | None) -> Any:
        limit = self.context if window is None else window
        if self.tokens == 1 and self.context <= limit:
            return None
        query = torch.arange(self.position, self.context, device=device)[:, None]
        key = torch.arange(self.context, device=device)[None, :]
        visible = key <= query
        if self.context > limit:
            visible &= key > query - limit
        mask = torch.zeros(visible.shape, dtype=dtype, device=device)
        return mask.masked_fill_(~visible, float("-inf"))

    def biased(self, bias: Callable[[int], torch.Tensor], mask: Any) -> torch.Tensor:
        """The mask with a bias per head and key, ``[heads, tokens, context]``; once per forward."""
        if "bias" not in self._masks:
            added = bias(self.context)
            self._masks["bias"] = added if mask is None else added + mask
        biased: torch.Tensor = self._masks["bias"]
        return biased

    @cached_property
    def _masks(self) -> dict[Any, Any]:
        return {}


@dataclass(eq=False)
class PackedBatch:
    """Which rows of one packed forward belong to whom, and where their keys and values go."""

    segments: list[Segment]
    cache: KVCache
    device: torch.device

    @property
    def tokens(self) -> int:
        return sum(segment.tokens for segment in self.segments)

    @cached_property
    def sizes(self) -> list[int]:
        """Tokens of each segment."""
        return [segment.tokens for segment in self.segments]

    @cached_property
    def adapters(self) -> list[tuple[str, int, int]]:
        """Which rows ``[start, end)`` run with which LoRA; neighbours of one LoRA are joined."""
        groups: list[tuple[str, int, int]] = []
        for segment in self.segments:
            if segment.adapter is None:
                continue
            start, end = segment.row, segment.row + segment.tokens
            if groups and groups[-1][0] == segment.adapter and groups[-1][2] == start:
                start = groups.pop()[1]
            groups.append((segment.adapter, start, end))
        return groups

    @cached_property
    def position_ids(self) -> torch.Tensor:
        """``[1, tokens]``"""
        positions = [
            position
            for segment in self.segments
            for position in range(segment.position, segment.context)
        ]
        return torch.tensor([positions], device=self.device)

    @cached_property
    def slots(self) -> torch.Tensor:
        """Cache slot of every packed row, ``[tokens]``."""
        slots = [
            segment.base + position
            for segment in self.segments
            for position in range(segment.position, segment.context)
        ]
        return torch.tensor(slots, device=self.device)

    def store(self, pool: torch.Tensor, rows: torch.Tensor) -> None:
        """Write ``[kv_heads, tokens, head_dim]`` into their slots."""
        if len(self.segments) == 1:  # contiguous: a plain copy is the cheapest
            segment = self.segments[0]
            first = segment.base + segment.position
            pool[:, first : first + segment.tokens].copy_(rows)
        else:
            pool.index_copy_(1, self.slots, rows)


def packed_attention(
    module: Any,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    *,
    packed: PackedBatch,
    scaling: float | None = None,
    softcap: float | None = None,
    sliding_window: int | None = None,
    bias: Callable[[int], torch.Tensor] | None = None,
    **_: Any,
) -> tuple[torch.Tensor, None]:
    """Store this step's keys and values, then attend per session.

    Shapes: query ``[1, heads, tokens, head_dim]``, key and value ``[1, kv_heads, tokens,
    head_dim]``; ``bias(context)`` gives ``[heads, 1, context]`` to add to scaled scores (ALiBi);
    returns ``[1, tokens, heads, head_dim]``.
    """
    keys, values = packed.cache.block(module.layer_idx)
    packed.store(keys, key[0])
    packed.store(values, value[0])
    keys, values = keys[None], values[None]
    outputs = []
    for segment, part in zip(packed.segments, query.split(packed.sizes, dim=2), strict=True):
        first, length = segment.base, segment.context
        inputs = part, keys.narrow(2, first, length), values.narrow(2, first, length)
        plain = softcap is None and bias is None
        causal = plain and segment.is_plain_causal(sliding_window)
        mask = None if causal else segment.mask(query.device, query.dtype, sliding_window)
        if bias is not None:
            mask = segment.biased(bias, mask)
        if softcap is None:
            # Grouped heads go through the same kernel without repeating keys and values.
            output = F.scaled_dot_product_attention(
                *inputs, attn_mask=mask, is_causal=causal, scale=scaling, enable_gqa=True
            )
        else:
            output = _capped_attention(*inputs, mask, scaling, softcap)
        outputs.append(output)
    output = outputs[0] if len(outputs) == 1 else torch.cat(outputs, dim=2)
    return output.transpose(1, 2), None


def _capped_attention(
    query: torch.Tensor,
    keys: torch.Tensor,
    values: torch.Tensor,
    mask: torch.Tensor | None,
    scaling: float | None,
    softcap: float,
) -> torch.Tensor:
    """Attention with soft-capped scores (Gemma 2), which the fused kernels do not offer."""
    groups = query.shape[1] // keys.shape[1]
    grouped = query.unflatten(1, (keys.shape[1], groups))
    scores = grouped @ keys.unsqueeze(2).transpose(-1, -2)
    scores = torch.tanh(scores * (scaling or query.shape[-1] ** -0.5) / softcap) * softcap
    if mask is not None:
        scores = scores + mask
    weights = torch.softmax(scores, dim=-1, dtype=torch.float32).to(query.dtype)
    return (weights @ values.unsqueeze(2)).flatten(1, 2)


AttentionInterface.register(ATTENTION_NAME, packed_attention)
