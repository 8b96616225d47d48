"""Where a model's parts are, found in transformers' own model without any memory for it.

Nothing here knows a family: the blocks are the list of as many modules as the configuration says
blocks, the trunk is what holds that list and runs it, and transformers itself names the
embeddings and the LM head.
"""

from __future__ import annotations

import contextlib
import copy
import threading
from functools import cached_property
from typing import Any, cast

import torch
from transformers import (
    AttentionInterface,
    AutoModelForCausalLM,
    AutoModelForImageTextToText,
    PreTrainedConfig,
)

from farmesh.errors import UnsupportedModel

# An attention without masks, of models whose blocks never run: no mask is made for it.
NO_ATTENTION = "farmesh_none"
# Building a model switches torch's default device and dtype, which all threads share.
_BUILDING = threading.RLock()


class Anatomy:
    """A model without memory, and the paths of its parts in it.

    Raises, when a path is asked for: UnsupportedModel, the model is not built of blocks.
    """

    def __init__(self, described: PreTrainedConfig) -> None:
        """
        Args:
            described: what ``config.json`` says, of a text model or of one that has a text model.
        """
        self.described = described
        self.config: PreTrainedConfig = described.get_text_config(decoder=True)

    def __repr__(self) -> str:
        return f"<Anatomy {self.config.model_type} {self.config.num_hidden_layers} blocks>"

    def skeleton(self, attention: str = NO_ATTENTION, dtype: torch.dtype = torch.float32) -> Any:
        """The whole model without memory: all parameters on the meta device.

        ``attention`` is the name under which nodes registered theirs with transformers; ``dtype``
        that of what transformers computes itself.
        """
        with contextlib.suppress(KeyError):  # one that has a class for each attention it knows
            return self._build(attention, dtype)
        return self._build("eager", dtype)

    def _build(self, attention: str, dtype: torch.dtype) -> Any:
        config = copy.deepcopy(self.described)  # transformers writes into it
        kind = AutoModelForImageTextToText if self.is_part else AutoModelForCausalLM
        with _BUILDING, torch.device("meta"):
            model = kind.from_config(
                config, attn_implementation=attention, experts_implementation="eager", dtype=dtype
            )
        return model.eval()

    @property
    def is_part(self) -> bool:
        """Whether the text model is part of one that sees or hears too."""
        return self.config is not self.described

    @property
    def trunk(self) -> str:
        """Path of the module that runs the blocks."""
        return self.blocks.rpartition(".")[0]

    @cached_property
    def blocks(self) -> str:
        """Path of the list of blocks."""
        return find_blocks(self.whole, int(self.config.num_hidden_layers))

    @cached_property
    def embeddings(self) -> str:
        return self._path_of(self.whole.get_input_embeddings())

    @cached_property
    def lm_head(self) -> str:
        return self._path_of(self.whole.get_output_embeddings())

    @cached_property
    def outside(self) -> tuple[str, ...]:
        """The names of the text model's tensors that are in no block."""
        inside = (f"{self.trunk}.", f"{self.lm_head}.") if self.is_part else ""
        return tuple(
            name
            for name in self.whole.state_dict()
            if name.startswith(inside) and not name.startswith(f"{self.blocks}.")
        )

    @cached_property
    def whole(self) -> Any:
        """One skeleton to look at; nobody may change it."""
        return self.skeleton()

    def _path_of(self, module: Any) -> str:
        for path, part in self.whole.named_modules():
            if part is module:
                return path
        raise UnsupportedModel(
            f"Models of type {self.config.model_type!r} have no embeddings or no LM head."
        )


def find_blocks(model: Any, count: int) -> str:
    """The path of the list of ``count`` blocks, the outermost of the text model.

    Raises: UnsupportedModel: there is none.
    """
    decoder = model.get_decoder()
    inside = [path for path, module in model.named_modules() if module is decoder]
    root = inside[0] if inside else ""
    found = [
        path
        for path, module in model.named_modules()
        if isinstance(module, torch.nn.ModuleList)
        and len(module) == count
        and path.startswith(root)
    ]
    if not found:
        raise UnsupportedModel(
            f"Models of type {model.config.model_type!r} are not built of {count} blocks in a row."
        )
    return min(found, key=lambda path: path.count("."))


def fill_computed(model: Any, module: torch.nn.Module, *, but: str | None = None) -> None:
    """Give the buffers of ``module`` that no checkpoint holds the values that transformers gives.

    ``model`` is the whole one, whose rules those are. What is loaded stays as it is, and so do
    parts whose paths begin with ``but``.
    """
    for path, part in module.named_modules():
        empty = [name for name, value in part._buffers.items() if _is_empty(value)]
        if not empty or path.startswith(but or "\0"):
            continue
        for name in empty:
            buffer = torch.empty_like(cast(torch.Tensor, part._buffers[name]), device="cpu")
            part._buffers[name] = buffer.fill_(torch.nan) if buffer.is_floating_point() else buffer
        for parameter in part.parameters(recurse=False):
            parameter._is_hf_initialized = True
        model._init_weights(part)
        for name in empty:
            if bool(cast(torch.Tensor, part._buffers[name]).isnan().any()):
                raise UnsupportedModel(
                    f"{type(part).__name__} has numbers ({name}) that only a whole model computes."
                )


def _is_empty(value: torch.Tensor | None) -> bool:
    return value is not None and value.is_meta


def _no_attention(module: Any, *_: Any, **__: Any) -> Any:
    raise UnsupportedModel(f"{type(module).__name__} runs outside of a node.")


AttentionInterface.register(NO_ATTENTION, _no_attention)
