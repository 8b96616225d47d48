"""One chat's prompts, fitted to its model in a thread: tokenising takes long for the event loop."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from chat.conversation.prompt import Prompt, PromptBuilder, fit
from chat.conversation.tree import Message
from chat.models.backend import Engine
from farmesh.params import SamplingParams

RESERVE_SHARE = 4  # at most a quarter of the context is kept free for a reply


@dataclass(frozen=True, slots=True)
class Request:
    """How a reply is wanted."""

    params: SamplingParams = field(default_factory=SamplingParams)
    system: str = ""  # the system prompt
    begin: str = ""  # what the reply starts with


@dataclass(frozen=True, slots=True)
class Asked:
    """What a prompt is made from."""

    messages: tuple[Message, ...]  # up to the one that is answered
    request: Request
    first_kept: int = 0  # messages that left earlier stay away
    begun: Message | None = None  # the reply that is made longer


class Prompts:
    """Makes one chat's prompts; remembers those of its latest turns."""

    def __init__(self) -> None:
        self._engine: Engine | None = None
        self._builder: PromptBuilder | None = None
        self._last: tuple[Engine, Asked, Prompt] | None = None

    def __repr__(self) -> str:
        return f"<Prompts {self._builder!r}>"

    async def fit(self, engine: Engine, asked: Asked) -> Prompt:
        """The prompt for a turn, with room for its reply; the loop goes on meanwhile.

        Raises:
            ContextOverflow: the last message alone does not fit.
            ChatError: the model's chat template refuses the conversation.
        """
        if self._builder is None or self._engine is not engine:
            self._engine = engine
            self._builder = PromptBuilder(engine.tokenizer, engine.chat_template)
        return await asyncio.to_thread(self._fit, self._builder, engine, asked)

    def _fit(self, builder: PromptBuilder, engine: Engine, asked: Asked) -> Prompt:
        if self._last is not None and self._last[0] is engine and self._last[1] == asked:
            return self._last[2]  # a message is fitted before it is taken, and again in its turn
        request, begun = asked.request, asked.begun
        prompt = fit(
            builder,
            request.system,
            asked.messages,
            limit=engine.context,
            reserve=min(request.params.max_new_tokens, engine.context // RESERVE_SHARE),
            first_kept=min(asked.first_kept, max(0, len(asked.messages) - 1)),
            beginning=builder.reply_ids(begun) if begun else builder.encode(request.begin),
        )
        self._last = engine, asked, prompt
        return prompt
