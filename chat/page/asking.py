"""What the page's script asks for, in the one hidden field that its actions bring along."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from chat.errors import ChatError
from chat.live.store import LOST


@dataclass(frozen=True, slots=True)
class Asked:
    """One action: what is not needed for it is empty."""

    chat: str  # where it was asked for; the page may show another chat by now
    id: str = ""  # of a message that is sent
    text: str = ""
    node: int = 0
    by: int = 0


def read(value: Any) -> Asked:
    """
    Raises:
        ChatError: it is nothing that the page's script has written.
    """
    try:
        told = json.loads(value)
        return Asked(
            str(told["chat"]),
            str(told.get("id", ""))[:64],
            str(told.get("text", "")),
            int(told.get("node", 0)),
            int(told.get("by", 0)),
        )
    except (TypeError, ValueError, KeyError, AttributeError):
        raise ChatError(LOST) from None
