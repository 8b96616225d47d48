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
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from farmesh.errors import ConfigError, FarMeshError

MAX_CHATS = 1_000  # per person
EXCERPT = 40  # characters before and after what is searched for
MAX_CHARS = 8_000_000  # of one conversation as JSON

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
CREATE TABLE IF NOT EXISTS pins ( -- a table of its own: older versions write the other one
    person TEXT NOT NULL,
    id TEXT NOT NULL,
    PRIMARY KEY (person, id)
) WITHOUT ROWID;
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
    pinned: bool = False
    excerpt: str = ""  # what was found in it, with some words around


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
        if wanted := search.casefold():
            return list(self._found(person, wanted))
        query = (
            "SELECT id, title, named, updated, pins.id IS NOT NULL FROM conversations"
            " LEFT JOIN pins USING (person, id) WHERE person = ? ORDER BY updated DESC"
        )
        with self._lock:
            rows = self._db.execute(query, (person,)).fetchall()
        return [Kept(row[0], row[1], bool(row[2]), row[3], bool(row[4])) for row in rows]

    def _found(self, person: str, wanted: str) -> Iterator[Kept]:
        """Those with the text in their title or in what was said, and where."""
        query = (
            "SELECT data FROM conversations WHERE person = ? AND id = ?"
            " AND (instr(fold(data), ?) OR instr(fold(title), ?))"
        )
        escaped = json.dumps(wanted, ensure_ascii=False)[1:-1]
        for kept in self.listed(person):
            with self._lock:
                row = self._db.execute(query, (person, kept.id, escaped, wanted)).fetchone()
            excerpt = excerpt_of(json.loads(row[0]), wanted) if row else ""
            if excerpt or wanted in kept.title.casefold():
                yield replace(kept, excerpt=excerpt)

    def get(self, person: str, chat_id: str) -> dict[str, Any] | None:
        query = "SELECT data FROM conversations WHERE person = ? AND id = ?"
        with self._lock:
            row = self._db.execute(query, (person, chat_id)).fetchone()
        return json.loads(row[0]) if row else None

    def put(self, person: str, kept: Kept, data: dict[str, Any]) -> None:
        """
        Raises:
            ValueError: it is too long, or the person has too many; nothing else makes room for it.
            CannotKeep: the file cannot be written.
        """
        text = json.dumps(data, ensure_ascii=False)
        if len(text) > MAX_CHARS:
            raise ValueError(
                "This conversation is too long to be kept. Export it, or go on in another."
            )
        row = (person, kept.id, kept.title, kept.named, kept.updated, text)
        with self._change() as db:
            others = db.execute(
                "SELECT count(*) FROM conversations WHERE person = ? AND id != ?", (person, kept.id)
            ).fetchone()[0]
            if others >= MAX_CHATS:
                raise ValueError(
                    f"{MAX_CHATS:,} conversations are kept already, so this one is not. "
                    "Delete some of them."
                )
            db.execute("INSERT OR REPLACE INTO conversations VALUES (?, ?, ?, ?, ?, ?)", row)
            db.execute("DELETE FROM pins WHERE person = ? AND id = ?", (person, kept.id))
            if kept.pinned:
                db.execute("INSERT INTO pins VALUES (?, ?)", (person, kept.id))

    def remove(self, person: str, chat_id: str) -> None:
        with self._change() as db:
            for table in ("conversations", "pins"):
                db.execute(f"DELETE FROM {table} WHERE person = ? AND id = ?", (person, chat_id))


def excerpt_of(data: dict[str, Any], wanted: str) -> str:
    """Where a text, which is folded, stands in what was said: with some words around it."""
    for message in data.get("messages", []):
        text = str(message.get("text", ""))
        at = text.casefold().find(wanted)
        if at >= 0:
            start, end = max(0, at - EXCERPT), at + len(wanted) + EXCERPT
            before, after = "…" if start else "", "…" if end < len(text) else ""
            return f"{before}{' '.join(text[start:end].split())}{after}"
    return ""
