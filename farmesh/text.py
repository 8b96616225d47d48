"""From token ids to text that can safely be shown, one token at a time.

A token is not a piece of text: an emoji may be spread over four tokens, and a stop string may
begin in one token and end three later. :class:`TextStream` shows nothing that a later token
could still change: no replacement character that would flicker, no start of a stop string.
The text itself is left alone: tabs, leading spaces, NUL and right-to-left marks arrive as the
model wrote them.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Sequence
from typing import Protocol

REPLACEMENT = "\ufffd"

# UTF-8 characters take at most four bytes, so at most three bytes of an unfinished one have
# arrived; decoders show them as one to three replacement characters.
MAX_PARTIAL = 3

# Tokens kept as context for the next decode: decoders treat the first token of a text specially
# (SentencePiece drops its leading space), so a token is never decoded alone.
CONTEXT_TOKENS = 4
MAX_WINDOW = 16


class Decoder(Protocol):
    """What is needed of a tokenizer."""

    def decode(
        self,
        token_ids: list[int],
        *,
        skip_special_tokens: bool,
        clean_up_tokenization_spaces: bool,
    ) -> str: ...


class TextStream:
    """The text of one reply as it grows; amortised constant work per token.

    ``push`` and ``finish`` return new text only. After a stop string was met, ``stopped`` is
    true, everything from the stop string on is gone, and further tokens give no text.
    """

    def __init__(
        self,
        tokenizer: Decoder,
        stop: Sequence[str] = (),
        *,
        context: Sequence[int] = (),
        special: bool = False,
    ) -> None:
        """
        Args:
            special: special tokens have text too, for readers that look for it.
            context: tokens before the first one pushed, when it continues a text; a few suffice.
        """
        self._tokenizer, self._special = tokenizer, special
        self._stop = tuple(text for text in stop if text)
        self._window = list(context[-CONTEXT_TOKENS:])  # newest tokens, a few before as context
        self._decoded = len(self._decode(self._window))  # characters of the window already taken
        self._held = ""  # decoded, may be the start of a stop string
        self._shown = 0  # characters given out so far
        self._ends = array("Q")  # characters decoded after each token
        self.stopped = False
        self.met: str | None = None  # the stop string that ended the text

    def __repr__(self) -> str:
        state = "stopped" if self.stopped else "open"
        return f"<TextStream {state} {len(self._ends)} tokens, {self._shown} characters>"

    @property
    def tokens_shown(self) -> int:
        """How many leading tokens make up shown text and nothing more.

        Less than the number of tokens pushed when a stop string cut the text, or when the last
        character is incomplete.
        """
        index = bisect_left(self._ends, self._shown)
        if self._shown == 0:
            return 0
        exact = index < len(self._ends) and self._ends[index] == self._shown
        return index + 1 if exact else index

    @property
    def text_beyond_tokens(self) -> int:
        """Characters of shown text that are not covered by the first ``tokens_shown`` tokens."""
        count = self.tokens_shown
        return self._shown - (self._ends[count - 1] if count else 0)

    def push(self, token_id: int) -> str:
        """Take one token and return the text that became safe to show."""
        if self.stopped:
            return ""
        self._window.append(token_id)
        text = self._decode(self._window)
        safe = len(text) - _partial_tail(text)
        fresh = text[self._decoded : safe]
        self._decoded = max(self._decoded, safe)
        self._ends.append((self._ends[-1] if self._ends else 0) + len(fresh))
        if safe == len(text) and len(self._window) > MAX_WINDOW:
            self._window = self._window[-CONTEXT_TOKENS:]
            self._decoded = len(self._decode(self._window))
        return self._release(fresh)

    def finish(self, *, drop_partial: bool = False) -> str:
        """The rest of the text: nothing more will come.

        Args:
            drop_partial: leave out a character that is not complete (the reply was cut short);
                otherwise it shows as U+FFFD, because that is what the model wrote.
        """
        if self.stopped:
            return ""
        rest = "" if drop_partial else self._decode(self._window)[self._decoded :]
        if rest and self._ends:
            self._ends[-1] += len(rest)
        self._decoded += len(rest)
        fresh = self._release(rest)
        if not self.stopped:
            fresh += self._held
            self._shown += len(self._held)
            self._held = ""
        return fresh

    def _decode(self, token_ids: list[int]) -> str:
        return self._tokenizer.decode(
            token_ids, skip_special_tokens=not self._special, clean_up_tokenization_spaces=False
        )

    def _release(self, fresh: str) -> str:
        """Give out what no stop string can claim any more."""
        if not self._stop:
            self._shown += len(fresh)
            return fresh
        text = self._held + fresh
        cut = min((at for stop in self._stop if (at := text.find(stop)) >= 0), default=-1)
        if cut >= 0:
            self.stopped = True
            self.met = next(stop for stop in self._stop if text.startswith(stop, cut))
            self._held = ""
        else:
            cut = len(text) - max(_overlap(text, stop) for stop in self._stop)
            self._held = text[cut:]
        self._shown += cut
        return text[:cut]


def _partial_tail(text: str) -> int:
    """How many characters at the end may stand for an unfinished one."""
    return min(MAX_PARTIAL, len(text) - len(text.rstrip(REPLACEMENT)))


def _overlap(text: str, stop: str) -> int:
    """Length of the longest end of ``text`` that is a proper beginning of ``stop``."""
    for length in range(min(len(stop) - 1, len(text)), 0, -1):
        if text.endswith(stop[:length]):
            return length
    return 0
