"""Conversations as plain data: nothing of them is lost on the way there and back."""

from __future__ import annotations

import json
from typing import Any

import pytest

from chat.conversation.data import from_data, to_data
from chat.conversation.tree import Conversation, Message
from farmesh.params import SamplingParams


def said(conversation: Conversation, *texts: str) -> None:
    for text in texts:
        conversation.add(Message("user" if text.islower() else "assistant", text))


def texts(conversation: Conversation) -> list[str]:
    return [message.text for message in conversation.messages]


def there_and_back(conversation: Conversation) -> Conversation:
    return from_data(json.loads(json.dumps(to_data(conversation))))


def test_every_branch_comes_back_where_it_was() -> None:
    """Versions were gone after a restart of the app: only what was shown was kept."""
    conversation = Conversation()
    said(conversation, "a", "A", "b", "B", "c", "C")
    first, second = conversation.entries[0].node_id, conversation.entries[2].node_id
    conversation.edit(second, "b2")
    said(conversation, "B2", "d", "D")
    conversation.edit(first, "a2")
    said(conversation, "A2")
    conversation.step(conversation.entries[0].node_id, -1)
    again = there_and_back(conversation)
    assert to_data(again) == to_data(conversation)
    assert texts(again) == ["a", "A", "b2", "B2", "d", "D"]
    again.step(again.entries[2].node_id, -1)
    assert texts(again) == ["a", "A", "b", "B", "c", "C"]
    again.step(again.entries[0].node_id, 1)
    assert texts(again) == ["a2", "A2"]


def test_what_was_undone_can_be_brought_back_after_a_restart() -> None:
    conversation = Conversation()
    said(conversation, "a", "A", "b", "B")
    conversation.undo()
    conversation.undo()
    again = there_and_back(conversation)
    assert texts(again) == []
    assert not again.empty
    while again.redo():
        pass
    assert texts(again) == ["a", "A", "b", "B"]


def test_how_a_reply_came_about_is_kept() -> None:
    params = SamplingParams(temperature=0.5, stop=("END",))
    made = Message("assistant", "x", note="1 token", params=params, model="M", seed=7, time=9)
    conversation = Conversation()
    conversation.add(Message("user", "q"))
    conversation.add(made)
    (_, reply) = there_and_back(conversation).messages
    assert (reply, reply.seed, reply.time) == (made, 7, 9)


@pytest.mark.parametrize(
    "data",
    [
        [],
        {"messages": "x"},
        {"messages": [{"role": "system", "text": ""}]},
        {"messages": [], "versions": [{"role": "user", "text": "x"}]},
        {"messages": [], "versions": [{"role": "user", "text": "x", "after": 1}]},
        {"messages": [], "versions": [{"role": "user", "text": "x", "of": 0}]},
        {"messages": [], "versions": {}} | {"messages": [1]},
    ],
)
def test_what_is_no_conversation_is_refused(data: Any) -> None:
    with pytest.raises(ValueError, match=r"[.]$"):
        from_data(data)


def test_older_data_and_strange_values_are_read() -> None:
    """A file of a later version must not be refused for what this one does not know."""
    reply = {"role": "assistant", "text": "y", "made_with": {"no": 1}, "seed": "x", "time": -1}
    messages = from_data({"messages": [{"role": "user", "text": "x"}, reply]}).messages
    assert messages == (Message("user", "x"), Message("assistant", "y"))
