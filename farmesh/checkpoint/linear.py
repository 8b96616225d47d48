"""Linear layers whose weights lie as the CPU's kernels want them.

For the few rows of a decode tick, plain ``nn.Linear`` rearranges a large weight on every call, or
reads it in a poor order. oneDNN takes one that was rearranged once: on AVX-512 that halves the time
of 2 to 64 rows in float32, and more in bfloat16 (``benchmarks/notes.md``). torch offers this to its
compiler only, as ``mkldnn._linear_pointwise``; where that is missing, layers stay as they are.
"""

from __future__ import annotations

import logging

import torch
import torch.nn.functional as F

logger = logging.getLogger(__name__)

# Below this many elements a weight stays in a core's cache, and the call's overhead decides.
_WORTHWHILE = 2**19
_PROBE_ROWS = 4


class PackedLinear(torch.nn.Module):
    """``nn.Linear`` for inference on the CPU, with its weight rearranged for oneDNN."""

    def __init__(self, linear: torch.nn.Linear) -> None:
        super().__init__()
        self.in_features, self.out_features = linear.in_features, linear.out_features
        self._weight = torch.ops.mkldnn._reorder_linear_weight(linear.weight.detach())
        self._bias = None if linear.bias is None else linear.bias.detach()

    def extra_repr(self) -> str:
        return f"{self.in_features} → {self.out_features}, packed"

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        """``[..., in_features]`` to ``[..., out_features]``"""
        output: torch.Tensor = torch.ops.mkldnn._linear_pointwise(
            rows, self._weight, self._bias, "none", [], ""
        )
        return output


class TallLinear(torch.nn.Module):
    """A linear layer of few inputs and very many outputs, on a weight that others use as it lies.

    For 2 to 16 rows ``nn.Linear`` takes up to three times as long (``benchmarks/notes.md``).
    """

    def __init__(self, weight: torch.Tensor) -> None:
        super().__init__()
        self._weight = weight  # [out_features, in_features]

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        """``[rows, in_features]`` to ``[rows, out_features]``"""
        if len(rows) == 1:
            return F.linear(rows, self._weight)
        return (self._weight @ rows.T).T.contiguous()


def pack_linears(module: torch.nn.Module) -> None:
    """Replace the large linear layers inside ``module`` (CPU only); their weights are freed.

    Only exact ``nn.Linear``: a subclass may compute something else.
    """
    for name, child in module.named_children():
        packed = packed_linear(child)
        if packed is not None:
            setattr(module, name, packed)
        else:
            pack_linears(child)


@torch.inference_mode()
def packed_linear(linear: torch.nn.Module) -> PackedLinear | None:
    """The same layer with a packed weight; None where it would not help or is not to be had."""
    if type(linear) is not torch.nn.Linear or linear.weight.device.type != "cpu":
        return None
    weight = linear.weight
    if weight.numel() < _WORTHWHILE or weight.dtype not in (torch.float32, torch.bfloat16):
        return None
    try:
        packed = PackedLinear(linear)
        rows = torch.linspace(-1, 1, _PROBE_ROWS * linear.in_features, dtype=weight.dtype)
        rows = rows.view(_PROBE_ROWS, -1)
        found, wanted = packed(rows).float(), F.linear(rows, weight, linear.bias).float()
    except (AttributeError, RuntimeError, TypeError) as error:  # an op of torch's inside
        logger.debug("weights are not packed: %s", error)
        return None
    # Another order of summation is fine; another operation is not.
    tolerance = 1e-4 if weight.dtype == torch.float32 else 3e-2
    close = torch.allclose(
        found, wanted, rtol=tolerance, atol=tolerance * float(wanted.abs().max())
    )
    return packed if close else None
