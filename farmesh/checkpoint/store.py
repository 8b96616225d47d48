"""What a checkpoint's files hold, whatever their format: the seam between formats and engine."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Protocol

import torch
from transformers import PreTrainedConfig

from farmesh.checkpoint.families import Family
from farmesh.hub.progress import Progress
from farmesh.kernels.groups import Grouped


class TensorStore(Protocol):
    """A model's configuration, and its tensors by the names that transformers has for them."""

    family: Family
    config: PreTrainedConfig

    @property
    def names(self) -> Collection[str]:
        """Of all tensors.

        Raises: CheckpointError.
        """

    def fetch(self, prefixes: Iterable[str], progress: Progress | None = None) -> None:
        """Make the files present that hold the tensors under these prefixes, and no others.

        Raises: CheckpointError.
        """

    def read(self, names: Iterable[str], dtype: torch.dtype) -> dict[str, torch.Tensor]:
        """Tensors by name; floating-point ones cast to ``dtype``.

        Raises: CheckpointError when a tensor or its file is missing or unreadable.
        """

    def grouped(self, name: str) -> Grouped | None:
        """A matrix as the files have it, where that is whole numbers in groups; else None.

        Raises: CheckpointError when the tensor or its file is missing or unreadable.
        """

    def stored_bytes(self, name: str) -> int | None:
        """What a tensor takes where the files have it in 8 bits or fewer; else None."""

    def eos_token_ids(self) -> frozenset[int]:
        """Tokens that end a reply."""
