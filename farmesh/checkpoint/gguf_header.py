"""The header of a GGUF file: its metadata and where its tensors lie.

The file may come from anybody, so every length, count and offset is checked before it is believed.
The readers of the packages ``gguf`` and ``transformers`` believe them; the former also makes an
object of each of a vocabulary's entries, which takes seconds and a hundred megabytes. The layout is
that of ggml's docs/gguf.md, versions 2 and 3, little-endian.
"""

from __future__ import annotations

import math
import reprlib
import struct
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import cache

import numpy as np
from gguf import GGML_QUANT_SIZES, GGMLQuantizationType, dequantize

from farmesh.errors import CheckpointError

Value = int | float | bool | str | list[str] | list[int] | list[float] | list[bool] | None

_MAGIC = b"GGUF"
_VERSIONS = (2, 3)
_FIRST_READ = 2**20  # bytes; what a header without a vocabulary needs
# Larger than any header known: 262,144 tokens with their merges take 15 MB, and a mixture of
# experts has some thousand tensors.
_MAX_HEADER = 2**27  # bytes
_MAX_FIELDS = 2**14
_MAX_TENSORS = 2**16
_MAX_STRING = 2**24  # bytes
_MAX_STRINGS = 2**21  # in all arrays of a file together
_MAX_NAME = 256  # bytes of a tensor's or a field's name
_MAX_DIMS = 4
_KEPT_NUMBERS = 2**12  # of an array; longer ones belong to the tokenizer

_STRING, _ARRAY = 8, 9
_SCALARS = {
    0: struct.Struct("<B"),
    1: struct.Struct("<b"),
    2: struct.Struct("<H"),
    3: struct.Struct("<h"),
    4: struct.Struct("<I"),
    5: struct.Struct("<i"),
    6: struct.Struct("<f"),
    7: struct.Struct("<?"),
    10: struct.Struct("<Q"),
    11: struct.Struct("<q"),
    12: struct.Struct("<d"),
}
_U32, _U64 = _SCALARS[4], _SCALARS[10]


@dataclass(frozen=True, slots=True)
class StoredTensor:
    """One tensor of a file, as it lies there."""

    name: str
    shape: tuple[int, ...]  # torch's order: the last dimension lies together
    kind: GGMLQuantizationType
    offset: int  # bytes from the file's begin
    size: int  # bytes


@dataclass(frozen=True, slots=True)
class Header:
    """What a GGUF file says of itself."""

    # None stands for an array that was passed over.
    metadata: Mapping[str, Value]
    tensors: Mapping[str, StoredTensor]
    lengths: Mapping[str, int]  # of every array in the metadata
    size: int  # bytes of the header itself

    def number(self, key: str) -> int | None:
        """A whole number of the metadata.

        Raises: CheckpointError when it is something else.
        """
        value = self.metadata.get(key)
        if value is None or (isinstance(value, int) and not isinstance(value, bool)):
            return value
        raise CheckpointError(f"This GGUF file's {key} is not a whole number.")


class _Truncated(Exception):
    """More bytes are needed."""


class _Refused(Exception):
    """The header cannot be that of a model; the message is the end of a sentence."""


def read_header(
    name: str, head: Callable[[int], bytes], size: int | None, keep: Collection[str] = ()
) -> Header:
    """Read as much of a file as its header takes.

    Args:
        name: the file, for sentences.
        head: gives so many bytes of the file's begin, or fewer where the file ends.
        size: bytes of the whole file; None: not known.
        keep: arrays of strings that are wanted.

    Raises: CheckpointError when it is no GGUF file, or one that cannot be right.
    """
    wanted = _FIRST_READ
    while True:
        data = head(wanted)
        try:
            return _parse(data, size, frozenset(keep))
        except _Truncated:
            if len(data) < wanted:
                raise CheckpointError(
                    f"{name} is cut off: it ends in the middle of its header."
                ) from None
            if wanted >= _MAX_HEADER:
                raise CheckpointError(
                    f"{name} cannot be used: its header is larger than {_MAX_HEADER >> 20} MiB."
                ) from None
            wanted = min(8 * wanted, _MAX_HEADER)
        except _Refused as error:
            raise CheckpointError(f"{name} cannot be used: {error}.") from None


class _Cursor:
    """Reads forward through bytes."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.at = 0
        self._strings = 0  # in arrays, so far

    def scalar(self, kind: struct.Struct) -> int | float | bool:
        start = self._pass(kind.size)
        value: int | float | bool = kind.unpack_from(self._data, start)[0]
        return value

    def count(self, most: int, what: str, kind: struct.Struct = _U64) -> int:
        value = int(self.scalar(kind))
        if value > most:
            raise _Refused(f"it claims {value} {what}, where {most} is the most")
        return value

    def text(self, most: int = _MAX_STRING) -> str:
        length = self.count(most, "bytes in one text")
        start = self._pass(length)
        try:
            return self._data[start : start + length].decode()
        except UnicodeDecodeError:
            raise _Refused(f"a text at byte {start} is not UTF-8") from None

    def texts(self, count: int, keep: bool) -> list[str] | None:
        self._strings += count
        if self._strings > _MAX_STRINGS:
            raise _Refused(f"it claims more than {_MAX_STRINGS} texts in arrays")
        if keep:
            return [self.text() for _ in range(count)]
        data, at, end = self._data, self.at, len(self._data)
        for _ in range(count):  # this loop takes most of the time that a header takes
            if at + 8 > end:
                raise _Truncated
            length = _U64.unpack_from(data, at)[0]
            if length > _MAX_STRING:
                raise _Refused(f"it claims {length} bytes in one text")
            at += 8 + length
        self.at = at
        self._pass(0)
        return None

    def numbers(self, kind: struct.Struct, count: int) -> list[int] | list[float] | None:
        start = self._pass(kind.size * count)
        if count > _KEPT_NUMBERS:
            return None
        return list(struct.unpack_from(f"<{count}{kind.format[1:]}", self._data, start))

    def _pass(self, size: int) -> int:
        """Where the next ``size`` bytes start; the cursor is then behind them."""
        start = self.at
        if start + size > len(self._data):
            raise _Truncated
        self.at = start + size
        return start


def _parse(data: bytes, size: int | None, keep: Collection[str]) -> Header:
    if len(data) >= len(_MAGIC) and data[: len(_MAGIC)] != _MAGIC:
        raise _Refused("it is not a GGUF file")
    cursor = _Cursor(data)
    cursor.at = len(_MAGIC)
    version = int(cursor.scalar(_U32))
    if version not in _VERSIONS:
        raise _Refused(f"it is of GGUF version {version}, and only 2 and 3 can be read")
    tensor_count = cursor.count(_MAX_TENSORS, "tensors")
    field_count = cursor.count(_MAX_FIELDS, "fields of metadata")
    metadata: dict[str, Value] = {}
    lengths: dict[str, int] = {}
    for _ in range(field_count):
        key = cursor.text(_MAX_NAME)
        if key in metadata:
            raise _Refused(f"it has {key!r} twice")
        metadata[key] = _value(cursor, key, lengths, keep)
    alignment = _alignment(metadata)
    table = [_entry(cursor) for _ in range(tensor_count)]
    start = math.ceil(cursor.at / alignment) * alignment
    tensors = _placed(table, start, alignment, size)
    return Header(metadata, tensors, lengths, start)


def _value(cursor: _Cursor, key: str, lengths: dict[str, int], keep: Collection[str]) -> Value:
    kind = int(cursor.scalar(_U32))
    if kind in _SCALARS:
        return cursor.scalar(_SCALARS[kind])
    if kind == _STRING:
        return cursor.text()
    if kind != _ARRAY:
        raise _Refused(f"{key!r} is of the unknown type {kind}")
    inner = int(cursor.scalar(_U32))
    count = lengths[key] = cursor.count(_MAX_HEADER, f"values in {key!r}")
    if inner == _STRING:
        return cursor.texts(count, key in keep)
    if inner not in _SCALARS:
        raise _Refused(f"{key!r} is an array of the unknown type {inner}")
    return cursor.numbers(_SCALARS[inner], count)


def _alignment(metadata: Mapping[str, Value]) -> int:
    value = metadata.get("general.alignment", 32)
    if not isinstance(value, int) or not 0 < value <= 2**20 or value & (value - 1):
        raise _Refused(f"its alignment is {reprlib.repr(value)}, which is no small power of two")
    return value


def _entry(cursor: _Cursor) -> StoredTensor:
    """A line of the table of tensors; the offset is still that from the data's begin."""
    name = cursor.text(_MAX_NAME)
    dims = cursor.count(_MAX_DIMS, f"dimensions of {name!r}", _U32)
    shape = tuple(int(cursor.scalar(_U64)) for _ in range(dims))[::-1]
    number = int(cursor.scalar(_U32))
    offset = int(cursor.scalar(_U64))
    if not shape or not all(shape):
        raise _Refused(f"the tensor {name!r} is empty")
    if math.prod(shape) >= 2**48:
        raise _Refused(f"the tensor {name!r} is impossibly large")
    try:
        kind = GGMLQuantizationType(number)
    except ValueError:
        raise _Refused(f"the tensor {name!r} is of the unknown type {number}") from None
    if not can_unpack(kind):
        raise _Refused(f"the tensor {name!r} is in {kind.name}, which cannot be unpacked here")
    values, size = GGML_QUANT_SIZES[kind]
    if shape[-1] % values:
        raise _Refused(f"the tensor {name!r} has rows that are no whole blocks of {kind.name}")
    return StoredTensor(name, shape, kind, offset, math.prod(shape) // values * size)


def _placed(
    table: list[StoredTensor], start: int, alignment: int, size: int | None
) -> dict[str, StoredTensor]:
    """The tensors by name, at their offsets in the file."""
    tensors: dict[str, StoredTensor] = {}
    end = 0
    for entry in sorted(table, key=lambda entry: entry.offset):
        if entry.name in tensors:
            raise _Refused(f"it has the tensor {entry.name!r} twice")
        if entry.offset % alignment or entry.offset < end:
            raise _Refused(f"the tensor {entry.name!r} lies across another one")
        end = entry.offset + entry.size
        if size is not None and start + end > size:
            raise _Refused(f"it is cut off: the tensor {entry.name!r} ends beyond it")
        tensors[entry.name] = StoredTensor(
            entry.name, entry.shape, entry.kind, start + entry.offset, entry.size
        )
    return tensors


@cache
def can_unpack(kind: GGMLQuantizationType) -> bool:
    """Whether ``gguf`` can turn this format into numbers."""
    try:
        dequantize(np.zeros((1, GGML_QUANT_SIZES[kind][1]), np.uint8), kind)
    except NotImplementedError:
        return False
    return True
