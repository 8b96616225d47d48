"""Conversations of people who have signed in, in one SQLite file.

Everybody else's stay in their browser. A person is the id that the gate derives; nobody's name is
in the file. All methods block for the length of a small disk access: call them in a thread.
"""

from __future__ import annotations

import json
import logging
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from farmesh.errors import ConfigError, FarMeshError

MAX_CHATS = 1_000  # per person; the one not changed for longest goes
MAX_CHARS = 4_000_000  # of one conversation as JSON

_SCHEMA = """
CREATE TABLE IF NOT EXISTS conversations (
    person TEXT NOT NULL,
    id TEXT NOT NULL,
    title TEXT NOT NULL,
    named INTEGER NOT NULL,   -- whether a person chose the title
    updated INTEGER NOT NULL, -- milliseconds since 1970, by the person's browser
    data TEXT NOT NULL,       -- JSON, as /farmesh/chat/ID gives it
    PRIMARY KEY (person, id)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS by_age ON conversations (person, updated);
"""


FULL = "Conversations cannot be kept now: the app's disk is full or cannot be written"

log = logging.getLogger(__name__)


class CannotKeep(FarMeshError):
    """The disk is full, or not to be written."""


@dataclass(frozen=True, slots=True)
class Kept:
    """One line of a person's list."""

    id: str
    title: str
    named: bool
    updated: int


class Archive:
    """The file; safe to use from several threads.

    Raises on construction:
        ConfigError: the file cannot be made or is something else.
    """

    def __init__(self, path: Path) -> None:
        self.trouble = ""  # why nothing can be kept just now, for people
        self._lock = threading.Lock()
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            path.touch(mode=0o600)
            self._db = sqlite3.connect(path, check_same_thread=False)
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.create_function("fold", 1, str.casefold, deterministic=True)
            self._db.executescript(_SCHEMA)
        except (sqlite3.Error, OSError) as error:
            raise ConfigError(
                f"chat.conversations_file {path} cannot be used: {error}. Name another file."
            ) from error

    def close(self) -> None:
        with self._lock:
            self._db.close()

    @contextmanager
    def _change(self) -> Iterator[sqlite3.Connection]:
        """
        Raises:
            CannotKeep: the file cannot be written; it is as it was.
        """
        try:
            with self._lock, self._db:  # the second one commits, or rolls back on an error
                yield self._db
        except sqlite3.OperationalError as error:
            if not self.trouble:
                log.error("chat.conversations_file cannot be written: %s", error)
            self.trouble = FULL
            raise CannotKeep(FULL) from error
        self.trouble = ""

    def listed(self, person: str, search: str = "") -> list[Kept]:
        """A person's conversations, newest first; with ``search`` those that contain it."""
        wanted = search.casefold()
        query = (
            "SELECT id, title, named, updated FROM conversations WHERE person = ?"
            " AND (? = '' OR instr(fold(title), ?) OR instr(fold(data), ?)) ORDER BY updated DESC"
        )
        with self._lock:
            rows = self._db.execute(query, (person, wanted, wanted, wanted)).fetchall()
        return [Kept(row[0], row[1], bool(row[2]), row[3]) for row in rows]

    def get(self, person: str, chat_id: str) -> dict[str, Any] | None:
        query = "SELECT data FROM conversations WHERE person = ? AND id = ?"
        with self._lock:
            row = self._db.execute(query, (person, chat_id)).fetchone()
        return json.loads(row[0]) if row else None

    def put(self, person: str, kept: Kept, data: dict[str, Any]) -> None:
        """
        Raises:
            ValueError: it is too long.
            CannotKeep: the file cannot be written.
        """
        text = json.dumps(data, ensure_ascii=False)
        if len(text) > MAX_CHARS:
            raise ValueError("This conversation is too long to be kept.")
        row = (person, kept.id, kept.title, kept.named, kept.updated, text)
        with self._change() as db:
            db.execute("INSERT OR REPLACE INTO conversations VALUES (?, ?, ?, ?, ?, ?)", row)
            db.execute(
                "DELETE FROM conversations WHERE person = ? AND id IN (SELECT id FROM conversations"
                " WHERE person = ? ORDER BY updated DESC LIMIT -1 OFFSET ?)",
                (person, person, MAX_CHATS),
            )

    def remove(self, person: str, chat_id: str) -> None:
        with self._change() as db:
            db.execute("DELETE FROM conversations WHERE person = ? AND id = ?", (person, chat_id))
