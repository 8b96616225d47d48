"""From a conversation to token ids, so that what the nodes hold in their KV caches stays valid.

The chat template is rendered to text, but replies that the model generated are put in by their
own token ids: tokenising a reply again may split it differently, and everything behind that place
would have to be computed anew. Templates that rewrite earlier turns cannot move the prefix
either: the ids up to a reply are the very ids that the reply was generated from.
"""

from __future__ import annotations

import secrets
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from jinja2 import TemplateError

from chat.conversation.tree import Message
from chat.errors import ChatError
from farmesh.errors import ContextOverflow

KEPT_AFTER_OVERFLOW = 0.7  # share of the room that is filled after old turns left; else the
# oldest turn would leave in every turn, and each time the whole prompt is computed anew

MEMO_SIZE = 4  # prompts remembered per chat: this turn's, the one before, and two for versions


@dataclass(frozen=True, slots=True)
class Prompt:
    """What is sent for one turn."""

    token_ids: tuple[int, ...]
    first_kept: int  # index of the oldest message that still fits


class PromptBuilder:
    """Renders one chat's messages; remembers the prompts of the latest turns."""

    def __init__(self, tokenizer: Any, chat_template: str | None = None) -> None:
        self._tokenizer = tokenizer
        self._template = chat_template
        # Stands for a reply in the rendered text; random, so that no message can contain it.
        self._mark = f"reply{secrets.token_hex(16)}"
        self._memo: OrderedDict[tuple[str, tuple[Message, ...]], tuple[int, ...]] = OrderedDict()

    def encode(self, text: str) -> tuple[int, ...]:
        """The ids of a piece of text, without tokens around it."""
        return tuple(self._tokenizer.encode(text, add_special_tokens=False)) if text else ()

    def prompt(self, system: str, messages: Sequence[Message]) -> tuple[int, ...]:
        """All ids up to where the next reply begins.

        Raises:
            ChatError: the model's chat template refuses the conversation.
        """
        wanted = merged(messages)
        replies = [i for i, message in enumerate(wanted) if message.token_ids]
        ends = [*replies, len(wanted)]
        known = (i for i, end in enumerate(ends) if (system, wanted[:end]) in self._memo)
        start = max(known, default=0)
        ids: tuple[int, ...] = ()
        for at in range(start, len(ends)):
            ids = self._next(system, wanted, replies[at - 1] if at else None, ends[at])
        return ids

    def reply_ids(self, message: Message) -> tuple[int, ...]:
        """The ids of a reply: its own, and those of what a stop string left of its end."""
        if not message.token_ids:
            return self.encode(message.text)
        return message.token_ids + self.encode(message.tail)

    def _next(
        self, system: str, messages: tuple[Message, ...], reply: int | None, end: int
    ) -> tuple[int, ...]:
        """The prompt of ``messages[:end]``, made from the one that ``messages[reply]`` had."""
        key = (system, messages[:end])
        if key in self._memo:
            self._memo.move_to_end(key)
            return self._memo[key]
        if reply is None:
            ids = self.encode(self._render(system, messages[:end], None))
        else:
            before = self._memo[system, messages[:reply]]
            _, mark, after = self._render(system, messages[:end], reply).rpartition(self._mark)
            if mark:
                ids = before + self.reply_ids(messages[reply]) + self.encode(after)
            else:  # the template leaves this reply out
                ids = self.encode(self._render(system, messages[:end], None))
        self._memo[key] = ids
        while len(self._memo) > MEMO_SIZE:
            self._memo.popitem(last=False)
        return ids

    def _render(self, system: str, messages: Sequence[Message], marked: int | None) -> str:
        turns = [
            {"role": m.role, "content": self._mark if i == marked else m.text}
            for i, m in enumerate(messages)
        ]
        if system:
            turns = [{"role": "system", "content": system}, *turns]
        return render(self._tokenizer, turns, self._template)


def render(tokenizer: Any, turns: list[dict[str, str]], template: str | None = None) -> str:
    """The text that asks for the next reply; a system prompt may come first.

    Raises:
        ChatError: the model's chat template refuses the conversation.
    """
    try:
        return _apply(tokenizer, turns, template)
    except ChatError:  # some models (Gemma, early Mistral) know no system role
        if len(turns) < 2 or turns[0]["role"] != "system":
            raise
        system, first, *others = turns
        joined = first | {"content": f"{system['content']}\n\n{first['content']}"}
        return _apply(tokenizer, [joined, *others], template)


def _apply(tokenizer: Any, turns: list[dict[str, str]], template: str | None) -> str:
    kwargs = {"chat_template": template} if template else {}
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

    Args:
        limit: tokens that the context can hold.
        reserve: tokens to keep free for the reply.
        first_kept: turns that left earlier stay away.
        beginning: ids that the reply starts with.

    Raises:
        ContextOverflow: the last message alone does not fit.
    """
    room = limit - reserve
    ids = builder.prompt(system, messages[first_kept:]) + tuple(beginning)
    if len(ids) <= room:
        return Prompt(ids, first_kept)
    starts = [i for i, m in enumerate(messages) if m.role == "user" and i > first_kept]
    for start in starts:
        ids = builder.prompt(system, messages[start:]) + tuple(beginning)
        first_kept = start
        if len(ids) <= room * KEPT_AFTER_OVERFLOW:
            break
    if len(ids) > room:
        raise ContextOverflow(len(ids) + reserve, limit)
    return Prompt(ids, first_kept)
