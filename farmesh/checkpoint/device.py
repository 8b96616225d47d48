"""Devices and data types by their names."""

from __future__ import annotations

import torch

from farmesh.errors import CheckpointError


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
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise CheckpointError(
            f"This machine has no {name}; its last is cuda:{torch.cuda.device_count() - 1}."
        )
    return device
