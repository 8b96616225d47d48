"""From a conversation to token ids, so that what the nodes hold in their KV caches stays valid.

The chat template is rendered to text, but replies that the model generated are put in by their
own token ids: tokenising a reply again may split it differently, and everything behind that place
would have to be computed anew. Templates that rewrite earlier turns cannot move the prefix
either: the ids up to a reply are the very ids that the reply was generated from.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from jinja2 import TemplateError

from chat.conversation.tree import Message
from chat.errors import ChatError
from farmesh.errors import ContextOverflow

KEPT_AFTER_OVERFLOW = 0.7  # share of the room that is filled after old turns left; else the
# oldest turn would leave in every turn, and each time the whole prompt is computed anew

MEMO_SIZE = 4  # prompts remembered per chat: this turn's, the one before, and two for versions

# What a message takes, roughly: it only says where to look first.
TOKEN_CHARACTERS = 4
ROLE_TOKENS = 4  # around each message
TOO_LONG = 1.25  # times the room: a guess of so much does not fit, as a rule


@dataclass(frozen=True, slots=True)
class Prompt:
    """What is sent for one turn."""

    token_ids: tuple[int, ...]
    first_kept: int  # index of the oldest message that still fits
    beginning: tuple[int, ...] = ()  # the end of ``token_ids`` that the reply starts with


@dataclass(frozen=True, slots=True)
class _Known:
    """A prompt that was made before."""

    system: str
    messages: tuple[Message, ...]
    token_ids: tuple[int, ...]


class PromptBuilder:
    """Renders one chat's messages; remembers the prompts of the latest turns.

    Several threads may use it at once: what it remembers is replaced and never changed.
    """

    def __init__(self, tokenizer: Any, chat_template: str | None = None) -> None:
        self._tokenizer = tokenizer
        self._template = chat_template
        # Stands for a reply in the rendered text; random, so that no message can contain it.
        self._mark = f"reply{secrets.token_hex(16)}"
        self._memo: tuple[_Known, ...] = ()  # newest first

    def __repr__(self) -> str:
        return f"<PromptBuilder {len(self._memo)} prompts remembered>"

    def encode(self, text: str) -> tuple[int, ...]:
        """The ids of a piece of text, without tokens around it."""
        return tuple(self._tokenizer.encode(text, add_special_tokens=False)) if text else ()

    def prompt(self, system: str, messages: Sequence[Message]) -> tuple[int, ...]:
        """All ids up to where the next reply begins.

        Raises:
            ChatError: the model's chat template refuses the conversation.
        """
        wanted = merged(messages)
        ends = [*(i for i, message in enumerate(wanted) if message.token_ids), len(wanted)]
        known = self._longest_known(system, wanted, frozenset(ends))
        if known is not None:
            ids = known.token_ids
            ends = ends[ends.index(len(known.messages)) :]
        else:
            ids = self.encode(self._render(system, wanted[: ends[0]], None))
        for reply, end in pairwise(ends):
            ids = self._after(ids, system, wanted[:end], reply)
        return ids

    def remember(self, system: str, messages: Sequence[Message], ids: tuple[int, ...]) -> None:
        """Keep a prompt: those of the next turns begin with it."""
        new = _Known(system, merged(messages), ids)
        others = (
            known
            for known in self._memo
            if (known.system, known.messages) != (new.system, new.messages)
        )
        self._memo = (new, *others)[:MEMO_SIZE]

    def reply_ids(self, message: Message) -> tuple[int, ...]:
        """The ids of a reply: its own, and those of what a stop string left of its end."""
        if not message.token_ids:
            return self.encode(message.text)
        return message.token_ids + self.encode(message.tail)

    def _longest_known(
        self, system: str, wanted: tuple[Message, ...], ends: Container[int]
    ) -> _Known | None:
        """The longest prompt that begins this one and ends where a reply of the model's begins."""
        fitting = [
            known
            for known in self._memo
            if known.system == system
            and len(known.messages) in ends
            and known.messages == wanted[: len(known.messages)]
        ]
        return max(fitting, key=lambda known: len(known.messages), default=None)

    def _after(
        self, before: tuple[int, ...], system: str, messages: tuple[Message, ...], reply: int
    ) -> tuple[int, ...]:
        """The prompt of ``messages``, made from ``before``: the one that ``reply`` answered."""
        _, mark, after = self._render(system, messages, reply).rpartition(self._mark)
        if not mark:  # the template leaves this reply out
            return self.encode(self._render(system, messages, None))
        return before + self.reply_ids(messages[reply]) + self.encode(after)

    def _render(self, system: str, messages: Sequence[Message], marked: int | None) -> str:
        turns = [
            {"role": m.role, "content": self._mark if i == marked else m.text}
            for i, m in enumerate(messages)
        ]
        if system:
            turns = [{"role": "system", "content": system}, *turns]
        return render(self._tokenizer, turns, self._template)


def render(
    tokenizer: Any, turns: list[dict[str, Any]], template: str | None = None, **switches: Any
) -> str:
    """The text that asks for the next reply; a system prompt may come first.

    Args:
        switches: what the template is told beside the messages, by its own names.

    Raises:
        ChatError: the model's chat template refuses the conversation.
    """
    try:
        return _apply(tokenizer, turns, template, switches)
    except ChatError:  # some models (Gemma, early Mistral) know no system role
        if len(turns) < 2 or turns[0]["role"] != "system":
            raise
        system, first, *others = turns
        joined = first | {"content": f"{system['content']}\n\n{first['content']}"}
        return _apply(tokenizer, [joined, *others], template, switches)


def _apply(
    tokenizer: Any,
    turns: list[dict[str, Any]],
    template: str | None,
    switches: Mapping[str, Any],
) -> str:
    kwargs = {**switches, "chat_template": template} if template else dict(switches)
    try:
        return str(
            tokenizer.apply_chat_template(
                turns, tokenize=False, add_generation_prompt=True, **kwargs
            )
        )
    except TemplateError as error:
        raise ChatError(f"The model's chat template refuses this chat: {error}") from None


def merged(messages: Sequence[Message]) -> tuple[Message, ...]:
    """Join neighbours of one role: many chat templates insist that the roles alternate.

    A reply that was stopped before its first word leaves two messages of the person in a row.
    """
    joined: list[Message] = []
    for message in messages:
        if joined and joined[-1].role == message.role:
            joined[-1] = Message(message.role, f"{joined[-1].text}\n\n{message.text}")
        else:
            joined.append(message)
    return tuple(joined)


def fit(
    builder: PromptBuilder,
    system: str,
    messages: Sequence[Message],
    *,
    limit: int,
    reserve: int,
    first_kept: int = 0,
    beginning: Sequence[int] = (),
) -> Prompt:
    """Leave out the oldest turns until the prompt fits; the system prompt stays.

    A prompt of more turns is taken to be longer: of ``n`` turns at most about ``2 log2(n)`` are
    tried, mostly three or four, and none that is much longer than the context.

    Args:
        limit: tokens that the context can hold.
        reserve: tokens to keep free for the reply.
        first_kept: turns that left earlier stay away.
        beginning: ids that the reply starts with.

    Raises:
        ContextOverflow: the last message alone does not fit.
        ChatError: the model's chat template refuses the conversation.
    """
    room = limit - reserve
    begun = tuple(beginning)
    starts = [first_kept]
    starts += [i for i, m in enumerate(messages) if m.role == "user" and i > first_kept]
    tried: dict[int, tuple[int, ...]] = {}  # by place in ``starts``

    def size(place: int) -> int:
        if place not in tried:
            tried[place] = builder.prompt(system, messages[starts[place] :])
        return len(tried[place]) + len(begun)

    def chosen(place: int) -> Prompt:
        start = starts[place]
        builder.remember(system, messages[start:], tried[place])
        return Prompt(tried[place] + begun, start, begun)

    guesses = _guesses(messages, starts)
    too_long = next((place for place in _looks(guesses, room) if size(place) > room), None)
    if too_long is None:
        return chosen(0)
    target = room * KEPT_AFTER_OVERFLOW
    wanted = target * guesses[too_long] / size(too_long)
    at = next((i for i, guess in enumerate(guesses) if guess <= wanted), len(starts))
    place = _first(lambda place: size(place) <= target, too_long, len(starts) - 1, at)
    if size(place) > room:
        raise ContextOverflow(size(place) + reserve, limit)
    return chosen(place)


def _guesses(messages: Sequence[Message], starts: Sequence[int]) -> list[float]:
    """Roughly the tokens from each start to the end."""
    left, found = 0.0, []
    ends = [*starts[1:], len(messages)]
    for start, end in zip(reversed(starts), reversed(ends), strict=True):
        for message in messages[start:end]:
            tokens = len(message.token_ids) or len(message.text) / TOKEN_CHARACTERS
            left += tokens + ROLE_TOKENS
        found.append(left)
    return found[::-1]


def _looks(guesses: Sequence[float], room: int) -> Iterator[int]:
    """Places at which a prompt may be too long, the shortest first; the last is the whole chat."""
    enough = TOO_LONG * room
    for place in range(len(guesses) - 1, 0, -1):
        if guesses[place] >= enough:
            yield place
            enough = 2 * guesses[place]
    yield 0


def _first(fits: Callable[[int], bool], low: int, high: int, at: int) -> int:
    """The first place after ``low`` that fits, or ``high``; looks around ``at``, then halves."""
    step, before = 1, None
    while high - low > 1:
        if not (step and low < at < high):
            step, at = 0, (low + high) // 2
        found = fits(at)
        if found:
            high = at
        else:
            low = at
        if before is not None and found is not before:
            step = 0  # between the two
        at, step, before = (at - step if found else at + step), 2 * step, found
    return high
