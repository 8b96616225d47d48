"""JSON read one piece at a time: where a call's name and arguments are. Pure."""

from __future__ import annotations

import json
from enum import Enum

NAME_KEYS = ("name",)
ARGUMENT_KEYS = ("arguments", "parameters")


class _At(Enum):
    KEY = "key"  # of the outermost object, or before one
    COLON = "colon"
    VALUE = "value"


class JsonScan:
    """Follows one JSON value through its pieces, and knows the keys of its outermost object.

    ``{"type": "function", "function": {"name": …, "arguments": …}}`` is read as the inner object.
    """

    def __init__(self) -> None:
        self.done = False
        self.name: str | None = None
        self.keys: list[str] = []  # of the outermost object
        self._depth = 0
        self._quoted = self._escaped = False
        self._at = _At.KEY
        self._text = ""  # the key or value that is being read
        self._arguments = ""  # read and not given out
        self._in_arguments = self._any = self._packed = False
        self._outer = 1  # depth of the object whose keys count

    def __repr__(self) -> str:
        state = "DONE" if self.done else f"depth {self._depth}"
        return f"<JsonScan {state} {self.name or 'no name'}>"

    @property
    def started(self) -> bool:
        return self._depth > 0 or self._quoted or self._text != ""

    def take(self, text: str) -> int:
        """How many of these characters belong to the value."""
        for used, character in enumerate(text):
            if self.done:
                return used
            self._one(character)
        return len(text)

    def more(self) -> str:
        """Text of the arguments that was not given out yet: JSON, unpacked from a string."""
        if self._packed:  # a string that holds JSON: given out when it is whole
            if self._in_arguments and not self.done:
                return ""
            text, self._arguments, self._packed = self._arguments, "", False
            try:
                return str(json.loads(text))
            except ValueError:
                return text
        text, self._arguments = self._arguments, ""
        return text

    def _one(self, character: str) -> None:
        if self._in_arguments and not (self._depth == self._outer and self._ends(character)):
            self._packed |= not self._any and character == '"'
            self._any = True
            self._arguments += character
        if self._quoted:
            self._inside(character)
        elif character == '"':
            self._quoted = True
            self._text = '"'
        elif character in "{[":
            self._open(character)
        elif character in "}]":
            self._close()
        elif self._depth == self._outer and character == ":" and self._at is _At.COLON:
            self._at = _At.VALUE
            self._in_arguments = self.keys[-1:] != [] and self.keys[-1] in ARGUMENT_KEYS
        elif self._depth == self._outer and character == ",":
            self._at, self._in_arguments = _At.KEY, False
        elif self._depth == 0 and not character.isspace():
            self._text += character

    def _ends(self, character: str) -> bool:
        """Whether the arguments' value ends before this character, or has not begun."""
        return not self._quoted and (character in ",}" or character.isspace())

    def _inside(self, character: str) -> None:
        self._text += character
        if self._escaped:
            self._escaped = False
        elif character == "\\":
            self._escaped = True
        elif character == '"':
            self._quoted = False
            self._string()

    def _string(self) -> None:
        """A string has ended; at the outermost level it is a key, or the name."""
        if self._depth == 0:
            self.done = True
        elif self._depth != self._outer:
            return
        elif self._at is _At.KEY:
            self.keys.append(_plain(self._text))
            self._at = _At.COLON
        elif self._at is _At.VALUE and self.keys[-1:] and self.keys[-1] in NAME_KEYS:
            self.name = _plain(self._text)

    def _open(self, character: str) -> None:
        wraps = self._depth == self._outer and self._at is _At.VALUE and character == "{"
        if wraps and self.keys[-1:] == ["function"]:
            self._outer, self._at = self._outer + 1, _At.KEY
        self._depth += 1

    def _close(self) -> None:
        self._depth -= 1
        if self._depth < self._outer:
            self._in_arguments = False
            self._outer = max(1, self._depth)
        if self._depth <= 0:
            self.done = True


def _plain(quoted: str) -> str:
    try:
        return str(json.loads(quoted))
    except ValueError:
        return quoted.strip('"')


def overlap(text: str, mark: str) -> int:
    """Length of the longest end of ``text`` that is a proper beginning of ``mark``."""
    for length in range(min(len(mark) - 1, len(text)), 0, -1):
        if text.endswith(mark[:length]):
            return length
    return 0
