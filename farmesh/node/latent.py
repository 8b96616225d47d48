"""Attention whose keys and values are kept as one latent per token (MLA, arXiv:2405.04434).

transformers' layers of this kind expand the latents into heads in a method of their own,
``expand_kv``. Here it leaves them as they are; the two halves of the projection that it would
apply to every token of the context go to the queries and to the output instead (the paper's
section 2.1.2), so a session's cache holds one row of ``rank + rotary`` numbers per token.
"""

from __future__ import annotations

from typing import Any

import torch

_PROJECTION = "kv_b_proj"


class Latent(torch.nn.Module):
    """The projection from latents to heads, in the two halves that are used apart."""

    def __init__(self, attention: Any) -> None:
        super().__init__()
        weight = getattr(attention, _PROJECTION).weight  # [heads x (nope + value), rank]
        self.rank = weight.shape[1]
        self.nope, dims = attention.qk_nope_head_dim, attention.v_head_dim
        both = weight.detach().view(-1, self.nope + dims, self.rank)
        self.key = torch.nn.Parameter(both[:, : self.nope].contiguous(), requires_grad=False)
        value = both[:, self.nope :].transpose(1, 2).contiguous()
        self.value = torch.nn.Parameter(value, requires_grad=False)

    def absorb(
        self, query: torch.Tensor, latents: torch.Tensor, rotary: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Queries that ask latents, and one row per token to be kept; no values beside it.

        Shapes: query ``[1, heads, tokens, nope + rotary]``, latents ``[1, 1, tokens, rank]``.
        """
        nope, rest = query.split([self.nope, query.shape[-1] - self.nope], dim=-1)
        asked = torch.cat([nope @ self.key, rest], dim=-1)
        kept = torch.cat([latents, rotary], dim=-1)
        return asked, kept, kept[..., :0]

    def expand(self, output: torch.Tensor) -> torch.Tensor:
        """``[1, heads, tokens, rank]`` to ``[1, heads, tokens, value]``"""
        return output @ self.value


def keep_latents(layer: torch.nn.Module) -> None:
    """Make the attention inside a loaded layer (or one without memory) keep latents.

    One whose projection has a bias keeps heads, as it was written.
    """
    for module in list(layer.modules()):
        projection = getattr(module, _PROJECTION, None)
        if not hasattr(module, "expand_kv") or getattr(projection, "bias", True) is not None:
            continue
        module.latent = Latent(module)
        delattr(module, _PROJECTION)
        setattr(module, "expand_kv", _as_they_are)  # noqa: B010 - a method, says its type


def _as_they_are(latents: torch.Tensor, rotary: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    return latents, rotary
