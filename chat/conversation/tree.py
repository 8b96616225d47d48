"""A conversation: a tree of messages of which one path is shown.

Messages are plain values. An edit or a new reply never destroys anything: it is a new version
beside the old one, and the path goes through the version chosen last. What the model generated
keeps its token ids, so that a reply is never tokenised again and the nodes' KV caches stay valid.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from farmesh.events import GenerationStats
from farmesh.params import SamplingParams

Role = Literal["user", "assistant"]
ROLES = ("user", "assistant")


@dataclass(frozen=True, slots=True)
class Message:
    """One role and its text."""

    role: Role
    text: str
    token_ids: tuple[int, ...] = ()  # generated; their text begins ``text``; () if a person wrote
    beyond: int = 0  # characters at the end of ``text`` that the tokens do not cover
    cut: bool = False  # ended by its limit, by Stop or by an error: it can be continued
    note: str = ""  # how the reply came about, one line for people
    params: SamplingParams | None = None  # what the reply was made with
    model: str = ""  # name of the model that made it, for people
    stats: GenerationStats | None = None

    @property
    def tail(self) -> str:
        """The end of the text that no generated token stands for."""
        return self.text[len(self.text) - self.beyond :] if self.beyond else ""


@dataclass(frozen=True, slots=True)
class Entry:
    """A message on the shown path, and which version of how many it is."""

    node_id: int
    message: Message
    version: int = 0
    versions: int = 1


@dataclass(slots=True)
class _Node:
    message: Message | None  # None: the root
    parent: int
    children: list[int] = field(default_factory=list)
    chosen: int | None = None  # the child that the path goes through


ROOT = 0


class Conversation:
    """The tree of messages of one chat."""

    def __init__(self) -> None:
        self._nodes: dict[int, _Node] = {ROOT: _Node(None, ROOT)}
        self._next_id = ROOT + 1

    def __repr__(self) -> str:
        return f"<Conversation {len(self)} messages shown, {len(self._nodes) - 1} kept>"

    def __len__(self) -> int:
        return sum(1 for _ in self._walk())

    @property
    def entries(self) -> tuple[Entry, ...]:
        """The shown path, oldest first."""
        return tuple(self._walk())

    @property
    def messages(self) -> tuple[Message, ...]:
        return tuple(entry.message for entry in self._walk())

    @property
    def leaf(self) -> int:
        """The node that the next message is added under."""
        node_id = ROOT
        while (chosen := self._nodes[node_id].chosen) is not None:
            node_id = chosen
        return node_id

    def parent(self, node_id: int) -> int:
        return self._nodes[node_id].parent

    def message(self, node_id: int) -> Message | None:
        """The message of a node; None for the root or one that is gone."""
        node = self._nodes.get(node_id)
        return node.message if node else None

    def path_to(self, node_id: int) -> tuple[Message, ...]:
        """The messages from the oldest one to ``node_id``, which is included."""
        found: list[Message] = []
        while (message := self._nodes[node_id].message) is not None:
            found.append(message)
            node_id = self._nodes[node_id].parent
        return tuple(reversed(found))

    def add(self, message: Message, parent: int | None = None) -> int:
        """Put a message under ``parent`` (default: the end of the path) and show it."""
        under = self.leaf if parent is None else parent
        node_id = self._next_id
        self._next_id += 1
        self._nodes[node_id] = _Node(message, under)
        self._nodes[under].children.append(node_id)
        self._nodes[under].chosen = node_id
        return node_id

    def replace(self, node_id: int, message: Message) -> None:
        """Put another message in the place of one, keeping what follows."""
        self._nodes[node_id].message = message

    def edit(self, node_id: int, text: str) -> int:
        """Add a version of a message with another text, written by a person.

        What follows a reply is copied behind the new version; what followed a user's message
        answered the old one and stays with that.
        """
        node = self._nodes[node_id]
        if node.message is None:
            raise ValueError("the root has no text")
        followers = self._chosen_below(node_id) if node.message.role == "assistant" else []
        edited = self.add(Message(node.message.role, text), node.parent)
        at = edited
        for message in followers:
            at = self.add(message, at)
        return edited

    def hide_after(self, node_id: int) -> None:
        """End the path at ``node_id``; what followed remains as a version."""
        self._nodes[node_id].chosen = None

    def show(self, node_id: int) -> None:
        """Let the path go through this node."""
        self._nodes[self._nodes[node_id].parent].chosen = node_id

    def remove(self, node_id: int) -> None:
        """Take a message and everything under it out of the tree."""
        parent = self._nodes[node_id].parent
        siblings = self._nodes[parent].children
        siblings.remove(node_id)
        if self._nodes[parent].chosen == node_id:
            self._nodes[parent].chosen = siblings[-1] if siblings else None
        doomed = [node_id]
        while doomed:
            doomed += self._nodes.pop(doomed.pop()).children

    def undo(self) -> str | None:
        """Take the last turn away and return the person's text; None when there is none."""
        for entry in reversed(self.entries):
            if entry.message.role == "user":
                parent = self.parent(entry.node_id)
                self.remove(entry.node_id)
                self._nodes[parent].chosen = None
                return entry.message.text
        return None

    def forget_tokens(self) -> None:
        """Keep the text of all replies only: their token ids mean nothing to another model."""
        for node in self._nodes.values():
            if node.message is not None and node.message.token_ids:
                node.message = replace(node.message, token_ids=(), beyond=0)

    def step(self, node_id: int, by: int) -> None:
        """Show the version ``by`` places after this one; the first and last are the limits."""
        parent = self._nodes[self._nodes[node_id].parent]
        at = parent.children.index(node_id) + by
        parent.chosen = parent.children[min(max(at, 0), len(parent.children) - 1)]

    def _walk(self) -> Iterator[Entry]:
        node = self._nodes[ROOT]
        while node.chosen is not None:
            node_id, siblings = node.chosen, node.children
            node = self._nodes[node_id]
            if node.message is not None:
                yield Entry(node_id, node.message, siblings.index(node_id), len(siblings))

    def _chosen_below(self, node_id: int) -> list[Message]:
        found = []
        while (chosen := self._nodes[node_id].chosen) is not None:
            message = self._nodes[chosen].message
            if message is not None:
                found.append(message)
            node_id = chosen
        return found

    # --- export and import: plain data; only the shown path travels --------------------------

    def to_data(self) -> list[dict[str, Any]]:
        """The shown path as JSON-ready values."""
        return [_to_data(message) for message in self.messages]

    @classmethod
    def from_data(cls, data: object, *, max_messages: int = 10_000) -> Conversation:
        """
        Raises:
            ValueError: the data is no list of messages; the text is a sentence for a person.
        """
        if not isinstance(data, list) or len(data) > max_messages:
            raise ValueError("This is not a list of messages.")
        conversation = cls()
        for number, item in enumerate(data, 1):
            if (
                not isinstance(item, dict)
                or item.get("role") not in ROLES
                or not isinstance(item.get("text"), str)
            ):
                raise ValueError(f"Message {number} has no role or no text.")
            note, model = (
                value if isinstance(value := item.get(key), str) else ""
                for key in ("note", "model")
            )
            cut = item.get("cut") is True
            conversation.add(Message(item["role"], item["text"], cut=cut, note=note, model=model))
        return conversation


def _to_data(message: Message) -> dict[str, Any]:
    data: dict[str, Any] = {"role": message.role, "text": message.text}
    if message.note:
        data["note"] = message.note
    if message.cut:
        data["cut"] = True
    if message.model:
        data["model"] = message.model
    if message.params is not None:
        neutral = SamplingParams()
        data["made_with"] = {
            name: getattr(message.params, name)
            for name in message.params.__dataclass_fields__
            if getattr(message.params, name) != getattr(neutral, name)
        }
    return data
