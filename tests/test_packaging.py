"""What a stranger's machine, a Space and the Makefile rely on."""

from __future__ import annotations

import ast
import importlib
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

import farmesh
from tests.support.paths import PROJECT

KNOWN = {
    *("title", "emoji", "colorFrom", "colorTo", "sdk", "sdk_version", "python_version", "app_file"),
    *("pinned", "license", "short_description", "suggested_hardware", "tags", "models", "header"),
    *("startup_duration_timeout", "fullWidth", "hf_oauth", "thumbnail", "preload_from_hub"),
}
COLOURS = {"red", "yellow", "green", "blue", "indigo", "purple", "pink", "gray"}


def requirements() -> dict[str, Requirement]:
    parsed = [Requirement(line) for line in _lines("requirements.txt")]
    return {requirement.name: requirement for requirement in parsed}


def _lines(name: str) -> list[str]:
    lines = (PROJECT / name).read_text().splitlines()
    return [line for line in lines if line and not line.startswith("#")]


@pytest.fixture(scope="module")
def front_matter() -> dict[str, str]:
    text = (PROJECT / "README.md").read_text(encoding="utf-8")
    assert text.startswith("---\n")
    lines = text.split("---\n")[1].splitlines()
    pairs = (line.split(":", 1) for line in lines if re.match(r"\w+:", line))
    return {key: value.strip().strip('"') for key, value in pairs}


def test_a_space_can_install_us(front_matter: dict[str, str]) -> None:
    """Bug prevented: a Space's one solve with gradio[mcp] has no solution and the build fails."""
    version = front_matter["sdk_version"]
    assert requirements()["gradio"].specifier.contains(version)
    pydantic = requirements()["pydantic"].specifier
    assert pydantic.contains("2.12.5")
    assert not pydantic.contains("2.13.0"), "gradio[mcp] refuses it"
    text = (PROJECT / "requirements.txt").read_text()
    assert not re.search(r"^\s*-", text, re.MULTILINE), "a Space mounts no other file here"
    assert "://" not in text


def test_a_spaces_one_solve_has_a_solution(front_matter: dict[str, str], tmp_path: Path) -> None:
    """Bug prevented: what resolves alone does not beside the packages that a Space adds."""
    added = tmp_path / "space.in"
    sdk = f"gradio[oauth,mcp]=={front_matter['sdk_version']}"
    added.write_text("\n".join([sdk, "uvicorn>=0.14.0", "websockets>=10.4", "spaces"]))
    command = ["-m", "uv", "pip", "compile", "--quiet", "--no-header", "--no-annotate"]
    wanted = ["--python-version", front_matter["python_version"], "requirements.txt", str(added)]
    solved = subprocess.run(
        [sys.executable, *command, *wanted],
        cwd=PROJECT, capture_output=True, text=True, timeout=150, check=False,
    )  # fmt: skip
    if solved.returncode and "No solution found" not in solved.stderr:
        pytest.skip(f"no package index can be asked: {solved.stderr.splitlines()[:1]}")
    assert solved.returncode == 0, solved.stderr
    pins = dict(re.findall(r"(?m)^([\w.-]+)==(\S+)$", solved.stdout))
    assert pins["gradio"] == front_matter["sdk_version"]
    assert pins["torch"] == str(next(iter(requirements()["torch"].specifier)).version)
    assert {"spaces", "mcp", "hivemind", "transformers"} <= pins.keys()


def test_the_front_matter_is_what_a_space_accepts(front_matter: dict[str, str]) -> None:
    """Bug prevented: a push to a Space is rejected, or it starts with Python 3.10."""
    assert front_matter["sdk"] == "gradio"
    assert front_matter["python_version"] in ("3.11", "3.12")
    assert (PROJECT / front_matter["app_file"]).name == "app.py"
    assert {front_matter["colorFrom"], front_matter["colorTo"]} <= COLOURS
    assert len(front_matter["short_description"]) <= 60
    assert front_matter["license"] == "mit"
    assert front_matter["suggested_hardware"] == "cpu-basic"
    assert front_matter["header"] in ("mini", "default")
    assert front_matter["hf_oauth"] == "true", "signing in is then a matter of one variable"
    assert re.fullmatch(r"\d+[hm]", front_matter["startup_duration_timeout"])
    assert {"title", "emoji", "pinned", "tags"} <= front_matter.keys()
    assert front_matter.keys() <= KNOWN, "a key that Spaces do not know does nothing"


def test_pyproject_reads_the_same_requirements() -> None:
    """Bug prevented: two lists of dependencies that drift apart."""
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())
    dynamic = project["tool"]["setuptools"]["dynamic"]
    assert dynamic["dependencies"] == {"file": ["requirements.txt"]}
    development = (PROJECT / "requirements-dev.txt").read_text().splitlines()
    for extra in ("lora", "quant"):
        assert dynamic["optional-dependencies"][extra] == {"file": [f"requirements-{extra}.txt"]}
        (needed,) = _lines(f"requirements-{extra}.txt")
        assert needed in development, "its tests would be skipped"
    assert "dependencies" not in project["project"]


def test_the_extras_are_tested_as_they_are_installed() -> None:
    """Bug prevented: the tests' own list names another mcp than the extra installs."""
    wanted = (PROJECT / "requirements-mcp.txt").read_text().splitlines()[-1]
    assert wanted in (PROJECT / "requirements-dev.txt").read_text().splitlines()
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())
    extras = project["tool"]["setuptools"]["dynamic"]["optional-dependencies"]
    assert extras["mcp"] == {"file": ["requirements-mcp.txt"]}


def test_public_names_are_where_they_are_said_to_be() -> None:
    """Bug prevented: `from farmesh import Event` fails, or no type checker knows it."""
    tree = ast.parse((PROJECT / "farmesh/__init__.py").read_text(encoding="utf-8"))
    (block,) = (node for node in tree.body if isinstance(node, ast.If))
    typed = {a.name: s.module for s in block.body if isinstance(s, ast.ImportFrom) for a in s.names}
    assert typed == farmesh._HOME_OF
    for name, home in typed.items():
        assert getattr(farmesh, name) is getattr(importlib.import_module(str(home)), name)
