"""The client's part of a checkpoint: token embeddings, final norm, LM head.

Large matrices that a file has in 8 or 4 bits stay so, in the kernels' layout, where there are
kernels; all others are float32.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, cast

import torch

from farmesh.checkpoint.linear import TallLinear, packed_linear
from farmesh.checkpoint.reader import Checkpoint
from farmesh.cores import usable_cores
from farmesh.errors import UnsupportedModel
from farmesh.kernels.compiling import kernels
from farmesh.kernels.groups import can_be_grouped, grouped
from farmesh.kernels.matrix import PackedMatrix, Workspace

_ROUNDING = ("int8", "int4")  # ask for few bits; others (auto, and nf4 of nodes) take what is there
_MOST_THREADS = 4  # of a packed head: memory gives no more
_MAX_COPIED = 2**23  # elements of a tied weight that may be kept twice: as rows, and packed
_PROBES = 6  # rows with which a short cut is compared with the model's own forward
_CLOSE = 1e-5  # of the largest number, between the two

Rows = Callable[[torch.Tensor], torch.Tensor]


def stem_prefixes(checkpoint: Checkpoint) -> list[str]:
    """The tensors that a client needs, by the beginnings of their names."""
    return list(checkpoint.anatomy.outside)


class PackedEmbedding(torch.nn.Module):
    """``nn.Embedding`` on packed weights."""

    def __init__(self, matrix: PackedMatrix) -> None:
        super().__init__()
        self.matrix = matrix

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        """``[..., tokens]`` to ``[..., tokens, hidden]``"""
        return self.matrix.rows(ids.flatten()).view(*ids.shape, -1)


class PackedHead(torch.nn.Module):
    """``nn.Linear`` on packed weights."""

    def __init__(self, matrix: PackedMatrix, threads: int) -> None:
        super().__init__()
        self._matrix = matrix
        self._threads = threads
        self._workspace = Workspace()

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        """``[..., hidden]`` to ``[..., vocabulary]``; each row as if it were alone."""
        made = self._matrix.linear(rows.flatten(0, -2), self._workspace, self._threads)
        return made.view(*rows.shape[:-1], -1)


class Stem:
    """Embeddings, final norm and LM head of one model, on the CPU.

    What lies between them and the blocks (scales, caps, a norm) does the model's own forward, with
    a gate in the place of its blocks. Where a chain of its parts gives the same numbers, and it
    nearly always does, that is what runs.
    """

    def __init__(self, checkpoint: Checkpoint, *, quantize: str = "auto", threads: int = 0) -> None:
        """
        Args:
            quantize: int8: large matrices are rounded to 8 bits; auto: they are as a file has
                them; none: float32. (In 4 bits of our own rounding a head loses too much.)
            threads: of a packed head; 0: one for each core, but few.
        """
        pack = partial(_packed, checkpoint, quantize)
        anatomy = checkpoint.anatomy
        model = anatomy.skeleton()
        self.hidden_size = checkpoint.hidden_size
        embeddings = model.get_submodule(anatomy.embeddings)
        lm_head = model.get_submodule(anatomy.lm_head)
        vocabulary = int(lm_head.weight.shape[0])
        tied = not checkpoint.has(f"{anatomy.lm_head}.weight")
        rows = pack(embeddings, f"{anatomy.embeddings}.weight")
        outputs = rows if tied else pack(lm_head, f"{anatomy.lm_head}.weight")
        self.packed = outputs is not None  # the head
        absent = [f"{anatomy.embeddings}."] if rows is not None else []
        absent += [f"{anatomy.lm_head}."] if tied or outputs is not None else []
        checkpoint.load_outside(model, without=tuple(absent))
        if rows is not None:
            embeddings = PackedEmbedding(rows)
            model.set_submodule(anatomy.embeddings, embeddings)
        if outputs is not None:
            lm_head = PackedHead(outputs, threads or min(usable_cores(), _MOST_THREADS))
            model.set_submodule(anatomy.lm_head, lm_head)
        else:
            lm_head = _float_head(lm_head, embeddings, tied)
        own = _OwnForward(model, anatomy.blocks, self.hidden_size)
        self._embed = _embedding(own, embeddings, vocabulary)
        self._logits = _heading(own, lm_head, self.hidden_size, checkpoint.config)

    def __repr__(self) -> str:
        return f"<Stem {'PACKED' if self.packed else 'FLOAT32'} {self.hidden_size} wide>"

    @torch.inference_mode()
    def embed(self, token_ids: Sequence[int]) -> torch.Tensor:
        """``[1, tokens, hidden]``"""
        return self._embed(torch.tensor([list(token_ids)], dtype=torch.long))

    @torch.inference_mode()
    def logits(self, hidden_states: torch.Tensor) -> torch.Tensor:
        """``[rows, hidden]`` of last positions to ``[rows, vocabulary]``."""
        return self._logits(hidden_states.float())


class _Reached(Exception):
    """The blocks' place was reached with these hidden states."""

    def __init__(self, hidden_states: torch.Tensor) -> None:
        super().__init__()
        self.hidden_states = hidden_states


class _Gate:
    """Stands for all blocks of a model: stops its forward there, or goes on with other states."""

    def __init__(self, layer: torch.nn.Module) -> None:
        self._layer = layer
        self.beyond: torch.Tensor | None = None  # what the last block gave
        self.in_tuple = False
        self.passed = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._layer, name)

    def __call__(self, *positional: Any, **named: Any) -> Any:
        self.passed = True
        if self.beyond is None:
            raise _Reached(named["hidden_states"] if "hidden_states" in named else positional[0])
        return (self.beyond,) if self.in_tuple else self.beyond


class _OwnForward:
    """A model's own forward, up to its blocks and on from behind them."""

    def __init__(self, model: Any, blocks: str, hidden_size: int) -> None:
        path, _, name = blocks.rpartition(".")
        self._model = model
        self._trunk = model.get_submodule(path)
        self._gate = _Gate(getattr(self._trunk, name)[0])
        delattr(self._trunk, name)
        setattr(self._trunk, name, [self._gate])
        self._hidden_size = hidden_size

    def embed(self, ids: torch.Tensor) -> torch.Tensor:
        """``[1, tokens]`` to ``[1, tokens, hidden]``"""
        self._gate.beyond = None
        try:
            self._model(input_ids=ids, use_cache=False)
        except _Reached as reached:
            return reached.hidden_states
        raise UnsupportedModel(f"{type(self._model).__name__} does not run its blocks in a row.")

    def logits(self, rows: torch.Tensor) -> torch.Tensor:
        """``[rows, hidden]`` to ``[rows, vocabulary]``"""
        self._gate.beyond = rows[None]
        logits: torch.Tensor = self._model(
            inputs_embeds=torch.zeros_like(self._gate.beyond), use_cache=False
        ).logits
        return logits[0]

    def check_outputs(self, rows: torch.Tensor) -> None:
        """Find out whether the model wants a tensor from its blocks, or a tuple."""
        for self._gate.in_tuple in (False, True):
            with contextlib.suppress(Exception):
                if self.logits(rows).shape[0] == len(rows):
                    return
        self.logits(rows)

    def parts(self, run: Callable[[], Any]) -> tuple[list[Any], list[Any]]:
        """The trunk's own parts that a forward calls before its blocks, and those behind."""
        before: list[Any] = []
        behind: list[Any] = []
        self._gate.passed = False

        def note(module: Any, inputs: tuple[Any, ...], named: dict[str, Any]) -> None:
            if len(inputs) == 1 and not named and isinstance(inputs[0], torch.Tensor):
                (behind if self._gate.passed else before).append(module)

        hooks = [
            child.register_forward_pre_hook(note, with_kwargs=True)
            for child in self._trunk.children()
        ]
        try:
            run()
        finally:
            for hook in hooks:
                hook.remove()
        return before, behind


@torch.inference_mode()
def _embedding(own: _OwnForward, embeddings: Any, vocabulary: int) -> Rows:
    """From ``[1, tokens]`` ids to ``[1, tokens, hidden]``.

    Raises: UnsupportedModel: a token's embedding depends on those before it.
    """
    ids = torch.arange(_PROBES)[None] * (vocabulary // _PROBES)
    wanted = own.embed(ids)
    if not _close(own.embed(ids[:, 1:]), wanted[:, 1:]):
        raise UnsupportedModel("Embeddings that depend on positions cannot be made by clients.")
    before, _ = own.parts(lambda: own.embed(ids))
    chain = _chain(before if embeddings in before else [embeddings])
    made = _tried(chain, ids)
    if torch.equal(made, wanted):
        return chain
    scale = _scale(made, wanted)
    return own.embed if scale is None else lambda ids: chain(ids) * scale


@torch.inference_mode()
def _heading(own: _OwnForward, lm_head: Any, hidden_size: int, config: Any) -> Rows:
    """From ``[rows, hidden]`` of the last block to ``[rows, vocabulary]``."""
    rows = torch.linspace(-2, 2, _PROBES * hidden_size).view(_PROBES, hidden_size).sin()
    own.check_outputs(rows)
    wanted = own.logits(rows)
    _, behind = own.parts(lambda: own.logits(rows))
    chain = _chain([*behind, lm_head])
    made = _tried(chain, rows)
    if _close(made, wanted):
        return chain
    cap = getattr(config, "final_logit_softcapping", None)
    if cap and _close(torch.tanh(made / cap) * cap, wanted):
        return lambda rows: torch.tanh(chain(rows) / cap) * cap
    scale = _scale(made, wanted)
    return own.logits if scale is None else lambda rows: chain(rows) * scale


def _chain(parts: Sequence[Any]) -> Rows:
    def run(value: torch.Tensor) -> torch.Tensor:
        for part in parts:
            value = part(value)
        return value

    return run


def _tried(chain: Rows, value: torch.Tensor) -> torch.Tensor:
    """What a chain makes; nothing, where its parts are not made for one another."""
    try:
        return chain(value)
    except (RuntimeError, TypeError, ValueError):
        return torch.empty(0)


def _scale(made: torch.Tensor, wanted: torch.Tensor) -> float | None:
    """The number that turns one into the other; None: there is none."""
    if made.shape != wanted.shape:
        return None
    scale = float((made.double() * wanted).sum() / (made.double() ** 2).sum())
    return scale if _close(made * scale, wanted) else None


def _close(made: torch.Tensor, wanted: torch.Tensor) -> bool:
    if made.shape != wanted.shape:
        return False
    largest = float(wanted.abs().max())
    return bool((made - wanted).abs().max() <= _CLOSE * largest)


def _float_head(lm_head: Any, embeddings: Any, tied: bool) -> Any:
    """In float32; the model's own keeps the class that it was made with."""
    if tied:
        lm_head.weight = embeddings.weight
    if not tied or lm_head.weight.numel() <= _MAX_COPIED:
        return packed_linear(lm_head) or lm_head
    if getattr(lm_head, "bias", None) is None:
        return TallLinear(cast(torch.Tensor, embeddings.weight))
    return lm_head


def _packed(checkpoint: Checkpoint, quantize: str, module: Any, name: str) -> PackedMatrix | None:
    """A matrix in few bits; None: it is to be loaded in float32.

    Raises: CheckpointError.
    """
    plain = type(module) in (torch.nn.Embedding, torch.nn.Linear)
    if not plain or getattr(module, "bias", None) is not None or quantize == "none":
        return None
    if quantize not in _ROUNDING and not checkpoint.stored_bytes(name):
        return None
    outs, ins = module.weight.shape
    library = kernels() if can_be_grouped(ins) else None
    if library is None:
        return None
    weights = checkpoint.grouped(name)
    if weights is None:
        weights = grouped(checkpoint.read([name], torch.float32)[name].numpy(), 8)
    checkpoint.check_shape(name, weights.shape, (outs, ins))
    return PackedMatrix(library, weights)
