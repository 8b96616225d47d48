"""What is kept on disk: conversations of signed-in people, likes and dislikes."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from chat.conversation.tree import Message
from chat.kept import archive as module
from chat.kept.archive import Archive, Kept
from chat.kept.likes import Likes
from farmesh.errors import ConfigError
from farmesh.params import SamplingParams

DATA = {"system": "", "messages": [{"role": "user", "text": "Grüße, İstanbul\t🙂\u2028"}]}


def kept(number: int, title: str = "A chat") -> Kept:
    return Kept(f"chat-{number}", title, False, number)


def test_conversations_outlive_the_process_and_belong_to_one_person(tmp_path: Path) -> None:
    """textgen#58: users saw each other's history."""
    path = tmp_path / "deep" / "chats.sqlite"
    first = Archive(path)
    first.put("ann", kept(1), DATA)
    first.put("bob", kept(1, "Bob's"), {"messages": []})
    first.close()
    again = Archive(path)
    assert again.get("ann", "chat-1") == DATA
    assert [entry.title for entry in again.listed("bob")] == ["Bob's"]
    assert again.get("eve", "chat-1") is None
    again.remove("eve", "chat-1")
    again.remove("bob", "chat-1")
    assert again.get("ann", "chat-1") == DATA
    assert again.listed("bob") == []
    assert path.stat().st_mode & 0o077 == 0, "other users of the machine can read it"


def test_search_looks_into_titles_and_texts_in_any_case(tmp_path: Path) -> None:
    """SQLite's LIKE knows upper and lower case of ASCII only, and reads % and _ as wildcards."""
    archive = Archive(tmp_path / "chats.sqlite")
    archive.put("ann", kept(1, "100% sure_"), DATA)
    archive.put("ann", kept(2, "Other"), {"messages": []})
    for wanted in ("GRÜSSE", "grüße", "0% s", "SURE_", "🙂"):
        assert [entry.id for entry in archive.listed("ann", wanted)] == ["chat-1"], wanted
    assert archive.listed("ann", "%") == archive.listed("ann", "100%")
    assert archive.listed("ann", "user") == [], "it is no word of theirs"
    assert archive.listed("ann", "İST")[0].excerpt == "Grüße, İstanbul 🙂"
    assert [entry.id for entry in archive.listed("ann")] == ["chat-2", "chat-1"]


def test_what_has_no_room_is_refused_and_nothing_goes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The conversation not changed for longest went without a word."""
    monkeypatch.setattr(module, "MAX_CHATS", 3)
    archive = Archive(tmp_path / "chats.sqlite")
    archive.put("bob", kept(0), DATA)
    for number in range(3):
        archive.put("ann", kept(number), DATA)
    with pytest.raises(ValueError, match="kept already"):
        archive.put("ann", kept(3), DATA)
    archive.put("ann", kept(0, "Another title"), DATA)
    assert [entry.updated for entry in archive.listed("ann")] == [2, 1, 0]
    assert len(archive.listed("bob")) == 1
    with pytest.raises(ValueError, match="too long"):
        archive.put("ann", kept(9), {"messages": ["x" * module.MAX_CHARS]})


def test_several_threads_at_once(tmp_path: Path) -> None:
    """sqlite3 refuses a connection that another thread opened, or loses a transaction."""
    archive = Archive(tmp_path / "chats.sqlite")
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: archive.put("ann", kept(n), DATA), range(100)))
    assert len(archive.listed("ann")) == 100


def test_file_that_is_something_else_is_said(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("These are notes, and there are many of them.\n" * 100)
    with pytest.raises(ConfigError, match="conversations_file"):
        Archive(path)


def test_likes_are_lines_that_say_what_was_liked(tmp_path: Path) -> None:
    path = tmp_path / "likes.jsonl"
    likes = Likes(path)
    reply = Message("assistant", "Hi\nthere", params=SamplingParams(top_k=5), model="Guide")
    likes.add((Message("user", "Hello"), reply), liked=True)
    likes.add((Message("user", "Hello"), reply), liked=None)
    first, second = map(json.loads, path.read_text().splitlines())
    assert (first["message"], first["reply"], first["model"]) == ("Hello", "Hi\nthere", "Guide")
    assert first["made_with"]["top_k"] == 5
    assert (first["liked"], second["liked"]) == (True, None)
    assert path.stat().st_mode & 0o077 == 0


def test_pins_are_kept_and_a_file_without_them_is_read(tmp_path: Path) -> None:
    """A new column would have shut out every file of the version before, or that version."""
    path = tmp_path / "chats.sqlite"
    before = Archive(path)
    before.put("ann", kept(1), DATA)
    before._db.execute("DROP TABLE pins")
    before.close()
    archive = Archive(path)
    assert not archive.listed("ann")[0].pinned
    archive.put("ann", Kept("chat-1", "A chat", False, 1, pinned=True), DATA)
    assert archive.listed("ann")[0].pinned
    archive.put("ann", kept(1), DATA)
    assert not archive.listed("ann")[0].pinned
