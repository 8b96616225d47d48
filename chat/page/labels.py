"""Gradio's labels in the reader's language, from the tables that the page's own script uses too.

Gradio translates in the browser, by keys that it knows at start; what changes later is English
from the server and is translated by chat/page/assets/lang.js.
"""

from __future__ import annotations

import json
from functools import cache
from hashlib import sha256
from pathlib import Path

import gradio as gr
from gradio.i18n import I18nData

FOLDER = Path(__file__).parent / "assets" / "lang"


@cache
def tables() -> dict[str, dict[str, str]]:
    """English text to its translation, by language."""
    files = sorted(FOLDER.glob("*.json"))
    return {path.stem: json.loads(path.read_text("utf-8")) for path in files}


@cache
def translations() -> gr.I18n:
    """All fixed texts of the tables, by keys that svelte-i18n does not take for a path."""
    fixed = {
        language: {text: other for text, other in table.items() if "{}" not in text}
        for language, table in tables().items()
    }
    english = {text: text for table in fixed.values() for text in table}
    return gr.I18n(
        **{
            language: {_key(text): other for text, other in table.items()}
            for language, table in {"en": english, **fixed}.items()
        }
    )


def t(text: str) -> I18nData:
    """A label that the browser translates.

    Raises:
        KeyError: some table does not have it.
    """
    for language, table in tables().items():
        if text not in table:
            raise KeyError(f"chat/page/assets/lang/{language}.json has no {text!r}")
    return translations()(_key(text))


def _key(text: str) -> str:
    return "fm_" + sha256(text.encode()).hexdigest()[:12]
