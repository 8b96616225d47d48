"""A checkpoint: its config, and single tensors read out of its safetensors files.

A folder, or a repository of the Hugging Face hub, of which only the files are fetched that hold
the tensors asked for (:mod:`farmesh.hub.source`).
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from functools import cached_property
from pathlib import Path, PurePosixPath

import torch
from safetensors import SafetensorError, safe_open
from transformers import AutoConfig, PreTrainedConfig

from farmesh.checkpoint.families import Family, family_of
from farmesh.core import Span
from farmesh.errors import CheckpointError
from farmesh.hub.progress import Progress
from farmesh.hub.source import open_source

_INDEX = "model.safetensors.index.json"
_WHOLE = "model.safetensors"
_UNSAFE_WEIGHTS = (".bin", ".pt", ".pth", ".ckpt")


class Checkpoint:
    """``config.json`` and safetensors weights, in a folder or on the hub.

    Raises:
        CheckpointError: it is nowhere, or holds no config or no safetensors; the subclasses tell
            what the hub had to say.
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
        self.path = self._source.folder
        try:
            # Before transformers, which has no word for what works here on types it does not know.
            self.family: Family = family_of(json.loads((self.path / "config.json").read_text()))
            self.config: PreTrainedConfig = AutoConfig.from_pretrained(self.path)
        except (ValueError, OSError, KeyError, TypeError, AttributeError) as error:
            raise CheckpointError(f"{self.path}/config.json cannot be used: {error}") from error
        check_safe(self._source.files, self._source.name)

    def __repr__(self) -> str:
        return f"<Checkpoint {self.name} {self.config.model_type} {self.num_blocks} blocks>"

    @property
    def name(self) -> str:
        """The repository on the hub, or the folder's name."""
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
        """Tokens that end a reply, from generation_config.json or else config.json."""
        for name in ("generation_config.json", "config.json"):
            if name in self._source.files:
                self._source.fetch([name])
                ids = json.loads((self.path / name).read_text("utf-8")).get("eos_token_id")
                if ids is not None:
                    return frozenset(ids if isinstance(ids, list) else [ids])
        return frozenset()

    # --- which file holds what ------------------------------------------------------------------

    @cached_property
    def _files(self) -> dict[str, str]:
        """The file of every tensor, by the tensor's name in the whole model."""
        files = self._find_files()
        root = f"{self.family.blocks.split('.')[0]}."
        self._rootless = not any(name.startswith(root) for name in files)
        # Some checkpoints were saved from the model's trunk alone.
        return {root + name: file for name, file in files.items()} if self._rootless else files

    def _find_files(self) -> dict[str, str]:
        if _INDEX in self._source.files:
            return self._read_index()
        weights = weight_files(self._source.files)
        self._source.fetch(weights)
        files: dict[str, str] = {}
        for name in weights:
            try:
                with safe_open(self.path / name, framework="pt") as shard:
                    files.update(dict.fromkeys(shard.keys(), name))
            except (SafetensorError, OSError) as error:
                raise CheckpointError(
                    f"{self.path / name} is not a readable safetensors file."
                ) from error
        return files

    def _read_index(self) -> dict[str, str]:
        self._source.fetch([_INDEX])
        try:
            names: dict[str, str] = json.loads((self.path / _INDEX).read_text("utf-8"))[
                "weight_map"
            ]
            return {tensor: PurePosixPath(name).name for tensor, name in names.items()}
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise CheckpointError(f"{self.path / _INDEX} is not a safetensors index.") from error

    def fetch(self, prefixes: Iterable[str], progress: Progress | None = None) -> None:
        """Make the files present that hold the tensors under these prefixes, and no others.

        Raises: CheckpointError.
        """
        if _INDEX not in self._source.files:  # no index: which tensors are where, the files say
            self._source.fetch(weight_files(self._source.files), progress)
        names = (name for prefix in prefixes for name in self.names(prefix))
        self._source.fetch([self._files[name] for name in names], progress)

    def has(self, name: str) -> bool:
        return name in self._files

    def _stored_name(self, name: str) -> str:
        return name.partition(".")[2] if self._rootless else name

    def names(self, prefix: str) -> list[str]:
        return [name for name in self._files if name.startswith(prefix)]

    def read(self, names: Iterable[str], dtype: torch.dtype) -> dict[str, torch.Tensor]:
        """Tensors by name; floating-point ones cast to ``dtype``.

        Raises:
            CheckpointError: a tensor or its file is missing or unreadable.
        """
        by_file: dict[str, list[str]] = {}
        for name in names:
            if name not in self._files:
                raise CheckpointError(f"{self.path} lacks the tensor {name}.")
            by_file.setdefault(self._files[name], []).append(name)
        self._source.fetch(by_file)
        tensors: dict[str, torch.Tensor] = {}
        for file, wanted in by_file.items():
            path = self.path / file
            try:
                with safe_open(path, framework="pt") as shard:
                    for name in wanted:
                        tensor = shard.get_tensor(self._stored_name(name))
                        tensors[name] = tensor.to(dtype) if tensor.is_floating_point() else tensor
            except (SafetensorError, OSError) as error:
                raise CheckpointError(f"{path} cannot be read: {error}") from error
        return tensors

    def load_module(self, module: torch.nn.Module, prefix: str, dtype: torch.dtype) -> None:
        """Fill a module made on the meta device with the tensors under ``prefix``.

        Raises:
            CheckpointError: a tensor is missing or has another shape than config.json says.
        """
        stored = self.read(self.names(prefix), dtype)
        tensors = {name.removeprefix(prefix): tensor for name, tensor in stored.items()}
        if self.family.convert is not None:
            tensors = dict(self.family.convert(tensors))
        for name, wanted in module.named_parameters():
            if name not in tensors:
                raise CheckpointError(f"{self.path} lacks the tensor {prefix}{name}.")
            if tensors[name].shape != wanted.shape:
                raise CheckpointError(
                    f"{self.path}: {prefix}{name} has shape {tuple(tensors[name].shape)}, "
                    f"config.json says {tuple(wanted.shape)}."
                )
        known = dict(module.named_parameters())
        module.load_state_dict(
            {name: tensor for name, tensor in tensors.items() if name in known}, assign=True
        )
        module.requires_grad_(False)
        module.eval()

    def check_span(self, span: Span) -> None:
        """Raises: CheckpointError when the model has no such blocks."""
        if span.end > self.num_blocks:
            raise CheckpointError(
                f"{self.name} has {self.num_blocks} blocks (0:{self.num_blocks}); "
                f"it cannot serve {span}."
            )


def weight_files(files: Iterable[str]) -> list[str]:
    """The safetensors files of a checkpoint without an index: the one of the usual name, or all."""
    found = sorted(name for name in files if name.endswith(".safetensors") and "/" not in name)
    return [_WHOLE] if _WHOLE in found else found


def check_safe(files: Iterable[str], name: str) -> None:
    """Raises: CheckpointError when there are no safetensors; weights as pickles are refused."""
    top = [file for file in files if "/" not in file]
    if any(file.endswith((".safetensors", _INDEX)) for file in top):
        return
    hint = (
        " It has weights in a pickle format, which can run code when loaded and is refused; "
        "convert them with save_pretrained of transformers."
        if any(file.endswith(_UNSAFE_WEIGHTS) for file in top)
        else ""
    )
    raise CheckpointError(f"{name} has no *.safetensors files.{hint}")
