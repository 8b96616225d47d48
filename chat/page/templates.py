"""The page's HTML: templates/*.html, filled with values that are escaped on their way in."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template
from markupsafe import Markup

HERE = Path(__file__).parent
ASSETS = HERE / "assets"
_ENVIRONMENT = Environment(
    loader=FileSystemLoader(HERE / "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    auto_reload=False,
)


def render(name: str, **values: Any) -> Markup:
    """A template with its values in place; one that is missing is an error."""
    return Markup(_template(name).render(**values))


@cache
def _template(name: str) -> Template:
    return _ENVIRONMENT.get_template(f"{name}.html")


def paper() -> tuple[str, str]:
    """The page's background in the light and in the dark, for what cannot read a stylesheet."""
    palette = (ASSETS / "palette.css").read_text("utf-8")
    found = re.search(r"--fm-paper: light-dark\((#\w+), (#\w+)\);", palette)
    return (found[1], found[2]) if found else ("", "")
