"""Attention of packed tokens: every session's queries over its own KV cache, in place.

Registered with transformers' ``AttentionInterface`` together with masks of our own: where a decoder
layer expects a mask it gets the packed batch, and hands it on (docs/decisions/0013).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
import torch.nn.functional as F
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.masking_utils import causal_mask_function

from farmesh.errors import UnsupportedModel
from farmesh.node.cache import KVCache, KVShape
from farmesh.node.states import RowStates

ATTENTION_NAME = "farmesh_packed"  # in transformers' registries
_LONGEST = 2**20  # tokens; a window wider than that is none
_GRID = 48  # positions for which a mask is looked at in full
# Of the arguments that models hand to their attention, those that change nothing here: dropout is
# training's, and what is visible says the mask.
_IDLE = frozenset(
    (
        *("dropout", "is_causal", "sliding_window", "position_ids", "cache_position", "use_cache"),
        *("output_attentions", "output_hidden_states", "output_router_logits", "training"),
        *("position_embeddings", "past_key_values", "return_dict"),
    )
)


@dataclass(frozen=True, eq=False, slots=True)
class Visibility:
    """Which keys a query sees, by their positions; as the model's own mask function says."""

    function: Callable[..., torch.Tensor]  # of batch, head, query and key position
    reach: int | None  # contexts up to this many tokens are plain causal ones; None: all are
    windowed: bool  # whether keys ``reach`` or more before a query are hidden for good

    @classmethod
    def of(cls, function: Callable[..., torch.Tensor]) -> Visibility:
        if function is causal_mask_function:
            return cls(function, None, False)
        positions = torch.arange(_LONGEST)
        hidden = ~function(0, 0, positions, positions[:1])
        reach = int(hidden.to(torch.uint8).argmax()) if bool(hidden.any()) else None
        few = positions[: min(_GRID, reach or _LONGEST)]
        causal = few[None, :] <= few[:, None]
        if not torch.equal(function(0, 0, few[:, None], few[None, :]).expand_as(causal), causal):
            return cls(function, 0, False)
        if reach is None:
            return cls(function, None, False)
        far = function(0, 0, positions[-1:], positions[: _LONGEST - reach])
        return cls(function, reach, not bool(far.any()))

    def first(self, position: int) -> int:
        """The first key that a query at ``position``, or any later one, may see."""
        if self.reach and self.windowed:
            return max(0, position - self.reach + 1)
        return 0


@dataclass(eq=False)
class Segment:
    """Consecutive rows of a packed forward that belong to one batch row of one session."""

    row: int  # first row in the packed tensor
    tokens: int
    base: int  # first cache slot of this session's row
    position: int  # tokens of it already in the cache
    adapter: str | None = None  # LoRA of this session
    states: RowStates | None = None  # None: no block here has any
    version: int = 0  # of the states, when this segment was packed

    @property
    def context(self) -> int:
        """Tokens attended over, this step's included."""
        return self.position + self.tokens

    @property
    def rows(self) -> slice:
        """Its rows in the packed tensor."""
        return slice(self.row, self.row + self.tokens)

    def is_plain_causal(self, visible: Visibility) -> bool:
        """Whether the kernel's own causal mode applies: a prompt from its very beginning."""
        short = visible.reach is None or self.tokens <= visible.reach
        return self.position == 0 and self.tokens > 1 and short

    def mask(self, device: torch.device, dtype: torch.dtype, visible: Visibility) -> Any:
        """Additive mask ``[tokens, keys]``; None when nothing has to be hidden.

        Keys begin at ``visible.first(position)``. Built once per forward and kind of visibility,
        shared by all blocks.
        """
        key = (visible, dtype)
        if key not in self._masks:
            self._masks[key] = self._build_mask(device, dtype, visible)
        return self._masks[key]

    def _build_mask(self, device: torch.device, dtype: torch.dtype, visible: Visibility) -> Any:
        first = visible.first(self.position)
        if self.tokens == 1 and (visible.reach is None or self.context <= visible.reach):
            return None
        query = torch.arange(self.position, self.context, device=device)[:, None]
        key = torch.arange(first, self.context, device=device)[None, :]
        seen = visible.function(0, 0, query, key).expand(self.tokens, self.context - first)
        if bool(seen.all()):
            return None
        mask = torch.zeros(seen.shape, dtype=dtype, device=device)
        return mask.masked_fill_(~seen, float("-inf"))

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
    cache: KVCache | None  # None: asked only what it would have to hold
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


@dataclass(frozen=True, eq=False, slots=True)
class BlockBatch:
    """A packed batch as one block sees it; travels to its attention in the mask's place."""

    packed: PackedBatch
    visible: Visibility = Visibility(causal_mask_function, None, False)


class CacheAsked(Exception):
    """What an attention keeps of a token; raised for a batch without a cache."""

    def __init__(self, shape: KVShape) -> None:
        super().__init__(shape)
        self.shape = shape


def packed_attention(
    module: Any,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: Any,
    *,
    scaling: float | None = None,
    softcap: float | None = None,
    s_aux: torch.Tensor | None = None,
    bias: Callable[[int], torch.Tensor] | None = None,
    **others: Any,
) -> tuple[torch.Tensor, None]:
    """Store this step's keys and values, then attend per session.

    Shapes: query ``[1, heads, tokens, head_dim]``, key and value ``[1, kv_heads, tokens,
    head_dim]``; ``bias(context)`` gives ``[heads, 1, context]`` to add to scaled scores (ALiBi);
    ``s_aux`` ``[heads]`` are sinks; returns ``[1, tokens, heads, value_dim]``. A module that keeps
    latents (:mod:`farmesh.node.latent`) gives those as key and value.

    Raises:
        UnsupportedModel: the model wants something of its attention that is not known here.
        CacheAsked: the batch has no cache.
    """
    unknown = [name for name, value in others.items() if name not in _IDLE and value is not None]
    if unknown:
        raise UnsupportedModel(
            f"{type(module).__name__} gives its attention an argument {unknown[0]!r}, which is not "
            "known here."
        )
    latent = getattr(module, "latent", None)
    if latent is not None:
        query, key, value = latent.absorb(query, key, value)
    if not isinstance(attention_mask, BlockBatch):
        raise UnsupportedModel(f"{type(module).__name__} gives its attention a mask of its own.")
    packed, visible = attention_mask.packed, attention_mask.visible
    if packed.cache is None:
        raise CacheAsked(KVShape(key.shape[1], key.shape[3], value.shape[3]))
    keys, values = packed.cache.block(module.layer_idx)
    packed.store(keys, key[0])
    packed.store(values, value[0])
    if latent is not None:
        values = keys[..., : latent.rank]
    keys, values = keys[None], values[None]
    outputs = []
    for segment, part in zip(packed.segments, query.split(packed.sizes, dim=2), strict=True):
        first = visible.first(segment.position)
        start, length = segment.base + first, segment.context - first
        inputs = part, keys.narrow(2, start, length), values.narrow(2, start, length)
        plain = softcap is None and bias is None and s_aux is None and latent is None
        causal = plain and segment.is_plain_causal(visible)
        mask = None if causal else segment.mask(query.device, query.dtype, visible)
        if bias is not None:
            mask = segment.biased(bias, mask)
        if plain or bias is not None:
            # Grouped heads go through the same kernel without repeating keys and values.
            output = F.scaled_dot_product_attention(
                *inputs, attn_mask=mask, is_causal=causal, scale=scaling, enable_gqa=True
            )
        else:
            output = _plain_attention(*inputs, mask, scaling, softcap, s_aux)
        outputs.append(output)
    output = outputs[0] if len(outputs) == 1 else torch.cat(outputs, dim=2)
    if latent is not None:
        output = latent.expand(output)
    return output.transpose(1, 2).contiguous(), None


def _plain_attention(
    query: torch.Tensor,
    keys: torch.Tensor,
    values: torch.Tensor,
    mask: torch.Tensor | None,
    scaling: float | None,
    softcap: float | None,
    sinks: torch.Tensor | None,
) -> torch.Tensor:
    """Attention with what the fused kernels do not offer.

    Soft-capped scores (Gemma 2); sinks, a score per head that takes its share of the softmax and
    gives nothing (gpt-oss). Queries of a group are rows of one product: keys are not repeated.
    """
    _, heads, tokens, _ = query.shape
    groups = heads // keys.shape[1]
    rows = query.reshape(1, keys.shape[1], groups * tokens, -1)
    scores = (rows @ keys.transpose(-1, -2)).view(1, heads, tokens, -1)
    scores = scores * (scaling or query.shape[-1] ** -0.5)
    if softcap is not None:
        scores = torch.tanh(scores / softcap) * softcap
    if mask is not None:
        scores = scores + mask
    if sinks is not None:
        column = sinks.to(scores.dtype)[None, :, None, None].expand(1, heads, tokens, 1)
        scores = torch.cat([scores, column], dim=-1)
    weights = torch.softmax(scores, dim=-1, dtype=torch.float32).to(query.dtype)
    if sinks is not None:
        weights = weights[..., :-1]
    rows = weights.reshape(1, keys.shape[1], groups * tokens, -1)
    return (rows @ values).view(1, heads, tokens, -1)


def _visibility(*, mask_function: Callable[..., torch.Tensor], **_: Any) -> Visibility:
    """In place of a mask, what transformers' models make masks of."""
    return Visibility.of(mask_function)


AttentionInterface.register(ATTENTION_NAME, packed_attention)
AttentionMaskInterface.register(ATTENTION_NAME, _visibility)
