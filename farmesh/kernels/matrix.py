"""A matrix in the library's layout, and what can be done with it."""

from __future__ import annotations

import ctypes

import numpy as np
import numpy.typing as npt
import torch

from farmesh.kernels.compiling import CMatrix
from farmesh.kernels.groups import Floats, Grouped

Bytes = npt.NDArray[np.uint8]

_ALIGNMENT = 64  # bytes: a line of the cache


class Workspace:
    """Memory for what lies between two layers; grows, and is used by one call at a time."""

    def __init__(self) -> None:
        self._memory = np.empty(0, np.uint8)

    def pointer(self, size: int) -> int:
        """Of so many bytes."""
        if len(self._memory) < size + _ALIGNMENT:
            self._memory = np.empty(size + size // 4 + _ALIGNMENT, np.uint8)
        return -(-self._memory.ctypes.data // _ALIGNMENT) * _ALIGNMENT


class PackedMatrix:
    """Weights ``[outs, ins]`` in 8 or 4 bits, for CPUs."""

    def __init__(
        self, library: ctypes.CDLL, weights: Grouped, bias: torch.Tensor | None = None
    ) -> None:
        outs, ins = self.shape = weights.shape
        self._library = library
        self._bias = None if bias is None else bias.detach().float().contiguous()
        self._data = _aligned(library.fm_matrix_bytes(outs, ins, weights.flags))
        numbers = np.ascontiguousarray(weights.numbers)
        scales, minima = (_contiguous(part) for part in (weights.scales, weights.minima))
        library.fm_pack(
            outs, ins, weights.flags, _of(numbers), _of(scales), _of(minima), _of(self._data)
        )
        bias_at = None if self._bias is None else self._bias.data_ptr()
        self.described = CMatrix(_of(self._data), bias_at, outs, ins, weights.flags)

    def __repr__(self) -> str:
        outs, ins = self.shape
        return f"<PackedMatrix {ins} → {outs}, {self.nbytes >> 10} KiB>"

    @property
    def nbytes(self) -> int:
        return self._data.nbytes

    def rows(self, ids: torch.Tensor) -> torch.Tensor:
        """The weights of some outputs: ``[count]`` to ``[count, ins]``.

        Raises: IndexError: there is no such output.
        """
        outs, ins = self.shape
        ids = ids.to(torch.int64).contiguous()
        if len(ids) and not (int(ids.min()) >= 0 and int(ids.max()) < outs):
            raise IndexError(f"there are {outs} rows, from 0")
        found = torch.empty(len(ids), ins)
        self._library.fm_rows(
            ctypes.byref(self.described), ids.data_ptr(), len(ids), found.data_ptr()
        )
        return found

    def linear(self, rows: torch.Tensor, workspace: Workspace, threads: int) -> torch.Tensor:
        """``[rows, ins]`` in float32 to ``[rows, outs]``; each row as if it were alone."""
        rows = rows.float().contiguous()
        found = torch.empty(len(rows), self.shape[0])
        matrix = ctypes.byref(self.described)
        memory = workspace.pointer(self._library.fm_linear_workspace(matrix, len(rows)))
        self._library.fm_linear(
            matrix, rows.data_ptr(), len(rows), found.data_ptr(), memory, threads
        )
        return found


def _aligned(size: int) -> Bytes:
    memory = np.empty(size + _ALIGNMENT, np.uint8)
    start = -memory.ctypes.data % _ALIGNMENT
    return memory[start : start + size]


def _contiguous(numbers: Floats | None) -> Floats | None:
    return None if numbers is None else np.ascontiguousarray(numbers, np.float32)


def _of(array: npt.NDArray[np.generic] | None) -> int | None:
    return None if array is None else array.ctypes.data
