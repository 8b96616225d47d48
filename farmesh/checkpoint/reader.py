"""A checkpoint: its config, and single tensors read out of its files.

A folder, a GGUF file, or either of them on the Hugging Face hub, of which only the files are
fetched that hold the tensors asked for (:mod:`farmesh.hub`). What the files are like is
:class:`TensorStore`'s affair.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property
from pathlib import Path

import torch
from transformers import PreTrainedConfig

from farmesh.checkpoint.families import Family
from farmesh.checkpoint.gguf import open_gguf_store
from farmesh.checkpoint.safetensors import open_safetensors
from farmesh.checkpoint.store import TensorStore
from farmesh.core import Span
from farmesh.errors import CheckpointError
from farmesh.hub.gguf_names import model_name
from farmesh.hub.progress import Progress
from farmesh.hub.source import open_source
from farmesh.kernels.groups import Grouped


class Checkpoint:
    """Configuration and weights, in a folder, in a GGUF file or on the hub.

    Raises:
        CheckpointError: it is nowhere, or holds no config or no weights; the subclasses tell what
            the hub had to say.
        UnsupportedModel: the architecture has no block support.
    """

    def __init__(
        self,
        name: Path | str,
        *,
        revision: str | None = None,
        cache_dir: Path | str | None = None,
        token: str | None = None,
    ) -> None:
        self._source = open_source(name, revision=revision, cache_dir=cache_dir, token=token)
        # The folder, or the file that is the model.
        self.path = self._source.folder / (self._source.gguf or "")
        open_store = open_gguf_store if self._source.gguf else open_safetensors
        self._store: TensorStore = open_store(self._source)

    def __repr__(self) -> str:
        return f"<Checkpoint {self.name} {self.config.model_type} {self.num_blocks} blocks>"

    @property
    def family(self) -> Family:
        return self._store.family

    @property
    def config(self) -> PreTrainedConfig:
        return self._store.config

    @property
    def name(self) -> str:
        """The repository on the hub, or the folder's name; a GGUF file's wherever it lies."""
        if self._source.gguf:
            return model_name(self._source.gguf)
        return self._source.repository or self.path.resolve().name

    @property
    def repository(self) -> str | None:
        """On the hub; None: a folder of this machine."""
        return self._source.repository

    @property
    def num_blocks(self) -> int:
        return int(self.config.num_hidden_layers)

    @property
    def hidden_size(self) -> int:
        return int(self.config.hidden_size)

    @property
    def max_context(self) -> int:
        """Longest token list that the model was made for."""
        return int(getattr(self.config, "max_position_embeddings", None) or 2048)

    @property
    def default_prefix(self) -> str:
        """The DHT prefix that nodes and clients of this model agree on without being told."""
        return self.family.dht_prefix(self.name)

    @cached_property
    def eos_token_ids(self) -> frozenset[int]:
        """Tokens that end a reply."""
        return self._store.eos_token_ids()

    def fetch(self, prefixes: Iterable[str], progress: Progress | None = None) -> None:
        """Make the files present that hold the tensors under these prefixes, and no others.

        Raises: CheckpointError.
        """
        self._store.fetch(prefixes, progress)

    def has(self, name: str) -> bool:
        return name in self._store.names

    def names(self, prefix: str) -> list[str]:
        return [name for name in self._store.names if name.startswith(prefix)]

    def read(self, names: Iterable[str], dtype: torch.dtype) -> dict[str, torch.Tensor]:
        """Tensors by name; floating-point ones cast to ``dtype``.

        Raises:
            CheckpointError: a tensor or its file is missing or unreadable.
        """
        return self._store.read(names, dtype)

    def grouped(self, name: str) -> Grouped | None:
        """A matrix as whole numbers, where its file has it so and nothing is lost; else None.

        Raises: CheckpointError.
        """
        return self._store.grouped(name)

    def stored_bytes(self, name: str) -> int | None:
        """What a tensor takes in a file that has it in 8 bits or fewer; else None."""
        return self._store.stored_bytes(name)

    def load_module(self, module: torch.nn.Module, prefix: str, dtype: torch.dtype) -> None:
        """Fill a module made on the meta device with the tensors under ``prefix``.

        Raises:
            CheckpointError: a tensor is missing or has another shape than the configuration says.
        """
        stored = self.read(self.names(prefix), dtype)
        tensors = {name.removeprefix(prefix): tensor for name, tensor in stored.items()}
        if self.family.convert is not None:
            tensors = dict(self.family.convert(tensors))
        for name, wanted in module.named_parameters():
            if name not in tensors:
                raise CheckpointError(f"{self.path} lacks the tensor {prefix}{name}.")
            self.check_shape(prefix + name, tuple(tensors[name].shape), tuple(wanted.shape))
        known = dict(module.named_parameters())
        module.load_state_dict(
            {name: tensor for name, tensor in tensors.items() if name in known}, assign=True
        )
        module.requires_grad_(False)
        module.eval()

    def check_shape(self, name: str, shape: tuple[int, ...], wanted: tuple[int, ...]) -> None:
        """Raises: CheckpointError when a tensor has another shape than the configuration says."""
        if shape != wanted:
            raise CheckpointError(
                f"{self.path}: {name} has shape {shape}, its configuration says {wanted}."
            )

    def check_span(self, span: Span) -> None:
        """Raises: CheckpointError when the model has no such blocks."""
        if span.end > self.num_blocks:
            raise CheckpointError(
                f"{self.name} has {self.num_blocks} blocks (0:{self.num_blocks}); "
                f"it cannot serve {span}."
            )
