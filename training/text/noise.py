"""How people really type: lower case, no punctuation, typos, words in front and after."""

import random
import re
from dataclasses import dataclass

from training.text.data import PHRASES_FOLDER, read


@dataclass(frozen=True, slots=True)
class Noise:
    """What comes in front of, behind, between and instead of the words of a message."""

    openers: tuple[str, ...]
    closers: tuple[str, ...]
    before: tuple[str, ...]
    between: tuple[str, ...]
    left_out: tuple[str, ...]
    alike: tuple[tuple[str, ...], ...]
    neighbours: dict[str, str]
    short: dict[str, str]
    names: dict[str, tuple[str, ...]]


NOISE = read(PHRASES_FOLDER / "noise.toml", Noise)
_ALIKE_TO = {word: group for group in NOISE.alike for word in group}
_SLOT = re.compile(r"(\{[^}]*\})")
_NAME = re.compile(
    r"(?<![\w{/-])(" + "|".join(sorted(NOISE.names, key=len, reverse=True)) + r")(?![\w}/-])"
)


def reworded(rng: random.Random, text: str) -> str:
    """`text` in other words: some replaced, one put in between, some left out."""
    words = text.split(" ")
    if rng.random() < 0.5:
        words = _replaced(rng, words, 0.35)
    if rng.random() < 0.12:
        words.insert(rng.randint(0, len(words)), rng.choice(NOISE.between))
    if len(words) > 3 and rng.random() < 0.12:
        kept = [w for w in words if w not in NOISE.left_out or rng.random() < 0.4]
        words = kept if len(kept) > 1 else words
    text = " ".join(words)
    if rng.random() < 0.08:
        text = rng.choice(NOISE.before) + text
    return text


def _replaced(rng: random.Random, words: list[str], chance: float) -> list[str]:
    """Words replaced by others like them; pairs of words count as one."""
    done: list[str] = []
    at = 0
    while at < len(words):
        for count in (2, 1):
            phrase = " ".join(words[at : at + count])
            group = _ALIKE_TO.get(phrase)
            if group is not None:
                done.append(rng.choice(group) if rng.random() < chance else phrase)
                at += count
                break
        else:
            done.append(words[at])
            at += 1
    return done


def typed(rng: random.Random, text: str, *, frame: float = 0.35) -> str:
    """`text` as somebody might type it; parts in {braces} are left alone."""
    if rng.random() < frame:
        text = _framed(rng, text)
    if rng.random() < 0.12:
        text = _shortened(rng, text)
    if rng.random() < 0.17:
        for _ in range(1 if rng.random() < 0.75 else 2):
            text = _with_typo(rng, text)
    return _punctuated(rng, _cased(rng, text))


def _framed(rng: random.Random, text: str) -> str:
    draw = rng.random()
    if draw < 0.65:
        text = rng.choice(NOISE.openers) + text
    if draw > 0.5:
        text = text.rstrip("?!. ") + rng.choice(NOISE.closers)
    return text


def _shortened(rng: random.Random, text: str) -> str:
    found = [word for word in NOISE.short if f" {word} " in f" {text} "]
    if not found:
        return text
    word = rng.choice(found)
    return f" {text} ".replace(f" {word} ", f" {NOISE.short[word]} ", 1).strip()


def _with_typo(rng: random.Random, text: str) -> str:
    """One slip of the finger in a word of four letters or more, outside the braces."""
    parts = _SLOT.split(text)
    spots = [
        (index, match.start(), match.end())
        for index, part in enumerate(parts)
        if not part.startswith("{")
        for match in re.finditer(r"[A-Za-z]{4,}", part)
    ]
    if not spots:
        return text
    index, start, end = rng.choice(spots)
    part = parts[index]
    parts[index] = part[:start] + _slip(rng, part[start:end]) + part[end:]
    return "".join(parts)


def _slip(rng: random.Random, word: str) -> str:
    at = rng.randrange(1, len(word) - 1)
    match rng.randrange(4):
        case 0:
            return word[:at] + word[at + 1 :]
        case 1:
            return word[:at] + word[at + 1] + word[at] + word[at + 2 :]
        case 2:
            return word[:at] + word[at] + word[at:]
        case _:
            near = NOISE.neighbours.get(word[at].lower(), "e")
            return word[:at] + rng.choice(near) + word[at + 1 :]


def _cased(rng: random.Random, text: str) -> str:
    """`text` in the capitals that somebody gives it: none, a first one, names, or every word.

    Words from anywhere get some, or capitals alone would tell what belongs to the app.
    """
    parts = [p if p.startswith("{") else _with_capitals(rng, p) for p in _SLOT.split(text)]
    draw = rng.random()
    if draw < 0.3 and parts[0]:
        parts[0] = parts[0][0].upper() + parts[0][1:]
    if draw < 0.15:
        parts = [p if p.startswith("{") else re.sub(r"\bi\b", "I", p) for p in parts]
    elif draw > 0.98:
        parts = [p if p.startswith("{") else p.upper() for p in parts]
    if rng.random() < 0.4:
        parts = [p if p.startswith("{") else p.replace("'", "") for p in parts]
    return "".join(parts)


def _with_capitals(rng: random.Random, text: str) -> str:
    """Names, every word or one word somewhere with capitals; mostly none."""
    if rng.random() < 0.45:
        text = _NAME.sub(lambda found: rng.choice(NOISE.names[found[1]]), text)
    draw = rng.random()
    if draw < 0.03:
        return re.sub(r"(?<![\w'`/-])[a-z]", lambda found: found[0].upper(), text)
    starts = [found.start() for found in re.finditer(r"(?<= )[a-z](?=[a-z]{3})", text)]
    if draw < 0.09 and starts:
        at = rng.choice(starts)
        return text[:at] + text[at].upper() + text[at + 1 :]
    return text


def _punctuated(rng: random.Random, text: str) -> str:
    if text[-1:] in "?!.:)" or rng.random() < 0.5:
        return text
    return text + rng.choice(("?", "?", "?", ".", "!", " ?", "??"))
