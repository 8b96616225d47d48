"""The documents of this repository in parts: fenced blocks, commands, what is made from the code.

scripts/check_docs.py keeps them true by it, and tests run what a reader would copy from them.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
FOLDERS = ("docs", "benchmarks", "models")  # with documents, beside those at the top
SHELL = ("sh", "bash")
MADE = re.compile(r"(?s)(?P<head><!-- made: (?P<name>[^>]+?) -->\n)(?P<body>.*?)<!-- end -->")
_NEEDS = re.compile(r"<!-- needs: (?P<what>[^>]*\w[^>]*) -->\s*\Z")
_BLOCK = re.compile(r"(?ms)^(?P<indent> *)```(?P<language>\w*)\n(?P<body>.*?)^(?P=indent)```")
_INLINE = re.compile(r"(?<!`)`((?:[A-Z_]+=\S+ )*(?:make|python|\.venv/bin/python) [^`]+)`(?!`)")


@dataclass(frozen=True)
class Block:
    """A fenced block."""

    path: Path
    line: int
    language: str
    body: str
    needs: str  # what the comment before it says that it needs; empty when there is none

    def __str__(self) -> str:
        return f"{self.path.relative_to(PROJECT)}:{self.line}"

    def commands(self) -> Iterator[list[str]]:
        """The words of each command; lines that are joined by && are several."""
        text = self.body.replace("\\\n", " ")
        for line in text.splitlines():
            lexer = shlex.shlex(line, posix=True, punctuation_chars="&|;<>")
            lexer.whitespace_split, lexer.commenters = True, "#"
            words: list[str] = []
            for word in [*lexer, "&&"]:
                if word not in ("&&", ";"):
                    words.append(word)
                elif words:
                    yield words
                    words = []


def documents() -> list[Path]:
    below = [path for name in FOLDERS for path in sorted((PROJECT / name).rglob("*.md"))]
    hidden = [path for path in below if "/." in str(path.relative_to(PROJECT))]  # caches
    return [*sorted(PROJECT.glob("*.md")), *(path for path in below if path not in hidden)]


def blocks(*languages: str) -> list[Block]:
    """All fenced blocks in these languages."""
    return [block for path in documents() for block in _blocks(path) if block.language in languages]


def _blocks(path: Path) -> Iterator[Block]:
    text = path.read_text(encoding="utf-8")
    for match in _BLOCK.finditer(text):
        needs = _NEEDS.search(text[: match.start()])
        body = re.sub(f"(?m)^{match['indent']}", "", match["body"])
        line = text.count("\n", 0, match.start()) + 1
        yield Block(path, line, match["language"], body, needs["what"] if needs else "")


def anchors(path: Path) -> set[str]:
    """What links can point at within a document: its headings, as GitHub names them."""
    prose = _BLOCK.sub("", path.read_text(encoding="utf-8"))
    titles = re.findall(r"(?m)^#+ +(.+)$", prose)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def inline_commands() -> list[Block]:
    """Commands within sentences: ``make ...`` and ``python ...`` between backticks."""
    found = []
    for path in documents():
        text = path.read_text(encoding="utf-8")
        prose = text
        for kind in (MADE, _BLOCK):  # what is made from the code is right by construction
            prose = kind.sub(lambda match: "\n" * match[0].count("\n"), prose)
        for match in _INLINE.finditer(prose):
            line = prose.count("\n", 0, match.start()) + 1
            found.append(Block(path, line, "sh", match[1].replace("\n", " "), ""))
    return found
