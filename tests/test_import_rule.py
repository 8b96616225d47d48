"""The import rule of docs/architecture.md, read from the source with ``ast``.

Imports go downward only: ``app`` → ``chat`` → ``farmesh``. Inside the engine, the client's side and
the node's side meet only in shared modules, and what decides does no I/O.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parent.parent

# Modules of the engine that are pure: values and decisions. Planned ones may not exist yet.
PURE = ("core", "errors", "config", "pings", "routing", "sampling", "placement")

# What a pure module may not touch: loops, sockets, processes, the swarm's transport.
IO = {"asyncio", "hivemind", "socket", "subprocess", "threading", "multiprocessing", "httpx"}

# Where the client's side and the node's side of the engine may meet.
SHARED = {
    "checkpoint",
    "config",
    "constants",
    "core",
    "discovery",
    "errors",
    "families",
    "hub",
    "inprocess",
    "linear",
    "multiplex",
    "p2p",
    "pings",
    "reachability",
    "transport",
    "wire",
}
CLIENT_SIDE = {"client", "distributed", "link", "model", "routing", "sampling", "session", "text"}
NODE_SIDE = {"node", "placement"}
COMMAND_LINE = {"__init__", "__main__", "cli"}  # name both sides, and import them late

# The engine's modules that an application may import; the rest are its internals.
PUBLIC = {"", "client", "constants", "config", "core", "errors", "hub", "session", "text"}


def modules(*folders: str) -> Iterator[tuple[str, Path]]:
    """Dotted name and file of every module below the folders."""
    for folder in folders:
        for path in sorted((PROJECT / folder).rglob("*.py")):
            dotted = ".".join(path.relative_to(PROJECT).with_suffix("").parts)
            yield dotted.removesuffix(".__init__"), path


def imports(path: Path, *, at_runtime: bool = False) -> set[str]:
    """Dotted names that a file imports, inside functions too.

    Args:
        at_runtime: leave out what stands under ``if TYPE_CHECKING``.
    """
    tree = ast.parse(path.read_text(encoding="utf-8"))
    names: set[str] = set()
    for node in _walk(tree, at_runtime):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative imports hide where a module comes from"
            names.add(node.module or "")
            # "from farmesh import wire" imports farmesh.wire
            names.update(f"{node.module}.{alias.name}" for alias in node.names)
    return names


def _walk(node: ast.AST, at_runtime: bool) -> Iterator[ast.AST]:
    for child in ast.iter_child_nodes(node):
        if at_runtime and isinstance(child, ast.If) and "TYPE_CHECKING" in ast.dump(child.test):
            continue
        yield child
        yield from _walk(child, at_runtime)


def top(name: str) -> str:
    return name.split(".")[0]


def engine_modules(path: Path) -> set[str]:
    """First parts below ``farmesh`` of what a file imports; "" is the package itself."""
    names = {name for name in imports(path) if top(name) == "farmesh"}
    parts = {name.split(".")[1] if "." in name else "" for name in names}
    files = {p.stem for p in (PROJECT / "farmesh").iterdir()}
    return {part for part in parts if part in files or part == ""}


def test_every_module_has_a_side() -> None:
    """Bug prevented: a new module that no rule here looks at."""
    names = {p.stem for p in (PROJECT / "farmesh").iterdir() if not p.name.startswith("__pyc")}
    assert names <= SHARED | CLIENT_SIDE | NODE_SIDE | COMMAND_LINE


def test_the_engine_knows_no_product() -> None:
    """Bug prevented: the engine grows a dependency on the page and cannot be used without it."""
    for name, path in modules("farmesh"):
        wrong = {top(i) for i in imports(path)} & {"app", "chat", "gradio", "fastapi", "training"}
        assert not wrong, f"{name} imports {wrong}"


def test_only_the_ui_imports_gradio() -> None:
    """Bug prevented: conversations and limits cannot be tested or served without a page."""
    for name, path in modules("chat", "farmesh", "training"):
        if not name.startswith("chat.ui"):
            assert "gradio" not in {top(i) for i in imports(path)}, f"{name} imports gradio"


def test_nothing_imports_the_composition_root() -> None:
    """Bug prevented: a circle through app.py, which only works when it is started first."""
    for name, path in modules("chat", "farmesh", "training"):
        assert "app" not in {top(i) for i in imports(path)}, f"{name} imports app"


def test_the_ui_is_imported_by_the_composition_root_alone() -> None:
    """Bug prevented: a rule of the chat moves into the page, where only a browser can test it."""
    for name, path in modules("chat"):
        if not name.startswith("chat.ui"):
            wrong = {i for i in imports(path) if i.startswith("chat.ui")}
            assert not wrong, f"{name} imports {wrong}"


def test_the_product_uses_the_engines_public_modules() -> None:
    """Bug prevented: the page reaches into RPC messages, and the wire can never change again."""
    for name, path in modules("chat"):
        wrong = engine_modules(path) - PUBLIC
        assert not wrong, f"{name} imports the engine's internals {wrong}"


def test_the_client_never_loads_the_nodes_side() -> None:
    """Bug prevented: a browser's app loads the whole server, as upstream's client does."""
    for name, path in modules("farmesh"):
        if name.removeprefix("farmesh.") in CLIENT_SIDE:
            wrong = engine_modules(path) & NODE_SIDE
            assert not wrong, f"{name} imports {wrong}"


def test_the_node_never_loads_the_clients_side() -> None:
    """Bug prevented: a node that pulls in a second model, or a circle between the two sides."""
    for name, path in modules("farmesh/node"):
        wrong = engine_modules(path) - SHARED - NODE_SIDE - {""}
        assert not wrong, f"{name} imports {wrong}"


def test_shared_modules_know_neither_side() -> None:
    """Bug prevented: through a shared module one side loads the other after all."""
    for name, path in modules("farmesh"):
        if name.removeprefix("farmesh.") in SHARED:
            wrong = engine_modules(path) & (CLIENT_SIDE | NODE_SIDE)
            assert not wrong, f"{name} imports {wrong}"


@pytest.mark.parametrize("module", PURE)
def test_what_decides_does_no_io(module: str) -> None:
    """Bug prevented: a decision that needs a clock, a socket or a swarm before it can be tested."""
    path = PROJECT / "farmesh" / f"{module}.py"
    if not path.exists():
        pytest.skip(f"farmesh/{module}.py is not written yet")
    found = imports(path, at_runtime=True)
    assert not {top(i) for i in found} & (IO | {"time", "datetime"}), f"{module} does I/O"
    inside = {i for i in found if top(i) == "farmesh"}
    allowed = {f"farmesh.{pure}" for pure in PURE}
    assert all(i.rpartition(".")[0] in allowed | {"farmesh"} or i in allowed for i in inside)


def test_values_need_no_torch() -> None:
    """Bug prevented: `--help` and reading settings wait seconds for torch."""
    for name in ("core", "errors", "config", "hub"):
        found = imports(PROJECT / "farmesh" / f"{name}.py")
        assert not {top(i) for i in found} & {"torch", "transformers", "numpy"}
    for name in ("settings", "embedded"):
        allowed = {"", "core", "errors", "config", "hub"}
        assert engine_modules(PROJECT / "chat" / f"{name}.py") <= allowed


def test_there_are_no_circles() -> None:
    """Bug prevented: an import order that works from one entry point and fails from another."""
    graph = {
        name: {i for i in imports(path, at_runtime=True) if top(i) in ("chat", "farmesh")} - {name}
        for name, path in modules("chat", "farmesh")
    }
    graph = {name: found & graph.keys() for name, found in graph.items()}
    # A package's own __init__ re-exports names from below; that is not a way back up.
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
