"""Keep documents true: what can be made from the code is made from it, and compared in CI.

usage: python -m scripts.check_docs [--write]

Made from the code: configs/default.toml, docs/images/rooms.svg, and in the documents the blocks
between ``<!-- made: NAME -->`` and ``<!-- end -->``. Compared: every path of README's file tree
exists, relative links lead somewhere, docs/README.md leads to every document. (Whether commands
can be run is the affair of tests/test_documentation.py.)
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import os
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
from fastapi import FastAPI
from pydantic import SecretStr

from chat import accounts
from chat.api.metrics import Metrics
from chat.api.openai.requests import ChatCompletionRequest, CompletionRequest
from chat.live.store import ChatStore
from chat.models.backend import Backend
from chat.models.ledger import Ledger
from chat.settings import command_line
from chat.settings.schema import ChatSettings, Settings
from farmesh.checkpoint.tried import REFUSED, WORKS
from farmesh.cli.arguments import COMMANDS, subparser
from scripts.documents import MADE, PROJECT, anchors, blocks, documents
from scripts.draw_rooms import rooms_svg
from scripts.rooms import FLOORS, path_of, said

README = PROJECT / "README.md"

HEADER = """\
# Every setting with its default (made from chat/settings: python -m scripts.check_docs --write).
# A file of your own needs only the lines that it changes: python app.py --config FILE.
# Environment variables win over the file: FARMESH_CHAT_<SECTION>_<KEY>, for example
# FARMESH_CHAT_SERVER_PORT=8000; flags win over both. Relative paths start at the project's folder.
"""


def _toml(value: Any) -> str:
    if isinstance(value, Path):
        value = str(value.relative_to(PROJECT)) if value.is_relative_to(PROJECT) else str(value)
    if isinstance(value, SecretStr):
        value = value.get_secret_value()
    return json.dumps(list(value) if isinstance(value, tuple) else value, ensure_ascii=False)


def _sections() -> Iterator[tuple[str, Any, Any]]:
    defaults = Settings()
    for name, field in Settings.model_fields.items():
        yield name, field.annotation, getattr(defaults, name)


def default_toml() -> str:
    lines = [HEADER]
    for name, section, values in _sections():
        lines.append(f"\n# {section.__doc__}\n[{name}]\n")
        for key, field in section.model_fields.items():
            lines.append(f"# {field.description}\n{key} = {_toml(getattr(values, key))}\n")
    return "".join(lines)


def settings_table() -> str:
    rows = ["| setting | default | meaning |", "|---|---|---|"]
    for name, section, values in _sections():
        for key, field in section.model_fields.items():
            default = _toml(getattr(values, key))
            rows.append(f"| `{name}.{key}` | `{default}` | {field.description} |")
    return "\n".join(rows)


def _help(parser: argparse.ArgumentParser) -> str:
    os.environ["COLUMNS"] = "100"  # argparse wraps to the terminal otherwise
    return f"```text\n{parser.format_help().rstrip()}\n```"


def accounts_help() -> str:
    """The command, and how each of its own commands is called."""
    parser = accounts.command_line()
    os.environ["COLUMNS"] = "100"
    commands = parser._subparsers._group_actions[0].choices  # type: ignore[union-attr,index]
    usages = "".join(command.format_usage() for command in commands.values())
    return f"```text\n{parser.format_help().rstrip()}\n\n{usages.rstrip()}\n```"


def make_help() -> str:
    text = (PROJECT / "Makefile").read_text(encoding="utf-8")
    rows = ["| command | what it does |", "|---|---|"]
    for target, what in re.findall(r"(?m)^([a-z]+):.*?## *(.+)$", text):
        rows.append(f"| `make {target}` | {what} |")
    return "\n".join(rows)


def request_fields() -> str:
    """Every field of a request that is read, with its range."""
    rows = ["| field | value | where |", "|---|---|---|"]
    chat = ChatCompletionRequest.model_json_schema()["properties"]
    text = CompletionRequest.model_json_schema()["properties"]
    for name, schema in {**text, **chat}.items():
        where = "both" if name in text and name in chat else "completions"
        if name not in text:
            where = "chat"
        elif name == "logprobs":
            where = "both; completions take the number of `top_logprobs`"
        rows.append(f"| `{name}` | {_value(schema)} | {where} |")
    return "\n".join(rows)


def _value(schema: dict[str, Any]) -> str:
    """A JSON schema in few words."""
    if "$ref" in schema:
        return schema["$ref"].rpartition("/")[2]
    if several := schema.get("anyOf", schema.get("oneOf")):
        kinds = [_value(kind) for kind in several if kind.get("type") != "null"]
        return " or ".join(dict.fromkeys(kinds))
    if schema.get("type") == "array":
        return f"list of {_value(schema.get('items', {'type': 'any'}))}"
    bounds = [
        f"{word} {schema[key]}"
        for key, word in (
            *(("minimum", "at least"), ("exclusiveMinimum", "above")),
            *(("maximum", "at most"), ("exclusiveMaximum", "below")),
        )
        if key in schema
    ]
    return ", ".join([schema.get("type", "any"), *bounds])


def gradio_endpoints() -> str:
    """What Gradio's own /info says of the app, as its clients' view_api shows it."""
    parts = []
    for name, endpoint in asyncio.run(_gradio_info())["named_endpoints"].items():
        parts.append(f"**`{name}`** — {endpoint['description']}\n")
        if parameters := endpoint["parameters"]:
            parts += ["| parameter | value | default |", "|---|---|---|"]
            parts += [_parameter(parameter) for parameter in parameters]
            parts.append("")
    return "\n".join(parts).rstrip()


def _parameter(told: dict[str, Any]) -> str:
    default = f"`{json.dumps(told['parameter_default'])}`" if told["parameter_has_default"] else ""
    return f"| `{told['parameter_name']}` | {_value(told['type'])} | {default} |"


async def _gradio_info() -> Any:
    from chat.page import (
        layout,
        mounting,
    )  # here: Gradio takes seconds, which other blocks need not wait for

    app = FastAPI()
    store = ChatStore(Backend("none"), ChatSettings())
    mounting.mount(app, store, layout.PageOptions("none"))
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        return (await client.get("/gradio_api/info")).raise_for_status().json()


def metrics_table() -> str:
    rows = ["| metric | kind | meaning |", "|---|---|---|"]
    metrics = Metrics()
    metrics.read(ChatStore(Backend("none"), ChatSettings()), Ledger())
    for family in metrics.registry.collect():
        if not family.name.startswith("farmesh"):
            continue  # of the process and of Python, as prometheus_client always gives them
        suffix = "_total" if family.type == "counter" else ""
        rows.append(f"| `{family.name}{suffix}` | {family.type} | {family.documentation} |")
    return "\n".join(rows)


def rooms_table() -> str:
    """Every room in the words of its own docstring, from the top to the ground."""
    rows = ["| room | what is in it |", "|---|---|"]
    for room in itertools.chain(*FLOORS):
        what = said(room).splitlines()[0].replace("``", "`").replace("|", "\\|")
        rows.append(f"| `{path_of(room)}` | {what} |")
    return "\n".join(rows)


def families_table() -> str:
    """Which model types can be served, and why others cannot."""
    rows = [f"**{len(WORKS)} types can be served**: " + ", ".join(f"`{t}`" for t in sorted(WORKS))]
    rows[0] += f".\n\n**{len(REFUSED)} types of transformers cannot**:\n"
    rows += ["| reason | types |", "|---|---|"]
    for reason in dict.fromkeys(REFUSED.values()):
        names = ", ".join(f"`{name}`" for name, why in REFUSED.items() if why == reason)
        rows.append(f"| {reason.replace('|', '/')} | {names} |")
    return "\n".join(rows)


BLOCKS: dict[str, Callable[[], str]] = {
    "settings": settings_table,
    "request fields": request_fields,
    "Gradio's endpoints": gradio_endpoints,
    "metrics": metrics_table,
    "rooms": rooms_table,
    "families": families_table,
    "make help": make_help,
    "chat.accounts --help": accounts_help,
    "app --help": lambda: _help(command_line.command_line()),
    **{f"farmesh {name} --help": lambda name=name: _help(subparser(name)) for name in COMMANDS},
}


def _filled(path: Path, text: str) -> str:
    def fill(match: re.Match[str]) -> str:
        name = match["name"]
        if name not in BLOCKS:
            sys.exit(f"{path}: nothing makes the block {name!r}; known: {', '.join(BLOCKS)}")
        return f"{match['head']}{BLOCKS[name]()}\n<!-- end -->"

    return MADE.sub(fill, text)


def made_files() -> Iterator[tuple[Path, str]]:
    """Files as they should be."""
    yield PROJECT / "configs/default.toml", default_toml()
    yield PROJECT / "docs/images/rooms.svg", rooms_svg()
    for path in documents():
        yield path, _filled(path, path.read_text(encoding="utf-8"))


def _broken_links() -> Iterator[str]:
    for path in documents():
        text = path.read_text(encoding="utf-8")
        for target in re.findall(r"\]\((?!https?:|mailto:)([^)\s]+)", text):
            name, _, anchor = target.partition("#")
            found = path.parent / name if name else path
            known = found.exists() and (not anchor or anchor in anchors(found))
            if not known:
                yield f"{path.relative_to(PROJECT)} points at {target}, which does not exist"


def _missing_from_tree() -> Iterator[str]:
    """README's file tree names only what exists: lines `path/   purpose`, from app.py on."""
    (tree,) = (b.body for b in blocks("text") if b.path == README and b.body.startswith("app.py"))
    folder = Path()
    for line in tree.splitlines():
        name = line.strip().split("  ")[0]
        if not name:
            continue
        for part in name.split(", "):
            path = folder / part if line[:1].isspace() else Path(part)
            if not (PROJECT / path).exists():
                yield f"README.md's file tree names {path}, which does not exist"
        if not line[:1].isspace():
            folder = Path(name) if name.endswith("/") else Path()


def _unlisted_documents() -> Iterator[str]:
    """docs/README.md leads to every document."""
    text = (PROJECT / "docs/README.md").read_text(encoding="utf-8")
    for path in sorted((PROJECT / "docs").glob("*.md")):
        if path.name != "README.md" and f"]({path.name})" not in text:
            yield f"docs/README.md does not lead to {path.relative_to(PROJECT)}; add a line for it"


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--write", action="store_true", help="bring the files up to date")
    write = parser.parse_args().write
    wrong = []
    for path, wanted in made_files():
        if path.exists() and path.read_text(encoding="utf-8") == wanted:
            continue
        if write:
            path.write_text(wanted, encoding="utf-8")
        else:
            wrong.append(f"{path.relative_to(PROJECT)} differs from what the code makes of it")
    wrong += [*_broken_links(), *_missing_from_tree(), *_unlisted_documents()]
    for line in wrong:
        print(line, file=sys.stderr)
    if any("differs" in line for line in wrong):
        print("Bring them up to date with: python -m scripts.check_docs --write", file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
