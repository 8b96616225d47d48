"""The page's files that no Python reads: what a linter of theirs cannot know."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from chat.page.templates import ASSETS, HERE, paper

COLOUR = re.compile(r"#[0-9a-fA-F]{3,8}\b(?!\S*;base64)|\brgba?\(|\bhsla?\(")
PAINTED = [ASSETS / "page.css", *ASSETS.glob("*.js"), *HERE.glob("templates/*"), *HERE.glob("*.py")]
SCRIPTS = sorted(ASSETS.glob("*.js"))


@pytest.mark.parametrize("path", PAINTED, ids=lambda path: path.name)
def test_colours_are_named_in_the_palette_alone(path: Path) -> None:
    """One palette in five places: a change in one of them is seen as a stain in the others."""
    text = re.sub(r"#fm-[\w-]+|&#", "", path.read_text("utf-8"))
    assert not COLOUR.findall(text)


def test_installed_app_has_the_papers_colour() -> None:
    """The splash of the installed app flashed in another colour."""
    manifest = json.loads((ASSETS / "manifest.json").read_text("utf-8"))
    light, dark = paper()
    assert manifest["background_color"] == light
    assert re.fullmatch("#[0-9a-f]{6}", dark)


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_modules_import_what_is_there(path: Path) -> None:
    """A name that a module does not export is found by the browser only, and stops the page."""
    for names, module in re.findall(
        r"import \{([^}]*)\} from \"\./([\w.]+)\"", path.read_text("utf-8")
    ):
        exported = set(
            re.findall(r"export (?:const|let) (\w+)", (ASSETS / module).read_text("utf-8"))
        )
        wanted = {name.split(" as ")[0].strip() for name in names.split(",") if name.strip()}
        assert wanted <= exported, module


def test_modules_have_no_circles() -> None:
    """A constant that is not there yet when the first of two modules runs."""
    imports = {p.name: re.findall(r"from \"\./([\w.]+)\"", p.read_text("utf-8")) for p in SCRIPTS}

    def visit(name: str, trail: tuple[str, ...]) -> None:
        assert name not in trail, " -> ".join((*trail, name))
        for other in imports[name]:
            visit(other, (*trail, name))

    for name in imports:
        visit(name, ())
