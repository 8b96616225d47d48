"""Likes and dislikes, one JSON object per line, when the operator wants them."""

from __future__ import annotations

import json
import os
import threading
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from chat.conversation.tree import Message


class Likes:
    """Appends to a file; blocks for the length of one write."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()

    def add(self, path: tuple[Message, ...], liked: bool | None) -> None:
        """
        Args:
            path: the messages up to the reply that is judged, which is the last one.
            liked: None takes an earlier judgement back.
        """
        line = json.dumps(_line(path, liked), ensure_ascii=False) + "\n"
        with self._lock:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT
            with os.fdopen(os.open(self._path, flags, 0o600), "a", encoding="utf-8") as file:
                file.write(line)


def _line(path: tuple[Message, ...], liked: bool | None) -> dict[str, Any]:
    reply, asked = path[-1], [message for message in path[:-1] if message.role == "user"]
    return {
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "liked": liked,
        "model": reply.model,
        "message": asked[-1].text if asked else "",
        "reply": reply.text,
        "made_with": asdict(reply.params) if reply.params else None,
        "seed": reply.stats.seed if reply.stats else None,
    }
