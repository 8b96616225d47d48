"""Errors that travel: a code and one sentence, and what upstream says instead."""

from __future__ import annotations

import re

_ERROR_MARK = "farmesh:"
CODE_BUSY = "busy"  # the KV cache is full and the queue for it too, or the wait ran out
CODE_EVICTED = "evicted"  # an idle session's KV cache went to somebody else
CODE_CLOSING = "closing"  # the node is shutting down or moving to other blocks
CODE_INVALID = "invalid"  # the request cannot be served as it is
CODE_INTERNAL = "internal"

_LENGTH_LIMIT = re.compile(  # upstream's text, and this engine's
    r"(?:Cannot allocate KV cache for \d+ tokens, max = |max_length \d+ exceeds this node's )"
    r"([1-9]\d{0,8})\b"
)
# Not "... bytes, max cache size = ...": that much will never be free.
_UPSTREAM_IS_FULL = re.compile(
    r"Could not allocate \d+ (bytes immediately|within|\(timeout)|attention cache is full"
)


def error_text(code: str, sentence: str) -> str:
    """What a node sends to its peer when a call ends badly: a code and one sentence."""
    return f"{_ERROR_MARK}{code}: {sentence}"


def parse_error(text: str | bytes) -> tuple[str, str]:
    """Code and sentence of a peer's error text; peers that send no code get ``"unknown"``.

    Except for what upstream's nodes say while others hold their KV cache: that is ``"busy"``.
    Text that is not UTF-8 comes as bytes.
    """
    if isinstance(text, bytes):
        text = text.decode("utf-8", "replace")
    mark = text.find(_ERROR_MARK)
    if mark < 0:
        return CODE_BUSY if _UPSTREAM_IS_FULL.search(text) else "unknown", text[:500]
    code, _, sentence = text[mark + len(_ERROR_MARK) :].partition(": ")
    return code[:32], sentence[:500]


def length_limit(text: str) -> int | None:
    """The longest session, in tokens, of a node that refused a longer one."""
    found = _LENGTH_LIMIT.search(text)
    return int(found.group(1)) if found else None
