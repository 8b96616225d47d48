"""The sampling controls of the page: their ranges and words, presets, and reading them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from chat.words import count
from farmesh.errors import InvalidSampling
from farmesh.params import KNOB, SamplingParams


@dataclass(frozen=True, slots=True)
class Slider:
    """How the page shows one knob: over the values that people use, not all that are allowed."""

    name: str  # of the knob
    label: str
    low: float
    high: float
    step: float
    info: str
    common: bool = False  # shown at once, not behind "More"


SLIDERS = (
    Slider("temperature", "Temperature", 0, 2, 0.05, "0 always takes the likeliest token", True),
    Slider(
        "top_p", "Top-p", 0.01, 1, 0.01, "the likeliest tokens up to this share; 1 is off", True
    ),
    Slider("top_k", "Top-k", 0, 200, 1, "only so many of the likeliest tokens; 0 is off"),
    Slider(
        "min_p", "Min-p", 0, 1, 0.01, "nothing less likely than this share of the best; 0 is off"
    ),
    Slider("typical_p", "Typical-p", 0.01, 1, 0.01, "tokens of typical surprise; 1 is off"),
    Slider("repetition_penalty", "Repetition penalty", 0.5, 2, 0.01, "1 is off"),
    Slider("presence_penalty", "Presence penalty", -2, 2, 0.05, "against any token used; 0 is off"),
    Slider("frequency_penalty", "Frequency penalty", -2, 2, 0.05, "per use of a token; 0 is off"),
    Slider("no_repeat_ngram_size", "No repeated n-gram", 0, 20, 1, "length in tokens; 0 is off"),
)
LABELS = {slider.name: slider.label for slider in SLIDERS} | {"max_new_tokens": "Longest reply"}

# What the page's presets set; everything not named is neutral.
PRESETS: dict[str, dict[str, Any]] = {
    "Precise": {"temperature": 0.0},
    "Balanced": {"temperature": 0.7, "top_p": 0.9},
    "Lively": {"temperature": 1.1, "min_p": 0.05},
    "Neutral": {},
}
OWN_PRESET = "Model's own"
NUMBERS = (*(slider.name for slider in SLIDERS), "max_new_tokens")
PRESET_FIELDS = (*NUMBERS, "stop", "greedy")
MAX_PRESETS = 50


def preset(name: str, own: SamplingParams) -> SamplingParams:
    """The values of a preset; an unknown name means the model's own."""
    if name not in PRESETS:
        return own
    return SamplingParams(max_new_tokens=own.max_new_tokens, **PRESETS[name])


def preset_values(name: str, own: SamplingParams, kept: Mapping[str, Any]) -> dict[str, Any] | None:
    """The controls' values of a preset, kept ones first; None when there is no such preset."""
    if isinstance(saved := kept.get(name), dict):
        return {field: saved[field] for field in PRESET_FIELDS if field in saved}
    if name not in PRESETS and name != OWN_PRESET:
        return None
    params = preset(name, own)
    values = {field: getattr(params, field) for field in NUMBERS}
    return values | {"stop": "\n".join(params.stop), "greedy": False}


def has_values_of(
    name: str, values: Mapping[str, Any], own: SamplingParams, kept: Mapping[str, Any]
) -> bool:
    """Whether the controls stand as a preset wants them; a name that is none wants nothing."""
    wanted = preset_values(name, own, kept) or {}
    return all(values.get(field) == value for field, value in wanted.items())


def read(values: Mapping[str, Any]) -> SamplingParams:
    """The controls' values as the engine takes them; nothing is changed silently.

    Raises:
        InvalidSampling: a value is missing or out of range; the text says which and what would do.
    """
    wanted: dict[str, Any] = {name: _number(name, values.get(name)) for name in NUMBERS}
    wanted["seed"] = _seed(values.get("seed"))
    wanted["stop"] = stop_strings(values.get("stop") or "")
    wanted["ignore_eos"] = bool(values.get("ignore_eos"))
    if values.get("greedy"):
        wanted["temperature"] = 0.0
    return SamplingParams(**wanted)


def stop_strings(text: str) -> tuple[str, ...]:
    r"""One per line; ``\n`` and ``\t`` stand for a line's end and a tab."""
    lines = [line for line in text.split("\n") if line]
    return tuple(line.replace("\\n", "\n").replace("\\t", "\t") for line in lines)


def _number(name: str, value: object) -> float | int:
    knob, label = KNOB[name], LABELS[name]
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InvalidSampling(name, f"{label} needs a number.")
    if not knob.allows(value):
        raise InvalidSampling(name, f"{label} must be {knob.range}, not {value:g}.")
    if not knob.whole:
        return float(value)
    if value != int(value):
        raise InvalidSampling(name, f"{label} must be a whole number, not {value:g}.")
    return int(value)


def _seed(value: object) -> int | None:
    text = "" if value is None else str(value).strip()
    if not text:
        return None
    if not text.isascii() or not text.isdigit() or int(text) >= 2**63:
        raise InvalidSampling("seed", "Seed must be a whole number from 0 to 2^63 - 1, or empty.")
    return int(text)


def made_with(params: SamplingParams, seed: int | None, model: str = "") -> str:
    """The model and settings of a reply; those that are off are left out."""
    neutral, parts = SamplingParams(), [model] if model else []
    for name in ("max_new_tokens", *(slider.name for slider in SLIDERS)):
        value = getattr(params, name)
        if name in _ALWAYS_SAID or value != getattr(neutral, name):
            parts.append(_PHRASES.get(name, f"{LABELS[name].lower()} {{}}").format(f"{value:g}"))
    if params.stop:
        parts.append(f"stops at {count(len(params.stop), 'text')}")
    if seed is not None and not params.greedy:
        parts.append(f"seed {seed}")
    return ", ".join(parts)


_ALWAYS_SAID = ("max_new_tokens", "temperature")
_PHRASES = {
    "max_new_tokens": "at most {} tokens",
    "no_repeat_ngram_size": "no repeated {}-gram",
}
