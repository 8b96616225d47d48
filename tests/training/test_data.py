"""The training text as data: the same as ever, and mistakes in its files are named."""

import hashlib
import json
import tomllib
from itertools import islice
from pathlib import Path

import pytest

from training.text.data import PHRASES_FOLDER, TOPICS_FOLDER, TextError, read
from training.text.dialogues import MIXES, dialogues
from training.text.topics import Topic, load_topics

# Of every file's content, and of the first dialogues of seed 7 in each mix.
TEXT = "0b273380dfc6f00ed97079ca23d725744a6995fc8c19de526938ad7126d83860"
DIALOGUES = "3a0d4b2f27f914b9071c8072ce76b11c08e830ed5b3a418607ad46094eacec34"


def digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value, ensure_ascii=False).encode()).hexdigest()


def test_text_and_dialogues_are_those_that_the_guide_was_trained_on() -> None:
    """A word changed by accident would make another guide of `make guide`, and nobody would see.

    After a change on purpose, put the two hashes that this test prints into TEXT and DIALOGUES. The
    shipped guide has then learnt other text than is here, until it is made anew.
    """
    files = sorted([*TOPICS_FOLDER.glob("*.toml"), *PHRASES_FOLDER.glob("*.toml")])
    text = [[path.name, tomllib.loads(path.read_text("utf-8"))] for path in files]
    drawn = [list(islice(dialogues(7, 0, mix), 300)) for mix in MIXES]
    assert (digest(text), digest(drawn)) == (TEXT, DIALOGUES)


def test_every_file_is_read() -> None:
    """A file that nothing reads is text that is never said."""
    phrases = {"memory", "noise", "questions", "refusals", "skills", "small_talk", "words"}
    assert {path.stem for path in PHRASES_FOLDER.iterdir()} == phrases
    assert {p.name for p in TOPICS_FOLDER.iterdir() if p.suffix != ".toml"} == {"README.md"}


TOPIC = """
answer = "Type `{RUN}`."
more = "More."
asks = ["how"]
"""


def topic(folder: Path, text: str) -> Topic:
    (folder / "order.toml").write_text('all = ["one"]', "utf-8")
    (folder / "one.toml").write_text(text, "utf-8")
    (found,) = load_topics(folder)
    return found


def test_a_topic_is_read_with_its_facts(tmp_path: Path) -> None:
    found = topic(tmp_path, TOPIC + 'controls = ["knob"]\nthings = ["a thing"]')
    assert (found.name, found.group, found.answer) == ("one", "all", "Type `make run`.")
    assert found.things == ("knob", "the knob", "the knob setting", "the knob slider",
                            "knob in sampling", "a thing")  # fmt: skip


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (TOPIC + 'ask = ["a"]', "one.toml: ask: unknown key"),
        (TOPIC + 'name = "two"', "one.toml: name: unknown key"),
        ('answer = "A."', "one.toml: more: missing"),
        (TOPIC + "simple = 3", "one.toml: simple: should be a text, not 3"),
        (TOPIC + 'things = "a thing"', "one.toml: things: should be a list, not 'a thing'"),
        (TOPIC + 'things = ["a", ["b"]]', r"one.toml: things\[1\]: should be a text, not \['b'\]"),
        (TOPIC + 'often = "yes"', "one.toml: often: should be true or false, not 'yes'"),
        (TOPIC + 'why = "Type `{WALK}`."', "one.toml: why: unknown placeholder {WALK}"),
        (TOPIC + 'why = "Type `{run}`."', "one.toml: why: unknown placeholder {run}"),
        (TOPIC + 'why = "{APP_FLAGS}"', "one.toml: why: unknown placeholder {APP_FLAGS}"),
        (TOPIC + "links = [3]", r"one.toml: links\[0\]: should be a table, not 3"),
        (TOPIC + '[[links]]\nto = "one"', r"one.toml: links\[0\].asks: missing"),
        (
            TOPIC + '[[links]]\nto = "two"\nasks = ["a"]',
            r"one.toml: links\[0\].to: there is no topic 'two'",
        ),
        ('answer = "A."\nmore = "B."', "one.toml: there is no way to ask for it"),
        ("answer = A", "one.toml: Invalid value"),
    ],
)
def test_a_mistake_in_a_topic_is_named(tmp_path: Path, text: str, message: str) -> None:
    """Among a hundred files a mistake without file and key is hard to find."""
    with pytest.raises(TextError, match=message):
        topic(tmp_path, text)


@pytest.mark.parametrize(
    ("order", "message"),
    [
        ('a = ["one", "two"]', "listed, but without a file: two"),
        ("a = []", "not listed: one"),
        ('a = ["one"]\nb = ["one"]', "listed twice: one"),
        ('a = "one"', "order.toml: a: should be a list"),
    ],
)
def test_order_and_files_agree(tmp_path: Path, order: str, message: str) -> None:
    """A topic left out of the order would never be taught."""
    (tmp_path / "one.toml").write_text(TOPIC, "utf-8")
    (tmp_path / "order.toml").write_text(order, "utf-8")
    with pytest.raises(TextError, match=message):
        load_topics(tmp_path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(TextError, match=r"order\.toml: .*No such file"):
        load_topics(tmp_path)


def test_slots_stay_to_be_filled_when_a_text_is_drawn(tmp_path: Path) -> None:
    (tmp_path / "x.toml").write_text('a = ["say {v} on {PORT}"]', "utf-8")
    assert read(tmp_path / "x.toml", dict[str, tuple[str, ...]], slots="v") == {
        "a": ("say {v} on 7860",)
    }
