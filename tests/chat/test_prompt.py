"""From a conversation to ids, with the bundled model's own tokenizer and template."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from chat.conversation.prompt import KEPT_AFTER_OVERFLOW, PromptBuilder, fit
from chat.conversation.tree import Message
from chat.errors import ChatError
from farmesh.errors import ContextOverflow
from tests.chat.fakes import FakeTokenizer


@pytest.fixture(scope="module")
def tokenizer(guide: Path) -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(guide)


def test_ids_are_the_templates_own(tokenizer: Any) -> None:
    """A template engine of our own drifted from what the model was trained on."""
    messages = [Message("user", "Hi"), Message("assistant", "Hello there"), Message("user", "Why?")]
    plain = [{"role": m.role, "content": m.text} for m in messages]
    wanted = tokenizer.apply_chat_template(plain, add_generation_prompt=True, return_dict=False)
    assert list(PromptBuilder(tokenizer).prompt("", messages)) == list(wanted)


def test_generated_replies_keep_their_own_ids(tokenizer: Any) -> None:
    """ "Hello" generated as H-e-llo came back as one token, and the prefix was lost."""
    ids = tuple(i for letter in "Hello" for i in tokenizer.encode(letter, add_special_tokens=False))
    assert ids != tuple(tokenizer.encode("Hello", add_special_tokens=False))
    builder = PromptBuilder(tokenizer)
    first = [Message("user", "Hi")]
    before = builder.prompt("be kind", first)
    builder.remember("be kind", first, before)
    after = builder.prompt(
        "be kind", [*first, Message("assistant", "Hello", ids), Message("user", "?")]
    )
    assert after[: len(before) + len(ids)] == before + ids
    assert (
        PromptBuilder(tokenizer).prompt(
            "be kind", [*first, Message("assistant", "Hello", ids), Message("user", "?")]
        )
        == after
    ), "the memo changes the result"


def test_a_message_cannot_pretend_to_be_a_reply(tokenizer: Any) -> None:
    """The mark that stands for a reply must not be guessable from outside."""
    marks = {PromptBuilder(tokenizer)._mark for _ in range(10)}
    assert len(marks) == 10


def test_what_never_fits_is_refused_with_its_size(tokenizer: Any) -> None:
    builder = PromptBuilder(tokenizer)
    with pytest.raises(ContextOverflow):
        fit(builder, "s", [Message("user", "word " * 500)], limit=100, reserve=20)
    fitted = fit(
        builder,
        "s",
        [Message("user", "a " * 30), Message("assistant", "b"), Message("user", "c")],
        limit=60,
        reserve=20,
    )
    assert fitted.first_kept == 2


class Counted:
    """A tokenizer that counts how often a conversation is rendered, and how much is tokenised."""

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        self.renderings = 0
        self.characters = 0

    def apply_chat_template(self, turns: Any, **options: Any) -> Any:
        self.renderings += 1
        return self._tokenizer.apply_chat_template(turns, **options)

    def encode(self, text: str, **options: Any) -> Any:
        self.characters += len(text)
        return self._tokenizer.encode(text, **options)


def imported(turns: int, words: int = 12) -> list[Message]:
    """A chat that the browser kept: no reply has tokens of its own."""
    text = " ".join(f"word{i}" for i in range(words))
    pairs = [(Message("user", f"{i} {text}"), Message("assistant", text)) for i in range(turns)]
    return [*(message for pair in pairs for message in pair), Message("user", "hi")]


@pytest.mark.parametrize("turns", [100, 500])
@pytest.mark.parametrize("limit", [1024, 8192])
def test_a_long_chat_is_rendered_a_few_times(tokenizer: Any, turns: int, limit: int) -> None:
    """Each turn that left had everything rendered and tokenised again: Send took 14 seconds."""
    counted = Counted(tokenizer)
    builder = PromptBuilder(counted)
    fitted = fit(builder, "be kind", imported(turns), limit=limit, reserve=256)
    assert counted.renderings <= 2 * math.log2(turns) + 2
    assert counted.characters <= 12 * 4 * limit, "far more was tokenised than the context holds"
    before = counted.renderings
    again = [*imported(turns), Message("assistant", "hello"), Message("user", "and?")]
    fit(builder, "be kind", again, limit=limit, reserve=256, first_kept=fitted.first_kept)
    assert counted.renderings <= before + 2


def one_by_one(
    builder: PromptBuilder,
    system: str,
    messages: list[Message],
    limit: int,
    reserve: int,
    **more: Any,
) -> tuple[tuple[int, ...], int]:
    """What ``fit`` is to find, found the slow way: turns leave one by one."""
    kept, beginning, room = more["first_kept"], more["beginning"], limit - reserve
    ids = (*builder.prompt(system, messages[kept:]), *beginning)
    if len(ids) <= room:
        return ids, kept
    for start in (i for i, m in enumerate(messages) if m.role == "user" and i > more["first_kept"]):
        kept, ids = start, (*builder.prompt(system, messages[start:]), *beginning)
        if len(ids) <= room * KEPT_AFTER_OVERFLOW:
            break
    if len(ids) > room:
        raise ContextOverflow(len(ids) + reserve, limit)
    return ids, kept


def halved(
    builder: PromptBuilder,
    system: str,
    messages: list[Message],
    limit: int,
    reserve: int,
    **more: Any,
) -> tuple[tuple[int, ...], int]:
    found = fit(builder, system, messages, limit=limit, reserve=reserve, **more)
    assert found.beginning == more["beginning"]
    return found.token_ids, found.first_kept


def told(find: Callable[..., Any], *asked: Any, **more: Any) -> Any:
    """What is found, or how long the message was that did not fit."""
    try:
        return find(*asked, **more)
    except ContextOverflow as overflow:
        return overflow.wanted


@pytest.mark.parametrize("seed", range(60))
def test_halving_finds_what_dropping_one_by_one_finds(tokenizer: Any, seed: int) -> None:
    """A prompt that is another one than before makes every cache on the nodes worthless."""
    rng = random.Random(seed)
    tokenizer = tokenizer if seed < 8 else FakeTokenizer()  # bytes, which are quick
    messages: list[Message] = []
    for _ in range(rng.randint(1, 25)):
        text = "so it is, " * rng.choice([0, 1, 3, 9, 30])
        messages.append(Message("user", f"{rng.random()} {text}"))
        if rng.random() < 0.85:  # else it was stopped before its first word
            ids = tuple(tokenizer.encode(text)) if rng.random() < 0.5 else ()
            messages.append(Message("assistant", text or "-", ids))
    messages.append(Message("user", "hi " * rng.choice([1, 40])))
    builder = PromptBuilder(tokenizer)
    limit = rng.choice([60, 150, 400, 1500])
    kept = rng.choice([0, *(i for i, m in enumerate(messages) if m.role == "user")])
    for _ in range(2):  # the second time with what the first one remembered
        for system in ("", "be kind"):
            more: dict[str, Any] = {"first_kept": kept, "beginning": rng.choice([(), (1, 2, 3)])}
            plain = PromptBuilder(tokenizer)
            asked = (system, messages, limit, limit // 4)
            wanted = told(one_by_one, plain, *asked, **more)
            found = told(halved, builder, *asked, **more)
            assert found == wanted


STRICT = (
    "{% for m in messages %}{% if (m.role == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('roles must alternate') }}{% endif %}[{{ m.content }}]{% endfor %}"
)


def test_strict_templates_work_after_a_stopped_reply_and_with_a_system_prompt(
    tokenizer: Any,
) -> None:
    """Mistral's and Gemma's templates raise on two user messages in a row and on a system role."""
    builder = PromptBuilder(tokenizer, STRICT)
    ids = builder.prompt("be kind", [Message("user", "one"), Message("user", "two")])
    assert tokenizer.decode(ids) == "[be kind\n\none\n\ntwo]"
    with pytest.raises(ChatError, match="roles must alternate"):
        builder.prompt("", [Message("assistant", "first")])
