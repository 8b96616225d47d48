"""Checkpoints as ``config.json`` and ``*.safetensors``."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Collection, Iterable, Iterator, Mapping
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from transformers import AutoConfig, PreTrainedConfig

from farmesh.checkpoint.anatomy import Anatomy
from farmesh.checkpoint.families import Family, family_of
from farmesh.checkpoint.naming import Recipe, recipes
from farmesh.checkpoint.packed import Packing, packing_of
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
        described = json.loads(path.read_text("utf-8"))
        family = family_of(described)
        packing = packing_of(described)
        config: PreTrainedConfig = AutoConfig.from_pretrained(source.folder)
    except (ValueError, OSError, KeyError, TypeError, AttributeError) as error:
        raise CheckpointError(f"{path} cannot be used: {error}") from error
    check_safe(source.files, source.name)
    return SafetensorsStore(source, family, config, packing)


class SafetensorsStore:
    """Tensors in one safetensors file, or in several with an index."""

    def __init__(
        self, source: Source, family: Family, config: PreTrainedConfig, packing: Packing
    ) -> None:
        self.family = family
        self._packing = packing
        self.anatomy = Anatomy(config)
        self.config = self.anatomy.config
        self._source = source
        self._folder = source.folder

    @property
    def names(self) -> Collection[str]:
        return self._recipes.keys()

    def eos_token_ids(self) -> frozenset[int]:
        """From generation_config.json or else config.json."""
        for name in ("generation_config.json", CONFIG):
            if name in self._source.files:
                self._source.fetch([name])
                told = json.loads((self._folder / name).read_text("utf-8"))
                ids = told.get("eos_token_id", told.get("text_config", {}).get("eos_token_id"))
                if ids is not None:
                    return frozenset(ids if isinstance(ids, list) else [ids])
        return frozenset()

    @cached_property
    def _recipes(self) -> dict[str, Recipe]:
        return recipes(self.anatomy.whole, self._packing.names(self._files))

    def _stored(self, recipe: Recipe) -> Iterator[str]:
        """The tensors in the files that a recipe takes."""
        return (part for name in recipe.stored for part in self._packing.parts(name))

    @cached_property
    def _files(self) -> dict[str, str]:
        """The file of every stored tensor."""
        return self._find_files()

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
        wanted = (
            stored
            for name, recipe in self._recipes.items()
            if name.startswith(beginnings)
            for stored in self._stored(recipe)
        )
        self._source.fetch({self._files[stored] for stored in wanted}, progress)

    def grouped(self, _: str) -> Grouped | None:
        return None  # these files hold floating point

    def stored_bytes(self, _: str) -> int | None:
        return None

    def read(self, names: Iterable[str], dtype: torch.dtype) -> dict[str, torch.Tensor]:
        wanted = list(names)
        for name in wanted:
            if name not in self._recipes:
                raise CheckpointError(f"{self._folder} lacks the tensor {name}.")
        needed = list({id(r): r for r in map(self._recipes.__getitem__, wanted)}.values())
        self._source.fetch(
            {self._files[part] for recipe in needed for part in self._stored(recipe)}
        )
        tensors: dict[str, torch.Tensor] = {}
        with contextlib.ExitStack() as files:
            opened = _Files(self._folder, self._files, files)
            for recipe in needed:
                made = recipe.make(
                    lambda name: self._packing.read(name, opened.read, dtype), self.anatomy.whole
                )
                tensors |= {name: tensor for name, tensor in made.items() if name in wanted}
        return tensors


class _Files:
    """Safetensors files, opened when the first tensor of each is read."""

    def __init__(self, folder: Path, files: Mapping[str, str], scope: contextlib.ExitStack) -> None:
        self._folder = folder
        self._files = files
        self._scope = scope
        self._open: dict[str, Any] = {}

    def read(self, name: str) -> torch.Tensor:
        """Raises: CheckpointError."""
        file = self._files[name]
        path = self._folder / file
        try:
            if file not in self._open:
                self._open[file] = self._scope.enter_context(safe_open(path, framework="pt"))
            tensor: torch.Tensor = self._open[file].get_tensor(name)
        except (SafetensorError, OSError) as error:
            raise CheckpointError(f"{path} cannot be read: {error}") from error
        return tensor


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
