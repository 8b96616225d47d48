"""The form that a reply must have, in the shapes in which clients ask for it.

OpenAI's ``response_format``, and what clients of vLLM send: ``structured_outputs``, or ``guided_``
fields in its older releases. Which grammars can be held is ``farmesh.Guides``' affair.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from chat.api.errors import ApiError
from chat.models.backend import Engine
from farmesh.errors import InvalidGrammar
from farmesh.params import Grammar, GrammarKind

ANY_OBJECT = '{"type":"object"}'
_GUIDED = {
    "guided_json": GrammarKind.JSON,
    "guided_regex": GrammarKind.REGEX,
    "guided_choice": GrammarKind.CHOICE,
    "guided_grammar": GrammarKind.GRAMMAR,
}
_NESTED = {str(kind): kind for kind in GrammarKind}


@dataclass(frozen=True, slots=True)
class Form:
    """A grammar, and the field that it was asked for in."""

    field: str
    grammar: Grammar

    async def check(self, engine: Engine) -> None:
        """
        Raises:
            ApiError: replies cannot be held to it here.
        """
        if engine.guides is None:
            raise ApiError(
                400,
                f"{self.field}: this model's replies cannot be held to a form.",
                param=self.field,
                code="unsupported_parameter",
            )
        try:
            await engine.guides.check(self.grammar)
        except InvalidGrammar as error:
            raise _wrong(self.field, str(error)) from None


def form_of(
    response_format: Mapping[str, Any] | None,
    structured: Mapping[str, Any] | None,
    guided: Mapping[str, Any],
) -> Form | None:
    """The one form that a request asks for.

    Args:
        guided: fields by their names; those that are None were not sent.

    Raises:
        ApiError: it cannot be read, or there are two.
    """
    found = [
        *_openai(response_format or {}),
        *_structured(structured or {}),
        *(
            Form(name, Grammar(_GUIDED[name], _text(name, _GUIDED[name], value)))
            for name, value in guided.items()
            if value is not None
        ),
    ]
    if len(found) > 1:
        names = " and ".join(form.field for form in found[:2])
        raise ApiError(400, f"{names} cannot be asked for at once.", param=found[1].field)
    return found[0] if found else None


def schema_form(field: str, schema: Any) -> Form:
    """The form of a JSON schema.

    Raises:
        ApiError: it is none.
    """
    return Form(field, Grammar(GrammarKind.JSON, _text(field, GrammarKind.JSON, schema)))


def _openai(wanted: Mapping[str, Any]) -> list[Form]:
    if not wanted:
        return []
    match wanted:
        case {"type": "text"}:
            return []
        case {"type": "json_object"}:
            return [Form("response_format", Grammar(GrammarKind.JSON, ANY_OBJECT))]
        case {"type": "json_schema", "json_schema": {"schema": schema}}:
            return [schema_form("response_format", schema)]
        case {"type": "json_schema"}:
            raise _wrong("response_format", "json_schema.schema is missing.")
        case {"type": kind}:
            raise ApiError(
                400,
                f"response_format: the type {str(kind)[:40]!r} is not supported here.",
                param="response_format",
                code="unsupported_parameter",
            )
    raise _wrong("response_format", "type is missing.")


def _structured(wanted: Mapping[str, Any]) -> list[Form]:
    name, forms = "structured_outputs", []
    for key, value in wanted.items():
        if value is None or value is False:
            continue
        if key in _NESTED:
            text = _text(f"{name}.{key}", _NESTED[key], value)
            forms.append(Form(name, Grammar(_NESTED[key], text)))
        elif key == "json_object":
            forms.append(Form(name, Grammar(GrammarKind.JSON, ANY_OBJECT)))
        elif key == "structural_tag":
            raise ApiError(400, f"{name}.{key} is not supported here.", param=name)
    return forms


def _text(field: str, kind: GrammarKind, value: Any) -> str:
    """The grammar as the engine takes it."""
    if isinstance(value, str) and kind is not GrammarKind.CHOICE:
        return value
    if kind in (GrammarKind.REGEX, GrammarKind.GRAMMAR):
        raise _wrong(field, "It must be a text.")
    try:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    except RecursionError:
        raise _wrong(field, "It has too many levels.") from None


def _wrong(field: str, reason: str) -> ApiError:
    return ApiError(
        400, f"Invalid {field}: {reason[:1].lower()}{reason[1:]}", param=field, code="invalid_value"
    )
