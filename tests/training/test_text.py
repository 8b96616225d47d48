"""The generator: repeatable, and apart from the evaluation."""

from itertools import islice
from random import Random

from training.evaluate import load_cases
from training.text import dialogues as d
from training.text import memory
from training.text.refusals import REFUSALS
from training.text.topics import SMALL_TALK, TOPICS
from training.text.words import WORDS

SINGLE = (
    "intents",
    "newer intents",
    "running it",
    "fresh intents",
    "refusals",
    "fresh refusals",
)  # of one message
ANSWERS_ABOUT_THE_APP = [
    text for topic in TOPICS for text in (topic.answer, topic.more, topic.simple, topic.why) if text
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
    written = {ask for topic in TOPICS for ask in topic.asks} | {
        *REFUSALS.questions,
        *REFUSALS.lines,
    }
    assert len(scored) > 250
    assert not scored & {d.plain(ask) for ask in written}


def one_word_apart(one: list[str], two: list[str]) -> bool:
    """Whether the messages are the same but for one word, put in, left out or replaced."""
    if len(one) > len(two):
        one, two = two, one
    at = next((i for i, (a, b) in enumerate(zip(one, two, strict=False)) if a != b), len(one))
    return len(two) - len(one) <= 1 and one[at + (len(one) == len(two)) :] == two[at + 1 :]


def test_no_written_question_is_nearly_a_scored_case() -> None:
    """A case that differs from the text in one word would score what was learnt by heart."""
    asks = {topic.name: topic.asks for topic in TOPICS} | {
        "refusal": (*REFUSALS.questions, *REFUSALS.lines)
    }
    written = {name: [d.plain(ask).split() for ask in texts] for name, texts in asks.items()}
    scored = [case for case in load_cases() if case.group in SINGLE]
    assert one_word_apart(["what", "is", "it"], ["what", "was", "it"])
    assert one_word_apart(["what", "is", "it"], ["what", "it"])
    assert not one_word_apart(["what", "is", "it"], ["what", "was", "that"])
    near = [
        (case.turns[0], " ".join(ask))
        for case in scored
        for wanted in case.wanted
        for ask in written.get(wanted, [])
        if len(words := d.plain(case.turns[0]).split()) >= 4 and one_word_apart(words, ask)
    ]
    assert near == []


def test_no_written_lead_to_another_topic_is_a_scored_follow_up() -> None:
    """Follow-ups are scored by their last message, which alone must not be one of the text's."""
    scored = {d.plain(c.turns[-1]) for c in load_cases() if c.group.endswith("followups")}
    written = {ask for topic in TOPICS for link in topic.links for ask in link.asks}
    assert len(scored) > 40
    assert not scored & {d.plain(ask) for ask in written}


def test_leads_say_to_which_topic_they_go() -> None:
    """A follow-up under two targets would teach a coin's toss."""
    for topic in TOPICS:
        targets: dict[str, set[str]] = {}
        for link in topic.links:
            for ask in link.asks:
                targets.setdefault(d.plain(ask), set()).add(link.to)
        assert {ask: to for ask, to in targets.items() if len(to) > 1} == {}, topic.name


def test_capitals_of_names_are_met_in_questions() -> None:
    """`What is FarMesh?` was taken for another question when only answers had that word."""
    asked = {
        m["content"] for messages in islice(d.dialogues(8), 3000) for m in messages[:1]
    }  # fmt: skip
    assert any("FarMesh" in text for text in asked)
    assert any("farmesh" in text for text in asked)


def test_dialogues_alternate_and_are_never_empty() -> None:
    for messages in islice(d.dialogues(6), 500):
        roles = [m["role"] for m in messages if m["role"] != "system"]
        assert roles == ["user", "assistant"] * (len(roles) // 2)
        assert all(m["content"].strip() for m in messages)


def test_answers_differ_so_that_intents_can_be_told_apart() -> None:
    answers = [*ANSWERS_ABOUT_THE_APP, *REFUSALS.answers]
    answers += [answer for talk in SMALL_TALK.values() for answer in talk.answers]
    assert len(set(answers)) == len(answers)


def test_told_facts_are_echoed() -> None:
    first, second = memory.home(Random(1)), memory.age(Random(2))
    text = memory.told_together([first, second])
    assert first.value in text
    assert second.value in text
    assert "Anna" in WORDS.names
