"""Commands and code of the documents, as a reader would copy them."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
SHELL = ("sh", "bash")
NEEDS = re.compile(r"<!-- needs: (?P<what>[^>]*\w[^>]*) -->\s*\Z")
_BLOCK = re.compile(r"(?ms)^(?P<indent> *)```(?P<language>\w*)\n(?P<body>.*?)^(?P=indent)```")
_MADE = re.compile(r"(?s)<!-- made: .*?<!-- end -->")  # from the code: right by construction
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
    top = [PROJECT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md")]
    return [path for path in (*top, *sorted((PROJECT / "docs").rglob("*.md"))) if path.exists()]


def blocks(*languages: str) -> list[Block]:
    found = []
    for path in documents():
        text = path.read_text(encoding="utf-8")
        for match in _BLOCK.finditer(text):
            if match["language"] in languages:
                needs = NEEDS.search(text[: match.start()])
                body = re.sub(f"(?m)^{match['indent']}", "", match["body"])
                line = text.count("\n", 0, match.start()) + 1
                what = needs["what"] if needs else ""
                found.append(Block(path, line, match["language"], body, what))
    return found


def inline_commands() -> list[Block]:
    """Commands within sentences: ``make ...`` and ``python ...`` between backticks."""
    found = []
    for path in documents():
        text = path.read_text(encoding="utf-8")
        prose = text
        for kind in (_MADE, _BLOCK):
            prose = kind.sub(lambda match: "\n" * match[0].count("\n"), prose)
        for match in _INLINE.finditer(prose):
            line = prose.count("\n", 0, match.start()) + 1
            found.append(Block(path, line, "sh", match[1].replace("\n", " "), ""))
    return found
