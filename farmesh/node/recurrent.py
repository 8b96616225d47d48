"""Modules with recurrent states, run session by session inside a packed forward.

transformers' modules ask a cache for their state and give it the new one. Here they run once for
each session, with that session's states in the cache's place, and stop where a snapshot is due.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from typing import Any

import torch

from farmesh.node.attention import PackedBatch, Segment
from farmesh.node.states import EVERY, BlockState, RowStates

_ASKED = frozenset(("update_conv_state", "update_recurrent_state"))  # of a cache, by such modules
# Selective scans of transformers begin with no state: behind a first piece, tokens go one by one.
_FORGETFUL = "mamba_selective_scan"
_PLACES = ("past_key_values", "cache_params")  # of the cache among a module's arguments


class PackedCache:
    """In a cache's place: carries the packed batch to the modules that have states.

    Attention gives it keys and values, and gets them back: those are stored elsewhere.
    """

    def __init__(self, packed: PackedBatch) -> None:
        self.packed = packed

    def update(self, keys: Any, values: Any, *_: Any, **__: Any) -> tuple[Any, Any]:
        return keys, values

    def get_seq_length(self, *_: Any) -> int:
        return 0


def has_states(blocks: torch.nn.Module) -> bool:
    """Whether any module in there keeps a state."""
    return any(_has_state(module) for module in blocks.modules())


def keep_states(layer: torch.nn.Module, block: int) -> bool:
    """Make the modules with states inside a layer run session by session; whether there are any."""
    found = False
    for module in layer.modules():
        if _has_state(module):
            forgetful = _FORGETFUL in _names(module)
            module.forward = _BySession(module.forward, block, one_by_one=forgetful)
            found = True
    return found


def state_bytes(layer: torch.nn.Module) -> int:
    """Of a layer that was asked what it keeps."""
    parts = (module.__dict__.get("forward") for module in layer.modules())
    return sum(part.nbytes for part in parts if isinstance(part, _BySession))


def _has_state(module: torch.nn.Module) -> bool:
    """Whether a module's code asks its cache for a state."""
    return bool(_ASKED & _names(module))


def _names(module: torch.nn.Module) -> set[str]:
    """What the code of a module's own class calls."""
    functions = (value for value in vars(type(module)).values() if inspect.isfunction(value))
    return {name for function in functions for name in inspect.unwrap(function).__code__.co_names}


class _BySession:
    """The forward of a module with states, of packed rows."""

    def __init__(self, forward: Callable[..., Any], block: int, *, one_by_one: bool) -> None:
        self._forward = forward
        self._one_by_one = one_by_one
        self._block = block
        self.nbytes = 0  # of its state; known once it was asked

    def __call__(self, hidden_states: torch.Tensor, **named: Any) -> Any:
        place = next(name for name in _PLACES if name in named)
        packed = named[place].packed
        if packed.cache is None:  # asked what is kept
            state = BlockState()
            output = self._forward(hidden_states, **{**named, place: state})
            self.nbytes = state.nbytes
            return output
        outputs = [
            self._session(segment, hidden_states, named, place) for segment in packed.segments
        ]
        return _joined([part for parts in outputs for part in parts])

    def _session(
        self, segment: Segment, hidden_states: torch.Tensor, named: dict[str, Any], place: str
    ) -> list[Any]:
        states = segment.states
        if states is None:
            raise RuntimeError("a session without states came to a block that has some")

        def work(state: BlockState, kept: RowStates | None) -> list[Any]:
            outputs, start = [], segment.position
            for end, save in _pieces(segment.position, segment.tokens, self._one_by_one):
                if end > start:
                    rows = slice(
                        segment.row + start - segment.position, segment.row + end - segment.position
                    )
                    outputs.append(self._forward(hidden_states[:, rows], **{**named, place: state}))
                if save and kept is not None:
                    kept.save(self._block, end)
                start = end
            return outputs

        made: list[Any] = states.run(self._block, segment.version, work)
        return made


def _pieces(position: int, tokens: int, one_by_one: bool) -> Iterator[tuple[int, bool]]:
    """Where to stop on the way through a step, and whether to keep a snapshot there.

    A step of several tokens is a prompt, or a piece of one: kept are its beginning, where the
    reply before it ended, and the place before its last token, from which its reply is made again.
    """
    end = position + tokens
    if tokens == 1:
        yield end, end % EVERY == 0
        return
    if one_by_one and position:
        places = {position, end - 1}
        yield from ((at, at % EVERY == 0 or at in places) for at in range(position, end + 1))
        return
    yield position, True
    if one_by_one:  # the first piece knows no state yet
        yield end - 1, True
        yield end, False
        return
    yield from ((at, True) for at in range(position - position % EVERY + EVERY, end - 1, EVERY))
    yield end - 1, True
    yield end, False


def _joined(outputs: list[Any]) -> Any:
    if isinstance(outputs[0], tuple):
        return tuple(_joined([output[i] for output in outputs]) for i in range(len(outputs[0])))
    if not isinstance(outputs[0], torch.Tensor):
        return outputs[0]
    return outputs[0] if len(outputs) == 1 else torch.cat(outputs, dim=1)
