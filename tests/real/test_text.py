"""Text from the tokens of a real vocabulary, as it is shown while it grows."""

from __future__ import annotations

import random
from typing import Any

import pytest

from farmesh.text import REPLACEMENT, TextStream

SAMPLES = {
    "emoji": "Hello 👋🏽! A family: 👨‍👩‍👧‍👦 and a flag 🇵🇹, then 🧑🏿‍🚀.",
    "Chinese": "你好，世界！海浪轻轻拍打着岸边。𠮷野家",
    "combining marks": "e\u0301 a\u030a\u0323 नमस्ते ก็ ชื่อ Zalgo: h\u0335\u0321\u0321e\u0338\u0322",
    "code": "```python\ndef f(x):\n\treturn {'a': x}  # ≥ 0\n\n\n```\r\n    indented\n",
    "right to left": "שלום \u202bעולם\u202c مرحبا بالعالم",
    "spaces": "  two  three   \u00a0 \u2003\n\n\n\ttab \x00 end ",
    "mathematics": "∑ᵢ xᵢ² ≤ ∫₀^∞ e⁻ˣ dx, 𝔽₂, ℵ₀",
}


def pieces(tokenizer: Any, ids: list[int], stop: tuple[str, ...] = ()) -> list[str]:
    stream = TextStream(tokenizer, stop)
    return [*(stream.push(token) for token in ids), stream.finish()]


@pytest.mark.parametrize("name", SAMPLES)
def test_a_text_comes_whole(name: str, tokenizer: Any) -> None:
    """Bug prevented: a character of several tokens flickers or breaks, or a space is lost."""
    ids = tokenizer.encode(SAMPLES[name], add_special_tokens=False)
    shown = pieces(tokenizer, ids)
    assert "".join(shown) == SAMPLES[name]
    assert not any(REPLACEMENT in piece for piece in shown)


def test_whatever_the_model_writes(tokenizer: Any) -> None:
    """Bug prevented: bytes that are no text shift everything behind them."""
    chance = random.Random(7)
    for _ in range(300):
        ids = chance.choices(range(len(tokenizer)), k=60)
        decoded = tokenizer.decode(ids, skip_special_tokens=True)
        assert "".join(pieces(tokenizer, ids)) == decoded


@pytest.mark.parametrize("name", SAMPLES)
def test_a_stop_string_anywhere(name: str, tokenizer: Any) -> None:
    """Bug prevented: a stop string that begins and ends inside tokens is not seen."""
    text = SAMPLES[name]
    ids = tokenizer.encode(text, add_special_tokens=False)
    for start in range(0, len(text) - 4, 3):
        stop = text[start : start + 4]
        assert "".join(pieces(tokenizer, ids, (stop,))) == text[: text.index(stop)]
