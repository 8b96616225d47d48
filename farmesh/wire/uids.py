"""Names of blocks and of chains of blocks."""

from __future__ import annotations

from farmesh.core import Span
from farmesh.errors import ProtocolError

UID_DELIMITER = "."
CHAIN_DELIMITER = " "
MAX_UID_BYTES = 64 * 2**10


def block_uid(prefix: str, block: int) -> str:
    return f"{prefix}{UID_DELIMITER}{block}"


def chain_uid(prefix: str, span: Span) -> str:
    """The uid of a chain of blocks: block uids joined by single spaces."""
    return CHAIN_DELIMITER.join(block_uid(prefix, block) for block in span)


def parse_chain(uid: str, prefix: str) -> Span:
    """The span that a chain uid names.

    Raises:
        ProtocolError: another prefix, not a number, or blocks that do not follow one another.
    """
    if not uid or len(uid) > MAX_UID_BYTES:
        raise ProtocolError("a chain of blocks is missing or too long")
    blocks = []
    for part in uid.split(CHAIN_DELIMITER):
        head, _, index = part.rpartition(UID_DELIMITER)
        if head != prefix or not index.isascii() or not index.isdigit() or len(index) > 6:
            raise ProtocolError("a block of the chain is not served here")
        blocks.append(int(index))
    if blocks != list(range(blocks[0], blocks[0] + len(blocks))):
        raise ProtocolError("the blocks of a chain must follow one another")
    return Span(blocks[0], blocks[-1] + 1)
