"""From a chat's view to the values of the page's components; knows HTML, but no Gradio."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from chat import words
from chat.conversation import controls
from chat.conversation.reply import Phase, ReplyView
from chat.conversation.tree import Entry
from chat.errors import Forward
from chat.live.view import ChatView

NEARLY_FULL = 0.8  # share of the context from which the meter warns
_THINK = re.compile(r"<think>(.*?)(</think>|\Z)", re.DOTALL)

EARLIER, LATER, CONTINUE = "earlier", "later", "continue"
EARLIER_QUESTION, LATER_QUESTION = "earlier question", "later question"


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


def messages(entries: Sequence[Entry]) -> tuple[list[dict[str, Any]], list[int]]:
    """Values for the chat log, and the node that each of them belongs to."""
    values: list[dict[str, Any]] = []
    owners: list[int] = []
    for entry in entries:
        for value in _boxes(entry.message.role, entry.message.text):
            values.append(value)
            owners.append(entry.node_id)
    if values and entries[-1].message.role == "assistant":
        values[-1]["options"] = options(entries)
    return values, owners


def live(view: ReplyView | None) -> list[dict[str, Any]]:
    """The growing reply; until its first word comes, three dots that breathe."""
    if view is None:
        return []
    if view.text:
        return _boxes("assistant", view.text)
    return _boxes("assistant", "")


def _boxes(role: str, text: str) -> list[dict[str, Any]]:
    # The list form of content is kept byte for byte; a plain string would lose its tabs.
    if role == "user":
        return [{"role": role, "content": [{"type": "text", "text": text}]}]
    boxes = []
    for part in parts_of(text):
        box: dict[str, Any] = {"role": role, "content": [{"type": "text", "text": part.text}]}
        if part.thought:
            status = "pending" if part.open else "done"
            box["metadata"] = {"title": "Thinking", "status": status}
        boxes.append(box)
    return boxes


def options(entries: Sequence[Entry]) -> list[dict[str, str]]:
    """What can be done with the last reply beside the icons: its versions, continuing it."""
    reply = entries[-1]
    question = entries[-2] if len(entries) > 1 else None
    found = []
    if question is not None and question.versions > 1:
        where = f"question {question.version + 1} of {question.versions}"
        if question.version > 0:
            found.append({"value": EARLIER_QUESTION, "label": f"‹ {where}"})
        if question.version < question.versions - 1:
            found.append({"value": LATER_QUESTION, "label": f"{where} ›"})
    if reply.versions > 1:
        where = f"{reply.version + 1} of {reply.versions}"
        if reply.version > 0:
            found.append({"value": EARLIER, "label": f"‹ reply {where}"})
        if reply.version < reply.versions - 1:
            found.append({"value": LATER, "label": f"reply {where} ›"})
    if reply.message.cut:
        found.append({"value": CONTINUE, "label": "Continue"})
    return found


def status(view: ChatView) -> str:
    """The line under the log."""
    if view.live is None:
        return _done(view)
    phase = view.live.phase
    text = Markup('<span class="fm-phase {}"></span>{}').format(phase.value, view.live.status)
    if view.live.progress is not None and phase is Phase.READING:
        done = 100 * view.live.progress
        text += Markup('<span class="fm-progress"><i style="width:{:.1f}%"></i></span>').format(
            done
        )
    return Markup("<div>{}</div>").format(text)


def _done(view: ChatView) -> str:
    """What the last reply took, and behind a click what it was made with."""
    last = view.entries[-1].message if view.entries else None
    if last is None or last.params is None or last.note != view.status:
        return Markup('<div class="fm-done">{}</div>').format(view.status) if view.status else ""
    made = controls.made_with(last.params, last.stats.seed if last.stats else None, last.model)
    return Markup(
        '<details class="fm-done"><summary>{}</summary><p>Made with {}.</p></details>'
    ).format(view.status, made)


def meter(view: ChatView) -> str:
    """How much of the context is used, in words and as a bar."""
    if not view.limit:
        return ""
    share = min(1.0, view.used / view.limit)
    tone = "full" if share >= 0.95 else "near" if share >= NEARLY_FULL else "fine"
    left = max(0, view.limit - view.used)
    text = f"{words.number(view.used)} of {words.count(view.limit, 'token')} used"
    hint = ""
    if view.dropped:
        hint = (
            f"The first {words.count(view.dropped, 'message')} no longer fit: "
            "the model does not see them any more."
        )
    elif share >= NEARLY_FULL:
        hint = f"Only {words.count(left, 'token')} left; the oldest turns will leave next."
    return Markup(
        '<div class="fm-meter {}" role="meter" aria-label="Context used" aria-valuemin="0" '
        'aria-valuemax="{}" aria-valuenow="{}"><span class="fm-track"><i style="width:{:.1f}%">'
        "</i></span><span>{}</span><em>{}</em></div>"
    ).format(tone, view.limit, min(view.used, view.limit), 100 * share, text, hint)


def notice(view: ChatView) -> str:
    if view.notice is None:
        return ""
    return sentence(view.notice.text, retry=view.notice.forward is Forward.RETRY)


def sentence(text: str, *, retry: bool = False) -> str:
    """One sentence in the notice's place; with a button that asks again, if that can help."""
    button = Markup('<button type="button" data-click="fm-retry">Try again</button>')
    return Markup('<div class="fm-notice" role="alert"><p>{}</p>{}</div>').format(
        text, button if retry else ""
    )


def queued(view: ChatView) -> str:
    """The messages that wait behind the running reply."""
    rows = Markup("").join(Markup("<li>{}</li>").format(text[:200]) for text in view.queued)
    return Markup('<ul class="fm-queued" aria-label="Waiting">{}</ul>').format(rows) if rows else ""
