# ruff: noqa: E501 - lists of phrases read better unbroken
"""Small things the guide can do on request: repeat, spell, add up, compare."""

import random

from training.text import words as w
from training.text.noise import typed

_NUMBER_WORDS = [
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
    "twenty",
]

_REPEAT = (
    "repeat after me: {v}", "repeat {v}", "say {v}", 'say "{v}"', "repeat: {v}", "echo {v}",
    "repeat this: {v}", "please say {v}", "can you say {v}", "repeat the following: {v}",
    "can you repeat {v}", "say the words {v}", "write {v}", "copy {v}", "repeat the words {v}",
    "say after me: {v}", "please write: {v}", "say this: {v}", "could you repeat this: {v}",
    "repeat exactly: {v}", 'repeat "{v}"', "say the word {v}", "type {v}", "print {v}", "say: {v}",
    "now say {v}", "i want you to say {v}", "just say {v}", "write this down: {v}", "copy this: {v}",
    "can you copy this sentence: {v}", "repeat what i say: {v}", "say back {v}", "echo this: {v}",
    "parrot this: {v}", "please echo: {v}", "tell me this again: {v}", "would you say {v}",
    'repeat these words: "{v}"', 'please repeat "{v}"', 'write "{v}"', 'can you say "{v}"', "tell me: {v}",
    "repeat my words: {v}", "answer with {v}", "answer with: {v}", "reply with {v}", "reply with the words {v}",
    "your next message should be {v}", "output {v}", "give me back these words: {v}", "repeat after me {v}",
    "say exactly this: {v}", "say the following: {v}", "mirror this: {v}", 'echo "{v}"', "repeat to me: {v}",
    "could you say: {v}", "let me hear you say {v}", "say that: {v}", "copy these words: {v}", "quote: {v}",
)  # fmt: skip
# Parts of which more requests are put together.
_PLEASE = ("", "", "", "please ", "pls ", "can you ", "could you ", "would you please ", "can you please ", "now ",
           "ok, ", "just ", "i want you to ", "i'd like you to ", "go ahead and ", "kindly ", "then ")  # fmt: skip
_SAY = ("repeat", "say", "echo", "copy", "write", "type", "print", "parrot", "quote", "recite", "read out", "write out",
        "restate", "utter", "give back", "send back", "return", "output", "reproduce")  # fmt: skip
_WHAT = ("", "", "this", "that", "the following", "these words", "this line", "this sentence", "this text", "my words",
         "the next words", "the words", "what follows", "this phrase", "the phrase", "this one", "the sentence")  # fmt: skip
_HOW = ("", "", "", "word for word", "for me", "unchanged", "as it is", "once", "without changes", "one time", "aloud")  # fmt: skip
_SPELL = (
    "spell {v}", "how do i spell {v}", "can you spell {v}", "spell the word {v}", "please spell {v}",
    "how is {v} spelled", "how is {v} written", "spell {v} for me", "what is the spelling of {v}",
    'spell "{v}"', "what letters are in {v}", "how to spell {v}", "spelling of {v}", "{v}, spell it",
    "could you spell {v}", "give me the letters of {v}", "how does one spell {v}", "now spell {v}",
    "which letters make up {v}", "tell me how {v} is spelled", "i want you to spell {v}",
    "spell me {v}", "how would you spell {v}", "letters of {v}", "do you know how to spell {v}",
    "can you tell me how to spell the word {v}", "spell out {v}", "spell out the word {v}",
    "spell {v} one letter at a time", "letter for letter: {v}", "{v} in single letters please",
    'how do i write "{v}"', "how do i write {v}", "break {v} into letters", "take {v} apart into letters",
    "the spelling of {v} please", "i can't spell {v}", "what's the spelling of {v}", 'spell the word "{v}"',
    "list the letters in {v}", "split {v} into its letters", "spell this word: {v}", "can you spell out {v}",
    "tell me the letters in {v}", "please spell the word {v}", "say the letters of {v}", "spell: {v}",
)  # fmt: skip
_ADD: tuple[str, ...] = (
    "what is {a} + {b}", "{a} + {b}", "{a}+{b}", "{a} plus {b}", "what is {a} plus {b}", "{a}+{b}=",
    "add {a} and {b}", "what's {a} + {b}", "how much is {a} + {b}", "{a} + {b} = ?", "{a} and {b} makes",
    "sum of {a} and {b}", "the sum of {a} and {b}", "how much is {a} and {b}", "calculate {a} + {b}",
    "can you add {a} to {b}", "what do {a} and {b} make", "compute {a}+{b}", "add {a} to {b}",
    "what do i get when i add {a} and {b}", "{a} plus {b} is", "what does {a} + {b} equal",
    "tell me {a} + {b}", "how much are {a} and {b} together", "do you know what {a} + {b} is",
    "i have {a} coins and find {b} more, how many are there", "whats {a}+{b}", "what's {a}+{b}",
    "if you have {a} eggs and buy {b} more, how many eggs", "solve {a} + {b}", "total of {a} and {b}",
    "there are {a} birds and {b} more come, how many birds are there", "please add up {a} and {b}",
    "sum {a} and {b}", "if i add {b} to {a}, what is it", "the result of {a} + {b}", "work out {a} + {b}",
    "what comes out of {a} + {b}", "{a} add {b}", "{a}and {b} more is what", "what's {a} and {b}",
    "could you work out {a} plus {b}", "give me the sum of {a} and {b}", "{a} + {b} please", "count {a} + {b}",
    "how many are {a} and {b}", "i am {a} years old, how old in {b} years", "what is the total of {a} and {b}",
)  # fmt: skip
_SUBTRACT: tuple[str, ...] = (
    "what is {a} - {b}", "{a} - {b}", "{a}-{b}", "{a} minus {b}", "what is {a} minus {b}", "{a}-{b}=",
    "what's {a} - {b}", "how much is {a} - {b}", "{a} - {b} = ?", "take {b} from {a}", "{a} less {b}",
    "take away {b} from {a}", "calculate {a} - {b}", "what is left of {a} when i take {b}",
    "what's the difference between {a} and {b}", "compute {a}-{b}", "what does {a} - {b} equal",
    "i have {a} coins and lose {b}, how many are left", "subtract {b} from {a}", "whats {a}-{b}",
    "if i have {a} cookies and eat {b}, how many are left", "solve {a} - {b}", "tell me {a} minus {b}",
    "there are {a} birds and {b} fly away, how many remain", "how much is {a} minus {b}",
    "from {a} take {b}", "what's {a} minus {b}", "deduct {b} from {a}", "the result of {a} - {b}",
    "what remains when i take {b} from {a}", "work out {a} - {b}", "{a} take away {b}", "{a} - {b} please",
    "the difference of {a} and {b}", "i had {a} apples and gave away {b}, how many do i have",
    "what comes out of {a} - {b}", "could you work out {a} minus {b}", "how much is left if i spend {b} of {a}",
)  # fmt: skip
_MULTIPLY: tuple[str, ...] = (
    "what is {a} * {b}", "{a} * {b}", "{a}*{b}", "{a} times {b}", "what is {a} times {b}", "{a} x {b}",
    "multiply {a} and {b}", "what's {a} * {b}", "how much is {a} times {b}", "{a} * {b} = ?",
    "{a} multiplied by {b}", "calculate {a} * {b}", "product of {a} and {b}", "what is {a}x{b}",
    "what does {a} times {b} make", "multiply {a} by {b}", "compute {a} x {b}", "whats {a}*{b}",
    "what do i get from {a} times {b}", "tell me {a} times {b}", "solve {a} * {b}", "what's {a} times {b}",
    "how much is {a} * {b}", "the product of {a} and {b}", "work out {a} times {b}", "{a} times {b} is",
    "{a} boxes with {b} eggs each, how many eggs", "the result of {a} * {b}", "{a} times {b} please",
)  # fmt: skip
_BIGGER = (
    "which is bigger, {a} or {b}", "which is larger, {a} or {b}", "what is bigger, {a} or {b}",
    "which number is bigger: {a} or {b}", "which is greater, {a} or {b}", "is {a} or {b} bigger",
    "what is more, {a} or {b}", "which is more, {a} or {b}", "the bigger of {a} and {b}",
    "which of {a} and {b} is larger", "bigger: {a} or {b}", "max of {a} and {b}", "{a} or {b}, which is more",
    "who is bigger, {a} or {b}", "compare {a} and {b}", "what's larger, {a} or {b}",
    "tell me the larger of {a} and {b}", "which is the higher number, {a} or {b}",
    "what is the larger number, {a} or {b}", "of {a} and {b}, which is bigger", "{a} or {b}, which is bigger",
    "pick the larger one: {a} or {b}", "the greater of {a} and {b}", "which one is larger: {a} or {b}",
    "which of the two is more, {a} or {b}", "who has more: i with {a} or you with {b}", "what counts more, {a} or {b}",
    "{a} vs {b}, which one is bigger", "between {a} and {b}, which is greater", "which is the biggest: {a} or {b}",
    "{a} and {b}: which one is more", "is {a} or {b} the larger one", "tell me which is bigger: {a} or {b}",
    "what is the maximum of {a} and {b}", "give me the larger number: {a}, {b}", "which one is higher, {a} or {b}",
    "what is greater: {a} or {b}", "of the numbers {a} and {b}, which is higher", "bigger one, {a} or {b}",
    "who is older, somebody of {a} or somebody of {b}", "which costs more, something for {a} or for {b}",
    "do i get more with {a} or with {b}", "which is longer, {a} metres or {b} metres", "the highest of {a} and {b}", "what's the bigger number, {a} or {b}",
)  # fmt: skip
_SMALLER = (
    "which is smaller, {a} or {b}", "which is less, {a} or {b}", "what is smaller, {a} or {b}",
    "which number is smaller: {a} or {b}", "is {a} or {b} smaller", "what is less, {a} or {b}",
    "the smaller of {a} and {b}", "which of {a} and {b} is smaller", "smaller: {a} or {b}",
    "min of {a} and {b}", "which is the lower number, {a} or {b}", "what's less, {a} or {b}",
    "tell me the smaller of {a} and {b}", "of {a} and {b}, which is the smaller one", "{a} or {b}, which is less",
    "pick the smaller one: {a} or {b}", "the lesser of {a} and {b}", "which one is smaller: {a} or {b}",
    "which of the two is less, {a} or {b}", "{a} vs {b}, which one is smaller", "between {a} and {b}, which is smaller",
    "which is the smallest: {a} or {b}", "{a} and {b}: which one is less", "what is the minimum of {a} and {b}",
    "give me the smaller number: {a}, {b}", "which one is lower, {a} or {b}", "of the numbers {a} and {b}, which is lower",
    "smaller one, {a} or {b}", "who is younger, somebody of {a} or somebody of {b}", "which is cheaper, {a} or {b}",
    "which costs less, something for {a} or for {b}", "which is shorter, {a} metres or {b} metres", "is {a} or {b} the smaller one", "the lowest of {a} and {b}", "what's the smaller number, {a} or {b}",
)  # fmt: skip
_IS_MORE = ("is {a} bigger than {b}", "is {a} greater than {b}", "is {a} more than {b}",
            "is {a} larger than {b}", "is {a} > {b}", "{a} > {b}?", "would you say {a} is more than {b}",
            "is {a} higher than {b}", "is it true that {a} is bigger than {b}",
            "does {a} exceed {b}", "{a} is bigger than {b}, right", "is {a} above {b}", "{a} is more than {b}, true or false",
            "is the number {a} bigger than {b}", "do you think {a} is greater than {b}", "are {a} apples more than {b} apples")  # fmt: skip
_IS_LESS = ("is {a} smaller than {b}", "is {a} less than {b}", "is {a} lower than {b}",
            "is {a} < {b}", "{a} < {b}?", "is it true that {a} is less than {b}",
            "is {a} below {b}", "{a} is smaller than {b}, right", "{a} is less than {b}, true or false",
            "is the number {a} smaller than {b}", "do you think {a} is less than {b}", "is {a} under {b}", "are {a} apples less than {b} apples")  # fmt: skip


def repeat(rng: random.Random) -> tuple[str, str]:
    """A request to say something, and the reply."""
    text = phrase(rng)
    asked = typed(rng, rng.choice(_REPEAT) if rng.random() < 0.6 else _request(rng), frame=0.0)
    asked = asked if asked.endswith(("{v}", '"')) else asked.rstrip("?!. ")
    return asked.format(v=text), f"Here you go: {text}"


def _request(rng: random.Random) -> str:
    """A request to say something, put together from parts."""
    parts = (rng.choice(_SAY), rng.choice(_WHAT), rng.choice(_HOW))
    joint = rng.choice((": {v}", ": {v}", " {v}", ' "{v}"', ': "{v}"', " - {v}", ", {v}", ":\n{v}"))
    return rng.choice(_PLEASE) + " ".join(part for part in parts if part) + joint


def phrase(rng: random.Random) -> str:
    """A few words, usual and invented, in no order that could be guessed."""
    count = rng.choice((1, 1, 2, 3, 3, 4, 5, 6, 7, 9, 12))
    pools = (w.COMMON, w.EVERYDAY, w.EVERYDAY, w.FILLERS, w.FILLERS, w.NAMES, w.COLOURS, w.FOODS)
    picked = []
    invented = rng.choice((0.0, 0.1, 0.35, 0.6))  # some phrases are of usual words alone
    for _ in range(count):
        draw = rng.random()
        if draw < invented:
            picked.append(w.invented_word(rng))
        elif draw < invented + 0.07:
            picked.append(w.number(rng, (1, 3)))
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
    word = rng.choice((*w.COMMON, *w.EVERYDAY)) if rng.random() < 0.6 else w.invented_word(rng)
    if rng.random() < 0.1:
        word = rng.choice((*w.NAMES, *w.ANIMALS, *w.COLOURS, *w.FOODS, *w.JOBS)).split()[0]
    if rng.random() < 0.1:
        word = word.capitalize()
    asked = typed(rng, rng.choice(_SPELL), frame=0.1).format(v=word)
    return asked, f"The word {word} is spelled {'-'.join(word.lower())}."


def add_up(rng: random.Random) -> tuple[str, str]:
    """A small sum, difference or product, and the reply."""
    draw = rng.random()
    top = rng.choice((10, 20, 50, 99))
    a, b = rng.randint(0, top), rng.randint(0, top)
    if draw < 0.5:
        patterns, sign, result = _ADD, "+", a + b
    elif draw < 0.8:
        a, b = max(a, b), min(a, b)
        patterns, sign, result = _SUBTRACT, "-", a - b
    else:
        a, b = rng.randint(0, 12), rng.randint(0, 12)
        patterns, sign, result = _MULTIPLY, "*", a * b
    asked = typed(rng, rng.choice(patterns), frame=0.12)
    return asked.format(a=_figure(rng, a), b=_figure(rng, b)), f"{a} {sign} {b} = {result}."


def _figure(rng: random.Random, value: int) -> str:
    if value < len(_NUMBER_WORDS) and rng.random() < 0.12:
        return _NUMBER_WORDS[value]
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
    patterns = (_BIGGER, _SMALLER, _IS_MORE, _IS_LESS)[kind]
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
