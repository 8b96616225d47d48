"""From a conversation to ids, with the bundled model's own tokenizer and template."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from chat.conversation.prompt import PromptBuilder, fit
from chat.conversation.tree import Message
from chat.errors import ChatError
from farmesh.errors import ContextOverflow


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
