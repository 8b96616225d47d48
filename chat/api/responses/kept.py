"""Responses that can be followed by others: a bounded number, each its owner's alone."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

from chat.api.asked import Said

MOST = 1000  # responses of all callers
MOST_CHARACTERS = 20_000_000  # of all their conversations
MOST_OF_ONE = 100  # responses of one caller


@dataclass(frozen=True, slots=True)
class Kept:
    """A response, and the conversation up to its end; instructions are not a part of it."""

    owner: str
    messages: tuple[Said, ...]
    body: dict[str, Any]

    @property
    def size(self) -> int:
        """Characters; what responses share is counted for each."""
        return sum(
            len(said.text) + len(said.reasoning) + sum(len(call.arguments) for call in said.calls)
            for said in self.messages
        )


class KeptResponses:
    """In memory: a restart forgets them, and so does need of room, the oldest first."""

    def __init__(self) -> None:
        self._kept: OrderedDict[str, Kept] = OrderedDict()
        self._size = 0

    def __repr__(self) -> str:
        return f"<KeptResponses {len(self._kept)}, {self._size:,} characters>"

    def __len__(self) -> int:
        return len(self._kept)

    def get(self, response_id: str, owner: str) -> Kept | None:
        """None when there is none, or it is somebody else's."""
        kept = self._kept.get(response_id)
        return kept if kept is not None and kept.owner == owner else None

    def put(self, response_id: str, kept: Kept) -> None:
        self._kept[response_id] = kept
        self._size += kept.size
        own = [known for known, other in self._kept.items() if other.owner == kept.owner]
        for known in own[: max(0, len(own) - MOST_OF_ONE)]:
            self._drop(known)
        while self._kept and (len(self._kept) > MOST or self._size > MOST_CHARACTERS):
            self._drop(next(iter(self._kept)))

    def remove(self, response_id: str, owner: str) -> bool:
        """Whether there was such a response of this owner's."""
        if self.get(response_id, owner) is None:
            return False
        self._drop(response_id)
        return True

    def _drop(self, response_id: str) -> None:
        self._size -= self._kept.pop(response_id).size
