# ruff: noqa: E501 - lists of phrases read better unbroken
"""How people really type: lower case, no punctuation, typos, words in front and after."""

import random
import re

OPENERS = (
    "hey, ", "hi, ", "hello, ", "ok, ", "so ", "so, ", "um, ", "well, ", "please ", "and ", "but ",
    "sorry, ", "quick question: ", "question: ", "excuse me, ", "one more thing: ", "ok so ",
    "oh, ", "hmm, ", "now ", "hey there, ", "can you tell me, ", "tell me, ", "i wonder, ",
    "another question, ", "alright, ", "ok next: ", "i'm new to this. ", "just curious, ",
    "thanks. ", "thanks, and ", "great, ", "one question, ", "btw ", "actually, ", "cool, ",
    "i was wondering, ", "let me ask: ", "good, ", "ah ok, ", "hi! ", "hey! ", "yo ", "uh ",
    "i have a question: ", "could you tell me, ", "wait, ", "by the way, ", "also, ", "hello! ",
)  # fmt: skip
CLOSERS = (
    " please", " pls", ", please", " thanks", " thx", " exactly", " again", " here", " then", " now",
    " for me", ", thanks", " anyway", " in this app", " in farmesh", " really", "?!", "??", " :)",
    " if i may ask", " actually", " by the way", ", can you tell me", ", do you know", " lol", "...",
    " i'm curious", ", i'm new here", " in short", " at all", " btw", ", any idea", " mate", "!",
    " with this", " in farmesh chat", " precisely", ", tell me", " today", "  ", " i forgot",
)  # fmt: skip
_SLOT = re.compile(r"(\{[^}]*\})")
_NEIGHBOURS = {
    "a": "sq", "b": "vn", "c": "xv", "d": "sf", "e": "wr", "f": "dg", "g": "fh", "h": "gj",
    "i": "uo", "j": "hk", "k": "jl", "l": "k", "m": "n", "n": "bm", "o": "ip", "p": "o", "q": "w",
    "r": "et", "s": "ad", "t": "ry", "u": "yi", "v": "cb", "w": "qe", "x": "zc", "y": "tu", "z": "x",
}  # fmt: skip
_SHORT = {
    "you": "u", "are": "r", "your": "ur", "please": "pls", "what": "wat", "want to": "wanna",
    "going to": "gonna", "because": "cuz", "to": "2", "for": "4", "and": "&", "with": "w/",
    "what is": "whats", "do not": "dont", "i would like to": "id like to", "okay": "k",
    "the": "teh", "favourite": "fav", "favorite": "fav", "my": "mi", "people": "ppl",
}  # fmt: skip


def typed(rng: random.Random, text: str, *, frame: float = 0.35) -> str:
    """`text` as somebody might type it; parts in {braces} are left alone."""
    if rng.random() < frame:
        text = _framed(rng, text)
    if rng.random() < 0.12:
        text = _shortened(rng, text)
    if rng.random() < 0.22:
        for _ in range(1 if rng.random() < 0.75 else 2):
            text = _with_typo(rng, text)
    return _punctuated(rng, _cased(rng, text))


def _framed(rng: random.Random, text: str) -> str:
    draw = rng.random()
    if draw < 0.65:
        text = rng.choice(OPENERS) + text
    if draw > 0.5:
        text = text.rstrip("?!. ") + rng.choice(CLOSERS)
    return text


def _shortened(rng: random.Random, text: str) -> str:
    found = [word for word in _SHORT if f" {word} " in f" {text} "]
    if not found:
        return text
    word = rng.choice(found)
    return f" {text} ".replace(f" {word} ", f" {_SHORT[word]} ", 1).strip()


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
            near = _NEIGHBOURS.get(word[at].lower(), "e")
            return word[:at] + rng.choice(near) + word[at + 1 :]


def _cased(rng: random.Random, text: str) -> str:
    draw = rng.random()
    parts = _SLOT.split(text)
    if draw < 0.3 and parts[0]:
        parts[0] = parts[0][0].upper() + parts[0][1:]
    if draw < 0.15:
        parts = [p if p.startswith("{") else re.sub(r"\bi\b", "I", p) for p in parts]
    elif draw > 0.98:
        parts = [p if p.startswith("{") else p.upper() for p in parts]
    if rng.random() < 0.4:
        parts = [p if p.startswith("{") else p.replace("'", "") for p in parts]
    return "".join(parts)


def _punctuated(rng: random.Random, text: str) -> str:
    if text[-1:] in "?!.:)" or rng.random() < 0.5:
        return text
    return text + rng.choice(("?", "?", "?", ".", "!", " ?", "??"))
