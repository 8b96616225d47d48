"""Words to tell and to remember: lists of usual ones, and invented ones without end."""

import random
from dataclasses import dataclass

from training.text.data import PHRASES_FOLDER, read


@dataclass(frozen=True, slots=True)
class Words:
    """Usual words by kind, and the parts of invented ones."""

    onsets: tuple[str, ...]
    vowels: tuple[str, ...]
    codas: tuple[str, ...]
    names: tuple[str, ...]
    places: tuple[str, ...]
    pet_names: tuple[str, ...]
    animals: tuple[str, ...]
    people: tuple[str, ...]
    belongings: tuple[str, ...]
    colours: tuple[str, ...]
    foods: tuple[str, ...]
    drinks: tuple[str, ...]
    fruits: tuple[str, ...]
    creatures: tuple[str, ...]
    sports: tuple[str, ...]
    hobbies: tuple[str, ...]
    instruments: tuple[str, ...]
    jobs: tuple[str, ...]
    months: tuple[str, ...]
    seasons: tuple[str, ...]
    days: tuple[str, ...]
    titles: tuple[str, ...]
    common: tuple[str, ...]
    everyday: tuple[str, ...]
    fillers: tuple[str, ...]


WORDS = read(PHRASES_FOLDER / "words.toml", Words)


def invented_word(rng: random.Random, syllables: tuple[int, int] = (1, 3)) -> str:
    """A lower-case word nobody has seen, so that only copying can reproduce it."""
    if rng.random() < 0.08:
        letters = "abcdefghijklmnopqrstuvwxyz"
        return "".join(rng.choice(letters) for _ in range(rng.randint(3, 8)))
    count = rng.randint(*syllables)
    word = ""
    for _ in range(count):
        word += rng.choice(WORDS.onsets) + rng.choice(WORDS.vowels)
        if rng.random() < 0.45:
            word += rng.choice(WORDS.codas)
    return word if len(word) > 1 else word + rng.choice(WORDS.codas)


def proper(rng: random.Random, usual: tuple[str, ...], invented: float = 0.6) -> str:
    """A name from the list or an invented one, in one of the ways people write names."""
    if rng.random() < invented:
        word = invented_word(rng).capitalize()
        if rng.random() < 0.12:
            word += " " + invented_word(rng).capitalize()
        if rng.random() < 0.03:
            word = rng.choice(("Mr ", "Mrs ", "Dr ", "Miss ", "Captain ", "Sir ")) + word
    else:
        word = rng.choice(usual)
    return cased(rng, word, lower=0.3)


def common(rng: random.Random, usual: tuple[str, ...], invented: float = 0.4) -> str:
    """A thing from the list, another usual word, or an invented one."""
    draw = rng.random()
    if draw < invented:
        return invented_word(rng)
    return rng.choice(WORDS.common) if draw < invented + 0.15 else rng.choice(usual)


def cased(rng: random.Random, word: str, lower: float) -> str:
    """The word as given, or without capitals, or (rarely) shouted."""
    draw = rng.random()
    if draw < lower:
        return word.lower()
    return word.upper() if draw < lower + 0.02 else word


def number(rng: random.Random, digits: tuple[int, int] = (1, 5)) -> str:
    """A whole number with so many digits, no leading zero."""
    count = rng.randint(*digits)
    return str(rng.randint(10 ** (count - 1) if count > 1 else 0, 10**count - 1))
