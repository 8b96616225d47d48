"""Checkpoints as ``config.json`` and ``*.safetensors``."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable
from functools import cached_property
from pathlib import PurePosixPath

import torch
from safetensors import SafetensorError, safe_open
from transformers import AutoConfig, PreTrainedConfig

from farmesh.checkpoint.families import Family, family_of
from farmesh.errors import CheckpointError
from farmesh.hub.files import CONFIG, Source
from farmesh.hub.gguf_names import models_among
from farmesh.hub.progress import Progress
from farmesh.kernels.groups import Grouped

_INDEX = "model.safetensors.index.json"
_WHOLE = "model.safetensors"
_UNSAFE_WEIGHTS = (".bin", ".pt", ".pth", ".ckpt")


def open_safetensors(source: Source) -> SafetensorsStore:
    """
    Raises:
        CheckpointError: there is no config that can be used, or there are no safetensors.
        UnsupportedModel: the architecture has no block support.
    """
    path = source.folder / CONFIG
    try:
        # Before transformers, which has no word for what works here on types it does not know.
        family = family_of(json.loads(path.read_text()))
        config: PreTrainedConfig = AutoConfig.from_pretrained(source.folder)
    except (ValueError, OSError, KeyError, TypeError, AttributeError) as error:
        raise CheckpointError(f"{path} cannot be used: {error}") from error
    check_safe(source.files, source.name)
    return SafetensorsStore(source, family, config)


class SafetensorsStore:
    """Tensors in one safetensors file, or in several with an index."""

    def __init__(self, source: Source, family: Family, config: PreTrainedConfig) -> None:
        self.family = family
        self.config = config
        self._source = source
        self._folder = source.folder

    @property
    def names(self) -> Collection[str]:
        return self._files.keys()

    def eos_token_ids(self) -> frozenset[int]:
        """From generation_config.json or else config.json."""
        for name in ("generation_config.json", CONFIG):
            if name in self._source.files:
                self._source.fetch([name])
                ids = json.loads((self._folder / name).read_text("utf-8")).get("eos_token_id")
                if ids is not None:
                    return frozenset(ids if isinstance(ids, list) else [ids])
        return frozenset()

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
                with safe_open(self._folder / name, framework="pt") as shard:
                    files.update(dict.fromkeys(shard.keys(), name))
            except (SafetensorError, OSError) as error:
                raise CheckpointError(
                    f"{self._folder / name} is not a readable safetensors file."
                ) from error
        return files

    def _read_index(self) -> dict[str, str]:
        self._source.fetch([_INDEX])
        try:
            names: dict[str, str] = json.loads((self._folder / _INDEX).read_text("utf-8"))[
                "weight_map"
            ]
            return {tensor: PurePosixPath(name).name for tensor, name in names.items()}
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise CheckpointError(f"{self._folder / _INDEX} is not a safetensors index.") from error

    def fetch(self, prefixes: Iterable[str], progress: Progress | None = None) -> None:
        if _INDEX not in self._source.files:  # no index: which tensors are where, the files say
            self._source.fetch(weight_files(self._source.files), progress)
        beginnings = tuple(prefixes)
        files = [file for name, file in self._files.items() if name.startswith(beginnings)]
        self._source.fetch(files, progress)

    def grouped(self, _: str) -> Grouped | None:
        return None  # these files hold floating point

    def stored_bytes(self, _: str) -> int | None:
        return None

    def _stored_name(self, name: str) -> str:
        return name.partition(".")[2] if self._rootless else name

    def read(self, names: Iterable[str], dtype: torch.dtype) -> dict[str, torch.Tensor]:
        by_file: dict[str, list[str]] = {}
        for name in names:
            if name not in self._files:
                raise CheckpointError(f"{self._folder} lacks the tensor {name}.")
            by_file.setdefault(self._files[name], []).append(name)
        self._source.fetch(by_file)
        tensors: dict[str, torch.Tensor] = {}
        for file, wanted in by_file.items():
            path = self._folder / file
            try:
                with safe_open(path, framework="pt") as shard:
                    for name in wanted:
                        tensor = shard.get_tensor(self._stored_name(name))
                        tensors[name] = tensor.to(dtype) if tensor.is_floating_point() else tensor
            except (SafetensorError, OSError) as error:
                raise CheckpointError(f"{path} cannot be read: {error}") from error
        return tensors


def weight_files(files: Iterable[str]) -> list[str]:
    """The safetensors files of a checkpoint without an index: the one of the usual name, or all."""
    found = sorted(name for name in files if name.endswith(".safetensors") and "/" not in name)
    return [_WHOLE] if _WHOLE in found else found


def check_safe(files: Iterable[str], name: str) -> None:
    """Raises: CheckpointError when there are no safetensors; weights as pickles are refused."""
    top = [file for file in files if "/" not in file]
    if any(file.endswith((".safetensors", _INDEX)) for file in top):
        return
    hint = ""
    if any(file.endswith(_UNSAFE_WEIGHTS) for file in top):
        hint = (
            " It has weights in a pickle format, which can run code when loaded and is refused; "
            "convert them with save_pretrained of transformers."
        )
    elif models := models_among(files):
        hint = f" It has GGUF files; name one of them, as in {name}:{models[0]}."
    raise CheckpointError(f"{name} has no *.safetensors files.{hint}")
