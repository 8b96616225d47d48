"""What a model gives to each of its blocks beside the hidden states, learnt from its own forward.

Position embeddings, one set or one per type of layer, masks by kind of layer, flags: a model's
trunk computes them and hands them on. Here the trunk runs with its blocks replaced by ears, and
what they hear is what the real ones are called with. So no family's forward is written down twice.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from farmesh.errors import UnsupportedModel
from farmesh.node.attention import BlockBatch, PackedBatch, Visibility

SAMPLE = 2  # tokens of the forward that shows which mask goes where
# These choose their frequencies by the longest context they see: sessions, packed together, must
# not choose for one another.
_BY_LENGTH = {"dynamic", "longrope"}


@dataclass(frozen=True, slots=True)
class Call:
    """The arguments of one block, its hidden states left out."""

    positional: list[Any]
    named: dict[str, Any]

    def put(self, where: int | str, value: Any) -> None:
        """Another value for one argument."""
        if isinstance(where, int):
            self.positional[where] = value
        else:
            self.named[where] = value

    def put_cache(self, cache: Any) -> None:
        """Give it to a block whose modules have states."""
        for name in ("past_key_values", "cache_params"):
            if name in self.named:
                self.named[name] = cache
                return
        raise UnsupportedModel("A block with states is not given a cache.")

    def without_memory(self) -> Call:
        """The same with tensors on the meta device."""
        return self._mapped(
            lambda value: value.to("meta") if isinstance(value, torch.Tensor) else value
        )

    def _mapped(self, change: Callable[[Any], Any]) -> Call:
        return Call(
            [_changed(value, change) for value in self.positional],
            {name: _changed(value, change) for name, value in self.named.items()},
        )

    def run(self, layer: torch.nn.Module, hidden_states: torch.Tensor) -> torch.Tensor:
        """``[1, tokens, hidden]`` in and out."""
        if "hidden_states" in self.named:
            output = layer(*self.positional, **{**self.named, "hidden_states": hidden_states})
        else:
            output = layer(hidden_states, *self.positional, **self.named)
        made: torch.Tensor = output[0] if isinstance(output, tuple) else output
        return made


def _changed(value: Any, change: Callable[[Any], Any]) -> Any:
    if isinstance(value, tuple | list):
        return type(value)(_changed(part, change) for part in value)
    if isinstance(value, dict):
        return {key: _changed(part, change) for key, part in value.items()}
    return change(value)


class _Heard(Exception):
    """The last block was called: the rest of the trunk's forward is of no use."""


class _Ear:
    """Stands for a block in the trunk, and keeps what it is called with."""

    def __init__(self, layer: torch.nn.Module) -> None:
        self._layer = layer
        self.last = False
        self.in_tuple = False  # whether the trunk takes the first of several outputs
        self.heard: tuple[tuple[Any, ...], dict[str, Any]] = ((), {})

    def __getattr__(self, name: str) -> Any:  # the trunk asks layers of what kind they are
        return getattr(self._layer, name)

    def __call__(self, *positional: Any, **named: Any) -> Any:
        self.heard = positional, named
        if self.last:
            raise _Heard
        hidden_states = named.get("hidden_states", positional[0] if positional else None)
        return (hidden_states,) if self.in_tuple else hidden_states

    def call(self) -> Call:
        positional, named = self.heard
        rest = positional if "hidden_states" in named else positional[1:]
        return Call(list(rest), dict(named))


class _Ears(list[_Ear]):
    """The trunk's list of blocks, as far as trunks use it."""

    def __getitem__(self, key: Any) -> Any:
        return (
            _Ears(super().__getitem__(key)) if isinstance(key, slice) else super().__getitem__(key)
        )


class _Passed(torch.nn.Module):
    """A part of the trunk before or behind its blocks, which a node does not need."""

    def forward(self, first: Any, *_: Any, **__: Any) -> Any:
        return first


class TrunkCalls:
    """What a trunk calls its blocks with, for any packed batch."""

    def __init__(self, trunk: Any, blocks: str, hidden_size: int, device: torch.device) -> None:
        """
        Args:
            trunk: its blocks are taken out of it; its buffers have been computed.
            blocks: the attribute that holds them.

        Raises: UnsupportedModel: the trunk's forward is not of the usual kind.
        """
        self._trunk = trunk
        self._ears = _Ears(_Ear(layer) for layer in getattr(trunk, blocks))
        self._ears[-1].last = True
        delattr(trunk, blocks)
        setattr(trunk, blocks, self._ears)
        for name, child in list(trunk.named_children()):
            if any(parameter.is_meta for parameter in child.parameters()):
                setattr(trunk, name, _Passed())
        sample = torch.zeros(1, SAMPLE, hidden_size, device=device)
        self._check_outputs(sample)
        self._check_inputs(sample)
        self._masks = [_mask_of(call) for call in self._hear(sample, None, None)]
        # A mask that is ready as far as transformers can tell: nothing is computed for it.
        self._ready: torch.Tensor | None = torch.empty(0, 0, 0, 0, device=device)
        try:
            self._hear(sample, torch.zeros(1, SAMPLE, dtype=torch.long, device=device), self._ready)
        except Exception:  # noqa: BLE001 - a trunk that looks at its mask; it then makes one
            self._ready = None
        self._by_session = chooses_by_length(trunk)

    def __repr__(self) -> str:
        return f"<TrunkCalls {type(self._trunk).__name__} {len(self._ears)} blocks>"

    def of(self, hidden_states: torch.Tensor, packed: PackedBatch) -> list[Call]:
        """For each block of the model; the masks are this batch's."""
        positions = packed.position_ids
        if self._by_session and len(packed.segments) > 1:
            heard = [
                self._hear(hidden_states[:, part.rows], positions[:, part.rows], self._ready)
                for part in packed.segments
            ]
            calls = [joined(parts, packed.sizes) for parts in zip(*heard, strict=True)]
        else:
            calls = self._hear(hidden_states, positions, self._ready)
        seen = {id(mask[1]): BlockBatch(packed, mask[1]) for mask in self._masks if mask}
        for call, mask in zip(calls, self._masks, strict=True):
            if mask is not None:
                call.put(mask[0], seen[id(mask[1])])
        return calls

    def _check_outputs(self, sample: torch.Tensor) -> None:
        """Find out whether the trunk wants a tensor from its blocks, or a tuple that begins so."""
        for in_tuple in (False, True):
            for ear in self._ears:
                ear.in_tuple = in_tuple
            with contextlib.suppress(Exception):
                calls = [ear.heard for ear in self._ears if self._hear(sample, None, None)]
                last = calls[-1][1].get("hidden_states", calls[-1][0][0] if calls[-1][0] else None)
                if isinstance(last, torch.Tensor) and last.shape == sample.shape:
                    return
        self._hear(sample, None, None)  # raises what is wrong
        raise UnsupportedModel(
            f"The blocks of {type(self._trunk).__name__} pass on more than hidden states."
        )

    def _check_inputs(self, sample: torch.Tensor) -> None:
        """
        Raises: UnsupportedModel: blocks get something made of the tokens beside hidden states.
        """
        others = torch.linspace(-1, 1, sample.numel(), device=sample.device).view_as(sample)
        for one, other in zip(
            self._hear(sample, None, None), self._hear(others, None, None), strict=True
        ):
            if not _same([one.positional, one.named], [other.positional, other.named]):
                raise UnsupportedModel(
                    f"The blocks of {type(self._trunk).__name__} get more of the tokens than "
                    "hidden states."
                )

    def _hear(
        self,
        hidden_states: torch.Tensor,
        position_ids: torch.Tensor | None,
        mask: torch.Tensor | None,
    ) -> list[Call]:
        with contextlib.suppress(_Heard):
            self._trunk(
                inputs_embeds=hidden_states,
                position_ids=position_ids,
                attention_mask=mask,
                past_key_values=None,
                use_cache=False,
            )
        return [ear.call() for ear in self._ears]


def _same(one: Any, other: Any) -> bool:
    """Whether two calls' arguments have the same tensors, but for the hidden states."""
    if isinstance(one, torch.Tensor):
        return one.shape == other.shape and torch.equal(one, other)
    if isinstance(one, dict):
        return all(_same(one[key], other[key]) for key in one if key != "hidden_states")
    if isinstance(one, tuple | list):
        return all(_same(*pair) for pair in zip(one, other, strict=True))
    return True


def _mask_of(call: Call) -> tuple[int | str, Visibility] | None:
    """Where a block's mask goes, and which it is; None: it gets none."""
    for index, value in enumerate(call.positional):
        if isinstance(value, Visibility):
            return index, value
    for name, value in call.named.items():
        if isinstance(value, Visibility):
            return name, value
    return None


def chooses_by_length(trunk: torch.nn.Module) -> bool:
    """Whether position embeddings in there depend on the longest context that they see."""
    kinds: set[Any] = set()
    for module in trunk.modules():
        kind = getattr(module, "rope_type", None)
        kinds |= set(kind.values()) if isinstance(kind, dict) else {kind}
    return bool(kinds & _BY_LENGTH)


def joined(calls: Sequence[Call], sizes: Sequence[int]) -> Call:
    """The calls of single sessions as one: what has a row per token is put in a row."""
    first = calls[0]
    positional = [list(call.positional) for call in calls]
    return Call(
        [_join(values, sizes) for values in zip(*positional, strict=True)],
        {name: _join([call.named[name] for call in calls], sizes) for name in first.named},
    )


def _join(values: Sequence[Any], sizes: Sequence[int]) -> Any:
    first = values[0]
    if isinstance(first, torch.Tensor):
        rows = [
            value.dim() > 1 and value.shape[1] == size
            for value, size in zip(values, sizes, strict=True)
        ]
        return torch.cat(list(values), dim=1) if all(rows) else first
    if isinstance(first, tuple | list):
        return type(first)(_join(parts, sizes) for parts in zip(*values, strict=True))
    if isinstance(first, dict):
        return {key: _join([value[key] for value in values], sizes) for key in first}
    return first
