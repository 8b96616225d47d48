"""Experts as linear layers of their own, of which a tick computes those that were chosen.

transformers joins the experts of a block into tensors of three dimensions. Cut apart again they are
linear layers like all others, for kernels and for quantisation; how a family gates them stays its
own (``_apply_gate``). Rows of all sessions that chose an expert go through it together.
"""

from __future__ import annotations

from typing import Any

import torch


class Expert(torch.nn.Module):
    """Two linear layers: up (with the gate, where there is one) and down."""

    def __init__(self, up: torch.nn.Linear, down: torch.nn.Linear) -> None:
        super().__init__()
        self.up = up
        self.down = down


class ChosenExperts(torch.nn.Module):
    """In the place of a module that transformers' experts interface knows."""

    def __init__(self, joined: Any) -> None:
        super().__init__()
        self.has_gate = joined.has_gate
        up, down = ("gate_up_proj" if joined.has_gate else "up_proj"), "down_proj"
        count = getattr(joined, down).shape[0]
        self.experts = torch.nn.ModuleList(
            Expert(_linear(joined, up, index), _linear(joined, down, index))
            for index in range(count)
        )
        # Of the weights nothing may be left there: the rest is the family's way to gate.
        for name in (up, down, f"{up}_bias", f"{down}_bias"):
            joined.register_parameter(name, None)
        self.rules = joined

    def extra_repr(self) -> str:
        return f"{len(self.experts)} experts"

    def forward(
        self, hidden_states: torch.Tensor, *chosen: torch.Tensor, **named: torch.Tensor
    ) -> torch.Tensor:
        """``[tokens, hidden]`` in and out.

        Then come the experts' numbers and their weights, ``[tokens, chosen]`` each; families have
        several names for the two.
        """
        index, weights = (*chosen, *named.values())
        output = torch.zeros_like(hidden_states)
        rows_of: dict[int, list[tuple[int, int]]] = {}
        for row, numbers in enumerate(index.tolist()):
            for place, number in enumerate(numbers):
                rows_of.setdefault(number, []).append((row, place))
        for number in sorted(rows_of):
            if number >= len(self.experts):  # stands for none
                continue
            rows, places = torch.tensor(rows_of[number], device=index.device).unbind(1)
            made = self._through(self.experts[number], hidden_states[rows])
            made = made * weights[rows, places, None]
            output.index_add_(0, rows, made.to(output.dtype))
        return output

    def _through(self, expert: Any, rows: torch.Tensor) -> torch.Tensor:
        inner = expert.up(rows)
        inner = self.rules._apply_gate(inner) if self.has_gate else self.rules.act_fn(inner)
        made: torch.Tensor = expert.down(inner)
        return self.rules.post_expert_norm(made) if self.rules.has_post_expert_norm else made


def split_experts(module: torch.nn.Module) -> None:
    """Replace the joined experts inside ``module``, which may be without memory."""
    for name, child in module.named_children():
        if hasattr(child, "is_transposed") and hasattr(child, "_apply_gate"):
            setattr(module, name, ChosenExperts(child))
        else:
            split_experts(child)


def _linear(joined: Any, name: str, index: int) -> torch.nn.Linear:
    """One expert's layer, on the memory of the joined ones where it lies the right way round."""
    weight = getattr(joined, name)[index]
    if joined.is_transposed:
        weight = weight.T.contiguous()
    bias = getattr(joined, f"{name}_bias")[index] if joined.has_bias else None
    linear = torch.nn.Linear(weight.shape[1], weight.shape[0], bias=False, device="meta")
    linear.weight = torch.nn.Parameter(weight, requires_grad=False)
    if bias is not None:
        linear.bias = torch.nn.Parameter(bias, requires_grad=False)
    return linear
