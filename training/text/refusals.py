"""What the guide cannot do: messages from far outside its field, built from wide word lists."""

import random
from dataclasses import dataclass

from training.text.data import PHRASES_FOLDER, read
from training.text.words import invented_word


@dataclass(frozen=True, slots=True)
class Refusals:
    """Whole messages, patterns with the words that fill them, and what the guide says to them."""

    answers: tuple[str, ...]
    questions: tuple[str, ...]
    lines: tuple[str, ...]
    subject_patterns: tuple[str, ...]
    subjects: tuple[str, ...]
    things: tuple[str, ...]
    action_patterns: tuple[str, ...]
    verbs: tuple[str, ...]
    objects: tuple[str, ...]
    near_actions: tuple[str, ...]
    deeds: tuple[str, ...]
    possessions: tuple[str, ...]
    invented_patterns: tuple[str, ...]
    number_patterns: tuple[str, ...]
    noun_patterns: tuple[str, ...]
    nouns: tuple[str, ...]
    adjectives: tuple[str, ...]
    plural_patterns: tuple[str, ...]
    plurals: tuple[str, ...]
    persons: tuple[str, ...]
    qualities: tuple[str, ...]


REFUSALS = read(PHRASES_FOLDER / "refusals.toml", Refusals, slots=("", *"abmnptu"))


def _from_anybody(rng: random.Random) -> str:
    """One message that has nothing to do with the app."""
    if rng.random() < 0.6:
        return rng.choice(REFUSALS.lines)
    return rng.choice(REFUSALS.plural_patterns).format(
        t=rng.choice(REFUSALS.plurals),
        u=rng.choice(REFUSALS.plurals),
        p=rng.choice(REFUSALS.persons),
        a=rng.choice(REFUSALS.qualities),
    )


def _about_the_world(rng: random.Random) -> str:
    return rng.choice(REFUSALS.noun_patterns).format(
        n=rng.choice(REFUSALS.nouns),
        m=rng.choice(REFUSALS.nouns),
        a=rng.choice(REFUSALS.adjectives),
    )


def refusal_message(rng: random.Random) -> str:
    """A message from outside the guide's field."""
    kind = rng.random()
    if rng.random() < 0.35:
        return _from_anybody(rng)
    if rng.random() < 0.22:
        return _about_the_world(rng)
    if rng.random() < 0.06:
        top = rng.choice((12, 99, 999, 2030, 9999))
        pattern = rng.choice(REFUSALS.number_patterns)
        return pattern.format(a=rng.randint(2, top), b=rng.randint(2, top))
    if kind < 0.38:
        pattern = rng.choice(REFUSALS.subject_patterns)
        subjects = (*REFUSALS.subjects, *REFUSALS.things)
        return _fill(pattern, [rng.choice(subjects) for _ in range(pattern.count("{}"))])
    if kind < 0.42:
        deed = f"{rng.choice(REFUSALS.deeds)} {rng.choice(REFUSALS.possessions)}"
        return _fill(
            rng.choice(("{}", "can you {}", "{} for me", "please {}", "will you {}")), [deed]
        )
    if kind < 0.54:
        return _fill(
            rng.choice(REFUSALS.action_patterns),
            [f"{rng.choice(REFUSALS.verbs)} {rng.choice(REFUSALS.objects)}"],
        )
    if kind < 0.64:
        return _fill(rng.choice(REFUSALS.action_patterns), [rng.choice(REFUSALS.near_actions)])
    if kind < 0.76:
        pattern = rng.choice(REFUSALS.invented_patterns)
        return _fill(pattern, [invented_word(rng) for _ in range(pattern.count("{}"))])
    return rng.choice(REFUSALS.questions)


def _fill(pattern: str, values: list[str]) -> str:
    return pattern.format(*values)
