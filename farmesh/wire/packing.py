"""msgpack as hivemind packs it, bounded in size and depth."""

from __future__ import annotations

import threading
from typing import Any

from hivemind.utils import MSGPackSerializer

from farmesh.errors import ProtocolError

MAX_METADATA_BYTES = 64 * 2**10


# hivemind decodes a tuple inside a tuple by calling itself from C, each time with tens of kilobytes
# of stack: some hundred levels, which fit into a kilobyte of metadata or of a DHT record, would end
# the process. So its hook counts.
_MAX_NESTED = 16
_nesting = threading.local()
_hivemind_hook = MSGPackSerializer._decode_ext_types


_KNOWN_TYPES = frozenset({0x40, 0x50, 0x51})  # hivemind's tuple, dictionary, descriptor


def _bounded_hook(code: int, data: bytes) -> Any:
    if (
        code not in _KNOWN_TYPES
    ):  # hivemind would write a warning for each, as often as a peer likes
        raise ProtocolError("a value of an unknown type")
    depth = getattr(_nesting, "depth", 0)
    if depth >= _MAX_NESTED:
        raise ProtocolError("values are nested too deeply")
    _nesting.depth = depth + 1
    try:
        return _hivemind_hook(code, data)
    finally:
        _nesting.depth = depth


MSGPackSerializer._decode_ext_types = _bounded_hook


def pack(value: Any) -> bytes:
    """msgpack with hivemind's extension types; only plain Python values can be packed."""
    packed: bytes = MSGPackSerializer.dumps(value)
    return packed


def unpack_map(data: bytes) -> dict[str, Any]:
    """A msgpack map with text keys.

    Raises:
        ProtocolError: the bytes are too many, not msgpack, or not such a map.
    """
    if len(data) > MAX_METADATA_BYTES:
        raise ProtocolError(f"metadata of {len(data)} bytes exceeds {MAX_METADATA_BYTES}")
    if not data:
        return {}
    try:
        value = MSGPackSerializer.loads(data)
    except Exception as error:  # msgpack and its extension hooks raise many types on bad bytes
        raise ProtocolError("metadata is not msgpack") from error
    if not isinstance(value, dict) or not all(isinstance(key, str) for key in value):
        raise ProtocolError("metadata is not a map with text keys")
    return value
