"""Tensors as bytes, and back with every length checked."""

from __future__ import annotations

import math

import torch
from hivemind.proto import runtime_pb2

from farmesh.errors import ProtocolError

_DTYPES: dict[str, torch.dtype] = {
    "float32": torch.float32,
    "float16": torch.float16,
    "bfloat16": torch.bfloat16,
    "int64": torch.int64,
}


def encode_tensor(tensor: torch.Tensor) -> runtime_pb2.Tensor:
    """Raw little-endian bytes, compression NONE (what upstream uses in practice)."""
    if tensor is NO_PROMPTS or tensor is NO_HYPO_IDS:  # two of three slots, nearly always
        return _ENCODED_DUMMIES[id(tensor)]
    data = tensor.detach().cpu().contiguous()
    raw = data.view(torch.int16) if data.dtype == torch.bfloat16 else data
    return runtime_pb2.Tensor(
        compression=runtime_pb2.CompressionType.NONE,
        buffer=raw.numpy().tobytes(),
        size=tuple(data.shape),
        dtype=str(data.dtype).removeprefix("torch."),
    )


def decode_tensor(message: runtime_pb2.Tensor, *, max_elements: int) -> torch.Tensor:
    """The tensor of a message, checked before memory is taken for it.

    Raises:
        ProtocolError: unknown dtype, more than 4 dimensions or ``max_elements``, or a buffer
            whose length does not fit the shape.
    """
    if message.dtype not in _DTYPES:
        raise ProtocolError(f"tensors of dtype {message.dtype[:32]!r} are not accepted")
    if len(message.size) > 4:
        raise ProtocolError("a tensor with more than 4 dimensions")
    elements = math.prod(message.size)
    if elements > max_elements or max(message.size, default=0) > max_elements:
        raise ProtocolError(f"a tensor of {elements} elements exceeds {max_elements}")
    if message.compression in _COMPRESSED_BYTES:
        return _decompress(message, elements)
    if message.compression != runtime_pb2.CompressionType.NONE:
        raise ProtocolError("tensors compressed in that way are not accepted")
    dtype = _DTYPES[message.dtype]
    legacy = dtype is torch.bfloat16 and len(message.buffer) == 4 * elements
    item = 4 if legacy else dtype.itemsize
    if len(message.buffer) != elements * item:
        raise ProtocolError("a tensor's buffer does not fit its shape")
    if elements == 0:
        return torch.empty(tuple(message.size), dtype=dtype)
    buffer = bytearray(message.buffer)  # torch wants writable memory
    flat = torch.frombuffer(buffer, dtype=torch.float32 if legacy else dtype)
    return flat.to(dtype).reshape(tuple(message.size))


# What hivemind's codecs write beside two bytes per element: per row (mean, deviation) in float32.
_COMPRESSED_BYTES = {
    runtime_pb2.CompressionType.FLOAT16: 0,
    runtime_pb2.CompressionType.MEANSTD_16BIT: 8,
}


def _decompress(message: runtime_pb2.Tensor, elements: int) -> torch.Tensor:
    if message.dtype not in ("float32", "float16"):  # the codecs write no others
        raise ProtocolError(f"compressed tensors of dtype {message.dtype} are not accepted")
    rows = math.prod(message.size[:-1])
    if len(message.buffer) != 2 * elements + rows * _COMPRESSED_BYTES[message.compression]:
        raise ProtocolError("a compressed tensor does not fit its shape")
    from hivemind.compression import deserialize_torch_tensor  # a bootstrap peer has no torch

    try:
        tensor = deserialize_torch_tensor(message)
    except Exception as error:  # codecs raise many types on bad bytes
        raise ProtocolError("a compressed tensor cannot be read") from error
    if not isinstance(tensor, torch.Tensor) or tensor.numel() != elements:
        raise ProtocolError("a compressed tensor does not fit its shape")
    return tensor.detach()  # a peer may have asked for gradients


# What fills an optional tensor slot that is left empty.
NO_PROMPTS = torch.empty(0)
NO_HYPO_IDS = torch.empty(0, dtype=torch.int64)
_ENCODED_DUMMIES = {
    id(dummy): runtime_pb2.Tensor(
        compression=runtime_pb2.CompressionType.NONE,
        size=(0,),
        dtype=str(dummy.dtype).removeprefix("torch."),
    )
    for dummy in (NO_PROMPTS, NO_HYPO_IDS)
}


def is_dummy(tensor: torch.Tensor) -> bool:
    """Whether an optional tensor slot is left empty."""
    return tensor.numel() == 0
