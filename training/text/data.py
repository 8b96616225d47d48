"""Reads the text in `training/topics` and `training/phrases`. What a file may hold is a dataclass.

Text names commands and settings of the app by a placeholder, as in `{RUN}`: the name of a constant
in `training.facts`. An error says which file and key it is about.
"""

import re
import tomllib
from collections.abc import Collection
from dataclasses import MISSING, dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any, TypeVar, get_args, get_origin

from training import facts

TOPICS_FOLDER = Path(__file__).parents[1] / "topics"
PHRASES_FOLDER = Path(__file__).parents[1] / "phrases"
_PLACEHOLDER = re.compile(r"\{([^{}]*)\}")
_IN_WORDS = {str: "a text", bool: "true or false", list: "a list", dict: "a table"}

T = TypeVar("T")


class TextError(ValueError):
    """A file of training text is not as it should be."""


def read(path: Path, kind: type[T], slots: Collection[str] = (), **given: object) -> T:
    """The file as a `kind`: str, bool, tuple[X, ...], dict[str, X] or a dataclass of such fields.

    Placeholders in `slots` stay, to be filled when a text is drawn; all others are facts. `given`
    are fields of the dataclass that the file does not hold. Raises TextError.
    """
    file = _File(path, frozenset(slots))
    try:
        table = tomllib.loads(path.read_text("utf-8"))
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise file.error("", str(error)) from error
    if taken := sorted(set(table) & set(given)):
        raise file.error(taken[0], "unknown key")
    built: T = file.built(kind, table | given, "")
    return built


@dataclass(frozen=True, slots=True)
class _File:
    """A file being read; `where` is the way to a value in it, such as `links[1].to`."""

    path: Path
    slots: frozenset[str]

    def error(self, where: str, what: str) -> TextError:
        """An error about one value, or about the whole file where `where` is empty."""
        return TextError(": ".join(filter(None, (str(self.path), where, what))))

    def built(self, kind: Any, value: Any, where: str) -> Any:
        """The value as a `kind`, checked."""
        if is_dataclass(kind):
            return kind(**self._fields(kind, self._checked(dict, value, where), where))
        if get_origin(kind) is dict:
            of, items = get_args(kind)[1], self._checked(dict, value, where).items()
            return {key: self.built(of, v, _inside(where, key)) for key, v in items}
        if get_origin(kind) is tuple:
            of, values = get_args(kind)[0], self._checked(list, value, where)
            return tuple(self.built(of, v, f"{where}[{n}]") for n, v in enumerate(values))
        value = self._checked(kind, value, where)
        return self._filled(value, where) if kind is str else value

    def _fields(self, kind: Any, table: dict[str, Any], where: str) -> dict[str, Any]:
        known = {field.name: field for field in fields(kind)}
        for key in table:
            if key not in known:
                raise self.error(_inside(where, key), "unknown key")
        for key, field in known.items():
            if field.default is MISSING and key not in table:
                raise self.error(_inside(where, key), "missing")
        return {k: self.built(known[k].type, v, _inside(where, k)) for k, v in table.items()}

    def _checked(self, kind: type, value: Any, where: str) -> Any:
        if type(value) is not kind:
            raise self.error(where, f"should be {_IN_WORDS[kind]}, not {value!r}")
        return value

    def _filled(self, text: str, where: str) -> str:
        def fact(found: re.Match[str]) -> str:
            if found[1] in self.slots:
                return found[0]
            value = getattr(facts, found[1], None) if found[1].isupper() else None
            if not isinstance(value, str | int):
                raise self.error(where, f"unknown placeholder {found[0]}")
            return str(value)

        return _PLACEHOLDER.sub(fact, text)


def _inside(where: str, key: str) -> str:
    return f"{where}.{key}" if where else key
