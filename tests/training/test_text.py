"""The generator: repeatable, apart from the evaluation, and true to the facts."""

import re
from itertools import islice
from pathlib import Path

import pytest

from training import facts
from training.text import dialogues as d
from training.text.memory import told_together
from training.text.refusals import ANSWERS
from training.text.social import SMALL_TALK
from training.text.words import NAMES

ANSWERS_ABOUT_THE_APP = [
    text
    for topic in d.TOPICS
    for text in (topic.answer, topic.more, topic.simple, topic.why)
    if text
]


def test_same_seed_same_dialogues_wherever_the_stream_starts() -> None:
    whole = list(islice(d.dialogues(3), 20))
    assert list(islice(d.dialogues(3, start=15), 5)) == whole[15:]
    assert list(islice(d.dialogues(4), 20)) != whole


def test_scored_messages_are_never_trained_on() -> None:
    assert len(d.held_out()) > 250
    for messages in islice(d.dialogues(5), 3000):
        said = {d.plain(m["content"]) for m in messages if m["role"] == "user"}
        assert not said & d.held_out()


def test_dialogues_alternate_and_are_never_empty() -> None:
    for messages in islice(d.dialogues(6), 500):
        roles = [m["role"] for m in messages if m["role"] != "system"]
        assert roles == ["user", "assistant"] * (len(roles) // 2)
        assert all(m["content"].strip() for m in messages)


def test_topics_have_names_of_their_own_and_links_lead_somewhere() -> None:
    assert len(d.BY_NAME) == len(d.TOPICS)
    for topic in d.TOPICS:
        assert topic.things or topic.plurals or topic.actions or topic.asks
        assert all(name in d.BY_NAME for _, name in topic.links)


def test_answers_differ_so_that_intents_can_be_told_apart() -> None:
    answers = [*ANSWERS_ABOUT_THE_APP, *ANSWERS, *(a for talk in SMALL_TALK for a in talk.answers)]
    assert len(set(answers)) == len(answers)


def test_flags_and_commands_in_answers_are_facts() -> None:
    flags = set(facts.APP_FLAGS).union(*facts.ENGINE_FLAGS.values(), ["--help"])
    for answer in ANSWERS_ABOUT_THE_APP:
        assert set(re.findall(r"(?<!\w)--[a-z-]+", answer)) <= flags
        for command in re.findall(r"python -m farmesh (\w+)", answer):
            assert command in facts.ENGINE_FLAGS
        for target in re.findall(r"`make (\w+)`", answer):
            assert target in facts.MAKE_TARGETS


def test_files_in_answers_exist() -> None:
    root = Path(__file__).parents[2]
    named = {path for text in ANSWERS_ABOUT_THE_APP for path in re.findall(r"[\w/]+\.toml", text)}
    assert named == {facts.SETTINGS_FILE, facts.MODELS_FILE}
    if not (root / "configs").exists():
        pytest.skip("configs/ is not there yet")
    assert all((root / path).exists() for path in named)


def test_told_facts_are_echoed() -> None:
    from random import Random

    from training.text import memory

    first, second = memory.home(Random(1)), memory.age(Random(2))
    text = told_together([first, second])
    assert first.value in text
    assert second.value in text
    assert "Anna" in NAMES
