"""The import rule of docs/architecture.md, by the table of scripts/rooms.py.

Rooms are folders (or single modules), and stand on floors. A room imports what is on lower floors,
never what is above it or beside it. Imports under ``TYPE_CHECKING`` and inside functions count.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from scripts.rooms import FLOOR_OF, GRAPH, MODULES, PACKAGES, PURE, imports, modules, room_of

# What an application may import of the engine; the rest are its internals.
PUBLIC = {
    *(f"farmesh.{name}" for name in ("config", "constants", "core", "cores", "errors", "events")),
    *(f"farmesh.{name}" for name in ("hub", "lean", "nursery", "params", "text", "tokens")),
}

# What a room of decisions may not touch: clocks, loops, sockets, processes, the swarm's transport.
IO = {"asyncio", "hivemind", "socket", "subprocess", "threading", "multiprocessing", "httpx"}
CLOCKS = {"time", "datetime"}


def top(name: str) -> str:
    return name.split(".")[0]


def test_every_module_stands_in_a_room() -> None:
    """Bug prevented: a new module that no rule here looks at."""
    homeless = {name for name in MODULES if room_of(name) is None} - PACKAGES
    assert not homeless


def test_imports_are_absolute() -> None:
    """Bug prevented: a relative import hides where a module comes from, and no rule sees it."""
    for name, found in GRAPH.items():
        assert not {i for i in found if i.startswith(".")}, name


def test_every_room_is_there() -> None:
    """Bug prevented: a rule about a room that was renamed, which then holds for nothing."""
    assert {room_of(name) for name in MODULES} - {None} == FLOOR_OF.keys()


@pytest.mark.parametrize("name", sorted(MODULES.keys() - PACKAGES))
def test_imports_go_downward(name: str) -> None:
    """Bug prevented: a low room needs a high one, and neither can be used or tested alone."""
    own = room_of(name)
    assert own is not None
    wrong = []
    for found in GRAPH[name]:
        room = room_of(found)
        if room is not None and room != own and FLOOR_OF[room] <= FLOOR_OF[own]:
            wrong.append(found)
    assert not wrong, f"{name} ({own}) imports {wrong}"


def test_the_engine_knows_no_product() -> None:
    """Bug prevented: the engine grows a dependency on the page and cannot be used without it."""
    for name, path in modules("farmesh"):
        wrong = {top(i) for i in imports(path)} & {"app", "chat", "gradio", "fastapi", "training"}
        assert not wrong, f"{name} imports {wrong}"


def test_only_the_page_imports_gradio() -> None:
    """Bug prevented: conversations and limits cannot be tested or served without a page."""
    for name, path in modules("chat", "farmesh", "training"):
        if room_of(name) != "chat.page":
            assert "gradio" not in {top(i) for i in imports(path)}, f"{name} imports gradio"


def test_the_product_uses_the_engines_public_names() -> None:
    """Bug prevented: the page reaches into RPC messages, and the wire can never change again."""
    for name in MODULES:
        if top(name) in ("app", "chat"):
            engine = {i for i in GRAPH[name] if top(i) == "farmesh"}
            wrong = {i for i in engine if room_of(i) not in PUBLIC} - PACKAGES
            assert not wrong, f"{name} imports the engine's internals {wrong}"


@pytest.mark.parametrize("room", [*PURE, "farmesh.client.view"])
def test_what_decides_does_no_io(room: str) -> None:
    """Bug prevented: a decision that needs a clock, a socket or a swarm before it can be tested."""
    for name in MODULES:
        if room in (name, room_of(name)):
            found = {top(i) for i in GRAPH[name]}
            assert not found & (IO | CLOCKS), f"{name} does I/O"


def insides_of_hivemind(path: Path) -> Iterator[str]:
    """What a module does to hivemind that only ``farmesh.hivemind`` may."""
    doors = {"P2P.create", "DHTNode.create", "MSGPackSerializer"}
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        match node:
            case ast.alias(name=name) if name in doors:
                yield name
            case ast.Attribute(value=ast.Name(id="self" | "cls")):
                pass
            case ast.Attribute(attr=name):
                if ast.unparse(node) in doors or (name[0] == "_" and not name.endswith("__")):
                    yield ast.unparse(node)


def test_hivemind_is_mended_and_opened_in_one_room() -> None:
    """Bug prevented: a daemon or a message met by a hivemind without its patches, and private
    attributes of hivemind that no canary watches."""
    for name, path in MODULES.items():
        if name != "farmesh.hivemind" and "hivemind" in {top(i) for i in GRAPH[name]}:
            assert not (wrong := [*insides_of_hivemind(path)]), f"{name}: {wrong}"


def test_values_need_no_torch() -> None:
    """Bug prevented: `--help` and reading settings wait seconds for torch."""
    rooms = {"farmesh.core", "farmesh.errors", "farmesh.events", "farmesh.params"}
    rooms |= {"farmesh.tokens", "farmesh.config", "farmesh.hub", "chat.settings"}
    heavy = {"torch", "transformers", "numpy"}

    def reached(name: str, seen: set[str]) -> set[str]:
        if name not in seen:
            seen.add(name)
            for found in GRAPH[name] & MODULES.keys() - PACKAGES:
                reached(found, seen)
        return seen

    for name in MODULES:
        if room_of(name) in rooms:
            for module in reached(name, set()):
                wrong = {top(i) for i in GRAPH[module]} & heavy
                assert not wrong, f"{name} leads to {module}, which imports {wrong}"


def test_there_are_no_circles() -> None:
    """Bug prevented: an import order that works from one entry point and fails from another."""
    graph = {name: (found & MODULES.keys()) - {name} for name, found in GRAPH.items()}
    for package in PACKAGES:
        graph[package] = set()  # names public ones, and imports them when they are asked for
    # A room's own __init__ may name what is inside; that is no way back up.
    for name in graph:
        graph[name] -= {parent for parent in graph if name.startswith(f"{parent}.")}
    done: set[str] = set()

    def visit(name: str, trail: tuple[str, ...]) -> None:
        assert name not in trail, " → ".join((*trail, name))
        if name not in done:
            for found in sorted(graph[name]):
                visit(found, (*trail, name))
            done.add(name)

    for name in graph:
        visit(name, ())
