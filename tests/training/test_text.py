"""The generator: repeatable, and apart from the evaluation."""

from itertools import islice

from training.evaluate import load_cases
from training.text import dialogues as d
from training.text.memory import told_together
from training.text.refusals import ANSWERS, QUESTIONS
from training.text.social import SMALL_TALK
from training.text.words import NAMES

SINGLE = ("intents", "newer intents", "refusals")  # cases of one message
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


def test_no_written_question_is_a_scored_case() -> None:
    """Left out word for word, it would still be trained on with a typo or a word in front."""
    scored = {d.plain(case.turns[-1]) for case in load_cases() if case.group in SINGLE}
    written = {ask for topic in d.TOPICS for ask in topic.asks} | set(QUESTIONS)
    assert len(scored) > 250
    assert not scored & {d.plain(ask) for ask in written}


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


def test_told_facts_are_echoed() -> None:
    from random import Random

    from training.text import memory

    first, second = memory.home(Random(1)), memory.age(Random(2))
    text = told_together([first, second])
    assert first.value in text
    assert second.value in text
    assert "Anna" in NAMES
