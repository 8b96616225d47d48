"""Every command in the documents is run by a test, or says what it needs that is not here.

A fenced ``sh`` or ``bash`` block is read command by command: its words must be accepted by the real
parser of the program, and ``RUN_BY`` must name the test that runs such a command. A block that no
test can run here says why in a comment right before it::

    <!-- needs: docker -->

Commands within sentences must be accepted too. ``python`` blocks are run by
``tests/chat/api/test_app.py``, against a real app.
"""

from __future__ import annotations

import ast
import importlib
import importlib.util
import itertools
import re
import subprocess

import pytest

from chat.settings.layers import Layer, load_settings
from farmesh.errors import ConfigError
from scripts.documents import PROJECT, SHELL, Block, blocks, inline_commands
from tests.support.documents import refused

# How a command begins: the test that runs it (file::name), or the file whose text runs it.
RUN_BY = {
    "git clone": ".ci/run::make",  # CI starts from a clone
    "python app.py": "tests/browser/test_lifetime.py::"
    "test_page_opens_before_the_swarm_is_there_and_ends_with_open_tabs",
    "python -m farmesh bootstrap": "tests/farmesh/cli/test_cli.py::"
    "test_a_bootstrap_peer_says_its_address_and_ends_on_sigterm",
    "python -m farmesh serve": "tests/machines/test_compose.py::"
    "test_another_machine_joins_with_one_command",
    "python -m farmesh status": "tests/machines/test_compose.py::test_the_services_serve_a_chat",
    "python -m farmesh generate": "tests/machines/test_compose.py::"
    "test_a_reply_on_the_command_line",
    "python -m farmesh.cli.run_server": "tests/farmesh/cli/test_upstream_cli.py::"
    "test_a_server_of_a_private_swarm",
    "python -m farmesh.cli.run_dht": "tests/farmesh/cli/test_upstream_cli.py::"
    "test_a_bootstrap_peer",
    "python -m chat.accounts": "tests/chat/access/test_access.py::test_users_and_keys_by_command",
    "python -m scripts.check_docs": "Makefile::$(PY) -m scripts.check_docs",
    "python -m benchmarks.scaling": "tests/benchmarks/test_scaling.py::"
    "test_the_command_prints_its_tables",
    "python -m benchmarks.soak": "tests/benchmarks/test_soak.py::test_a_person_of_the_soak",
    "pip install -r requirements-mcp.txt": "tests/test_packaging.py::"
    "test_the_extras_are_tested_as_they_are_installed",
    "python -m pytest": ".ci/run::make test",
    "python -m mypy": ".ci/run::make lint",
    "python -m ruff": ".ci/run::make lint",
}
# Programs of others, whose words nobody here can check.
FOREIGN = ("git", "cd", "pip")
# Words that a reader replaces.
# Commands that sentences and `make help` name without what they need.
NEEDED = {
    ("make", "node"): ["ARGS=models/guide"],
    ("python", "-m", "farmesh", "serve"): ["CHECKPOINT"],
}
STAMPS = (
    "-o",
    ".venv/.installed-run",
    "-o",
    ".venv/.installed-dev",
    "-o",
    ".venv-petals/.installed",
    "-o",
    ".venv-clients/.installed",
)
ADVICE = (
    "Every command in the documents is run by a test. Name the test that runs this one in RUN_BY "
    "of tests/test_documentation.py, or, if it needs what a test machine lacks, write that in a "
    "line right before the block: <!-- needs: docker -->"
)


def split(words: list[str]) -> tuple[dict[str, str], list[str]]:
    """The variables before a command, and the command."""
    before = list(itertools.takewhile(re.compile(r"[A-Z_]+=").match, words))
    return dict(word.split("=", 1) for word in before), words[len(before) :]


def wrong(words: list[str]) -> str:
    """What is wrong with a command, as a sentence; empty when a reader can run it."""
    environment, words = split(words)
    try:
        load_settings(Layer("the command line", {}), environment)
    except ConfigError as error:
        return str(error)
    if not words or words[0] in FOREIGN:
        return ""
    if words[0] == "make":
        return wrong_target(words)
    if words[0].endswith("python") and words[1] == "app.py":
        return refused("app", words[2:])
    if words[0].endswith("python") and words[1] == "-m":
        if words[2] in ("ruff", "mypy", "deno", "pytest"):
            paths = [word.split("::")[0] for word in words[3:] if "/" in word]
            absent = [path for path in paths if not (PROJECT / path).exists()]
            return f"there is no {absent[0]}" if absent else ""
        return refused(words[2], words[3:])
    return f"nobody here knows how to check {words[0]!r}. {ADVICE}"


def wrong_target(words: list[str]) -> str:
    """A target of the Makefile, and the commands that make would run for it."""
    done = subprocess.run(
        ["make", "-n", *STAMPS, *words[1:]],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        return done.stderr.strip()
    lines = done.stdout.replace("\\\n", " ").replace("exec ", "")
    for command in Block(PROJECT / "Makefile", 0, "sh", lines, "").commands():
        if command[0].endswith("bin/python") and (sentence := wrong(command)):
            return sentence
    return ""


def covered(words: list[str]) -> bool:
    """Whether RUN_BY names what runs such a command."""
    _, plain = split(words)
    if not plain or plain[0] in ("cd", "make"):
        return True  # make's own commands are looked at instead, by wrong_target
    text = re.sub(r"^\S*bin/", "", " ".join(plain))
    return any(f"{text} ".startswith(f"{beginning} ") for beginning in RUN_BY)


def ids(block: Block) -> str:
    return str(block)


@pytest.mark.parametrize("block", blocks(*SHELL), ids=ids)
def test_commands_can_be_run(block: Block) -> None:
    """Prevents a document whose commands fail at the reader's first try."""
    if block.needs:
        return
    for words in block.commands():
        sentence = wrong(words)
        assert not sentence, f"{block}: {' '.join(words)}\n{sentence}"
        assert covered(words), f"{block}: {' '.join(words)}\n{ADVICE}"


@pytest.mark.parametrize("block", inline_commands(), ids=ids)
def test_commands_within_sentences_are_accepted(block: Block) -> None:
    """Prevents a flag in a sentence that the program no longer has."""
    if re.search(r"[…|]|\.\.\.", block.body):
        return  # a pattern for people, not a command
    for words in block.commands():
        if words[:2] == ["python", "-m"] and len(words) == 3:
            assert importlib.util.find_spec(words[2]), block  # a name, not a whole command
            continue
        sentence = wrong([*words, *NEEDED.get(tuple(words), [])])
        assert not sentence, f"{block}: {' '.join(words)}\n{sentence}"


@pytest.mark.parametrize("runner", sorted(set(RUN_BY.values())))
def test_what_runs_commands_exists(runner: str) -> None:
    """Prevents a table that names tests which are gone."""
    path, _, name = runner.partition("::")
    text = (PROJECT / path).read_text(encoding="utf-8")
    if not path.endswith(".py"):
        assert name in text
        return
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    names = [node.name for node in ast.walk(ast.parse(text)) if isinstance(node, functions)]
    assert name in names, f"{path} has no {name}: say in RUN_BY which test runs it now"


def test_every_target_of_the_makefile_is_explained() -> None:
    """Prevents a target that only its author knows."""
    text = (PROJECT / "Makefile").read_text(encoding="utf-8")
    targets = re.findall(r"(?m)^\.PHONY: (\S+)$", text)
    assert targets
    for target in targets:
        assert re.search(rf"(?m)^{target}:.*## \S", text), f"make help says nothing of {target}"
        assert not wrong(["make", target, *NEEDED.get(("make", target), [])])


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("make nonsense", "No rule to make target"),
        ("python app.py --prot 8000", "unrecognized arguments"),
        ("python -m farmesh serve models/guide --block 4", "--block"),
        ("FARMESH_CHAT_SERVER_PROT=1 python app.py", "did you mean FARMESH_CHAT_SERVER_PORT"),
        ("FARMESH_CHAT_SERVER_PORT=x python app.py", "server.port"),
        ("python -m pytest tests/absent/test_x.py", "there is no"),
        ('make run ARGS="--prot 8000"', "unrecognized arguments"),
        ("kubectl apply", "needs: docker"),
    ],
)
def test_mistakes_are_seen(line: str, complaint: str) -> None:
    """Prevents a check that accepts everything."""
    block = Block(PROJECT / "README.md", 0, "sh", line, "")
    assert complaint in "".join(map(wrong, block.commands()))


def test_what_no_test_runs_is_seen() -> None:
    """Prevents commands that are only read, and never tried."""
    assert not covered(["python", "-m", "training.evaluate"])
    assert covered(["FARMESH_CHAT_SERVER_PORT=1", "python", "app.py"])
