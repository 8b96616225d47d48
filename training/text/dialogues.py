"""Whole dialogues: turns of every kind, drawn at random but repeatable by seed."""

import random
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from training.text import memory, skills
from training.text.data import PHRASES_FOLDER, read
from training.text.memory import MEMORY, Fact
from training.text.noise import reworded, typed
from training.text.refusals import REFUSALS, refusal_message
from training.text.topics import BY_NAME, NEWEST, SMALL_TALK, TOPICS, Topic

Message = dict[str, str]  # {"role": ..., "content": ...}, as chat templates take it

FIXED_ANSWERS: frozenset[str] = frozenset(
    [text for t in TOPICS for text in (t.answer, t.more, t.simple, t.why) if text]
    + [answer for talk in SMALL_TALK.values() for answer in talk.answers]
    + list(REFUSALS.answers)
)
CASES = Path(__file__).parent.parent / "cases"
# Files of `cases` whose messages are never trained on, and the column of the message. Retired ones
# are not scored any more, since the text came to hold the same words, or nearly; they stay here so
# that dialogue number n stays the same.
HELD_OUT = {
    "intents.tsv": 1,
    "intents_newer.tsv": 1,
    "intents_running.tsv": 1,
    "fresh.tsv": 1,
    "skills.tsv": 1,
    "refusals.txt": 0,
    "retired.txt": 0,
}


@dataclass(frozen=True, slots=True)
class Questions:
    """The ways to ask for a topic, with {} for what it is about, and to follow it up."""

    things: tuple[str, ...]
    plurals: tuple[str, ...]
    actions: tuple[str, ...]
    more: tuple[str, ...]
    simpler: tuple[str, ...]
    why: tuple[str, ...]
    again: tuple[str, ...]
    system: tuple[str, ...]  # system prompts


QUESTIONS = read(PHRASES_FOLDER / "questions.toml", Questions, slots=("",))


@cache
def held_out() -> frozenset[str]:
    """Every single message that the evaluation scores, or did, in normal form: never trained on."""
    found = set()
    for path in sorted(CASES.iterdir()):
        for line in path.read_text("utf-8").splitlines():
            column = HELD_OUT.get(path.name)
            if column is not None:
                found.add(plain(line.split("\t")[column]))
    return frozenset(found)


def plain(text: str) -> str:
    """A message without case, punctuation and doubled spaces, for comparisons."""
    return " ".join(re.findall(r"[^\W_]+", text.lower()))


@dataclass
class Chat:
    """A dialogue that is being written, and what the person has told in it."""

    rng: random.Random
    mix: "Mix"
    messages: list[Message] = field(default_factory=list)
    facts: dict[str, Fact] = field(default_factory=dict)
    topic: Topic | None = None  # of the turn before, for follow-ups
    last_fact: Fact | None = None  # told in the turn before

    def say(self, asked: str, answer: str) -> bool:
        """Add one turn; False when nothing was added, since the evaluation asks the same."""
        if not asked.strip() or plain(asked) in held_out():
            return False
        self.messages.append({"role": "user", "content": asked})
        self.messages.append({"role": "assistant", "content": answer})
        return True

    @property
    def last_answer(self) -> str:
        return self.messages[-1]["content"]


# --- one kind of turn each ----------------------------------------------------------------------


def explain(chat: Chat) -> None:
    """A question about a topic, or a follow-up to the one before."""
    rng, topic = chat.rng, chat.topic
    if topic is not None and rng.random() < 0.45 and _follow_up(chat, topic):
        return
    topic = rng.choices(TOPICS, chat.mix.topics)[0]
    if chat.say(typed(rng, reworded(rng, question(rng, topic))), topic.answer):
        chat.topic = topic


def question(rng: random.Random, topic: Topic) -> str:
    """One of the many ways to ask for a topic."""
    groups = [
        (topic.asks, ("{}",), 1.5 + 0.035 * len(topic.asks)),
        (topic.things, QUESTIONS.things, 2.0),
        (topic.plurals, QUESTIONS.plurals, 1.3),
        (topic.actions, QUESTIONS.actions, 2.6),
    ]
    groups = [group for group in groups if group[0]]
    texts, patterns, _ = rng.choices(groups, [group[2] for group in groups])[0]
    asked = rng.choice(patterns).format(rng.choice(texts))
    if texts is topic.asks and rng.random() < 0.07:  # in two sentences, as people do in a hurry
        asked = f"{asked}{rng.choice(('. ', '? ', ', ', ' - ', '... '))}{rng.choice(texts)}"
    return asked


def _follow_up(chat: Chat, topic: Topic) -> bool:
    rng = chat.rng
    options = [(QUESTIONS.more, topic.more, 3.0), (QUESTIONS.again, chat.last_answer, 0.7)]
    options += [(QUESTIONS.simpler, topic.simple, 2.0)] if topic.simple else []
    options += [(QUESTIONS.why, topic.why, 2.0)] if topic.why else []
    if topic.links and rng.random() < 0.5:
        link = rng.choice(topic.links)
        if said := chat.say(_follow_up_typed(rng, link.asks), BY_NAME[link.to].answer):
            chat.topic = BY_NAME[link.to]
        return said
    asks, answer, _ = rng.choices(options, [option[2] for option in options])[0]
    return chat.say(_follow_up_typed(rng, asks), answer)


def _follow_up_typed(rng: random.Random, asks: tuple[str, ...]) -> str:
    return typed(rng, reworded(rng, rng.choice(asks)), frame=0.25)


def small_talk(chat: Chat) -> None:
    talk = chat.rng.choice(list(SMALL_TALK.values()))
    asked = typed(chat.rng, reworded(chat.rng, chat.rng.choice(talk.asks)), frame=0.12)
    chat.say(asked, chat.rng.choice(talk.answers))


def refuse(chat: Chat) -> None:
    asked = typed(chat.rng, reworded(chat.rng, refusal_message(chat.rng)), frame=0.25)
    chat.say(asked, chat.rng.choice(REFUSALS.answers))


def skill(chat: Chat) -> None:
    make = chat.rng.choices(
        (skills.repeat, skills.spell, skills.add_up, skills.compare), chat.mix.skills
    )[0]
    chat.say(*make(chat.rng))


def tell(chat: Chat) -> None:
    """The person tells one to four facts in a message."""
    rng = chat.rng
    if rng.random() < 0.16:
        template, facts = memory.introduction(rng)
        if len({fact.key for fact in facts}) == len(facts):
            _store(chat, typed(rng, template, frame=0.15).format(*facts), facts)
            return
    count = rng.choices((1, 2, 3, 4), (7, 3, 2, 0.6))[0]
    make = (
        rng.choice((memory.pet, memory.relative, memory.favourite)) if rng.random() < 0.25 else None
    )
    drawn = [make(rng) if make else memory.random_fact(rng) for _ in range(count)]
    facts = list({fact.key: fact for fact in drawn}.values())
    told = [fact.fill(typed_part(rng, rng.choice(fact.told))) for fact in facts]
    joints = (", ", " and ", ". ", ", and ", "; ", "! ", "\n", " ")
    together = [fact for fact in facts if fact.together]
    if len(together) == len(facts) > 1 and rng.random() < 0.7:
        opening = rng.choice(
            ("i have {}", "we have {}", "i've got {}", "my family: {}", "i own {}")
        )
        told = [fact.fill(rng.choice(fact.together)) for fact in facts]
        told[0] = opening.format(told[0])
        joints = (" and ", ", ", ", and ", " and also ")
    message = told[0]
    for part in told[1:]:
        message += rng.choice(joints) + part
    message += rng.choice(("", "", ".", "!"))
    if rng.random() < 0.18:
        message = (
            rng.choice(("hi, ", "hello, ", "hey ", "ok ", "so ", "hi! ", "btw ", "also ")) + message
        )
    if rng.random() < 0.08:
        message += rng.choice(
            (" remember that", ", please remember", " ok?", ", don't forget", " :)")
        )
    changed = [fact for fact in facts if fact.key in chat.facts]
    if changed and rng.random() < 0.6:
        message = rng.choice(MEMORY.changed).format(s=message)
    _store(chat, message, facts)


def typed_part(rng: random.Random, template: str) -> str:
    """A clause as typed, with no opener and no full stop, so that it can be joined."""
    return typed(rng, template, frame=0.0).rstrip("?!. ")


def _store(chat: Chat, message: str, facts: list[Fact]) -> None:
    answer = facts[0].acknowledged if len(facts) == 1 else memory.told_together(facts)
    if chat.say(message, answer):
        for fact in facts:
            chat.facts.pop(fact.key, None)  # the newest comes last
            chat.facts[fact.key] = fact
        chat.last_fact = facts[-1]


def change(chat: Chat) -> None:
    """The person takes back a fact and tells another value."""
    rng = chat.rng
    if not chat.facts:
        return tell(chat)
    short = chat.last_fact is not None and rng.random() < 0.4
    old = chat.last_fact if short and chat.last_fact else rng.choice(list(chat.facts.values()))
    new = _another(rng, old)
    if new is None:
        return tell(chat)
    if short:
        message = new.fill(typed_part(rng, rng.choice(MEMORY.changed_short)))
    else:
        told = typed_part(rng, rng.choice(new.told))
        message = new.fill(rng.choice(MEMORY.changed).format(s=told))
    return _store(chat, message, [new])


def _another(rng: random.Random, old: Fact) -> Fact | None:
    """The same kind of fact with another value; None when luck doesn't bring one."""
    for _ in range(300):
        new = memory.random_fact(rng)
        if new.key == old.key and new.value != old.value:
            return new
    return None


def recall(chat: Chat) -> None:
    """The person asks for something told before, or never told."""
    rng = chat.rng
    facts = list(chat.facts.values())
    draw = rng.random()
    if draw < 0.08:
        asked = rng.choice(MEMORY.everything_asked)
        chat.say(typed(rng, asked, frame=0.2), memory.everything(facts))
        return
    if draw < 0.2 and len(facts) >= 2:
        two = rng.sample(facts, 2)
        asked = rng.choice(MEMORY.several_asked).format(
            a=two[0].fill(two[0].noun), b=two[1].fill(two[1].noun)
        )
        chat.say(typed(rng, asked, frame=0.1), memory.recalled_together(two))
        return
    if facts and draw < 0.9:
        fact = rng.choice(facts)
        chat.say(_asked(rng, fact), fact.recall)
        return
    fact = memory.random_fact(rng)
    if fact.key not in chat.facts:
        chat.say(_asked(rng, fact), fact.missing)


def later(chat: Chat) -> None:
    """Something is told, other things are talked about, and then it is asked for."""
    tell(chat)
    for _ in range(chat.rng.choices((1, 2, 3, 4, 6), (4, 4, 3, 2, 1))[0]):
        chat.last_fact = None
        chat.rng.choice((explain, explain, explain, small_talk, skill, refuse))(chat)
    chat.topic = chat.last_fact = None
    for _ in range(chat.rng.choice((1, 1, 2))):
        recall(chat)


def _asked(rng: random.Random, fact: Fact) -> str:
    return fact.fill(typed(rng, rng.choice(fact.asked), frame=0.25))


TURNS = {
    "explain": explain,
    "small_talk": small_talk,
    "refuse": refuse,
    "skill": skill,
    "tell": tell,
    "change": change,
    "recall": recall,
    "later": later,
}
SHORT = {1: 60, 2: 14, 3: 10, 4: 8, 6: 5, 8: 2, 12: 1}  # turns, and how often
LONG = {2: 22, 3: 22, 4: 18, 5: 12, 6: 10, 8: 7, 12: 2}
# What a dialogue is about decides how often each kind of turn comes, and how long it is.
Mood = tuple[float, dict[str, float], dict[int, float]]


@dataclass(frozen=True, slots=True)
class Mix:
    """How often things come; what can come at all is the same in every mix."""

    moods: tuple[Mood, ...]
    topics: tuple[float, ...]  # one weight per topic, in the order of TOPICS
    skills: tuple[float, float, float, float]  # repeating, spelling, sums, comparisons


def _mix(
    skills: tuple[float, float, float, float],
    *,
    newest: float = 1.0,
    skilled: float = 5.0,
    refusing: float = 4.0,
    asking_on: float = 1.0,
    remembering: float = 1.0,
) -> Mix:
    return Mix(
        moods=(
            (10.5, {"explain": 9, "small_talk": 0.8, "refuse": 2.5}, SHORT),
            (0.5, {"explain": 9, "small_talk": 1, "refuse": 1}, LONG),
            (2.2, {"explain": 2, "small_talk": 1, "refuse": 1, "skill": 1, "tell": 3, "change": 0.4,
                   "recall": 5}, LONG),
            (2.2 * remembering, {"tell": 3, "change": 0.5, "recall": 6}, LONG),
            (skilled, {"skill": 5, "explain": 0.5, "refuse": 0.5}, SHORT),
            (refusing, {"refuse": 5, "explain": 2, "small_talk": 0.5}, SHORT),
            (1.0, {"small_talk": 5, "explain": 1}, SHORT),
            (asking_on, {"explain": 1}, {2: 5, 3: 3}),
            (2.0 * remembering, {"tell": 1, "recall": 1.5}, {2: 6, 3: 3}),
            (1.6 * remembering, {"later": 1}, {1: 1}),
        ),
        topics=tuple(
            1.7 if topic.often else newest if topic.group == NEWEST else 1.0 for topic in TOPICS
        ),
        skills=skills,
    )  # fmt: skip


# One mix for each cycle of a run: the later ones have more of what those before leave weak.
MIXES = (
    _mix((3.0, 2.8, 2.6, 3.8)),
    _mix((2.2, 2.2, 5.0, 2.8), newest=1.5, refusing=4.5, asking_on=2.2),
    _mix((2.6, 2.2, 3.6, 2.0), newest=1.3, skilled=3.5, refusing=7.0, remembering=1.7),
)


def dialogue(rng: random.Random, mix: Mix = MIXES[0]) -> list[Message]:
    """One whole dialogue of 1 to about 20 turns."""
    chat = Chat(rng, mix)
    if rng.random() < 0.15:
        chat.messages.append({"role": "system", "content": rng.choice(QUESTIONS.system)})
    _, mood, lengths = rng.choices(mix.moods, [weight for weight, _, _ in mix.moods])[0]
    turns = rng.choices(list(lengths), list(lengths.values()))[0]
    first = len(chat.messages)
    while len(chat.messages) < first + 2 * turns:
        topic, last_fact = chat.topic, chat.last_fact
        kind = rng.choices(list(mood), list(mood.values()))[0]
        TURNS[kind](chat)
        if kind != "explain" and chat.topic is topic:
            chat.topic = None
        if chat.last_fact is last_fact:
            chat.last_fact = None
    return chat.messages


def dialogues(seed: int, start: int = 0, mix: Mix = MIXES[0]) -> Iterator[list[Message]]:
    """Dialogues without end; number n of a mix and seed is the same from wherever one starts."""
    number = start
    while True:
        yield dialogue(random.Random(f"{seed}/{number}"), mix)
        number += 1
