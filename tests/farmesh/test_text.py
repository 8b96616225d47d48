"""Text of a reply as it grows. Each test names the bug it prevents."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from farmesh.text import TextStream


class Bytes:
    """A tokenizer whose tokens are bytes (0 to 255) or the words added to it."""

    def __init__(self, *words: bytes) -> None:
        self.words = words
        self.decoded = 0  # tokens decoded so far, to count work

    def decode(self, token_ids: list[int], **_: bool) -> str:
        self.decoded += len(token_ids)
        parts = (bytes([i]) if i < 256 else self.words[i - 256] for i in token_ids)
        return b"".join(parts).decode("utf-8", errors="replace")


class ByteFallback(Bytes):
    """Shows every byte of an unfinished character as a replacement (as Llama 2's does)."""

    def decode(self, token_ids: list[int], **_: bool) -> str:
        self.decoded += len(token_ids)
        text, data = "", bytes(token_ids)
        while data:
            for size in range(1, 5):
                try:
                    text += data[:size].decode()
                    data = data[size:]
                    break
                except UnicodeDecodeError:
                    continue
            else:
                text, data = text + "\ufffd", data[1:]
        return text


def stream(text: str, stop: tuple[str, ...] = (), tokenizer: Bytes | None = None) -> list[str]:
    reply = TextStream(tokenizer or Bytes(), stop)
    return [reply.push(byte) for byte in text.encode()] + [reply.finish()]


@pytest.mark.parametrize("tokenizer", [Bytes(), ByteFallback()])
@pytest.mark.parametrize(
    "text",
    [
        "👋🏽 hi",
        "e\u0301a\u0308",
        "\tall:\n\t\tcc",
        "    four",
        "a\x00b",
        "\u202bשלום\u202c",
        "🧑‍🌾🇩🇪",
    ],
)
def test_text_is_unharmed_and_never_flickers(text: str, tokenizer: Bytes) -> None:
    """petals.dev#30: emoji came out as U+FFFD while streaming; Gradio ate tabs and spaces."""
    pieces = stream(text, tokenizer=tokenizer)
    assert "".join(pieces) == text
    assert not any("\ufffd" in piece for piece in pieces)


def test_invalid_bytes_show_once_they_are_final() -> None:
    """A model that writes broken bytes must not silence the stream until the reply ends."""
    reply = TextStream(Bytes())
    shown = "".join(reply.push(0x80) for _ in range(50))
    assert shown == "\ufffd" * 47
    assert reply.push(ord("a")) == "\ufffd" * 3 + "a"


def test_unfinished_character_at_the_end() -> None:
    """Stop in mid-emoji left a replacement character in the transcript for good."""
    for drop, rest in ((True, ""), (False, "\ufffd")):
        reply = TextStream(Bytes())
        text = "".join(reply.push(byte) for byte in "ok👋".encode()[:-1])
        assert text + reply.finish(drop_partial=drop) == "ok" + rest
        assert reply.tokens_shown == (2 if drop else 5)


def test_stop_string_never_shows() -> None:
    """The start of a stop string flashed on the screen before it was recognised."""
    assert "".join(stream("one</s>two", ("</s>",))) == "one"
    assert stream("ab</x", ("</s>",))[2:] == ["", "", "</x", ""]
    assert "".join(stream("ab</", ("</s>",))) == "ab</"


def test_earliest_of_several_stop_strings_wins() -> None:
    """The list's order decided where the text was cut."""
    reply = TextStream(Bytes(b"xabc"), ("b", "abc"))
    assert reply.push(256) == "x"
    assert "".join(stream("xab", ("abc", "zz"))) == "xab"


def test_stop_string_at_finish() -> None:
    """A stop string that ends with an unfinished character is still honoured."""
    reply = TextStream(Bytes(), ("\ufffd",))
    assert reply.push(0xC3) == ""
    assert reply.finish() == ""
    assert reply.stopped


def test_tokens_behind_shown_text() -> None:
    """Tokens of a stop string left in the transcript made the model stop at once next turn."""
    reply = TextStream(Bytes(b"Hello", b" wor", b"ld. EN", b"D now"), ("END",))
    assert "".join(reply.push(i) for i in range(256, 260)) == "Hello world. "
    assert reply.stopped
    assert reply.tokens_shown == 2
    assert reply.text_beyond_tokens == len("ld. ")
    assert reply.push(65) == ""
    assert reply.finish() == ""


def test_leading_space_of_a_sentencepiece_token_is_kept() -> None:
    """Tokens decoded alone lost the space before every word."""

    class Pieces(Bytes):
        def decode(self, token_ids: list[int], **_: bool) -> str:
            return "".join([" to", " be", " or", " not"][i % 4] for i in token_ids).removeprefix(
                " "
            )

    reply = TextStream(Pieces())
    assert "".join(reply.push(i) for i in range(40)) == ("to be or not " * 10).rstrip()
    continued = TextStream(Pieces(), context=[0, 1])
    assert continued.push(2) == " or"
    assert continued.tokens_shown == 1


def test_work_per_token_is_constant() -> None:
    """Decoding the whole reply for every token made long replies crawl (quadratic)."""
    tokenizer = Bytes()
    reply = TextStream(tokenizer, ("\n\n",))
    line = "".join(reply.push(65 + i % 26) for i in range(100_000))
    assert len(line) == 100_000
    assert tokenizer.decoded < 100_000 * 20


@settings(max_examples=200, deadline=None)
@given(st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=80))
def test_any_text_round_trips(text: str) -> None:
    for tokenizer in (Bytes(), ByteFallback()):
        assert "".join(stream(text, tokenizer=tokenizer)) == text


@settings(max_examples=300, deadline=None)
@given(
    st.text(alphabet="ab<é👋", max_size=60),
    st.lists(st.text(alphabet="ab<é👋", min_size=1, max_size=4), max_size=3),
    st.lists(st.integers(1, 5), min_size=1, max_size=60),
)
def test_stop_strings_cut_exactly_there(text: str, stops: list[str], sizes: list[int]) -> None:
    """Whatever the tokens' borders: shown text is the text before the first stop string."""
    data, words = text.encode(), []
    for size in sizes * 60:
        if not data:
            break
        words.append(data[:size])
        data = data[size:]
    reply = TextStream(Bytes(*words), stops)
    shown, lengths = "", []
    for index in range(len(words)):
        shown += reply.push(256 + index)
        lengths.append(len(shown))
        if reply.stopped:
            break
    shown += reply.finish()
    cuts = [text.find(stop) for stop in stops if stop in text]
    if reply.stopped:
        assert cuts
        assert shown == text[: len(shown)]
        assert not any(stop in shown for stop in stops)
        assert any(text.startswith(stop, len(shown)) for stop in stops)
    else:
        assert not cuts
        assert shown == text
    covered = b"".join(words[: reply.tokens_shown]).decode("utf-8", errors="ignore")
    assert shown.startswith(covered)
    assert len(shown) - len(covered) == reply.text_beyond_tokens
