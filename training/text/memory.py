"""Facts that people tell about themselves, and the ways to ask for them later.

Values are mostly drawn without end (invented words, random numbers), so that the only way to
answer is to look them up in the conversation.
"""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from training.text.data import PHRASES_FOLDER, TextError, read
from training.text.words import WORDS, cased, common, invented_word, number, proper


@dataclass(frozen=True, slots=True)
class Fact:
    """One thing a person may tell. In the templates {v} is the value, {r} what it belongs to."""

    key: str  # two facts with the same key contradict each other; the later one holds
    value: str
    about: str  # fills {r}
    told: tuple[str, ...]  # how people say it, without capital and full stop
    asked: tuple[str, ...]  # how people ask for it
    noun: str  # "what is ...": the thing asked for, from the person's side: "my dog's name"
    clause: str  # said by the guide: "your dog is called Rex"
    together: tuple[str, ...] = ()  # after "i have": "a dog called {v}"
    greeting: str = ""  # a reply of its own instead of "Got it: ..."

    def fill(self, template: str) -> str:
        """The template with this fact's value and owner."""
        return template.format(v=self.value, r=self.about)

    @property
    def recall(self) -> str:
        """The guide's answer when asked."""
        return _sentence(self.fill(self.clause))

    @property
    def acknowledged(self) -> str:
        """The guide's answer when told."""
        return self.fill(self.greeting) if self.greeting else f"Got it: {self.fill(self.clause)}."

    @property
    def missing(self) -> str:
        """The guide's answer when asked but never told."""
        return f"You haven't told me {_yours(self.fill(self.noun))} yet."


def _sentence(clause: str) -> str:
    return clause[0].upper() + clause[1:] + "."


def _yours(noun: str) -> str:
    noun = noun.replace("my ", "your ", 1).replace(" i am", " you are", 1)
    return noun.replace(" i was ", " you were ", 1).replace(" i ", " you ", 1)


def told_together(facts: Sequence[Fact]) -> str:
    """The guide's answer when told several facts at once."""
    return f"Got it: {_listed([fact.fill(fact.clause) for fact in facts])}."


def recalled_together(facts: Sequence[Fact]) -> str:
    """The guide's answer when asked for several facts."""
    return _sentence(_listed([fact.fill(fact.clause) for fact in facts]))


def everything(facts: Sequence[Fact]) -> str:
    """The guide's answer to "what do you know about me"."""
    if not facts:
        return "You haven't told me anything about yourself yet."
    return f"You told me: {_listed([fact.fill(fact.clause) for fact in facts])}."


def _listed(clauses: list[str]) -> str:
    if len(clauses) == 1:
        return clauses[0]
    return ", ".join(clauses[:-1]) + " and " + clauses[-1]


# --- the ways to tell and to ask ----------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Family:
    """What facts of a kind have in common; see `Fact`."""

    told: tuple[str, ...]
    asked: tuple[str, ...]
    noun: str
    clause: str
    about: tuple[str, ...] = ()
    together: tuple[str, ...] = ()
    greetings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Extra:
    """Further ways that only some facts of a family have."""

    told: tuple[str, ...] = ()
    asked: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Families:
    """Every family, by the name that the file calls it."""

    name: Family
    home: Family
    origin: Family
    birthplace: Family
    age: Family
    birthday: Family
    job: Family
    favourite: Family
    owned: Family
    colour_of: Family
    number_of: Family
    told_thing: Family
    hobby: Family
    instrument: Family
    studies: Family
    dislike: Family
    allergy: Family
    trip: Family
    appointment: Family
    count_of: Family
    anything: Family


@dataclass(frozen=True, slots=True)
class Extras:
    """Every extra, by the name that the file calls it."""

    birth_month: Extra
    food: Extra
    drink: Extra
    colour: Extra
    usual_colour: Extra
    person: Extra
    lucky_number: Extra


@dataclass(frozen=True, slots=True)
class Introduction:
    """Several facts in one sentence; {0.value} and {0.about} are of the first, and so on."""

    facts: tuple[str, ...]
    told: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Memory:
    """All that `training/phrases/memory.toml` holds."""

    everything_asked: tuple[str, ...]
    several_asked: tuple[str, ...]
    changed: tuple[str, ...]
    changed_short: tuple[str, ...]
    families: Families
    extras: Extras
    introductions: tuple[Introduction, ...]


NO_EXTRA = Extra()
_PARTS = [f"{n}.{part}" for n in range(3) for part in ("value", "about")]
MEMORY = read(PHRASES_FOLDER / "memory.toml", Memory, slots=("fav", *"vrsab", *_PARTS))
FAMILY, EXTRA = MEMORY.families, MEMORY.extras


def _fact(family: Family, key: str, value: str, about: str = "", extra: Extra = NO_EXTRA) -> Fact:
    """A fact of a family, with the ways of telling and asking that `extra` adds."""
    told, asked = family.told + extra.told, family.asked + extra.asked
    return Fact(key, value, about, told, asked, family.noun, family.clause, family.together)


# --- families of facts --------------------------------------------------------------------------


def name(rng: random.Random) -> Fact:
    fact = _fact(FAMILY.name, "name", proper(rng, WORDS.names))
    return replace(fact, greeting=rng.choice(FAMILY.name.greetings))


def home(rng: random.Random) -> Fact:
    return _fact(FAMILY.home, "home", proper(rng, WORDS.places))


def origin(rng: random.Random) -> Fact:
    return _fact(FAMILY.origin, "origin", proper(rng, WORDS.places))


def birthplace(rng: random.Random) -> Fact:
    return _fact(FAMILY.birthplace, "birthplace", proper(rng, WORDS.places))


def age(rng: random.Random) -> Fact:
    return _fact(FAMILY.age, "age", str(rng.randint(5, 99)))


def birthday(rng: random.Random) -> Fact:
    month = cased(rng, rng.choice(WORDS.months), lower=0.3)
    if rng.random() < 0.5:
        fact = _fact(FAMILY.birthday, "birthday", month, "in")
        return replace(fact, told=EXTRA.birth_month.told)
    return _fact(FAMILY.birthday, "birthday", f"{rng.randint(1, 31)} {month}", "on")


def job(rng: random.Random) -> Fact:
    value = common(rng, WORDS.jobs, invented=0.3)
    return _fact(FAMILY.job, "job", value, "an" if value[0] in "aeiou" else "a")


_KINDS: dict[str, Callable[[random.Random], str]] = {
    "colour": lambda r: common(r, WORDS.colours, 0.3),
    "color": lambda r: common(r, WORDS.colours, 0.3),
    "food": lambda r: common(r, WORDS.foods, 0.3),
    "dish": lambda r: common(r, WORDS.foods, 0.3),
    "meal": lambda r: common(r, WORDS.foods, 0.3),
    "drink": lambda r: common(r, WORDS.drinks),
    "fruit": lambda r: common(r, WORDS.fruits),
    "vegetable": lambda r: common(r, WORDS.foods),
    "dessert": lambda r: common(r, WORDS.foods),
    "animal": lambda r: common(r, WORDS.creatures),
    "bird": lambda r: common(r, WORDS.creatures),
    "sport": lambda r: common(r, WORDS.sports),
    "game": lambda r: common(r, WORDS.sports),
    "hobby": lambda r: common(r, WORDS.hobbies),
    "instrument": lambda r: common(r, WORDS.instruments),
    "season": lambda r: r.choice(WORDS.seasons),
    "month": lambda r: cased(r, r.choice(WORDS.months), 0.3),
    "day": lambda r: cased(r, r.choice(WORDS.days), 0.3),
    "number": lambda r: number(r, (1, 4)),
    "city": lambda r: proper(r, WORDS.places),
    "country": lambda r: proper(r, WORDS.places),
    "place": lambda r: proper(r, WORDS.places),
    "movie": lambda r: proper(r, WORDS.titles),
    "film": lambda r: proper(r, WORDS.titles),
    "book": lambda r: proper(r, WORDS.titles),
    "song": lambda r: proper(r, WORDS.titles),
    "band": lambda r: proper(r, WORDS.titles),
    "singer": lambda r: proper(r, WORDS.names),
    "word": lambda r: common(r, WORDS.common),
    "flower": lambda r: common(r, WORDS.common),
    "tree": lambda r: common(r, WORDS.common),
    "toy": lambda r: common(r, WORDS.common),
    "subject": lambda r: common(r, WORDS.common),
    "smell": lambda r: common(r, WORDS.common),
}


def favourite(rng: random.Random) -> Fact:
    if rng.random() < 0.85:
        kind = rng.choice(list(_KINDS))
        value = _KINDS[kind](rng)
    else:
        kind = rng.choice((rng.choice(WORDS.common), invented_word(rng)))
        value = common(rng, WORDS.common)
    spelled = rng.choice(("favourite", "favorite"))
    fact = _fact(FAMILY.favourite, f"favourite {kind}", value, kind, _of_kind(kind, value))
    return _spelled(fact, spelled)


def _of_kind(kind: str, value: str) -> Extra:
    """What is only said of some kinds of favourites."""
    if kind in ("food", "dish", "meal"):
        return EXTRA.food
    if kind == "drink":
        return EXTRA.drink
    if kind in ("colour", "color"):
        return EXTRA.usual_colour if value in WORDS.colours else EXTRA.colour
    return NO_EXTRA


def _spelled(fact: Fact, favourite: str) -> Fact:
    """The fact with its {fav} in one of the two spellings."""
    return replace(
        fact,
        told=tuple(way.replace("{fav}", favourite) for way in fact.told),
        asked=tuple(way.replace("{fav}", favourite) for way in fact.asked),
        noun=fact.noun.replace("{fav}", favourite),
        clause=fact.clause.replace("{fav}", favourite),
    )


def _owned(owner: str, value: str) -> Fact:
    extra = EXTRA.person if owner in WORDS.people else NO_EXTRA
    return _fact(FAMILY.owned, f"name of {owner}", value, owner, extra)


def pet(rng: random.Random) -> Fact:
    owner = rng.choice(WORDS.animals) if rng.random() < 0.85 else invented_word(rng)
    return _owned(owner, proper(rng, WORDS.pet_names))


def relative(rng: random.Random) -> Fact:
    return _owned(rng.choice(WORDS.people), proper(rng, WORDS.names))


def belonging(rng: random.Random) -> Fact:
    return _owned(rng.choice(WORDS.belongings), proper(rng, WORDS.pet_names))


def colour_of(rng: random.Random) -> Fact:
    owner = rng.choice((*WORDS.belongings, *FAMILY.colour_of.about))
    return _fact(FAMILY.colour_of, f"colour of {owner}", rng.choice(WORDS.colours), owner)


def number_of(rng: random.Random) -> Fact:
    owner = rng.choice(FAMILY.number_of.about)
    extra = EXTRA.lucky_number if owner == "lucky number" else NO_EXTRA
    return _fact(FAMILY.number_of, owner, number(rng, (1, 6)), owner, extra)


def told_thing(rng: random.Random) -> Fact:
    """Something to keep: a number, a word, a code, a password."""
    kind = rng.choice(FAMILY.told_thing.about)
    numeric = kind in ("number", "code", "pin", "wifi code", "door code", "room")
    value = number(rng, (1, 6)) if numeric else common(rng, WORDS.common, 0.5)
    if kind in ("name", "address", "title"):
        value = proper(rng, WORDS.names)
    return _fact(FAMILY.told_thing, f"the {kind}", value, kind)


def hobby(rng: random.Random) -> Fact:
    return _fact(FAMILY.hobby, "hobby", common(rng, WORDS.hobbies, 0.3))


def learning(rng: random.Random) -> Fact:
    if rng.random() < 0.5:
        return _fact(FAMILY.instrument, "instrument", common(rng, WORDS.instruments, 0.4))
    return _fact(FAMILY.studies, "studies", common(rng, WORDS.common, 0.4))


def dislike(rng: random.Random) -> Fact:
    return _fact(FAMILY.dislike, "dislike", common(rng, (*WORDS.foods, *WORDS.common), 0.4))


def allergy(rng: random.Random) -> Fact:
    return _fact(FAMILY.allergy, "allergy", common(rng, (*WORDS.foods, *WORDS.creatures), 0.4))


def trip(rng: random.Random) -> Fact:
    return _fact(FAMILY.trip, "trip", proper(rng, WORDS.places))


def appointment(rng: random.Random) -> Fact:
    what = rng.choice(FAMILY.appointment.about)
    when = rng.choice(
        (
            f"at {rng.randint(1, 12)}",
            f"at {rng.randint(6, 22)}:{rng.choice(('00', '15', '30', '45'))}",
            f"on {cased(rng, rng.choice(WORDS.days), 0.4)}",
            f"in {cased(rng, rng.choice(WORDS.months), 0.3)}",
            f"on {cased(rng, rng.choice(WORDS.days), 0.4)} at {rng.randint(1, 12)}",
        )
    )
    return _fact(FAMILY.appointment, f"time of {what}", when, what)


def count_of(rng: random.Random) -> Fact:
    what = rng.choice(FAMILY.count_of.about)
    value = rng.choice(
        (
            str(rng.randint(2, 60)),
            rng.choice(("two", "three", "four", "five", "six", "seven", "nine", "ten")),
        )
    )
    return _fact(FAMILY.count_of, f"number of {what}", value, what)


def anything(rng: random.Random) -> Fact:
    owner = rng.choice(WORDS.common) if rng.random() < 0.6 else invented_word(rng)
    return _fact(FAMILY.anything, f"my {owner}", common(rng, WORDS.common, 0.6), owner)


def _colour(rng: random.Random) -> Fact:
    return next(fact for fact in iter(lambda: favourite(rng), None) if fact.about == "colour")


Maker = Callable[[random.Random], Fact]
FAMILIES: tuple[tuple[Maker, float], ...] = (
    (name, 5.0),
    (home, 1.6),
    (origin, 0.9),
    (birthplace, 0.5),
    (age, 0.8),
    (birthday, 0.8),
    (job, 1.3),
    (favourite, 4.5),
    (pet, 3.0),
    (relative, 2.0),
    (belonging, 0.8),
    (colour_of, 0.7),
    (number_of, 1.3),
    (told_thing, 2.0),
    (hobby, 0.8),
    (learning, 0.7),
    (dislike, 0.6),
    (allergy, 0.4),
    (trip, 0.6),
    (appointment, 0.8),
    (count_of, 0.7),
    (anything, 0.5),
)


def random_fact(rng: random.Random) -> Fact:
    """A fact of any family."""
    makers, weights = zip(*FAMILIES, strict=True)
    make: Maker = rng.choices(makers, weights)[0]
    return make(rng)


def introduction(rng: random.Random) -> tuple[str, list[Fact]]:
    """A sentence that tells several facts, as a template, and the facts."""
    makers, templates = rng.choice(_INTRODUCTIONS)
    return rng.choice(templates), [make(rng) for make in makers]


def _introductions() -> list[tuple[list[Maker], tuple[str, ...]]]:
    makers = {make.__name__: make for make, _ in FAMILIES} | {"colour": _colour}
    for each in MEMORY.introductions:
        if unknown := set(each.facts) - set(makers):
            raise TextError(f"memory.toml: introductions: there is no fact {min(unknown)!r}")
    return [([makers[name] for name in each.facts], each.told) for each in MEMORY.introductions]


_INTRODUCTIONS = _introductions()
