"""``python -m chat.files.extract pdf|word``: a document from stdin, its text on stdout.

A process of its own because what reads other people's documents may hang, swell or crash. It can
write no file, and ends by itself when it takes too long or too much.
"""

from __future__ import annotations

import resource
import sys
from collections.abc import Iterator
from io import BytesIO

CPU_SECONDS = 20
MEMORY = 2_000_000_000  # bytes of address space
MAX_CHARS = 1_000_000  # of text; nothing that is longer fits a model
UNREADABLE = 3  # exit code: it is no such document, or one that is locked


def main() -> int:
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    data = BytesIO(sys.stdin.buffer.read())
    pieces, left = _pdf(data) if sys.argv[1] == "pdf" else _word(data), MAX_CHARS
    try:
        for piece in pieces:
            sys.stdout.buffer.write(piece[:left].encode("utf-8", "replace"))
            left -= len(piece)
            if left <= 0:
                break
    except Exception:  # noqa: BLE001 - whatever a broken document sets off in its reader
        return UNREADABLE
    return 0


def _pdf(data: BytesIO) -> Iterator[str]:
    from pypdf import PdfReader

    reader = PdfReader(data)
    if reader.is_encrypted and not reader.decrypt(""):
        raise ValueError("locked")
    for page in reader.pages:
        yield f"{page.extract_text().strip()}\n\n"


def _word(data: BytesIO) -> Iterator[str]:
    from docx import Document
    from docx.table import Table

    for part in Document(data).iter_inner_content():
        if isinstance(part, Table):
            for row in part.rows:
                yield f"| {' | '.join(cell.text.strip() for cell in row.cells)} |\n"
            yield "\n"
        else:
            yield f"{part.text}\n"


if __name__ == "__main__":
    sys.exit(main())
