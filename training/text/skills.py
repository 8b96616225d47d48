"""Small things the guide can do on request: repeat, spell, add up, compare."""

import random
from dataclasses import dataclass

from training.text.data import PHRASES_FOLDER, read
from training.text.noise import typed
from training.text.words import WORDS, invented_word, number


@dataclass(frozen=True, slots=True)
class Skills:
    """The ways to ask for each skill; {v}, {a} and {b} are filled in when one is drawn."""

    repeat: tuple[str, ...]
    please: tuple[str, ...]
    say: tuple[str, ...]
    what: tuple[str, ...]
    how: tuple[str, ...]
    joints: tuple[str, ...]
    spell: tuple[str, ...]
    add: tuple[str, ...]
    subtract: tuple[str, ...]
    multiply: tuple[str, ...]
    bigger: tuple[str, ...]
    smaller: tuple[str, ...]
    is_more: tuple[str, ...]
    is_less: tuple[str, ...]
    number_words: tuple[str, ...]


SKILLS = read(PHRASES_FOLDER / "skills.toml", Skills, slots="vab")


def repeat(rng: random.Random) -> tuple[str, str]:
    """A request to say something, and the reply."""
    text = phrase(rng)
    asked = typed(
        rng, rng.choice(SKILLS.repeat) if rng.random() < 0.6 else _request(rng), frame=0.0
    )
    asked = asked if asked.endswith(("{v}", '"')) else asked.rstrip("?!. ")
    return asked.format(v=text), f"Here you go: {text}"


def _request(rng: random.Random) -> str:
    """A request to say something, put together from parts."""
    parts = (rng.choice(SKILLS.say), rng.choice(SKILLS.what), rng.choice(SKILLS.how))
    joint = rng.choice(SKILLS.joints)
    return rng.choice(SKILLS.please) + " ".join(part for part in parts if part) + joint


def phrase(rng: random.Random) -> str:
    """A few words, usual and invented, in no order that could be guessed."""
    count = rng.choice((1, 1, 2, 3, 3, 4, 5, 6, 7, 9, 12))
    pools = (
        WORDS.common,
        WORDS.everyday,
        WORDS.everyday,
        WORDS.fillers,
        WORDS.fillers,
        WORDS.names,
        WORDS.colours,
        WORDS.foods,
    )
    picked = []
    invented = rng.choice((0.0, 0.1, 0.35, 0.6))  # some phrases are of usual words alone
    for _ in range(count):
        draw = rng.random()
        if draw < invented:
            picked.append(invented_word(rng))
        elif draw < invented + 0.07:
            picked.append(number(rng, (1, 3)))
        else:
            picked.append(rng.choice(rng.choice(pools)))
    text = " ".join(picked)
    if count > 2 and rng.random() < 0.2:
        at = rng.randrange(1, count)
        text = " ".join(picked[:at]) + ", " + " ".join(picked[at:])
    if rng.random() < 0.25:
        text = text[0].upper() + text[1:]
    return text + rng.choice(("", "", "", "!", ".")) if count > 2 else text


def spell(rng: random.Random) -> tuple[str, str]:
    """A request to spell a word, and the reply."""
    word = (
        rng.choice((*WORDS.common, *WORDS.everyday)) if rng.random() < 0.6 else invented_word(rng)
    )
    if rng.random() < 0.1:
        word = rng.choice(
            (*WORDS.names, *WORDS.animals, *WORDS.colours, *WORDS.foods, *WORDS.jobs)
        ).split()[0]
    if rng.random() < 0.1:
        word = word.capitalize()
    asked = typed(rng, rng.choice(SKILLS.spell), frame=0.1).format(v=word)
    return asked, f"The word {word} is spelled {'-'.join(word.lower())}."


def add_up(rng: random.Random) -> tuple[str, str]:
    """A small sum, difference or product, and the reply."""
    draw = rng.random()
    top = rng.choice((10, 20, 50, 99))
    a, b = rng.randint(0, top), rng.randint(0, top)
    if draw < 0.5:
        patterns, sign, result = SKILLS.add, "+", a + b
    elif draw < 0.8:
        a, b = max(a, b), min(a, b)
        patterns, sign, result = SKILLS.subtract, "-", a - b
    else:
        a, b = rng.randint(0, 12), rng.randint(0, 12)
        patterns, sign, result = SKILLS.multiply, "*", a * b
    asked = typed(rng, rng.choice(patterns), frame=0.12)
    return asked.format(a=_figure(rng, a), b=_figure(rng, b)), f"{a} {sign} {b} = {result}."


def _figure(rng: random.Random, value: int) -> str:
    if value < len(SKILLS.number_words) and rng.random() < 0.12:
        return SKILLS.number_words[value]
    return str(value)


def compare(rng: random.Random) -> tuple[str, str]:
    """A question which of two numbers is larger, and the reply."""
    top = rng.choice((10, 10, 20, 50, 99, 99, 99, 99, 999))
    a, b = rng.randint(0, top), rng.randint(0, top)
    draw = rng.random()
    if draw < 0.1:
        b = int(str(a)[::-1])
    elif draw < 0.25:
        b = max(0, a + rng.choice((-3, -2, -1, 1, 2, 3)))
    high, low = max(a, b), min(a, b)
    kind = rng.randrange(4)
    patterns = (SKILLS.bigger, SKILLS.smaller, SKILLS.is_more, SKILLS.is_less)[kind]
    asked = typed(rng, rng.choice(patterns), frame=0.12)
    asked = asked.format(a=_figure(rng, a), b=_figure(rng, b))
    # The numbers come first: then the comparison is always learnt in the same place.
    if kind < 2:
        word, one = ("bigger", high) if kind == 0 else ("smaller", low)
        same = a == b
        return (
            asked,
            f"{a} and {b} are equal." if same else f"Of {a} and {b}, the {word} one is {one}.",
        )
    relation = "is bigger than" if a > b else "is smaller than" if a < b else "is equal to"
    so = "yes" if a != b and (a > b) == (kind == 2) else "no"
    return asked, f"{a} {relation} {b}, so {so}."
