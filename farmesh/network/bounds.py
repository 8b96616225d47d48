"""What this peer stores for others and takes from them, bounded."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from hivemind.dht.validation import DHTRecord, RecordValidatorBase
from hivemind.utils import get_dht_time

from farmesh.errors import ProtocolError
from farmesh.hivemind import unpack

_MAX_RECORD_BYTES = 16 * 2**10
_MAX_SUBKEY_BYTES = 512
_MAX_RECORD_SECONDS = 24 * 3600.0  # upstream's live for minutes


class BoundedRecords(RecordValidatorBase):
    """Which records this peer stores for others, and takes from them.

    hivemind itself takes values of any size and type, kept for as long as their writer likes, and
    a single one that cannot be read ends the whole lookup.
    """

    def validate(self, record: DHTRecord) -> bool:
        return (
            isinstance(record.value, bytes)
            and len(record.value) <= _MAX_RECORD_BYTES
            and len(record.subkey) <= _MAX_SUBKEY_BYTES
            and isinstance(record.expiration_time, float)
            and record.expiration_time <= get_dht_time() + _MAX_RECORD_SECONDS  # not for NaN
            and isinstance(_unpacked(record.subkey), str | None)
            and (_readable if len(record.value) <= _KEPT_BYTES else _is_readable)(record.value)
        )


_UNREADABLE = object()


def _unpacked(data: bytes) -> Any:
    try:
        return unpack(data)
    except ProtocolError:
        return _UNREADABLE


def _is_readable(value: bytes) -> bool:
    return _unpacked(value) is not _UNREADABLE


_KEPT_BYTES = 2 * 2**10
_readable = lru_cache(maxsize=16384)(_is_readable)  # a node's record is the same under each block
