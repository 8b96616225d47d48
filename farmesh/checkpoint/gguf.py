"""Checkpoints as GGUF files: blocks of packed numbers, unpacked tensor by tensor.

Names, and what llama.cpp changed in a tensor, come from transformers' own tables and classes; the
formats are unpacked by ``gguf``.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Iterator, Mapping
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from huggingface_hub.errors import StrictDataclassError
from transformers import AutoConfig, PreTrainedConfig
from transformers.modeling_gguf_pytorch_utils import (
    TENSOR_PROCESSORS,
    TensorProcessor,
    get_gguf_hf_weights_map,
)

from farmesh.checkpoint.families import Family, family_of
from farmesh.checkpoint.gguf_config import ROPE_FREQS, ROPE_LONG, ROPE_SHORT, describe
from farmesh.checkpoint.gguf_groups import groups_in
from farmesh.checkpoint.gguf_model import GgufModel, open_gguf, open_header
from farmesh.errors import CheckpointError, UnsupportedModel
from farmesh.hub.files import Source
from farmesh.hub.progress import Progress
from farmesh.kernels.groups import Grouped

# What transformers and torch raise for a configuration that makes no sense.
_MISTAKES = (
    *(ValueError, TypeError, KeyError, AttributeError, IndexError),
    *(ArithmeticError, AssertionError, RuntimeError, StrictDataclassError),
)
_FEW_BITS = 9  # for each weight: above it the numbers are floating point
_TOKENS = "tokenizer.ggml.tokens"
_EOS_KEYS = ("eos_token_id", "eot_token_id", "eom_token_id")
# A file names one token that ends a text. These end a turn, whatever the file says; llama.cpp has
# the same list.
_ENDS = frozenset(
    (
        *("<|im_end|>", "<|eot_id|>", "<|eom_id|>", "<|end|>", "<|return|>", "<|call|>"),
        *("<end_of_turn>", "<|endoftext|>", "<EOT>", "_<EOT>"),
    )
)


def open_gguf_store(source: Source) -> GgufStore:
    """
    Raises:
        CheckpointError: the files cannot be right.
        UnsupportedModel: the architecture has no block support.
    """
    model = open_gguf(source)
    described = describe(model)
    family = family_of(described)
    try:
        config: PreTrainedConfig = AutoConfig.for_model(**described)
    except _MISTAKES as error:
        raise _impossible(model, error) from error
    return GgufStore(source, model, described, family, config)


def _impossible(model: GgufModel, error: Exception) -> CheckpointError:
    reason = (str(error) or type(error).__name__).splitlines()[0]
    return CheckpointError(f"{model.first} does not describe a model that can be: {reason}")


class GgufStore:
    """The tensors of a model in GGUF files."""

    def __init__(
        self,
        source: Source,
        model: GgufModel,
        described: dict[str, Any],
        family: Family,
        config: PreTrainedConfig,
    ) -> None:
        self.family = family
        self.config = config
        self._source = source
        self._model = model
        processor = TENSOR_PROCESSORS.get(model.architecture, TensorProcessor)
        self._processor: Any = processor(config=described)

    def __repr__(self) -> str:
        return f"<GgufStore {self._model!r}>"

    @property
    def names(self) -> Collection[str]:
        return self._stored.keys()

    def fetch(self, prefixes: Iterable[str], progress: Progress | None = None) -> None:
        beginnings = tuple(prefixes)
        wanted = (
            stored
            for name, parts in self._stored.items()
            if name.startswith(beginnings)
            for stored in parts
        )
        self._source.fetch({self._model.files[stored] for stored in wanted}, progress)

    def read(self, names: Iterable[str], dtype: torch.dtype) -> dict[str, torch.Tensor]:
        tensors: dict[str, torch.Tensor] = {}
        for name in names:
            if name not in self._stored:
                raise CheckpointError(f"{self._model.first} lacks the tensor {name}.")
            self._source.fetch({self._model.files[stored] for stored in self._stored[name]})
            tensors[name] = self._read(name).to(dtype)
        return tensors

    def grouped(self, name: str) -> Grouped | None:
        stored = self._stored.get(name, [])
        if len(stored) != 1:
            return None
        tensor = self._model.tensors[stored[0]]
        self._source.fetch({self._model.files[stored[0]]})
        groups = groups_in(tensor.kind, self._model.packed(stored[0]), tensor.shape)
        order = None if groups is None else self._order(name, stored[0], groups.shape)
        return None if groups is None or order is None else groups.rows(order)

    def stored_bytes(self, name: str) -> int | None:
        stored = [self._model.tensors[part] for part in self._stored.get(name, [])]
        size = sum(tensor.size for tensor in stored)
        weights = sum(math.prod(tensor.shape) for tensor in stored)
        return size if 0 < 8 * size < _FEW_BITS * weights else None

    def _order(
        self, name: str, stored: str, shape: tuple[int, int]
    ) -> npt.NDArray[np.intp] | slice | None:
        """Where each row of a matrix lies in its file; None where more is done to it than that.

        transformers' class is given numbers that say where they are, instead of weights.
        """
        rows = np.broadcast_to(np.arange(shape[0], dtype=np.float32)[:, None], shape)
        columns = np.broadcast_to(np.arange(shape[1], dtype=np.float32), shape)
        moved, same = self._processed(name, stored, rows), self._processed(name, stored, columns)
        if moved is rows and same is columns:
            return slice(None)
        if moved is None or moved.shape != shape or not np.array_equal(same, columns):
            return None
        order = moved[:, 0].astype(np.intp)
        in_rows = np.array_equal(moved, np.broadcast_to(moved[:, :1], shape))
        return order if in_rows and np.array_equal(np.sort(order), np.arange(shape[0])) else None

    def _processed(self, name: str, stored: str, weights: Any) -> Any:
        made: dict[str, dict[str, torch.Tensor]] = {"tensors": {}}
        try:
            done = self._processor.process(
                weights=weights,
                name=stored,
                tensor_key_mapping=self._mapping,
                parsed_parameters=made,
            )
        except ValueError:  # numpy cannot reshape it; reading it says so
            return None
        return done.weights if done.name is not None else None

    def eos_token_ids(self) -> frozenset[int]:
        """The tokens that the file names, and those whose text can only mean the end of a turn."""
        metadata = open_header(self._source, keep=(_TOKENS,)).metadata
        tokens = metadata.get(_TOKENS)
        named = (metadata.get(f"tokenizer.ggml.{key}") for key in _EOS_KEYS)
        ends = {value for value in named if isinstance(value, int)}
        if isinstance(tokens, list):
            ends |= {index for index, token in enumerate(tokens) if token in _ENDS}
        return frozenset(ends)

    def _read(self, name: str) -> torch.Tensor:
        """One tensor in float32, as transformers' module wants it."""
        made: dict[str, dict[str, torch.Tensor]] = {"tensors": {}}
        for stored in self._stored[name]:
            try:
                with np.errstate(all="ignore"):  # of a damaged tensor
                    done = self._processor.process(
                        weights=self._model.numbers(stored),
                        name=stored,
                        tensor_key_mapping=self._mapping,
                        parsed_parameters=made,
                    )
            except ValueError as error:  # numpy cannot reshape it
                raise CheckpointError(
                    f"{self._model.first}: {stored} has another shape than the file says of the "
                    "model."
                ) from error
            if done.name is not None:
                made["tensors"][name] = torch.from_numpy(np.ascontiguousarray(done.weights))
        return made["tensors"][name]

    @cached_property
    def _mapping(self) -> dict[str, str]:
        """The names in the model, by those in the files."""
        try:
            skeleton = self.family.skeleton(self.config)
        except _MISTAKES as error:
            raise _impossible(self._model, error) from error
        mapping: dict[str, str] = get_gguf_hf_weights_map(_Names(skeleton), self._processor)
        return mapping

    @cached_property
    def _stored(self) -> dict[str, list[str]]:
        """The tensors in the files that make up each tensor of the model.

        Raises: UnsupportedModel when the files hold what such a model does not have.
        """
        stored: dict[str, list[str]] = {}
        for name in self._model.tensors:
            if name in self._mapping:
                stored.setdefault(self._mapping[name], []).append(name)
            elif name not in (ROPE_FREQS, ROPE_LONG, ROPE_SHORT):
                raise UnsupportedModel(
                    f"{self._model.name} has a tensor {name!r}, which models of the type "
                    f"{self.config.model_type} do not have here."
                )
        return stored


class _Names:
    """As much of a model as transformers' mapping asks for.

    It would build a table of all names for every module of the model, which takes seconds; the
    whole model and the modules right below it are enough.
    """

    def __init__(self, module: torch.nn.Module, *, whole: bool = True) -> None:
        self._module = module
        self._whole = whole
        self.config: Any = getattr(module, "config", None)

    def state_dict(self) -> Mapping[str, torch.Tensor]:
        return self._module.state_dict()

    def named_children(self) -> Iterator[tuple[str, _Names]]:
        """Always an iterator: transformers takes an empty one as true too."""
        if self._whole:
            for name, child in self._module.named_children():
                yield name, _Names(child, whole=False)
