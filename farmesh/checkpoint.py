"""A checkpoint on disk: its config, and single tensors read out of its safetensors files."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from functools import cached_property
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from transformers import AutoConfig, PreTrainedConfig

from farmesh.core import Span
from farmesh.errors import CheckpointError
from farmesh.families import Family, family_of

_INDEX = "model.safetensors.index.json"
_UNSAFE_WEIGHTS = ("*.bin", "*.pt", "*.pth", "*.ckpt")


class Checkpoint:
    """A folder with ``config.json`` and safetensors weights.

    Raises:
        CheckpointError: the folder is missing, or holds no config or no safetensors.
        UnsupportedModel: the architecture has no block support.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        if not self.path.is_dir():
            raise CheckpointError(
                f"There is no checkpoint folder {os.fspath(path)!r}. "
                "Give a folder with config.json and *.safetensors files."
            )
        if not (self.path / "config.json").is_file():
            raise CheckpointError(f"{self.path} has no config.json, so it is not a checkpoint.")
        try:
            self.config: PreTrainedConfig = AutoConfig.from_pretrained(self.path)
        except (ValueError, OSError, KeyError) as error:
            raise CheckpointError(f"{self.path}/config.json cannot be used: {error}") from error
        self.family: Family = family_of(self.config)
        self._files = self._with_root(self._find_files())

    def __repr__(self) -> str:
        return f"<Checkpoint {self.path.name} {self.config.model_type} {self.num_blocks} blocks>"

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
        """The DHT prefix that nodes and clients of this folder agree on without being told."""
        return self.family.dht_prefix(self.path.resolve().name)

    @cached_property
    def eos_token_ids(self) -> frozenset[int]:
        """Tokens that end a reply, from generation_config.json or else config.json."""
        for name in ("generation_config.json", "config.json"):
            path = self.path / name
            if path.is_file():
                ids = json.loads(path.read_text("utf-8")).get("eos_token_id")
                if ids is not None:
                    return frozenset(ids if isinstance(ids, list) else [ids])
        return frozenset()

    def _find_files(self) -> dict[str, Path]:
        """Which file holds each tensor."""
        index = self.path / _INDEX
        if index.is_file():
            try:
                names: dict[str, str] = json.loads(index.read_text("utf-8"))["weight_map"]
            except (ValueError, KeyError) as error:
                raise CheckpointError(f"{index} is not a safetensors index.") from error
            return {tensor: self.path / Path(name).name for tensor, name in names.items()}
        files: dict[str, Path] = {}
        for path in sorted(self.path.glob("*.safetensors")):
            try:
                with safe_open(path, framework="pt") as shard:
                    files.update(dict.fromkeys(shard.keys(), path))
            except (SafetensorError, OSError) as error:
                raise CheckpointError(f"{path} is not a readable safetensors file.") from error
        if not files:
            unsafe = any(any(self.path.glob(pattern)) for pattern in _UNSAFE_WEIGHTS)
            hint = (
                " It has weights in a pickle format, which can run code when loaded and is "
                "refused; convert them with save_pretrained of transformers."
                if unsafe
                else ""
            )
            raise CheckpointError(f"{self.path} has no *.safetensors files.{hint}")
        return files

    def _with_root(self, files: dict[str, Path]) -> dict[str, Path]:
        """Names as the whole model has them: some checkpoints were saved from its trunk alone."""
        root = f"{self.family.blocks.split('.')[0]}."
        self._rootless = not any(name.startswith(root) for name in files)
        if not self._rootless:
            return files
        return {root + name: path for name, path in files.items()}

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
        by_file: dict[Path, list[str]] = {}
        for name in names:
            if name not in self._files:
                raise CheckpointError(f"{self.path} lacks the tensor {name}.")
            by_file.setdefault(self._files[name], []).append(name)
        tensors: dict[str, torch.Tensor] = {}
        for path, wanted in by_file.items():
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
                f"{self.path.name} has {self.num_blocks} blocks (0:{self.num_blocks}); "
                f"it cannot serve {span}."
            )


def resolve_dtype(name: str, device: torch.device) -> torch.dtype:
    """``auto`` is float32 on CPUs (bfloat16 is slow without AMX) and bfloat16 on GPUs."""
    if name == "auto":
        return torch.float32 if device.type == "cpu" else torch.bfloat16
    dtypes = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
    if name not in dtypes:
        raise CheckpointError(f"dtype must be auto or one of {', '.join(dtypes)}, not {name!r}.")
    return dtypes[name]


def resolve_device(name: str) -> torch.device:
    """``auto`` takes the first GPU when there is one."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise CheckpointError(f"{name!r} is not a device; try cpu or cuda.") from error
    if device.type == "cuda" and not torch.cuda.is_available():
        raise CheckpointError("CUDA is not available on this machine; use --device cpu.")
    return device
