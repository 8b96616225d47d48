"""A conversation as plain data: what browsers keep, the archive holds and exports contain.

``messages`` is the shown path, oldest first. ``versions`` has all others of the tree, each after
the one that it follows: ``after`` so many messages of the path, or ``of`` the version with that
index; ``place`` is its place among the versions there.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from chat.conversation.tree import ROLES, ROOT, Conversation, Message
from farmesh.errors import InvalidSampling
from farmesh.params import SamplingParams

MAX_MESSAGES = 10_000  # of one conversation, all versions together
_TEXTS = ("note", "model")


def to_data(conversation: Conversation) -> dict[str, Any]:
    """A conversation as JSON-ready values."""
    entries = conversation.entries
    data: dict[str, Any] = {"messages": [_message_data(entry.message) for entry in entries]}
    if versions := _versions(conversation, [ROOT, *(entry.node_id for entry in entries)]):
        data["versions"] = versions
    return data


def _versions(conversation: Conversation, path: list[int]) -> list[dict[str, Any]]:
    """Everything beside the path; parents come before their children."""
    found: list[dict[str, Any]] = []
    shown = set(path)
    todo = [(node_id, {"after": depth}) for depth, node_id in enumerate(path)]
    for parent, where in todo:  # grows meanwhile
        for place, child in enumerate(conversation.children(parent)):
            message = conversation.message(child)
            if child in shown or message is None:
                continue
            data = where | {"place": place} | _message_data(message)
            if conversation.chosen(parent) == child:
                data["shown"] = True
            if conversation.undone(parent) == child:
                data["undone"] = True
            todo.append((child, {"of": len(found)}))
            found.append(data)
    return found


def from_data(data: object) -> Conversation:
    """
    Raises:
        ValueError: the data is no conversation; the text is a sentence for a person.
    """
    if not isinstance(data, Mapping):
        raise ValueError("This is no conversation.")
    messages, versions = data.get("messages"), data.get("versions") or []
    if not isinstance(messages, list) or not isinstance(versions, list):
        raise ValueError("This is not a list of messages.")
    if len(messages) + len(versions) > MAX_MESSAGES:
        raise ValueError(f"This conversation has more than {MAX_MESSAGES:,} messages.")
    conversation = Conversation()
    path = [ROOT]
    for number, item in enumerate(messages, 1):
        path.append(conversation.add(_message(item, f"Message {number}")))
    others: list[int] = []
    for number, item in enumerate(versions, 1):
        message = _message(item, f"Version {number}")
        parent = _parent(item, path, others)
        place = item.get("place")
        child = conversation.insert(message, parent, place if isinstance(place, int) else None)
        others.append(child)
        if item.get("shown") is True and conversation.chosen(parent) is None:
            conversation.show(child)
        elif item.get("undone") is True and conversation.chosen(parent) is None:
            conversation.take_off(child)
    return conversation


def _parent(item: Mapping[str, Any], path: list[int], others: list[int]) -> int:
    """
    Raises:
        ValueError: it follows nothing that came before it.
    """
    for name, known in (("after", path), ("of", others)):
        at = item.get(name)
        if isinstance(at, int) and 0 <= at < len(known):
            return known[at]
    raise ValueError("A version follows no message.")


def _message(item: object, name: str) -> Message:
    """
    Raises:
        ValueError: it is no message.
    """
    if (
        not isinstance(item, Mapping)
        or item.get("role") not in ROLES
        or not isinstance(item.get("text"), str)
    ):
        raise ValueError(f"{name} has no role or no text.")
    note, model = (value if isinstance(value := item.get(key), str) else "" for key in _TEXTS)
    return Message(
        item["role"],
        item["text"],
        cut=item.get("cut") is True,
        note=note,
        params=_params(item.get("made_with")),
        model=model,
        seed=_number(item.get("seed")),
        time=_number(item.get("time")) or 0,
    )


def _number(value: object) -> int | None:
    return value if isinstance(value, int) and 0 <= value < 2**63 else None


def _params(made_with: object) -> SamplingParams | None:
    """What a reply was made with; None for what this version does not understand."""
    if not isinstance(made_with, Mapping):
        return None
    values: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in made_with.items()
    }
    try:
        return SamplingParams(**values)
    except (TypeError, InvalidSampling):
        return None


def _message_data(message: Message) -> dict[str, Any]:
    data: dict[str, Any] = {"role": message.role, "text": message.text}
    for name in (*_TEXTS, "cut", "time"):
        if value := getattr(message, name):
            data[name] = value
    if message.seed is not None:
        data["seed"] = message.seed
    if message.params is not None:
        neutral = SamplingParams()
        data["made_with"] = {
            name: getattr(message.params, name)
            for name in message.params.__dataclass_fields__
            if getattr(message.params, name) != getattr(neutral, name)
        }
    return data
