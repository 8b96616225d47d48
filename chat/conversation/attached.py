"""Files in a message: as the model reads them, before what the person wrote.

Each is a line with its name and then its text between fences that are longer than any run of
backticks in it, as the page's script writes it (assets/files.js).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_FILE = re.compile(r"File: ([^\n]{1,200})\n(`{3,})\n(.*?)\n\2(?:\n\n|\Z)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class File:
    name: str
    text: str


def split(message: str) -> tuple[tuple[File, ...], str]:
    """The files at the beginning of a message, and what follows them."""
    files, at = [], 0
    while found := _FILE.match(message, at):
        files.append(File(found[1], found[3]))
        at = found.end()
    return tuple(files), message[at:]
