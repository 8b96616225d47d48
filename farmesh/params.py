"""How the next token is chosen, and when a reply stops: values with their limits."""

from __future__ import annotations

import enum
import math
from dataclasses import dataclass

from farmesh.errors import InvalidSampling


@dataclass(frozen=True, slots=True)
class Knob:
    """One number of :class:`SamplingParams`: what it may be, and what it does."""

    name: str
    low: float
    high: float
    help: str
    whole: bool = False
    above: bool = False  # ``low`` itself is out of range

    def check(self, value: object) -> None:
        """Raises: InvalidSampling, with the name and what would do."""
        if not isinstance(value, int if self.whole else int | float) or isinstance(value, bool):
            kind = "a whole number" if self.whole else "a number"
            raise InvalidSampling(self.name, f"{self.name} must be {kind}, not {value!r}.")
        if not self.allows(value):
            raise InvalidSampling(self.name, f"{self.name} must be {self.range}, not {value:g}.")

    def allows(self, value: float) -> bool:
        inside = self.low < value if self.above else self.low <= value
        return math.isfinite(value) and inside and value <= self.high

    @property
    def range(self) -> str:
        """``between 0 and 1``, for a sentence."""
        if self.above:
            return f"above {self.low:,g} and at most {_plain(self.high)}"
        return f"between {_plain(self.low)} and {_plain(self.high)}"


def _plain(number: float) -> str:
    return f"{number:,.0f}" if number == int(number) else f"{number:g}"


# The one list of them: validation, the programs' protocols, the page and the command lines read it.
KNOBS = (
    Knob("max_new_tokens", 1, 1_000_000, "longest reply, in tokens", whole=True),
    Knob("temperature", 0, 100, "0: always the likeliest token; higher: more variety"),
    Knob(
        *("top_p", 0, 1, "only the likeliest tokens that together have this probability; 1: off"),
        above=True,
    ),
    Knob("top_k", 0, 1_000_000, "only the N likeliest tokens; 0: off", whole=True),
    Knob("min_p", 0, 1, "only tokens at least this likely relative to the likeliest; 0: off"),
    Knob("typical_p", 0, 1, "only tokens of typical surprise; 1: off", above=True),
    Knob(
        "repetition_penalty",
        *(0, 10, "above 1: tokens that already occurred become less likely; 1: off"),
        above=True,
    ),
    Knob("presence_penalty", -2, 2, "above 0: against any token that already occurred; 0: off"),
    Knob("frequency_penalty", -2, 2, "above 0: against a token, each time it occurred; 0: off"),
    Knob(
        *("no_repeat_ngram_size", 0, 1000, "no sequence of N tokens occurs twice; 0: off"),
        whole=True,
    ),
)
KNOB = {knob.name: knob for knob in KNOBS}


class GrammarKind(enum.StrEnum):
    """How a grammar is written."""

    JSON = "json"  # a JSON schema
    REGEX = "regex"  # a regular expression of the whole reply
    CHOICE = "choice"  # a JSON list of texts, of which the reply is one
    GRAMMAR = "grammar"  # llguidance's Lark, or llama.cpp's GBNF


@dataclass(frozen=True, slots=True)
class Grammar:
    """The form that a reply must have; whoever knows the vocabulary holds it to that."""

    kind: GrammarKind
    text: str


@dataclass(frozen=True, slots=True)
class SamplingParams:
    """How the next token is chosen and when to stop. Neutral values switch a control off.

    ``stop`` strings are matched by :class:`farmesh.text.TextStream`, where text exists; the
    engine itself sees only token ids.
    """

    max_new_tokens: int = 256
    temperature: float = 1.0  # 0 means greedy
    top_p: float = 1.0
    top_k: int = 0  # 0: off
    min_p: float = 0.0
    typical_p: float = 1.0
    repetition_penalty: float = 1.0
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    no_repeat_ngram_size: int = 0  # 0: off
    seed: int | None = None  # None: a fresh one for every reply
    stop: tuple[str, ...] = ()
    stop_token_ids: tuple[int, ...] = ()  # beside the checkpoint's own end-of-sequence tokens
    ignore_eos: bool = False
    logprobs: int | None = None  # None: not told; else of the token and of so many likeliest ones
    grammar: Grammar | None = None  # None: the reply is free

    def __post_init__(self) -> None:
        for knob in KNOBS:
            knob.check(getattr(self, knob.name))
        if self.seed is not None and (
            not isinstance(self.seed, int)
            or isinstance(self.seed, bool)
            or not 0 <= self.seed < 2**63
        ):
            raise InvalidSampling("seed", "seed must be a whole number from 0 to 2^63 - 1.")
        if any(not text for text in self.stop) or len(self.stop) > MAX_STOP_STRINGS:
            raise InvalidSampling(
                "stop", f"stop takes at most {MAX_STOP_STRINGS} strings, none of them empty."
            )
        if self.logprobs is not None and (
            type(self.logprobs) is not int or not 0 <= self.logprobs <= MAX_LOGPROBS
        ):
            raise InvalidSampling(
                "logprobs", f"logprobs must be a whole number from 0 to {MAX_LOGPROBS}."
            )

    @property
    def greedy(self) -> bool:
        return self.temperature < MIN_TEMPERATURE or self.top_k == 1


MAX_STOP_STRINGS = 16
MAX_LOGPROBS = 20  # likeliest tokens that are told beside the chosen one
MIN_TEMPERATURE = 1e-5  # below it logits overflow float32 and only the best token is left anyway
