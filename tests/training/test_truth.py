"""What the guide says about the app is true of the app: its commands, flags, paths, settings and
the words of its page, in the text it is taught and in what the shipped model answers.
"""

import json
import re
import shlex
import tomllib
from importlib.util import find_spec
from pathlib import Path

import pytest

from chat.accounts import command_line as accounts_command_line
from chat.settings import layers
from chat.settings.command_line import command_line as app_command_line
from farmesh.cli.arguments import command_line as engine_command_line
from training import facts
from training.evaluate import Speaker
from training.sampling import Sampling
from training.text.dialogues import FIXED_ANSWERS
from training.text.topics import TOPICS, Topic

ROOT = Path(__file__).parents[2]
GUIDE = ROOT / "models" / "guide"

# What stands in for the words in capitals when a command is given to its real parser.
SAMPLES = {
    "ADDR": "/ip4/127.0.0.1/tcp/31337/p2p/QmSample",
    "CHECKPOINT": "models/guide",
    "FILE": "mine.toml",
    "NAME": "guide",
    "URL": "https://chat.example.org",
}
TAUGHT = sorted(FIXED_ANSWERS)


def flags_of(text: str) -> set[str]:
    return set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", text))


def helps() -> dict[str, str]:
    """The help of app.py and of every command of the engine, as they print it."""
    engine = engine_command_line()
    accounts = accounts_command_line()
    return {
        "app.py": app_command_line().format_help(),
        "farmesh": engine.format_help(),
        "accounts": accounts.format_help(),
        **{
            name: parser.format_help()
            for whole in (engine, accounts)
            for name, parser in whole._subparsers._group_actions[0].choices.items()  # type: ignore[union-attr]
        },
    }


HELPS = helps()
ALL_FLAGS = set().union(*(flags_of(text) for text in HELPS.values()))
MAKE_TARGETS = set(re.findall(r"(?m)^([a-z]+):.*##", (ROOT / "Makefile").read_text("utf-8")))
SETTINGS = tomllib.loads((ROOT / "configs/default.toml").read_text("utf-8"))
VARIABLES = {
    f"{layers.PREFIX}{section}_{key}".upper() for section in SETTINGS for key in SETTINGS[section]
}
PATHS = {  # of the app, beside its endpoints
    path
    for source in ("chat/api/mesh.py", "docs/api.md")
    for path in re.findall(r"(?<=[\"`0-9])/[a-z_/]+", (ROOT / source).read_text("utf-8"))
}
SETTING_NAMES = {key for section in SETTINGS.values() for key in section}
ENDPOINTS = {
    f"/{name}"
    for name in re.findall(
        r'api_name="(\w+)"', (ROOT / "chat/page/endpoints.py").read_text("utf-8")
    )
}


def untrue(answer: str) -> list[str]:
    """Everything in an answer that the app does not know; empty when all of it is right."""
    wrong = [f"flag {flag}" for flag in flags_of(answer) - ALL_FLAGS]
    wrong += [
        f"file {name}"
        for name in re.findall(r"\b[\w/]+\.toml\b", answer)
        if not (ROOT / name).is_file()
    ]
    wrong += [
        f"address {url}"
        for url in re.findall(r"http://[\w.:]+\w", answer)
        if url != f"http://{SETTINGS['server']['host']}:{SETTINGS['server']['port']}"
    ]
    wrong += [
        f"path {path}"
        for path in re.findall(r"(?<= )/[a-z_]+(?:/[a-z_]+)*/?(?=[ ,.;])", answer)
        if path not in PATHS | {"/chat"}
    ]
    for quoted in re.findall(r"`([^`]*)`", answer):
        wrong += [f"{quoted!r}: {why}" for why in [_wrong_with(quoted)] if why]
    return wrong + (["an odd number of backticks"] if answer.count("`") % 2 else [])


def _wrong_with(quoted: str) -> str | None:
    """Why something between backticks is not of this app; None when it is."""
    words = [SAMPLES.get(word, word) for word in shlex.split(quoted)]
    match words:
        case ["python", "app.py", *rest]:
            return _refused(app_command_line(), rest)
        case ["python", "-m", "farmesh", *rest]:
            return _refused(engine_command_line(), rest)
        case ["python", "-m", "chat.accounts", *rest]:
            return _refused(accounts_command_line(), rest)
        case ["make", target]:
            return None if target in MAKE_TARGETS else "no such target"
        case [flag, *_] if flag.startswith("--"):
            return None if flag in ALL_FLAGS else "no such flag"
        case [name] if name in ENDPOINTS | SETTING_NAMES | VARIABLES | {"/v1", layers.PREFIX}:
            return None
        case [name] if name.endswith(".toml"):
            return None if (ROOT / name).is_file() else "no such file"
        case [name] if name.isidentifier():
            return None if find_spec(name) else "no such module"
    return "nothing that the app knows"


def _refused(parser: object, arguments: list[str]) -> str | None:
    try:
        parser.parse_args(arguments)  # type: ignore[attr-defined]
    except SystemExit:
        return "its parser refuses it"
    return None


def test_the_help_is_read_rightly() -> None:
    """Guards the tests below against a help that they cannot read, where all would pass."""
    assert {"app.py", "farmesh", "accounts", "add-key", *facts.ENGINE_FLAGS} <= set(HELPS)
    assert {"--share", "--blocks", "--checkpoint"} <= ALL_FLAGS
    assert {"run", "test", "guide"} <= MAKE_TARGETS
    assert {"/chat", "/new_chat"} <= ENDPOINTS


@pytest.mark.parametrize(
    "lie",
    [
        "Use `python app.py --publish`.",
        "Run `python -m farmesh status`.",
        "Run `python -m farmesh serve CHECKPOINT --peer-list ADDR`.",
        "Type `make everything`.",
        "Edit `configs/mine.toml`.",
        "Call `/answer`.",
        "Look at /numbers.",
        "Set `FARMESH_CHAT_SWARM_SECRET`.",
        "Run `python -m chat.accounts new-key NAME`.",
        "Open http://127.0.0.1:9999 now.",
        "Take --turbo with it.",
        "Type `make run.",
    ],
)
def test_lies_are_seen(lie: str) -> None:
    assert untrue(lie)


@pytest.mark.parametrize("answer", TAUGHT)
def test_taught_answers_name_only_what_the_app_has(answer: str) -> None:
    """A flag renamed in the app, or one made up in the text, would send people astray."""
    assert untrue(answer) == []


def test_facts_are_those_of_the_app() -> None:
    assert set(facts.APP_FLAGS) <= flags_of(HELPS["app.py"])
    for command, flags in facts.ENGINE_FLAGS.items():
        assert set(flags) <= flags_of(HELPS[command])
    assert set(facts.MAKE_TARGETS) <= MAKE_TARGETS
    assert (SETTINGS["server"]["port"], SETTINGS["swarm"]["nodes"]) == (facts.PORT, facts.NODES)
    assert layers.PREFIX == facts.ENV_PREFIX
    assert {facts.API_NAME, facts.API_NEW_CHAT} <= ENDPOINTS
    config = json.loads((GUIDE / "config.json").read_text("utf-8"))
    assert config["num_hidden_layers"] == facts.BLOCKS
    assert f"{config['max_position_embeddings']:,}" == facts.CONTEXT


# Names of things in the page that answers mention, and where the page gets them from.
PAGE_WORDS = {
    "chat/page/layout.py": ("Longest reply", "Stop at", "System prompt", "New chat",
                   "Save", "Forget", "Stop"),
    "chat/page/assets/actions.js": ("Continue",),
    "chat/page/templates/header.html": ("Dark or light",),
    "chat/conversation/controls.py": ("Precise", "Balanced", "Lively", "Neutral", "Model's own"),
    "chat/page/assets/chat_list.js": ("Temporary", "Import", "Export Markdown", "Export JSON",
                             "Rename", "Search chats"),
}  # fmt: skip


@pytest.mark.parametrize(("path", "word"), [(p, w) for p, ws in PAGE_WORDS.items() for w in ws])
def test_the_page_has_what_answers_call_by_name(path: str, word: str) -> None:
    assert word in (ROOT / path).read_text("utf-8")


def test_files_that_answers_send_people_to_are_there() -> None:
    told = " ".join(TAUGHT)
    named = set(re.findall(r"\bdocs/\w+\.md\b", told))
    assert {"docs/deploy.md", "docs/operations.md"} <= named
    for name in (*named, "Dockerfile", "compose.yaml"):
        assert (ROOT / name).is_file(), name


def _plain_question(topic: Topic) -> str:
    if topic.things:
        return f"what is {topic.things[0]}"
    return f"how do i {topic.actions[0]}" if topic.actions else topic.asks[0]


@pytest.fixture(scope="module")
def replies() -> dict[str, str]:
    """What the shipped model says to one question of every topic, and when asked for more."""
    speaker = Speaker.load(GUIDE)
    first = [[{"role": "user", "content": _plain_question(topic)}] for topic in TOPICS]
    said: dict[str, str] = {}
    for _ in range(2):
        for chat, (text, _) in zip(first, speaker.reply(first, Sampling()), strict=True):
            chat.append({"role": "assistant", "content": text})
            said[" | ".join(m["content"] for m in chat if m["role"] == "user")] = text
            chat.append({"role": "user", "content": "tell me more"})
    return said


def test_replies_of_the_shipped_model_name_only_what_the_app_has(replies: dict[str, str]) -> None:
    """A small model can garble a command that it was taught rightly."""
    wrong = {asked: untrue(text) for asked, text in replies.items() if untrue(text)}
    assert wrong == {}
    assert sum("`" in text for text in replies.values()) >= 20
