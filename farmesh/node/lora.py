"""LoRA adapters beside the plain model: any session may ask for one by its name.

peft (the extra ``lora``) reads an adapter's configuration and decides which layers it changes, at
which rank and scale. The sums themselves are made here, because the rows of one packed forward
belong to sessions with different adapters, or none.
"""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from safetensors import SafetensorError, safe_open

from farmesh.checkpoint.reader import Checkpoint
from farmesh.checkpoint.safetensors import check_safe
from farmesh.errors import CheckpointError, ConfigError
from farmesh.hub.files import Source
from farmesh.hub.source import adapter_name, open_source

_CONFIG = "adapter_config.json"
_WEIGHTS = "adapter_model.safetensors"
_STORED_PREFIX = "base_model.model."  # of peft's tensor names
MAX_ADAPTERS = 64  # of one node; readers of its record take no more


@dataclass(eq=False)
class LoraRows:
    """Which rows of the running forward belong to which adapter; shared by a stack's layers."""

    groups: Sequence[tuple[str, int, int]] = ()  # (adapter, first row, end)


class LoraLinear(torch.nn.Module):
    """A linear layer of any kind, and for some of its rows what their adapter adds."""

    def __init__(self, base: torch.nn.Module, rows: LoraRows) -> None:
        super().__init__()
        self.base = base
        self._rows = rows
        self._added: dict[str, tuple[torch.Tensor, torch.Tensor]] = {}

    def add(self, adapter: str, down: torch.Tensor, up: torch.Tensor) -> None:
        """``down`` is ``[rank, in]``; ``up`` is ``[out, rank]``, the scale included."""
        self._added[adapter] = down, up

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        """``[..., in]`` to ``[..., out]``; the leading dimensions together are the packed rows."""
        output: torch.Tensor = self.base(states)
        flat, result = states.flatten(0, -2), output.flatten(0, -2)
        for adapter, start, end in self._rows.groups:
            if adapter in self._added:
                down, up = self._added[adapter]
                result[start:end] += F.linear(F.linear(flat[start:end], down), up)
        return result.view_as(output)


@dataclass(frozen=True, slots=True)
class _Change:
    """What an adapter does to one linear layer."""

    module: str  # its path in the whole model
    shape: tuple[int, int]  # (out, in)
    rank: int
    scale: float


@dataclass(eq=False)
class LoraAdapter:
    """One LoRA: where its tensors are, and which layers of which block they change."""

    name: str  # in the swarm
    folder: Path
    blocks: Mapping[str, list[_Change]] = field(repr=False)  # by the block's path
    bytes_per_block: int
    root: str  # path of the blocks in the whole model

    def attach(
        self,
        layer: torch.nn.Module,
        block: int,
        rows: LoraRows,
        dtype: torch.dtype,
        device: torch.device,
    ) -> None:
        """Put this adapter's part of one block beside the loaded layer.

        Raises: CheckpointError.
        """
        path = f"{self.root}.{block}"
        for change in self.blocks.get(path, ()):
            down, up = self._read(change)
            parent, _, attribute = change.module.removeprefix(f"{path}.").rpartition(".")
            owner = layer.get_submodule(parent) if parent else layer
            linear = getattr(owner, attribute)
            if not isinstance(linear, LoraLinear):
                linear = LoraLinear(linear, rows)
                setattr(owner, attribute, linear)
            up = up.float() * change.scale
            linear.add(self.name, down.to(device, dtype), up.to(device, dtype))

    def _read(self, change: _Change) -> tuple[torch.Tensor, torch.Tensor]:
        """Raises: CheckpointError when a tensor is missing or has another shape."""
        out, into = change.shape
        tensors = []
        for kind, shape in (("A", (change.rank, into)), ("B", (out, change.rank))):
            name = f"{_STORED_PREFIX}{change.module}.lora_{kind}.weight"
            try:
                with safe_open(self.folder / _WEIGHTS, framework="pt") as file:
                    tensor = file.get_tensor(name)
            except (SafetensorError, OSError) as error:
                raise CheckpointError(f"The adapter {self.name} lacks {name}.") from error
            if tuple(tensor.shape) != shape:
                raise CheckpointError(
                    f"The adapter {self.name} was made for another model: {name} has shape "
                    f"{tuple(tensor.shape)}, not {shape}."
                )
            tensors.append(tensor)
        return tensors[0], tensors[1]


def open_adapters(
    checkpoint: Checkpoint, names: Sequence[str], cache_dir: Path | None = None
) -> tuple[LoraAdapter, ...]:
    """Adapters by folder or name on the hub, checked against the model; weights are read later.

    Raises:
        ConfigError: the extra is not installed, or two are called the same.
        CheckpointError: one cannot be had, or does what nodes cannot do.
    """
    if len({adapter_name(name) for name in names}) < len(names):
        raise ConfigError("Two adapters have the same name; give each folder a name of its own.")
    if len(names) > MAX_ADAPTERS:
        raise ConfigError(f"A node serves at most {MAX_ADAPTERS} adapters, not {len(names)}.")
    return tuple(_open(checkpoint, name, cache_dir) for name in names)


def _open(checkpoint: Checkpoint, name: str, cache_dir: Path | None) -> LoraAdapter:
    peft = _peft()
    source = open_source(name, _CONFIG, cache_dir=cache_dir)
    check_safe(source.files, name)
    source.fetch([_CONFIG, _WEIGHTS])
    config = _read_config(peft, source)
    root = checkpoint.anatomy.blocks
    blocks: dict[str, list[_Change]] = {}
    for path, layer in _changed_layers(peft, checkpoint, config, name):
        number = path.removeprefix(f"{root}.").partition(".")[0]
        if not path.startswith(f"{root}.") or not number.isdigit():
            raise CheckpointError(
                f"The adapter {name} changes {path}, which nodes do not serve; only layers inside "
                "blocks can be adapted."
            )
        shape = layer.base_layer.out_features, layer.base_layer.in_features
        change = _Change(path, shape, layer.r["default"], float(layer.scaling["default"]))
        blocks.setdefault(f"{root}.{number}", []).append(change)
    size = (source.folder / _WEIGHTS).stat().st_size
    return LoraAdapter(adapter_name(name), source.folder, blocks, size // max(1, len(blocks)), root)


def _read_config(peft: Any, source: Source) -> Any:
    """
    Raises:
        CheckpointError: it is no LoRA, or one that changes more than linear layers.
    """
    try:
        config = peft.PeftConfig.from_pretrained(str(source.folder))
    except (ValueError, TypeError, KeyError, OSError) as error:
        raise CheckpointError(
            f"The adapter {source.name} cannot be used: its {_CONFIG} cannot be read ({error})."
        ) from error
    wrong = {
        f"it is of type {config.peft_type}, not LORA": config.peft_type != "LORA",
        "it trains biases": getattr(config, "bias", "none") != "none",
        "it has biases of its own": getattr(config, "lora_bias", False),
        "it replaces whole modules": bool(getattr(config, "modules_to_save", None)),
        "it adds tokens": bool(getattr(config, "trainable_token_indices", None)),
        "it adapts single parameters": bool(getattr(config, "target_parameters", None)),
        "it repeats layers": bool(getattr(config, "layer_replication", None)),
        "its weights lie the other way round": getattr(config, "fan_in_fan_out", False),
    }
    for reason, applies in wrong.items():
        if applies:
            raise CheckpointError(f"The adapter {source.name} cannot be served: {reason}.")
    return config


def _changed_layers(
    peft: Any, checkpoint: Checkpoint, config: Any, name: str
) -> list[tuple[str, Any]]:
    """The layers that peft would change in the whole model, found without any memory for it.

    Raises: CheckpointError when there are none, or when they are changed in an unusual way.
    """
    skeleton = checkpoint.anatomy.skeleton()
    config.inference_mode = True
    try:
        with warnings.catch_warnings():  # about weights without memory
            warnings.simplefilter("ignore")
            peft.inject_adapter_in_model(config, skeleton, low_cpu_mem_usage=True)
    except (ValueError, TypeError, KeyError, ImportError) as error:
        raise CheckpointError(
            f"The adapter {name} does not fit {checkpoint.name}: {error}"
        ) from error
    linear = importlib.import_module("peft.tuners.lora").Linear
    found = []
    for path, module in skeleton.named_modules():
        if not hasattr(module, "lora_A"):
            continue
        if not isinstance(module, linear) or getattr(module, "lora_variant", None):
            raise CheckpointError(
                f"The adapter {name} cannot be served: it changes {path} by more than a plain LoRA."
            )
        found.append((path, module))
    return found


def _peft() -> Any:
    try:
        return importlib.import_module("peft")
    except ImportError as error:
        raise ConfigError(
            "Adapters need peft: pip install 'peft>=0.18' (or this project with its extra: "
            "pip install '.[lora]')."
        ) from error
