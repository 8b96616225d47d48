"""A conversation: a tree of messages of which one path is shown.

Messages are plain values. An edit or a new reply never destroys anything: it is a new version
beside the old one, and the path goes through the version chosen last. What the model generated
keeps its token ids, so that a reply is never tokenised again and the nodes' KV caches stay valid.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Literal

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
    seed: int | None = field(default=None, compare=False)  # the one drawn for the reply, too
    time: int = field(default=0, compare=False)  # seconds since 1970; 0: nobody knows

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
    undone: int | None = None  # the child that an undo took off the path; redo brings it back


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
    def empty(self) -> bool:
        """Whether nothing was ever said, shown or not."""
        return len(self._nodes) == 1

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

    def children(self, node_id: int) -> tuple[int, ...]:
        """The versions of what follows a message, in the order in which they are paged through."""
        return tuple(self._nodes[node_id].children)

    def chosen(self, node_id: int) -> int | None:
        """The child that is shown whenever this node is."""
        return self._nodes[node_id].chosen

    def undone(self, node_id: int) -> int | None:
        """The child that redo would bring back."""
        return self._nodes[node_id].undone

    def add(self, message: Message, parent: int | None = None) -> int:
        """Put a message under ``parent`` (default: the end of the path) and show it."""
        under = self.leaf if parent is None else parent
        node_id = self.insert(message, under)
        self.show(node_id)
        return node_id

    def insert(self, message: Message, parent: int, place: int | None = None) -> int:
        """Put a message among the children of ``parent``, the last by default; not shown."""
        node_id = self._next_id
        self._next_id += 1
        self._nodes[node_id] = _Node(message, parent)
        siblings = self._nodes[parent].children
        siblings.insert(len(siblings) if place is None else place, node_id)
        return node_id

    def replace(self, node_id: int, message: Message) -> None:
        """Put another message in the place of one, keeping what follows."""
        self._nodes[node_id].message = message

    def edit(self, node_id: int, text: str, time: int = 0) -> int:
        """Add a version of a message with another text, written by a person at ``time``.

        What follows a reply is copied behind the new version; what followed a user's message
        answered the old one and stays with that.
        """
        node = self._nodes[node_id]
        if node.message is None:
            raise ValueError("the root has no text")
        followers = self._chosen_below(node_id) if node.message.role == "assistant" else []
        edited = self.add(Message(node.message.role, text, time=time), node.parent)
        at = edited
        for message in followers:
            at = self.add(message, at)
        return edited

    def hide_after(self, node_id: int) -> None:
        """End the path at ``node_id``; what followed remains as a version."""
        self._nodes[node_id].chosen = None

    def show(self, node_id: int) -> None:
        """Let the path go through this node."""
        parent = self._nodes[self._nodes[node_id].parent]
        parent.chosen, parent.undone = node_id, None

    def undo(self) -> str | None:
        """Take the last turn off the path and return the person's text; None when there is none.

        It stays in the tree, for :meth:`redo` and as a version.
        """
        for entry in reversed(self.entries):
            if entry.message.role == "user":
                self.take_off(entry.node_id)
                return entry.message.text
        return None

    def take_off(self, node_id: int) -> None:
        """End the path before a message, which redo brings back."""
        parent = self._nodes[self._nodes[node_id].parent]
        parent.chosen, parent.undone = None, node_id

    @property
    def can_redo(self) -> bool:
        """Whether the path ends where an undo has ended it."""
        return self._nodes[self.leaf].undone is not None

    def redo(self) -> bool:
        """Bring back the turn that was undone last; returns whether there was one."""
        undone = self._nodes[self.leaf].undone
        if undone is not None:
            self.show(undone)
        return undone is not None

    def forget_tokens(self) -> None:
        """Keep the text of all replies only: their token ids mean nothing to another model."""
        for node in self._nodes.values():
            if node.message is not None and node.message.token_ids:
                node.message = replace(node.message, token_ids=(), beyond=0)

    def step(self, node_id: int, by: int) -> None:
        """Show the version ``by`` places after this one; the first and last are the limits."""
        siblings = self._nodes[self._nodes[node_id].parent].children
        at = siblings.index(node_id) + by
        self.show(siblings[min(max(at, 0), len(siblings) - 1)])

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
