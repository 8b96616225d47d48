"""Texts as Gradio's chat log draws them whole: it takes every text for Markdown with HTML in it,
and drops the tags that it does not know together with what stands in them.

What a person typed is no Markdown: it is shown as typed. A model's Markdown stays, but a ``<`` that
begins none of a few plain tags is a ``<``, and a ``$`` that stands for money is no formula.
"""

from __future__ import annotations

import re
from collections import defaultdict, deque
from collections.abc import Iterator
from itertools import groupby

# As entities nothing is left that Markdown, formulas or Gradio's own placeholders begin with.
_TYPED = str.maketrans({char: f"&#{ord(char)};" for char in "&<>\"'$\\%`\n\r\t"})

# Tags that stay tags, when they come without attributes and are closed again.
_PAIRED = "b|i|u|s|em|strong|small|sub|sup|kbd|mark|del|ins|details|summary"
_TAG = re.compile(rf"<(/?)({_PAIRED})>", re.IGNORECASE)
_CLOSES = {"$$": "$$", r"\[": r"\]", r"\(": r"\)"}  # formulas
_SPECIAL = re.compile(
    rf"""
      (?P<opens> \$\$ | \\\[ | \\\( )
    | (?P<kept> \\[!-/:-@\[-`{{-~]                        # escaped by the model
        | <(?:br|hr)[ ]?/?> | <(?:https?://|mailto:)[^\s<>]*> )
    | (?<![\w$]) \$(?!\s)(?P<formula>(?:[^$\\\n]|\\.)+?)(?<!\s)\$(?![\w$])
    | (?P<tag> </?(?:{_PAIRED})>)
    | <
    """,
    re.VERBOSE | re.IGNORECASE,
)
_LINE = re.compile(r"[^\n]*\n|[^\n]+")
_TICKS = re.compile(r"(\\*)(`+)")
_FENCE = re.compile(r"([ \t>]*)(?:(?:[-*+]|\d{1,9}[.)])[ \t]+)*(`{3,}(?=[^`]*$)|~{3,})")
_ITEM = re.compile(r"[ \t]*(?:[-*+]|\d{1,9}[.)])[ \t]+(?=\S)")
_INDENTED = 4  # columns from which a line after an empty one is code


def typed(text: str) -> str:
    """What a person wrote, letter by letter; :file:`assets/page.css` keeps its spaces and lines."""
    return f'<div class="fm-typed" dir="auto">{text.translate(_TYPED)}</div>'


def markdown(text: str) -> str:
    """A model's Markdown, in which everything that is no tag and no formula is text."""
    if "<" not in text and "$" not in text:
        return text
    tags = _balanced(text)
    return "".join(piece if code else _outside_code(piece, tags) for code, piece in _pieces(text))


def _balanced(text: str) -> frozenset[str]:
    """Tags that are opened before they are closed."""
    first: dict[str, int] = {}
    whole = set()
    for found in _TAG.finditer(text):
        closing, name = bool(found[1]), found[2].lower()
        if not closing:
            first.setdefault(name, found.start())
        elif name in first:
            whole.add(name)
    return frozenset(whole)


def _pieces(text: str) -> Iterator[tuple[bool, str]]:
    """Runs of lines, and whether they are code: between fences, or indented after an empty line."""
    lines = [
        (found[0], kind) for found, kind in zip(_LINE.finditer(text), _kinds(text), strict=True)
    ]
    for code, run in groupby(lines, key=lambda line: line[1]):
        yield code, "".join(line for line, _ in run)


def _kinds(text: str) -> Iterator[bool]:
    """Of each line, whether it is code."""
    fence = ""  # the one that is open
    quoted = False  # it stands in a quotation, and ends with it at the latest
    item = 0  # the column of a list item's text
    blank, indented = True, False  # the line before
    for found in _LINE.finditer(text):
        line = found[0].rstrip("\n")
        mark = _FENCE.match(line)
        if fence and not (quoted and not line.lstrip().startswith(">")):
            if mark and mark[2].startswith(fence) and not line[mark.end() :].strip():
                fence = ""
            yield True
            continue
        fence = mark[2] if mark else ""
        quoted = mark is not None and ">" in mark[1]
        if mark:
            blank = indented = False
            yield True
            continue
        wide = line.expandtabs(_INDENTED)
        width = len(wide) - len(wide.lstrip())
        if wide.strip():
            if blank and width < item:
                item = width
            indented = (blank or indented) and width >= item + _INDENTED
            if not indented and (begun := _ITEM.match(wide)):
                item = begun.end()
        blank = not wide.strip()
        yield indented and not blank


def _outside_code(text: str, tags: frozenset[str]) -> str:
    """Escape what stands between spans of code."""
    parts, at = [], 0
    for start, end in _spans(text):
        parts += [_escaped(text[at:start], tags), text[start:end]]
        at = end
    return "".join([*parts, _escaped(text[at:], tags)])


def _spans(text: str) -> Iterator[tuple[int, int]]:
    """Where spans of code begin and end: as many backticks before as after, in one paragraph."""
    runs = list(_TICKS.finditer(text))
    by_length: defaultdict[int, deque[re.Match[str]]] = defaultdict(deque)
    for run in runs:
        by_length[len(run[2])].append(run)
    breaks = deque(found.start() for found in re.finditer(r"\n[ \t]*\n", text))
    at = 0
    for run in runs:
        start = run.start(2) + len(run[1]) % 2  # the first one may be escaped
        if start < at or start == run.end():
            continue
        ends = by_length[run.end() - start]
        while ends and ends[0].start(2) <= start:
            ends.popleft()
        while breaks and breaks[0] < start:
            breaks.popleft()
        if ends and not (breaks and breaks[0] < ends[0].start()):
            at = ends[0].end()
            yield start, at


def _escaped(text: str, tags: frozenset[str]) -> str:
    parts, at = [], 0
    missing: set[str] = set()  # ends of formulas that do not come any more
    while found := _SPECIAL.search(text, at):
        parts.append(text[at : found.start()])
        said, at = found[0], found.end()
        if found["opens"] and (closing := _CLOSES[said]) not in missing:
            end = text.find(closing, at)
            if end < 0:
                missing.add(closing)
            else:
                said, at = text[found.start() : end + 2], end + 2
        elif found["formula"]:
            said = rf"\({found['formula']}\)"
        elif said.startswith("<") and not found["kept"]:
            tag = found["tag"]
            if not tag or tag.strip("</>").lower() not in tags:
                said = f"&lt;{said[1:]}"
        parts.append(said)
    return "".join([*parts, text[at:]])
