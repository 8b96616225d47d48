# ruff: noqa: E501 - lists of phrases read better unbroken
"""Facts that people tell about themselves, and the ways to ask for them later.

Values are mostly drawn without end (invented words, random numbers), so that the only way to
answer is to look them up in the conversation.
"""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from training.text import words as w


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


# --- families of facts -------------------------------------------------------------------------


def name(rng: random.Random) -> Fact:
    return Fact(
        "name",
        w.proper(rng, w.NAMES),
        "",
        (
            "my name is {v}", "i'm {v}", "i am {v}", "call me {v}", "my name's {v}", "im {v}",
            "you can call me {v}", "they call me {v}", "people call me {v}", "i am called {v}",
            "the name is {v}", "it's {v} here", "this is {v}", "i'm called {v}", "my name = {v}",
            "i go by {v}", "name's {v}", "please call me {v}", "my friends call me {v}",
            "hi i'm {v}", "hello, i am {v}", "hi, my name is {v}", "{v} is my name", "i am {v}, hi",
            "hey, {v} here", "let me introduce myself: {v}", "my first name is {v}", "{v} here",
            "hey i'm {v}", "hey i am {v}", "hello i'm {v}", "hi i am {v}", "hi im {v}", "hey its {v}",
            "good morning, i'm {v}", "i am {v} by the way", "you're talking to {v}", "you are talking with {v}",
            "everybody calls me {v}", "i'm {v}, nice to meet you", "i was named {v}", "me {v}", "i'm {v} btw",
        ),
        (
            "what is my name", "what's my name", "whats my name", "who am i", "my name?",
            "do you know my name", "do you remember my name", "tell me my name", "what am i called",
            "what was my name", "what did i say my name was", "can you remember my name",
            "say my name", "what's my name again", "you forgot my name, right", "how am i called",
            "do you know who i am", "tell me who i am", "what name did i give you", "do you still know my name",
            "remind me what my name is", "what should you call me", "who are you talking to",
            "remember me", "do you remember who i am", "which name did i tell you", "and my name",
            "and what is my name", "what is my own name", "could you tell me my name",
            "say who i am", "so who am i", "repeat my name", "remind me of my own name",
            "what do people call me", "i forgot my name, what is it", "can you tell me who i am",
            "so what's my name", "tell me what i am called", "you know my name, right", "you still know my name?",
            "what name did i tell you", "how did i introduce myself", "do you recall my name", "who did i say i am",
            "hey, who am i again", "you still have my name?", "what was i called again", "my name please", "is my name still in your head",
            "have you kept my name", "and what about my name", "test: my name?", "which name is mine", "what did i tell you my name is",
            "just to check, what's my name", "i told you my name, what is it", "guess who i am", "so you know my name?", "how do i call myself",
            "what was my name again", "by what name do i go", "now what is my name", "ok and who am i",
        ),
        "my name",
        "your name is {v}",
        greeting=rng.choice(("Nice to meet you, {v}!", "Hello, {v}! What would you like to know?")),
    )  # fmt: skip


def home(rng: random.Random) -> Fact:
    return Fact(
        "home",
        w.proper(rng, w.PLACES),
        "",
        (
            "i live in {v}", "my home is in {v}", "i live near {v}", "i'm living in {v}",
            "i moved to {v}", "we live in {v}", "my house is in {v}", "i'm based in {v}",
            "i stay in {v}", "i currently live in {v}", "home is {v}", "i reside in {v}",
            "my city is {v}", "my town is {v}", "i have a flat in {v}", "i live over in {v}",
            "i've been living in {v} for years", "i settled in {v}", "you find me in {v}", "i am at home in {v}",
            "my place is in {v}", "i rent a room in {v}", "these days i live in {v}",
        ),
        (
            "where do i live", "where is my home", "which city do i live in", "what is my city",
            "do you remember where i live", "what town do i live in", "where am i living",
            "in which place do i live", "where's my home", "tell me where i live",
            "do you know where i live", "what city do i live in", "where did i say i live",
            "and where do i live", "which town is mine", "where is my house", "what's my home town",
            "which place do i live in", "in what city am i", "where am i based", "where do i have my home",
            "what's my city", "can you tell me where i live", "do you still know where i live", "which town do i live in",
            "what is the place where i live", "where am i at home", "my city?", "where was it that i live",
        ),
        "where i live",
        "you live in {v}",
    )  # fmt: skip


def origin(rng: random.Random) -> Fact:
    return Fact(
        "origin",
        w.proper(rng, w.PLACES),
        "",
        (
            "i'm from {v}", "i am from {v}", "i come from {v}", "im from {v}", "my family is from {v}",
            "i'm originally from {v}", "i grew up in {v}", "my roots are in {v}", "i hail from {v}",
            "greetings from {v}", "i was raised in {v}", "from {v}", "my home country is {v}",
        ),
        (
            "where am i from", "where do i come from", "where did i grow up", "where i am from",
            "do you know where i am from", "which country am i from", "what is my origin",
            "which place am i from", "what city am i from", "do you remember where i come from",
            "tell me where i am from", "where did i say i'm from", "and where am i from",
        ),
        "where i am from",
        "you are from {v}",
    )  # fmt: skip


def birthplace(rng: random.Random) -> Fact:
    return Fact(
        "birthplace",
        w.proper(rng, w.PLACES),
        "",
        ("i was born in {v}", "my birthplace is {v}", "my place of birth is {v}", "born in {v}"),
        (
            "where was i born", "what is my birthplace", "in which city was i born",
            "what's my place of birth", "do you know where i was born", "tell me where i was born",
            "which town was i born in", "remember where i was born",
        ),
        "where i was born",
        "you were born in {v}",
    )  # fmt: skip


def age(rng: random.Random) -> Fact:
    return Fact(
        "age",
        str(rng.randint(5, 99)),
        "",
        (
            "i am {v} years old", "i'm {v}", "i am {v}", "my age is {v}", "i'm {v} years old",
            "i turned {v}", "im {v} yrs old", "i just turned {v}", "i will be {v} soon", "im {v}",
        ),
        (
            "how old am i", "what is my age", "what's my age", "do you know how old i am",
            "my age?", "tell me my age", "how many years old am i", "do you remember my age",
            "what age am i", "how old did i say i am", "and how old am i",
        ),
        "my age",
        "you are {v} years old",
    )  # fmt: skip


def birthday(rng: random.Random) -> Fact:
    month = w.cased(rng, rng.choice(w.MONTHS), lower=0.3)
    value = month if rng.random() < 0.5 else f"{rng.randint(1, 31)} {month}"
    return Fact(
        "birthday",
        value,
        "",
        (
            "my birthday is in {v}", "my birthday is {v}", "i was born in {v}", "my bday is {v}",
            "my birthday is on {v}", "i have my birthday in {v}", "i celebrate my birthday in {v}",
        ) if value == month else (
            "my birthday is on {v}", "my birthday is {v}", "my bday is {v}", "my birthday: {v}",
        ),
        (
            "when is my birthday", "what is my birthday", "when's my birthday", "my birthday?",
            "do you remember my birthday", "when do i have my birthday", "tell me my birthday",
            "which month is my birthday", "when was i born", "in what month is my birthday",
            "what day is my birthday", "do you know when my birthday is",
        ),
        "my birthday",
        "your birthday is in {v}" if value == month else "your birthday is on {v}",
    )  # fmt: skip


def job(rng: random.Random) -> Fact:
    value = w.common(rng, w.JOBS, invented=0.3)
    article = "an" if value[0] in "aeiou" else "a"
    return Fact(
        "job",
        value,
        article,
        (
            "i am {r} {v}", "i'm {r} {v}", "i work as {r} {v}", "my job is {v}", "im {r} {v}",
            "i'm {r} {v} by trade", "i earn my money as {r} {v}", "my profession is {v}",
            "i'm working as {r} {v}", "i have a job as {r} {v}", "my work is {v}", "i became {r} {v}",
        ),
        (
            "what is my job", "what's my job", "what do i do for a living", "what do i work as",
            "what's my profession", "do you remember my job", "what am i by profession",
            "what kind of work do i do", "what is my work", "tell me my job", "my job?",
            "how do i earn my money", "do you know what i do", "what do i do for work",
            "which job do i have", "what is my occupation", "what am i working as", "what did i say my job is",
            "what job did i tell you", "how do i make a living", "what do i do all day", "do you still know my job",
            "what kind of job do i have", "what do i do", "and my job", "what was my job",
        ),
        "my job",
        "you are {r} {v}",
    )  # fmt: skip


_KINDS: dict[str, Callable[[random.Random], str]] = {
    "colour": lambda r: w.common(r, w.COLOURS, 0.3),
    "color": lambda r: w.common(r, w.COLOURS, 0.3),
    "food": lambda r: w.common(r, w.FOODS, 0.3),
    "dish": lambda r: w.common(r, w.FOODS, 0.3),
    "meal": lambda r: w.common(r, w.FOODS, 0.3),
    "drink": lambda r: w.common(r, w.DRINKS),
    "fruit": lambda r: w.common(r, w.FRUITS),
    "vegetable": lambda r: w.common(r, w.FOODS),
    "dessert": lambda r: w.common(r, w.FOODS),
    "animal": lambda r: w.common(r, w.CREATURES),
    "bird": lambda r: w.common(r, w.CREATURES),
    "sport": lambda r: w.common(r, w.SPORTS),
    "game": lambda r: w.common(r, w.SPORTS),
    "hobby": lambda r: w.common(r, w.HOBBIES),
    "instrument": lambda r: w.common(r, w.INSTRUMENTS),
    "season": lambda r: r.choice(w.SEASONS),
    "month": lambda r: w.cased(r, r.choice(w.MONTHS), 0.3),
    "day": lambda r: w.cased(r, r.choice(w.DAYS), 0.3),
    "number": lambda r: w.number(r, (1, 4)),
    "city": lambda r: w.proper(r, w.PLACES),
    "country": lambda r: w.proper(r, w.PLACES),
    "place": lambda r: w.proper(r, w.PLACES),
    "movie": lambda r: w.proper(r, w.TITLES),
    "film": lambda r: w.proper(r, w.TITLES),
    "book": lambda r: w.proper(r, w.TITLES),
    "song": lambda r: w.proper(r, w.TITLES),
    "band": lambda r: w.proper(r, w.TITLES),
    "singer": lambda r: w.proper(r, w.NAMES),
    "word": lambda r: w.common(r, w.COMMON),
    "flower": lambda r: w.common(r, w.COMMON),
    "tree": lambda r: w.common(r, w.COMMON),
    "toy": lambda r: w.common(r, w.COMMON),
    "subject": lambda r: w.common(r, w.COMMON),
    "smell": lambda r: w.common(r, w.COMMON),
}


def favourite(rng: random.Random) -> Fact:
    if rng.random() < 0.85:
        kind = rng.choice(list(_KINDS))
        value = _KINDS[kind](rng)
    else:
        kind = rng.choice((rng.choice(w.COMMON), w.invented_word(rng)))
        value = w.common(rng, w.COMMON)
    fav = rng.choice(("favourite", "favorite"))
    told = [
        f"my {fav} {{r}} is {{v}}", "my fav {r} is {v}", f"{{v}} is my {fav} {{r}}",
        "the {r} i like most is {v}", "the {r} i like best is {v}", f"my {fav} {{r}}: {{v}}",
        "the best {r} for me is {v}", f"my all time {fav} {{r}} is {{v}}",
        "of all {r}s i like {v} most", f"my very {fav} {{r}} has always been {{v}}",
        "as for the {r}, i prefer {v}", f"for me the {fav} {{r}} is {{v}}", "i like the {r} {v} best",
        f"my {fav} {{r}} is the {{v}}", "{v} is the {r} i like best", f"{{v}}, that's my {fav} {{r}}",
        f"i have a {fav} {{r}}: {{v}}", "when it comes to {r}s i like {v}", f"i'd say {{v}} is my {fav} {{r}}",
    ]  # fmt: skip
    asked = [
        f"what is my {fav} {{r}}", f"what's my {fav} {{r}}", f"whats my {fav} {{r}}",
        f"do you remember my {fav} {{r}}", f"which {{r}} is my {fav}", "which {r} do i like most",
        "what {r} do i like", "which {r} do i like best", f"tell me my {fav} {{r}}",
        f"what was my {fav} {{r}}", f"do you know my {fav} {{r}}", f"my {fav} {{r}}?",
        "which {r} do i prefer", "what's the {r} i like best", f"name my {fav} {{r}}",
        f"what did i say my {fav} {{r}} was", "what is my fav {r}", "what {r} do i like the most",
        f"and my {fav} {{r}}", f"can you remember my {fav} {{r}}", "which {r} did i say i like",
        f"can you recall my {fav} {{r}}", f"remind me what my {fav} {{r}} is", "what {r} do i love",
        "what {r} did i say i like", "which {r} do i love most", "the {r} i like best?", "what {r} do i like best",
        f"which {{r}} did i call my {fav}", f"what did i tell you about my {fav} {{r}}", "what {r} is the best for me",
        f"do you still know my {fav} {{r}}", f"now what's my {fav} {{r}}", "what's the {r} i like most",
    ]  # fmt: skip
    if kind in ("food", "dish", "meal"):
        told += ["i love to eat {v}", "i like eating {v}", "i like {v} more than any other food"]
        asked += ["what do i like to eat", "what do i love to eat", "what do i eat most gladly"]
    if kind == "drink":
        told += ["i love to drink {v}", "i like to drink {v}"]
        asked += ["what do i like to drink", "what do i love to drink"]
    if kind in ("colour", "color"):
        told += ["i like {v} best of all colours", "i like the colour {v}", "i love the color {v}"]
        told += ["i like {v}", "i love {v}"] if value in w.COLOURS else []
    return Fact(
        f"favourite {kind}",
        value,
        kind,
        tuple(told),
        tuple(asked),
        f"my {fav} {{r}}",
        f"your {fav} {{r}} is {{v}}",
    )


def _owned(rng: random.Random, owner: str, value: str, *, can_have: bool) -> Fact:
    told = [
        "my {r} is called {v}", "my {r}'s name is {v}", "my {r} is named {v}", "my {r}s name is {v}",
        "the name of my {r} is {v}", "my {r} goes by {v}", "{v} is the name of my {r}",
        "{v} is my {r}", "my {r} = {v}",
    ]  # fmt: skip
    if can_have:
        told += [
            "i have a {r} called {v}", "i have a {r} named {v}", "i've got a {r} called {v}",
            "i have a {r}, its name is {v}", "i have a {r}, his name is {v}", "i own a {r} named {v}",
            "i have a {r}, her name is {v}", "i got a {r} named {v}", "we have a {r} called {v}",
            "i've got a {r}, she is called {v}", "i have a {r} and he is called {v}",
            "there is my {r}, {v}", "i live with my {r} {v}", "we got a {r}, we call it {v}", "my {r} {v} is here",
            "meet my {r} {v}", "i have a little {r}, {v}", "our {r} is called {v}", "i named my {r} {v}",
        ]  # fmt: skip
    asked = [
        "what is my {r} called", "what's my {r}'s name", "what is my {r}'s name", "my {r}'s name?",
        "what is the name of my {r}", "what's my {r} called", "whats my {r}s name", "name of my {r}",
        "do you remember my {r}'s name", "how is my {r} called", "tell me the name of my {r}",
        "what is my {r}s name", "what did i call my {r}", "what name has my {r}", "my {r} is called?",
        "do you know what my {r} is called", "what was the name of my {r}", "and my {r}",
        "do you still know the name of my {r}", "and what's my {r} called", "what is my {r} named",
        "what's the name of my {r} again", "remind me of my {r}'s name", "and my {r}'s name",
        "what did i name my {r}", "which name did i give my {r}", "can you tell me my {r}'s name", "my {r}, what's the name",
        "how did i say my {r} is called", "my {r}, how is it called", "you know my {r}, what's the name", "tell me what my {r} is called",
        "what do we call my {r}", "which name does my {r} have", "i told you about my {r}, the name?", "what was my {r} called", "do you recall the name of my {r}", "name my {r}",
        "what's my {r} named again", "so what's the name of my {r}", "my {r} has which name",
    ]  # fmt: skip
    if owner in w.PEOPLE:
        told += ["my {r} is {v}"]
        asked += ["who is my {r}", "who's my {r}", "do you know who my {r} is", "and who is my {r}"]
    return Fact(
        f"name of {owner}",
        value,
        owner,
        tuple(told),
        tuple(asked),
        "my {r}'s name",
        "your {r} is called {v}",
        ("a {r} called {v}", "a {r} named {v}", "a {r} {v}", "my {r} {v}", "one {r}, {v}")
        if can_have
        else (),
    )


def pet(rng: random.Random) -> Fact:
    owner = rng.choice(w.ANIMALS) if rng.random() < 0.85 else w.invented_word(rng)
    return _owned(rng, owner, w.proper(rng, w.PET_NAMES), can_have=True)


def relative(rng: random.Random) -> Fact:
    return _owned(rng, rng.choice(w.PEOPLE), w.proper(rng, w.NAMES), can_have=True)


def belonging(rng: random.Random) -> Fact:
    return _owned(rng, rng.choice(w.BELONGINGS), w.proper(rng, w.PET_NAMES), can_have=True)


def colour_of(rng: random.Random) -> Fact:
    owner = rng.choice(
        (*w.BELONGINGS, "door", "hair", "coat", "bag", "hat", "shirt", "sofa", "cup")
    )
    return Fact(
        f"colour of {owner}",
        rng.choice(w.COLOURS),
        owner,
        (
            "my {r} is {v}", "i have a {v} {r}", "the colour of my {r} is {v}", "i own a {v} {r}",
            "the color of my {r} is {v}", "i drive a {v} {r}", "i bought a {v} {r}",
        ),
        (
            "what colour is my {r}", "what color is my {r}", "which colour has my {r}",
            "what is the colour of my {r}", "what's the color of my {r}", "my {r} is which colour",
            "do you remember the colour of my {r}", "which color is my {r}",
        ),
        "the colour of my {r}",
        "your {r} is {v}",
    )  # fmt: skip


def number_of(rng: random.Random) -> Fact:
    owner = rng.choice(
        ("lucky number", "house number", "phone number", "locker number", "room number", "pin",
         "code", "bus number", "door code", "seat number", "number", "ticket number", "shoe size",
         "score", "jersey number", "wifi code", "alarm code", "secret number", "magic number")
    )  # fmt: skip
    told = ["my {r} is {v}", "my {r}: {v}", "{v} is my {r}", "remember my {r}: {v}", "my {r} = {v}"]
    asked = [
        "what is my {r}", "what's my {r}", "do you remember my {r}", "tell me my {r}", "my {r}?",
        "what was my {r}", "whats my {r}", "do you know my {r}", "can you recall my {r}",
        "which {r} did i tell you", "do you still have my {r}", "and my {r}", "remind me of my {r}",
    ]  # fmt: skip
    if owner == "lucky number":
        told += ["i like the number {v}, it brings me luck", "the number {v} is my lucky number"]
        asked += ["which number is my lucky one", "which number brings me luck"]
    return Fact(
        owner, w.number(rng, (1, 6)), owner, tuple(told), tuple(asked), "my {r}", "your {r} is {v}"
    )


def told_thing(rng: random.Random) -> Fact:
    """Something to keep: a number, a word, a code, a password."""
    kind = rng.choice(("number", "code", "word", "password", "name", "secret word", "magic word",
                       "code word", "wifi password", "pin", "phrase", "address", "wifi code",
                       "door code", "room", "answer", "colour", "key", "plan", "title"))  # fmt: skip
    numeric = kind in ("number", "code", "pin", "wifi code", "door code", "room")
    value = w.number(rng, (1, 6)) if numeric else w.common(rng, w.COMMON, 0.5)
    if kind in ("name", "address", "title"):
        value = w.proper(rng, w.NAMES)
    return Fact(
        f"the {kind}",
        value,
        kind,
        (
            "remember the {r} {v}", "please remember the {r} {v}", "the {r} is {v}",
            "keep in mind that the {r} is {v}", "remember this {r}: {v}", "note the {r} {v}",
            "don't forget the {r} {v}", "remember that the {r} is {v}", "the {r} for today is {v}",
            "can you remember the {r} {v}", "the {r}: {v}", "please keep this {r}: {v}",
            "the {r} i want you to remember is {v}", "save the {r} {v}", "here is the {r}: {v}",
        ),
        (
            "what is the {r}", "what was the {r}", "which {r} did i tell you", "what's the {r}",
            "do you remember the {r}", "what {r} did i tell you", "tell me the {r}", "the {r}?",
            "what {r} did i ask you to remember", "do you still know the {r}", "what was that {r}",
            "which {r} should you remember", "can you tell me the {r} again", "recall the {r}",
            "what {r} did i give you", "do you have the {r}", "remind me of the {r}", "say the {r}",
            "what {r} should you keep", "the {r} again?", "i forgot the {r}", "what {r} did i mention", "now the {r} please", "do you recall the {r}", "and what was the {r}",
            "which {r} was it", "can you repeat the {r}", "give me the {r} again", "so what was the {r}",
        ),
        "the {r}",
        "the {r} is {v}",
    )  # fmt: skip


def hobby(rng: random.Random) -> Fact:
    return Fact(
        "hobby",
        w.common(rng, w.HOBBIES, 0.3),
        "",
        (
            "my hobby is {v}", "i like {v} in my free time", "my hobby: {v}", "i love {v}",
            "in my spare time i enjoy {v}", "i spend my weekends with {v}", "i'm into {v}",
            "for fun i do {v}", "i do {v} on sundays", "{v} is my hobby", "i'm fond of {v}", "{v} is what i do for fun",
            "my passion is {v}", "i enjoy {v} a lot", "my pastime is {v}",
        ),
        (
            "what is my hobby", "what's my hobby", "what do i do in my free time", "my hobby?",
            "do you remember my hobby", "what hobby do i have", "what am i into",
            "what do i like to do", "which hobby did i mention", "what do i do for fun",
            "what is my pastime", "what's my passion",
        ),
        "my hobby",
        "your hobby is {v}",
    )  # fmt: skip


def learning(rng: random.Random) -> Fact:
    music = rng.random() < 0.5
    value = w.common(rng, w.INSTRUMENTS if music else w.COMMON, 0.4)
    played = ("i play the {v}", "i am learning the {v}", "i'm learning to play the {v}",
              "i'm learning the {v}", "i play {v}", "i started to play the {v}", "my instrument is the {v}",
              "i practise the {v} every day", "i have lessons on the {v}")  # fmt: skip
    studied = ("i am learning {v}", "i'm learning {v}", "i study {v}", "i take lessons in {v}")
    asked_music = ("which instrument do i play", "what instrument do i play", "what do i play",
                   "what instrument am i learning", "what am i learning to play", "my instrument?",
                   "which instrument did i mention", "do you remember my instrument",
                   "which instrument am i learning to play", "what is my instrument")  # fmt: skip
    asked_study = ("what am i learning", "what do i study", "what am i studying",
                   "what do i learn", "what did i say i am learning")  # fmt: skip
    return Fact(
        "instrument" if music else "studies",
        value,
        "",
        played if music else studied,
        asked_music if music else asked_study,
        "my instrument" if music else "what i am learning",
        "you play the {v}" if music else "you are learning {v}",
    )


def dislike(rng: random.Random) -> Fact:
    return Fact(
        "dislike",
        w.common(rng, (*w.FOODS, *w.COMMON), 0.4),
        "",
        (
            "i hate {v}", "i can't stand {v}", "i don't like {v}", "i really dislike {v}", "what i hate is {v}", "{v} is what i hate most",
            "nothing is worse for me than {v}", "i am no fan of {v}", "i've never liked {v}",
        ),
        (
            "what do i hate", "what do i not like", "what don't i like", "what do i dislike", "what can't i stand", "what did i say i hate",
            "what is it that i hate", "do you remember what i don't like", "which thing do i hate",
        ),
        "what i don't like",
        "you don't like {v}",
    )  # fmt: skip


def allergy(rng: random.Random) -> Fact:
    return Fact(
        "allergy",
        w.common(rng, (*w.FOODS, *w.CREATURES), 0.4),
        "",
        (
            "i am allergic to {v}", "i'm allergic to {v}", "i have an allergy to {v}", "{v} makes me sick, i'm allergic", "my allergy is {v}",
            "i can't eat {v}, i'm allergic",
        ),
        (
            "what am i allergic to", "what's my allergy", "which allergy do i have", "do you know what i am allergic to", "what makes me sick",
            "what did i say i'm allergic to", "what should i not eat",
        ),
        "what i am allergic to",
        "you are allergic to {v}",
    )  # fmt: skip


def trip(rng: random.Random) -> Fact:
    return Fact(
        "trip",
        w.proper(rng, w.PLACES),
        "",
        (
            "i'm going to {v} next week", "i am travelling to {v}", "my next trip goes to {v}", "i fly to {v} tomorrow", "we are on our way to {v}",
            "i'm planning a trip to {v}", "on sunday i go to {v}", "our holiday is in {v} this year", "i will visit {v} soon",
        ),
        (
            "where am i going", "where do i travel to", "where does my trip go", "which place will i visit", "where am i flying to",
            "where did i say i'm going", "what's the goal of my trip", "do you remember where i'm going", "where is my holiday", "where will i go",
        ),
        "where i am going",
        "you are going to {v}",
    )  # fmt: skip


def appointment(rng: random.Random) -> Fact:
    what = rng.choice(("meeting", "train", "flight", "exam", "party", "appointment", "lesson", "call", "concert", "dinner",
                       "interview", "bus", "match", "class", "wedding", "test"))  # fmt: skip
    when = rng.choice(
        (
            f"at {rng.randint(1, 12)}",
            f"at {rng.randint(6, 22)}:{rng.choice(('00', '15', '30', '45'))}",
            f"on {w.cased(rng, rng.choice(w.DAYS), 0.4)}",
            f"in {w.cased(rng, rng.choice(w.MONTHS), 0.3)}",
            f"on {w.cased(rng, rng.choice(w.DAYS), 0.4)} at {rng.randint(1, 12)}",
        )
    )
    return Fact(
        f"time of {what}",
        when,
        what,
        (
            "my {r} is {v}", "the {r} is {v}", "i have a {r} {v}", "there's a {r} {v}", "remember, my {r} is {v}", "our {r} is {v}",
            "i've got a {r} {v}", "don't let me forget the {r} {v}",
        ),
        (
            "when is my {r}", "when's the {r}", "when is the {r}", "what time is my {r}", "when did i say the {r} is", "do you remember when my {r} is",
            "when do i have my {r}", "my {r} is when", "tell me when the {r} is", "and when is the {r}",
        ),
        "when my {r} is",
        "your {r} is {v}",
    )  # fmt: skip


def count_of(rng: random.Random) -> Fact:
    what = rng.choice(("sons", "daughters", "children", "brothers", "sisters", "cats", "dogs", "bikes", "books", "plants",
                       "rooms", "cousins", "hens", "guitars", "computers", "grandchildren"))  # fmt: skip
    value = rng.choice(
        (
            str(rng.randint(2, 60)),
            rng.choice(("two", "three", "four", "five", "six", "seven", "nine", "ten")),
        )
    )
    return Fact(
        f"number of {what}",
        value,
        what,
        ("i have {v} {r}", "i've got {v} {r}", "we have {v} {r}", "i own {v} {r}", "there are {v} {r} in my life", "i am blessed with {v} {r}"),
        (
            "how many {r} do i have", "how many {r} have i got", "what's the number of my {r}", "do you remember how many {r} i have",
            "how many {r} did i say i have", "tell me how many {r} i have", "and how many {r} do i have",
        ),
        "how many {r} i have",
        "you have {v} {r}",
    )  # fmt: skip


def anything(rng: random.Random) -> Fact:
    owner = rng.choice(w.COMMON) if rng.random() < 0.6 else w.invented_word(rng)
    return Fact(
        f"my {owner}",
        w.common(rng, w.COMMON, 0.6),
        owner,
        ("my {r} is {v}", "my {r}: {v}", "remember that my {r} is {v}", "i call my {r} {v}"),
        ("what is my {r}", "what's my {r}", "do you remember my {r}", "my {r}?", "tell me my {r}"),
        "my {r}",
        "your {r} is {v}",
    )


FAMILIES: tuple[tuple[Callable[[random.Random], Fact], float], ...] = (
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
    make: Callable[[random.Random], Fact] = rng.choices(makers, weights)[0]
    return make(rng)


def _colour(rng: random.Random) -> Fact:
    return next(fact for fact in iter(lambda: favourite(rng), None) if fact.about == "colour")


# Several facts in one sentence; {0.value} and {0.about} are of the first fact, and so on.
_Maker = Callable[[random.Random], Fact]
_INTRODUCTIONS: tuple[tuple[tuple[_Maker, ...], tuple[str, ...]], ...] = (
    ((name, origin), (
        "i'm {0.value} from {1.value}", "my name is {0.value} and i'm from {1.value}", "{0.value} from {1.value} here",
        "i am {0.value}, i come from {1.value}", "greetings from {1.value}, i'm {0.value}", "call me {0.value}, i'm from {1.value}",
    )),
    ((name, home), (
        "i'm {0.value} and i live in {1.value}", "my name is {0.value}, i live in {1.value}", "{0.value} here, living in {1.value}",
        "i'm {0.value}, home is {1.value}", "i live in {1.value} and my name is {0.value}", "they call me {0.value} here in {1.value}",
    )),
    ((name, job), (
        "i'm {0.value}, {1.about} {1.value}", "my name is {0.value} and i work as {1.about} {1.value}",
        "i'm {1.about} {1.value} named {0.value}", "{0.value}, {1.value} by profession", "i'm {0.value} and i'm {1.about} {1.value}",
    )),
    ((name, age), (
        "i'm {0.value}, {1.value} years old", "my name is {0.value} and i'm {1.value}", "{0.value}, {1.value}",
        "i'm {0.value} and i just turned {1.value}", "i'm {1.value} years old and my name is {0.value}",
    )),
    ((name, pet), (
        "i'm {0.value} and this is my {1.about} {1.value}", "my name is {0.value} and i have a {1.about} called {1.value}",
        "i'm {0.value}, my {1.about} is {1.value}", "{0.value} and my {1.about} {1.value} say hello",
        "my {1.about} is called {1.value}, i'm {0.value}",
    )),
    ((name, relative), (
        "i'm {0.value} and my {1.about} is called {1.value}", "{0.value} is my name, {1.value} is my {1.about}",
        "my {1.about} {1.value} and me, {0.value}, want to try this", "i'm {0.value}, and {1.value} is my {1.about}",
    )),
    ((home, pet), (
        "my {1.about} {1.value} and i share a flat in {0.value}", "i live in {0.value} and have a {1.about}, {1.value}",
        "we live in {0.value}, me and my {1.about} {1.value}",
    )),
    ((home, job), (
        "i work as {1.about} {1.value} in {0.value} where i live", "i live in {0.value} and i'm {1.about} {1.value}",
        "i'm {1.about} {1.value} living in {0.value}",
    )),
    ((name, _colour, pet), (
        "i'm {0.value}. i like {1.value}. my {2.about} is {2.value}", "my name is {0.value}, i love the colour {1.value} and my {2.about} is called {2.value}",
        "{0.value} here, fan of the colour {1.value}, owner of a {2.about} called {2.value}",
    )),
    ((name, home, pet), (
        "i'm {0.value}, i live in {1.value} and my {2.about} is called {2.value}", "{0.value} from the middle of {1.value}, with a {2.about} named {2.value}",
        "my name is {0.value}. i live in {1.value}. my {2.about} is {2.value}", "i have a {2.about} called {2.value}, i'm {0.value}, and {1.value} is where i live",
    )),
    ((name, job, home), (
        "i'm {0.value}, {1.about} {1.value} in {2.value}", "my name is {0.value}, i'm {1.about} {1.value} and i live in {2.value}",
    )),
    ((name, favourite, hobby), (
        "i'm {0.value}, my favourite {1.about} is {1.value} and my hobby is {2.value}", "my name is {0.value}. the {1.about} i like best is {1.value}. for fun i do {2.value}",
    )),
    ((relative, pet), (
        "my {0.about} is {0.value} and our {1.about} is {1.value}", "my {0.about} {0.value} has a {1.about}, no wait, i have it: {1.value}",
    )),
    ((favourite, favourite), (
        "my favourite {0.about} is {0.value} and my favourite {1.about} is {1.value}", "best {0.about}: {0.value}, best {1.about}: {1.value}",
        "i like {0.value} as {0.about} and {1.value} as {1.about}",
    )),
)  # fmt: skip


def introduction(rng: random.Random) -> tuple[str, list[Fact]]:
    """A sentence that tells several facts, as a template, and the facts."""
    makers, templates = rng.choice(_INTRODUCTIONS)
    return rng.choice(templates), [make(rng) for make in makers]


EVERYTHING_ASKED = (
    "what do you know about me", "what did i tell you about me", "tell me everything about me",
    "what do you remember about me", "what have i told you", "what did i tell you so far",
    "list what you know about me", "who am i and what do i like", "sum up what you know about me",
    "repeat all i told you", "what facts do you know about me", "tell me what you know about me",
    "can you say what you know of me", "what have you learned about me", "describe me",
    "what do you know of me so far", "what have you heard about me", "all you know about me please",
    "give me a summary of what i told you", "what have i said about myself", "what did you learn about me",
    "what did i say about myself", "everything i told you please", "what do you remember",
)  # fmt: skip
SEVERAL_ASKED = (
    "what are {a} and {b}", "what is {a} and what is {b}", "tell me {a} and {b}",
    "do you remember {a} and {b}", "what's {a} and {b}", "do you know {a} and {b}",
    "remind me of {a} and {b}", "{a} and {b}?", "can you tell me {a} and also {b}",
)  # fmt: skip
CHANGED = (
    "actually {s}", "no wait, {s}", "sorry, {s}", "correction: {s}", "i changed my mind, {s}",
    "i was wrong, {s}", "not true, {s}", "oh, i meant {s}", "wait, {s}", "no, {s}", "{s} now",
    "i lied, {s}", "update: {s}", "hmm, actually {s}", "forget that, {s}",
)  # fmt: skip
CHANGED_SHORT = ("no, it's {v}", "actually it's {v}", "it is {v} now", "wait, it's {v}",
                 "sorry, i meant {v}", "no, {v}", "i mean {v}", "make that {v}")  # fmt: skip
