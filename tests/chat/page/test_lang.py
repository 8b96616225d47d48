"""The tables of the page's languages."""

from __future__ import annotations

import pytest

from chat.page.labels import t, tables, translations


def test_tables_have_the_same_texts_and_places() -> None:
    """A language that lacks a text shows English in the middle of a page."""
    first, *others = tables().values()
    for table in others:
        assert list(table) == list(first)
    for text in first:
        for table in (first, *others):
            assert table[text].strip(), text
            assert table[text].count("{}") == text.count("{}"), text


def test_label_without_translation_is_found_when_the_page_is_built() -> None:
    with pytest.raises(KeyError, match="No such label"):
        t("No such label")


def test_keys_are_no_paths() -> None:
    """svelte-i18n reads a dot in a key as a step into a table, and shows the key instead."""
    for table in translations().translations_dict.values():
        assert all(key.replace("_", "").isalnum() for key in table)
