"""From a chat's view to the values of the page's components; knows templates, but no Gradio."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from chat import words
from chat.conversation import controls
from chat.conversation.attached import split
from chat.conversation.reply import Phase, ReplyView
from chat.conversation.tree import Entry, Message
from chat.errors import Forward
from chat.live.view import ChatView
from chat.page.markup import markdown, typed
from chat.page.templates import render

NEARLY_FULL = 0.8  # share of the context from which the meter warns
FULL = 0.95
QUEUED_CHARS = 200  # shown of a message that waits
_THINK = re.compile(r"<think>(.*?)(</think>|\Z)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Part:
    """A piece of a message that the page shows in a box of its own."""

    text: str
    thought: bool = False
    open: bool = False  # the thought is still going on


def parts_of(text: str) -> Iterator[Part]:
    """Split reasoning between ``<think>`` tags from the rest."""
    at = 0
    for found in _THINK.finditer(text):
        if before := text[at : found.start()].strip("\n"):
            yield Part(before)
        yield Part(found[1].strip("\n"), thought=True, open=not found[2])
        at = found.end()
    rest = text[at:].lstrip("\n") if at else text
    if rest or not at:
        yield Part(rest)


def messages(entries: Sequence[Entry]) -> list[dict[str, Any]]:
    """Values for the chat log."""
    return [box for entry in entries for box in _boxes(entry.message.role, entry.message.text)]


def owners(entries: Sequence[Entry]) -> list[int]:
    """The node that each of the boxes of :func:`messages` belongs to."""
    return [
        entry.node_id
        for entry in entries
        for _ in ((0,) if entry.message.role == "user" else parts_of(entry.message.text))
    ]


def facts(view: ChatView) -> str:
    """What the page's script has to know of the messages, beside what is drawn of them."""
    nodes = owners(view.entries)
    known: dict[str, Any] = {"nodes": nodes, "sent": view.sent, "redo": view.can_redo}
    known["versions"] = {
        entry.node_id: [entry.version + 1, entry.versions]
        for entry in view.entries
        if entry.versions > 1
    }
    if 0 < view.dropped < len(view.entries):
        known["first"] = view.entries[view.dropped].node_id
    known["cut"] = bool(view.entries) and view.entries[-1].message.cut
    return render("data", of="facts", data=json.dumps(known))


def told(**outcome: Any) -> str:
    """What became of an action, for the page's script; no two are alike."""
    return render("data", of="told", data=json.dumps({**outcome, "at": time.monotonic_ns()}))


def live(view: ReplyView | None) -> list[dict[str, Any]]:
    """The growing reply; until its first word comes, three dots that breathe."""
    return _boxes("assistant", view.text) if view is not None else []


def _boxes(role: str, text: str) -> list[dict[str, Any]]:
    if role == "user":
        files, said = split(text)
        chips = "".join(
            f'<details class="fm-file"><summary>{typed(file.name)}</summary>{typed(file.text)}'
            "</details>"
            for file in files
        )
        return [_box(role, chips + (typed(said) if said or not files else ""))]
    boxes = []
    for part in parts_of(text):
        box = _box(role, markdown(part.text))
        if part.thought:
            status = "pending" if part.open else "done"
            box["metadata"] = {"title": "Thinking", "status": status}
        boxes.append(box)
    return boxes


def _box(role: str, drawn: str) -> dict[str, Any]:
    # The list form of content is kept byte for byte; a plain string would lose its tabs.
    return {"role": role, "content": [{"type": "text", "text": drawn}]}


def answer(text: str) -> str:
    """A reply without its reasoning, as one wants to copy it."""
    return "\n\n".join(part.text for part in parts_of(text) if not part.thought) or text


def status(view: ChatView) -> str:
    """The line under the log."""
    reply = view.live
    if reply is None:
        return _done(view) if view.status else ""
    shown = reply.progress if reply.phase is Phase.READING else None
    done = None if shown is None else 100 * shown
    return render("running", phase=reply.phase.value, text=reply.status, done=done)


def _done(view: ChatView) -> str:
    """What the last reply took, and behind a click what it was made with."""
    last = view.entries[-1].message if view.entries else None
    mine = last is not None and last.note == view.status
    return render("done", text=view.status, made=made(last) if last and mine else "")


def made(message: Message) -> str:
    """What a reply was made with; empty if nobody knows."""
    if message.params is None:
        return ""
    return controls.made_with(message.params, message.seed, message.model)


def meter(view: ChatView) -> str:
    """How much of the context is used, in words and as a bar."""
    if not view.limit:
        return ""
    used = min(view.used, view.limit)
    share = used / view.limit
    tone = "full" if share >= FULL else "near" if share >= NEARLY_FULL else "fine"
    return render(
        "meter",
        tone=tone,
        limit=view.limit,
        used=used,
        percent=100 * share,
        text=f"{words.number(view.used)} of {words.count(view.limit, 'token')} used",
        hint=_hint(view, share),
    )


def _hint(view: ChatView, share: float) -> str:
    if view.dropped:
        messages = words.count(view.dropped, "message")
        return f"The first {messages} no longer fit: the model does not see them any more."
    if share >= NEARLY_FULL:
        left = words.count(max(0, view.limit - view.used), "token")
        return f"Only {left} left; the oldest turns will leave next."
    return ""


def notice(view: ChatView) -> str:
    if view.notice is None:
        return ""
    return sentence(view.notice.text, retry=view.notice.forward is Forward.RETRY)


def sentence(text: str, *, retry: bool = False) -> str:
    """One sentence in the notice's place; with a button that asks again, if that can help."""
    return render("notice", text=text, retry=retry)


def queued(view: ChatView) -> str:
    """The messages that wait behind the running reply, each in one line."""
    texts = [" ".join(split(text)[1][:QUEUED_CHARS].split()) for text in view.queued]
    waiting = list(zip(view.queued_ids, texts, strict=True))
    return render("queued", waiting=waiting) if waiting else ""
