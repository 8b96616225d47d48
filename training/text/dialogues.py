# ruff: noqa: E501 - lists of phrases read better unbroken
"""Whole dialogues: turns of every kind, drawn at random but repeatable by seed."""

import random
import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path

from training.text import memory, refusals, skills
from training.text.asks_a import ASKS_A
from training.text.asks_b import ASKS_B
from training.text.concepts import CONCEPTS
from training.text.extras import EXTRAS
from training.text.howtos import HOWTOS
from training.text.knobs import KNOBS
from training.text.links import LINKS
from training.text.memory import Fact
from training.text.noise import reworded, typed
from training.text.phrasings import PHRASINGS, SMALL_TALK_PHRASINGS
from training.text.running import RUNNING
from training.text.scenes import SCENES
from training.text.social import SMALL_TALK
from training.text.topic import Topic
from training.text.troubles import TROUBLES
from training.text.voices import VOICES
from training.text.wordings import WORDINGS

Message = dict[str, str]  # {"role": ..., "content": ...}, as chat templates take it

TOPICS: tuple[Topic, ...] = tuple(
    replace(
        topic,
        asks=(
            *topic.asks,
            *PHRASINGS.get(topic.name, ()),
            *WORDINGS.get(topic.name, ()),
            *VOICES.get(topic.name, ()),
            *SCENES.get(topic.name, ()),
            *ASKS_A.get(topic.name, ()),
            *ASKS_B.get(topic.name, ()),
        ),
    )
    for topic in (*CONCEPTS, *HOWTOS, *KNOBS, *TROUBLES, *EXTRAS, *RUNNING)
)
BY_NAME = {topic.name: topic for topic in TOPICS}
# Subjects that people put in more ways than others, or that are easily taken for a neighbour.
_MORE_OFTEN = frozenset(
    [
        "my_chats",
        "export_chat",
        "presets",
        "system_prompt",
        "status_line",
        "bad_reply",
        "cut_off",
        "slow_reply",
        "choose_model",
        "add_model",
        "start_app",
        "about_model",
        "requirements",
        "what_app",
        "what_farmesh",
        "missing_node",
        "change_host",
        "sign_in",
        "gpu_node",
        "language",
        "keyboard",
        "text_only",
        "containers",
        "looks",
    ]
)
_NEWEST = frozenset(topic.name for topic in RUNNING)
FIXED_ANSWERS: frozenset[str] = frozenset(
    [text for t in TOPICS for text in (t.answer, t.more, t.simple, t.why) if text]
    + [answer for talk in SMALL_TALK for answer in talk.answers]
    + list(refusals.ANSWERS)
)
CASES = Path(__file__).parent.parent / "cases"
# Where the messages stand that are never trained on. Retired ones are not scored any more, since the
# text came to hold the same words, or nearly; they stay here so that dialogue number n stays the same.
HELD_OUT = {
    "intents.tsv": 1, "intents_newer.tsv": 1, "intents_running.tsv": 1, "fresh.tsv": 1, "skills.tsv": 1, "refusals.txt": 0, "retired.txt": 0
}  # fmt: skip

_THING = (
    "what is {}", "what's {}", "whats {}", "what is {} exactly", "explain {}", "define {}",
    "what does {} do", "tell me about {}", "what do you mean by {}", "what is meant by {}",
    "can you explain {}", "can you explain {} to me", "could you explain {}", "{}?", "{}",
    "what exactly is {}", "so what is {}", "describe {}", "how does {} work", "what is {} for",
    "what's {} good for", "what is the purpose of {}", "i don't understand {}", "what does {} mean",
    "i don't know what {} is", "help me understand {}", "give me a definition of {}", "wat is {}",
    "please explain {}", "tell me what {} is", "explain to me what {} is", "and what is {}",
    "what about {}", "and {}?", "how about {}", "i have never heard of {}", "what was {} again",
    "info on {}", "more about {}", "explain what {} is", "what can you tell me about {}",
    "could you tell me what {} is", "in simple terms, what is {}", "meaning of {}", "what {} is",
    "i'd like to know what {} is", "can you describe {}", "explain {} please", "do you know {}",
    "what is the meaning of {}", "what's meant by {}", "i want to know about {}", "what's up with {}",
    "what is the point of {}", "how do you define {}", "is {} important", "what role does {} play",
    "i came across {}, what is it", "somebody mentioned {}, what do they mean", "{} means what",
    "i don't know the word, {}", "what am i to understand by {}", "the page mentions {}, explain",
    "my friend talks about {}, what is that", "{}, what is that", "{}, what's it for", "{} please",
    "a few words on {} please", "give me an idea of {}", "{} meaning", "{} explained", "{} definition",
    "never heard of {}, what is it", "i always wondered what {} is", "in short, {}", "teach me {}",
    "how should i picture {}", "what do people mean by {}", "i see {} mentioned a lot", "what would {} be",
    "it says {} there, what's that", "what can i do with {}", "brief explanation of {}", "{} for beginners",
    "tell me something about {}", "what kind of thing is {}", "i want to understand {}", "{} = what",
    "what does it mean when people say {}", "how come there is {}", "is {} something i need to know",
    "who or what is {}", "would you explain {}", "what is this {}", "why is there {}",
)  # fmt: skip
_PLURAL = (
    "what are {}", "explain {}", "what are {} exactly", "tell me about {}", "what do {} do",
    "what do you mean by {}", "what are {} for", "{}?", "{}", "can you explain {}", "define {}",
    "what is meant by {}", "i don't understand {}", "describe {}", "how do {} work", "and {}?",
    "what about {}", "so what are {}", "what exactly are {}", "please explain {}", "explain {} please",
    "tell me what {} are", "what are {} good for", "could you explain {} to me", "wat are {}",
    "i'd like to know about {}", "why are there {}", "what's the purpose of {}", "what does {} mean",
    "{}, what are they", "{} are what", "i keep reading about {}", "somebody told me about {}, what are they",
    "{} meaning", "{} explained", "a few words on {} please", "the page mentions {}, explain", "{} please",
    "in short, what are {}", "what can i do with {}", "i want to understand {}", "teach me about {}",
)  # fmt: skip
_ACTION = (
    "how do i {}", "how can i {}", "how to {}", "how do you {}", "i want to {}", "i'd like to {}",
    "how would i {}", "what do i do to {}", "tell me how to {}", "show me how to {}", "can i {}",
    "what's the way to {}", "help me {}", "is there a way to {}", "how should i {}", "i need to {}",
    "what is the best way to {}", "what must i do to {}", "is it possible to {}", "how does one {}",
    "steps to {}", "explain how to {}", "please tell me how i can {}", "could i {}", "{}",
    "i don't know how to {}", "what is the command to {}", "which command do i use to {}",
    "can you tell me how to {}", "what do i have to do to {}", "how could i {}", "let me {}",
    "how am i supposed to {}", "where can i {}", "where do i {}", "i am trying to {}", "how 2 {}",
    "whats the easiest way to {}", "i wanna {}", "am i able to {}", "what's the command to {}",
    "what do i need to do to {}", "any way to {}", "do you know how to {}", "i would like to {}",
    "what if i want to {}", "could you show me how to {}", "how might i {}", "how do we {}",
    "i would love to {}", "i have to {}", "i'm not able to {}", "i can't {}", "why can't i {}", "i want to {}, how",
    "how exactly do i {}", "how do people {}", "what would i do to {}", "is there an easy way to {}",
    "could you help me to {}", "can someone tell me how to {}", "my plan is to {}", "i'm about to {}",
    "we want to {}", "can we {}", "what's needed to {}", "which button do i press to {}", "can you {}",
    "would it be possible to {}", "i wish to {}", "give me the way to {}", "a way to {}?", "time to {}",
    "next i want to {}", "how is it possible to {}", "does it let me {}", "am i allowed to {}", "go and {}",
    "what is the trick to {}", "trying to {} but i don't know how", "i forgot how to {}", "need to {}",
)  # fmt: skip
_MORE = (
    "tell me more", "more", "more please", "go on", "more details", "can you say more", "continue",
    "tell me more about it", "tell me more about that", "and?", "what else", "anything else on that",
    "more info", "please go on", "can you tell me more", "elaborate", "can you elaborate", "more info please",
    "i want to know more", "give me more details", "details please", "what more is there to know",
    "is there more to know", "keep going", "expand", "some more detail please", "explain more",
    "tell me a little more", "what else can you tell me about it", "explain further", "and what else",
    "what else is there to say", "say more about it", "ok, and", "interesting, tell me more",
    "what more can you say", "is that all", "that was short, more please", "go deeper", "can you add anything", "give me some more",
    "and further", "the rest please", "i'd like to hear more", "more about this please", "a bit more detail", "fill me in",
)  # fmt: skip
_SIMPLER = (
    "in simple words", "simpler please", "i don't understand", "explain it simply", "huh", "what?",
    "can you explain that more simply", "make it simple", "too complicated", "that's too technical",
    "explain like i'm five", "eli5", "in plain words please", "i didn't get that", "say it simpler",
    "in easy words", "i don't get it", "simplify", "for dummies please", "for beginners please",
    "can you say that in simple terms", "i am confused", "not clear", "explain it to a child",
    "could you make that easier", "i did not understand that", "simple version please", "easier?",
    "i still don't understand", "what does that mean in plain english", "again, but simple",
    "that went over my head", "in normal words", "can you dumb it down", "too many technical words", "i'm not an expert, easier please", "you lost me",
    "shorter and simpler", "as if i were a child", "that is too hard for me", "what do you mean", "i don't follow", "less technical please",
)  # fmt: skip
_WHY = (
    "why", "why?", "why is that", "why so", "why is that so", "what for", "why do i need that",
    "why do we need that", "what's the reason", "why is it needed", "and why", "why does it matter",
    "what is that good for", "how come", "but why", "why would i want that", "what's the point",
    "why is this important", "what's the use of it", "for what reason", "why do you need it",
    "why is it like that", "why would one do that", "what is the benefit", "why is it there",
    "what's the reason for that", "what do i get from it", "who needs that", "why do people do that", "what would i need it for", "why bother",
    "and what is that for", "why does it do that", "why is it so", "what good does it do", "why not without it", "why should i",
)  # fmt: skip
_AGAIN = (
    "say that again", "repeat that", "can you repeat that", "again please", "repeat your answer",
    "what did you say", "pardon", "sorry, what was that", "once more please", "please repeat",
    "say it again", "come again", "can you say that once more", "repeat what you said", "one more time",
    "could you repeat your last answer", "what was that again", "i missed that, say it again",
    "once again please", "could you say it one more time", "i didn't catch that", "repeat please", "the last answer once more", "what did you just say",
)  # fmt: skip
_SYSTEM = (
    "You are a helpful assistant.", "You are the guide to FarMesh Chat.", "Answer briefly.",
    "You are a friendly chat bot. Be polite.", "Be concise.", "You are an assistant on a swarm.",
    "You are a chat assistant. Answer the user's questions about the app.", "Please be kind.",
    "You are a helpful, honest guide. If you do not know something, say so.",
    "You are Petalina, a friendly helper.", "Speak English.", "Keep your answers short and clear.",
)  # fmt: skip


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
        (topic.things, _THING, 2.0),
        (topic.plurals, _PLURAL, 1.3),
        (topic.actions, _ACTION, 2.6),
    ]
    groups = [group for group in groups if group[0]]
    texts, patterns, _ = rng.choices(groups, [group[2] for group in groups])[0]
    asked = rng.choice(patterns).format(rng.choice(texts))
    if texts is topic.asks and rng.random() < 0.07:  # in two sentences, as people do in a hurry
        asked = f"{asked}{rng.choice(('. ', '? ', ', ', ' - ', '... '))}{rng.choice(texts)}"
    return asked


def _follow_up(chat: Chat, topic: Topic) -> bool:
    rng = chat.rng
    options = [(_MORE, topic.more, 3.0), (_AGAIN, chat.last_answer, 0.7)]
    options += [(_SIMPLER, topic.simple, 2.0)] if topic.simple else []
    options += [(_WHY, topic.why, 2.0)] if topic.why else []
    leads = [((asked,), to) for asked, to in topic.links]
    leads += [(asks, to) for to, asks in LINKS.get(topic.name, {}).items()]
    if leads and rng.random() < 0.5:
        asks, to = rng.choice(leads)
        if said := chat.say(_follow_up_typed(rng, asks), BY_NAME[to].answer):
            chat.topic = BY_NAME[to]
        return said
    asks, answer, _ = rng.choices(options, [option[2] for option in options])[0]
    return chat.say(_follow_up_typed(rng, asks), answer)


def _follow_up_typed(rng: random.Random, asks: tuple[str, ...]) -> str:
    return typed(rng, reworded(rng, rng.choice(asks)), frame=0.25)


def small_talk(chat: Chat) -> None:
    talk = chat.rng.choice(SMALL_TALK)
    asks = (*talk.asks, *SMALL_TALK_PHRASINGS.get(talk.name, ()))
    asked = typed(chat.rng, reworded(chat.rng, chat.rng.choice(asks)), frame=0.12)
    chat.say(asked, chat.rng.choice(talk.answers))


def refuse(chat: Chat) -> None:
    asked = typed(chat.rng, reworded(chat.rng, refusals.refusal_message(chat.rng)), frame=0.25)
    chat.say(asked, chat.rng.choice(refusals.ANSWERS))


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
        message = rng.choice(memory.CHANGED).format(s=message)
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
        message = new.fill(typed_part(rng, rng.choice(memory.CHANGED_SHORT)))
    else:
        told = typed_part(rng, rng.choice(new.told))
        message = new.fill(rng.choice(memory.CHANGED).format(s=told))
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
        asked = rng.choice(memory.EVERYTHING_ASKED)
        chat.say(typed(rng, asked, frame=0.2), memory.everything(facts))
        return
    if draw < 0.2 and len(facts) >= 2:
        two = rng.sample(facts, 2)
        asked = rng.choice(memory.SEVERAL_ASKED).format(
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
            (2.2, {"explain": 2, "small_talk": 1, "refuse": 1, "skill": 1, "tell": 3, "change": 0.4, "recall": 5}, LONG),
            (2.2 * remembering, {"tell": 3, "change": 0.5, "recall": 6}, LONG),
            (skilled, {"skill": 5, "explain": 0.5, "refuse": 0.5}, SHORT),
            (refusing, {"refuse": 5, "explain": 2, "small_talk": 0.5}, SHORT),
            (1.0, {"small_talk": 5, "explain": 1}, SHORT),
            (asking_on, {"explain": 1}, {2: 5, 3: 3}),
            (2.0 * remembering, {"tell": 1, "recall": 1.5}, {2: 6, 3: 3}),
            (1.6 * remembering, {"later": 1}, {1: 1}),
        ),
        topics=tuple(
            1.7 if topic.name in _MORE_OFTEN else newest if topic.name in _NEWEST else 1.0
            for topic in TOPICS
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
        chat.messages.append({"role": "system", "content": rng.choice(_SYSTEM)})
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
    """Dialogues without end; number n of a mix is the same for a seed wherever the stream starts."""
    number = start
    while True:
        yield dialogue(random.Random(f"{seed}/{number}"), mix)
        number += 1
