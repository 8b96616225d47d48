"""A model in GGUF files: what they say, and their tensors as numbers. Needs no torch."""

from __future__ import annotations

import reprlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt
from gguf import GGML_QUANT_SIZES, dequantize

from farmesh.checkpoint.gguf_header import Header, StoredTensor, Value, read_header
from farmesh.errors import CheckpointError
from farmesh.hub.files import Source
from farmesh.hub.gguf_names import model_name, shards_of

Numbers = npt.NDArray[np.float32]

_LONGEST_NAME = 64  # letters of an architecture's name
_MOST_BLOCKS = 1024  # of a model; the deepest known have 126
_MOST = 2**24  # of any size of a model
_PIECE = 2**17  # bytes of a tensor that are unpacked at once: what a core's cache holds


@dataclass(frozen=True)
class GgufModel:
    """The headers of all files of one model."""

    source: Source
    first: str  # the file that describes the model
    metadata: Mapping[str, Value]
    lengths: Mapping[str, int]  # of the metadata's arrays
    tensors: Mapping[str, StoredTensor]
    files: Mapping[str, str]  # which file holds a tensor

    def __repr__(self) -> str:
        return f"<GgufModel {self.name} {self.architecture} {len(self.tensors)} tensors>"

    @property
    def name(self) -> str:
        return model_name(self.first)

    @property
    def architecture(self) -> str:
        value = self.metadata.get("general.architecture")
        if not isinstance(value, str) or len(value) > _LONGEST_NAME:
            raise CheckpointError(f"{self.first} cannot be used: it does not say what model it is.")
        return value

    @property
    def num_blocks(self) -> int:
        """Raises: CheckpointError when it is not said, or not true."""
        count = self.size("block_count", most=_MOST_BLOCKS)
        if not any(name.startswith(f"blk.{count - 1}.") for name in self.tensors):
            raise CheckpointError(
                f"{self.first} cannot be used: it claims {count} blocks and lacks the last."
            )
        return count

    def size(self, key: str, most: int = _MOST) -> int:
        """A count that the model's metadata must give.

        Raises: CheckpointError.
        """
        key = f"{self.architecture}.{key}"
        value = self.metadata.get(key)
        if isinstance(value, list) and len(set(value)) == 1:  # the same for every block
            value = value[0]
        if not isinstance(value, int) or not 0 < value <= most:
            raise CheckpointError(
                f"{self.first} cannot be used: its {key} is {reprlib.repr(value)}, which is no "
                f"number from 1 to {most}."
            )
        return value

    def packed(self, name: str) -> npt.NDArray[np.uint8]:
        """A tensor's bytes.

        Raises: CheckpointError when its file cannot be read, or is shorter than it was.
        """
        tensor = self.tensors[name]
        data = self.source.read(self.files[name], tensor.offset, tensor.size)
        if len(data) < tensor.size:
            raise CheckpointError(f"{self.files[name]} has become shorter than it was.")
        return np.frombuffer(data, np.uint8)

    def numbers(self, name: str) -> Numbers:
        """A tensor in float32, in torch's shape.

        Raises: CheckpointError when its file cannot be read, or is shorter than it was.
        """
        tensor = self.tensors[name]
        values, size = GGML_QUANT_SIZES[tensor.kind]
        blocks = tensor.size // size
        step = _PIECE // size
        numbers = np.empty((blocks, values), np.float32)
        for start in range(0, blocks, step):
            count = min(step, blocks - start)
            data = self.source.read(self.files[name], tensor.offset + start * size, count * size)
            if len(data) < count * size:
                raise CheckpointError(f"{self.files[name]} has become shorter than it was.")
            packed = np.frombuffer(data, np.uint8)[np.newaxis]
            with np.errstate(all="ignore"):  # a damaged scale is no reason to warn
                unpacked = dequantize(packed, tensor.kind)
            numbers[start : start + count] = unpacked.reshape(count, values)
        return numbers.reshape(tensor.shape)


def open_gguf(source: Source, keep: Collection[str] = ()) -> GgufModel:
    """Read the headers of all files of ``source``'s model, which need not be here yet.

    Args:
        keep: arrays of texts in the metadata that are wanted.

    Raises: CheckpointError when a file is missing, or cannot be right.
    """
    first = source.gguf
    if first is None:
        raise CheckpointError(f"{source.name} has no GGUF file.")
    names = shards_of(first)
    missing = [name for name in names if name not in source.files]
    if missing:
        raise CheckpointError(
            f"{source.name} is split into {len(names)} files, of which {missing[0]} is missing."
        )
    headers = {name: _header(source, name, keep if name == first else ()) for name in names}
    tensors: dict[str, StoredTensor] = {}
    files: dict[str, str] = {}
    for number, (name, header) in enumerate(headers.items()):
        _check_place(name, header, number, len(names))
        for tensor in header.tensors:
            if tensor in tensors:
                raise CheckpointError(
                    f"{name} cannot be used: {files[tensor]} has the tensor {tensor!r} too."
                )
            files[tensor] = name
        tensors |= header.tensors
    described = headers[first]
    total = described.number("split.tensors.count")
    if total not in (None, len(tensors)):
        raise CheckpointError(
            f"{first} cannot be used: it claims {total} tensors, and its files have {len(tensors)}."
        )
    return GgufModel(source, first, described.metadata, described.lengths, tensors, files)


def open_header(source: Source, keep: Collection[str] = ()) -> Header:
    """What the file that describes the model says, without looking for its other files.

    Raises: CheckpointError.
    """
    return _header(source, source.gguf or "", keep)


def _header(source: Source, name: str, keep: Collection[str]) -> Header:
    return read_header(name, partial(source.read, name, 0), source.size(name), keep)


def _check_place(name: str, header: Header, number: int, count: int) -> None:
    """Raises: CheckpointError when the file is another one of a split model than its name says."""
    claimed = header.number("split.no"), header.number("split.count")
    if claimed not in ((None, None), (number, count), (0, 0), (0, 1)) or (
        count > 1 and claimed != (number, count)
    ):
        raise CheckpointError(
            f"{name} cannot be used: it is not the part of a split model that its name says."
        )
