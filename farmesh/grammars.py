"""How heavy a grammar is, judged by looking at it: before anything is computed with it.

The limits keep what is accepted within a tenth of a second of work. The library has limits of its
own, but some of its costs (long chains of optional parts, large repeats, many alternatives) grow
with the square of what stands there, or with the numbers, before any of its limits is reached.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from farmesh.errors import InvalidGrammar
from farmesh.params import Grammar, GrammarKind

MAX_TEXT = 128_000  # characters of a grammar
MAX_RULES = 16_000  # characters of Lark or GBNF, JSON schemas in it left out
MAX_LEVELS = 64  # of a schema
MAX_WEIGHT = 10_000
_QUANTIFIERS = 100  # of a regular expression, that squared weigh one
_REFERENCE = 10
_FACTOR = 3  # of what multiples are of
_BRANCHES = 16  # so many alternatives squared weigh one
_OPTIONAL = 20  # the same of properties that may be left out
_LENGTHS = 10  # of a text or a list, that weigh one

_REPEAT = re.compile(r"[{~.,]\s*(\d+)")  # {3,5} of expressions, ~3..5 of Lark
_NUMBER = re.compile(r"\d+")
_LENGTH_KEYS = {f"{end}{what}" for end in ("min", "max") for what in ("Length", "Items")}
_LENGTH_KEYS |= {"minProperties", "maxProperties"}


def check_weight(grammar: Grammar) -> None:
    """
    Raises:
        InvalidGrammar: it is larger or heavier than anybody needs, or no JSON where it must be.
    """
    if len(grammar.text) > MAX_TEXT:
        raise InvalidGrammar(f"It has more than {MAX_TEXT:,} characters.")
    if _weight(grammar) > MAX_WEIGHT:
        raise InvalidGrammar(
            "It is too heavy: fewer or smaller repeats, optional properties and alternatives, "
            "and shorter regular expressions would do."
        )


def _weight(grammar: Grammar) -> int:
    match grammar.kind:
        case GrammarKind.JSON:
            return _schema_weight(_json(grammar.text))
        case GrammarKind.REGEX:
            return _regex_weight(grammar.text)
        case GrammarKind.CHOICE:
            return len(_choices(grammar.text))
        case GrammarKind.GRAMMAR:
            return _lark_weight(grammar.text)


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except RecursionError:
        raise InvalidGrammar(f"It has more than {MAX_LEVELS} levels.") from None
    except ValueError:
        raise InvalidGrammar("It is no JSON.") from None


def _choices(text: str) -> list[str]:
    choices = _json(text)
    if not isinstance(choices, list) or not all(isinstance(c, str) and c for c in choices):
        raise InvalidGrammar("Choices are a list of texts, none of them empty.")
    if not choices:
        raise InvalidGrammar("There is nothing to choose from.")
    return choices


def _regex_weight(text: str) -> int:
    repeats = [int(number[-9:]) for number in _REPEAT.findall(text)]
    quantifiers = sum(map(text.count, "?*+{"))
    return len(text) + quantifiers**2 // _QUANTIFIERS + sum(repeats)


def _lark_weight(text: str) -> int:
    schemas, rest = _schemas_in(text)
    if len(rest) > MAX_RULES:
        raise InvalidGrammar(f"Its rules have more than {MAX_RULES:,} characters.")
    heaviest = max(map(_regex_weight, rest.splitlines()), default=0)
    repeats = [int(number[-9:]) for number in _REPEAT.findall(rest)]
    return sum(map(_schema_weight, schemas)) + sum(repeats) + heaviest


def _schemas_in(text: str) -> tuple[list[Any], str]:
    """The JSON schemas that Lark rules name with ``%json``, and the rules without them."""
    decoder, schemas, rest, at = json.JSONDecoder(), [], [], 0
    for found in re.finditer(r"%json\s*", text):
        if found.start() < at:
            continue
        rest.append(text[at : found.start()])
        try:
            schema, at = decoder.raw_decode(text, found.end())
        except RecursionError:
            raise InvalidGrammar(f"It has more than {MAX_LEVELS} levels.") from None
        except ValueError:
            raise InvalidGrammar("What follows %json is no JSON.") from None
        schemas.append(schema)
    return schemas, "".join([*rest, text[at:]])


def _schema_weight(schema: Any) -> int:
    if not isinstance(schema, dict | bool):
        raise InvalidGrammar("A JSON schema is an object.")
    return sum(
        _weight_of(key, value, owner) for owner in _objects(schema) for key, value in owner.items()
    )


def _objects(schema: Any) -> Iterator[dict[str, Any]]:
    """All objects in it, whatever they mean there."""
    level, depth = [schema], 0
    while level:
        if depth > MAX_LEVELS:
            raise InvalidGrammar(f"It has more than {MAX_LEVELS} levels.")
        below: list[Any] = []
        for value in level:
            if isinstance(value, dict):
                yield value
                below += value.values()
            elif isinstance(value, list):
                below += value
        level, depth = below, depth + 1


def _weight_of(key: str, value: Any, owner: dict[str, Any]) -> int:
    match key, value:
        case "properties", dict():
            required = owner.get("required")
            names = required if isinstance(required, list) else []
            optional = max(0, len(value) - len(names))
            return len(value) + optional**2 // _OPTIONAL
        case (("anyOf" | "oneOf" | "allOf"), list()):
            return len(value) + len(value) ** 2 // _BRANCHES
        case ("pattern", str()):
            return _regex_weight(value)
        case ("patternProperties", dict()):
            return sum(map(_regex_weight, value))
        case ("enum", list()):
            return len(value)
        case ("multipleOf", int() | float()):
            return _FACTOR * int("".join(_NUMBER.findall(f"{value:.9g}"))[-9:] or 0)
        case ("$ref", str()):
            return _REFERENCE
        case _, int() | float() if key in _LENGTH_KEYS and not isinstance(value, bool):
            return min(int(value), 10**9) // _LENGTHS if abs(value) < 10**12 else MAX_WEIGHT + 1
    return 1
