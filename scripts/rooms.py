"""The rooms of the code, the floors they stand on, and who imports whom, read from the source.

tests/test_import_rule.py holds the rule by this table; docs/images/rooms.svg is drawn from it.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import farmesh

PROJECT = Path(__file__).resolve().parent.parent

# From the top to the ground; rooms of one floor do not know one another.
FLOORS: tuple[tuple[str, ...], ...] = (
    ("app", "chat.accounts"),
    ("chat.serving",),
    ("chat.page", "chat.api"),
    ("chat.access",),
    ("chat.live",),
    ("chat.kept", "chat.models", "chat.files"),
    ("chat.conversation", "chat.protocol"),
    ("chat.words", "chat.settings"),
    ("chat.ids", "chat.errors", "chat.places"),
    ("farmesh.__main__", "farmesh.nursery", "farmesh.newborn"),
    ("farmesh.cli", "farmesh.upstream"),
    ("farmesh.client", "farmesh.node"),
    ("farmesh.network", "farmesh.checkpoint"),
    ("farmesh.wire", "farmesh.planning", "farmesh.hub", "farmesh.kernels", "farmesh.guides"),
    ("farmesh.grammars",),
    ("farmesh.hivemind", "farmesh.config", "farmesh.params"),
    ("farmesh.text", "farmesh.errors", "farmesh.events"),
    ("farmesh.constants", "farmesh.core", "farmesh.cores", "farmesh.lean", "farmesh.tokens"),
)
FLOOR_OF = {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms}
PURE = (  # values and decisions: no I/O, no clock
    *("chat.conversation", "chat.protocol", "chat.words", "chat.errors", "chat.ids"),
    *(
        "farmesh.planning",
        "farmesh.config",
        "farmesh.params",
        "farmesh.grammars",
        "farmesh.events",
        "farmesh.text",
    ),
    *("farmesh.constants", "farmesh.errors", "farmesh.core", "farmesh.tokens"),
)
PACKAGES = {"chat", "farmesh"}  # their ``__init__`` only says where the public names are


def modules(*folders: str) -> Iterator[tuple[str, Path]]:
    """Dotted name and file of every module below the folders."""
    for folder in folders:
        for path in sorted((PROJECT / folder).rglob("*.py")):
            dotted = ".".join(path.relative_to(PROJECT).with_suffix("").parts)
            yield dotted.removesuffix(".__init__"), path


MODULES = dict(modules("chat", "farmesh")) | {"app": PROJECT / "app.py"}


def imports(path: Path) -> set[str]:
    """Dotted names of modules that a file imports, wherever in the file."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = "." * node.level + (node.module or "")
            inside = {f"{module}.{alias.name}" for alias in node.names} & MODULES.keys()
            names |= inside or {module}
    return names


GRAPH = {name: imports(path) for name, path in MODULES.items()}


def room_of(name: str) -> str | None:
    """The room in which a module stands; None for what is not ours."""
    parts = name.split(".")
    return next((room for room in (name, ".".join(parts[:2])) if room in FLOOR_OF), None)


def path_of(room: str) -> str:
    """A room's folder or file, as seen from the project's folder."""
    path = MODULES[room].relative_to(PROJECT)
    return f"{path.parent}/" if path.name == "__init__.py" else str(path)


def said(room: str) -> str:
    """What a room says of itself."""
    return ast.get_docstring(ast.parse(MODULES[room].read_text(encoding="utf-8"))) or ""


def room_imports() -> dict[str, set[str]]:
    """Every room with the rooms that it imports."""
    found: dict[str, set[str]] = {room: set() for room in FLOOR_OF}
    for name, imported in GRAPH.items():
        if (room := room_of(name)) is not None:
            found[room] |= {other for i in imported if (other := room_of(i))} - {room}
    return found


def taken_by_name() -> Iterator[tuple[str, str]]:
    """Rooms, and those whose public names they take when they need them, as
    ``importlib.import_module("farmesh").NAME``: it imports what takes seconds."""
    for name, path in MODULES.items():
        text = path.read_text(encoding="utf-8")
        for public in re.findall(r"""import_module\("farmesh"\)\.(\w+)""", text):
            source, target = room_of(name), room_of(farmesh._HOME_OF[public])
            if source is not None and target is not None:
                yield source, target
