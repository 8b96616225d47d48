"""How the next token is chosen and when a reply stops: values with their limits."""

from __future__ import annotations

import math
from dataclasses import dataclass

from farmesh.errors import InvalidSampling


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

    def __post_init__(self) -> None:
        for name, (low, high, unit) in _SAMPLING_LIMITS.items():
            value = getattr(self, name)
            if not isinstance(value, unit) or isinstance(value, bool):
                kind = "a whole number" if unit is int else "a number"
                raise InvalidSampling(name, f"{name} must be {kind}, not {value!r}.")
            number = float(getattr(self, name))
            if not (math.isfinite(number) and low <= number <= high):
                raise InvalidSampling(
                    name, f"{name} must be between {low:g} and {high:g}, not {number:g}."
                )
        if self.top_p == 0 or self.typical_p == 0:
            name = "top_p" if self.top_p == 0 else "typical_p"
            raise InvalidSampling(name, f"{name} must be greater than 0; 1 switches it off.")
        if self.repetition_penalty == 0:
            raise InvalidSampling(
                "repetition_penalty",
                "repetition_penalty must be greater than 0; 1 switches it off.",
            )
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

# name: (lowest, highest, type accepted)
_SAMPLING_LIMITS: dict[str, tuple[float, float, type | tuple[type, ...]]] = {
    "max_new_tokens": (1, 1_000_000, int),
    "temperature": (0.0, 100.0, (int, float)),
    "top_p": (0.0, 1.0, (int, float)),
    "top_k": (0, 1_000_000, int),
    "min_p": (0.0, 1.0, (int, float)),
    "typical_p": (0.0, 1.0, (int, float)),
    "repetition_penalty": (0.0, 10.0, (int, float)),
    "presence_penalty": (-2.0, 2.0, (int, float)),
    "frequency_penalty": (-2.0, 2.0, (int, float)),
    "no_repeat_ngram_size": (0, 1000, int),
}
