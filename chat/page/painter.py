"""From a chat's view to what changes in the page."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import gradio as gr

from chat.conversation import controls
from chat.live.view import ChatView
from chat.page import paint

Values = Mapping[Any, Any]
Updates = dict[Any, Any]


@dataclass(frozen=True, slots=True)
class Parts:
    """The components that handlers read and write."""

    chat_id: gr.Textbox
    model_id: gr.Textbox  # the model just chosen for this chat; with a ~ the wish for new chats
    history: gr.Chatbot
    live: gr.Chatbot
    status: gr.Markdown
    meter: gr.Markdown
    notice: gr.Markdown
    queued: gr.Markdown
    box: gr.Textbox
    stop: gr.Button
    system: gr.Textbox
    begin: gr.Textbox
    knobs: Mapping[str, gr.components.Component]  # by the names that chat.controls reads

    @property
    def inputs(self) -> set[gr.components.Component]:
        own = {self.chat_id, self.model_id, self.box, self.system, self.begin}
        return {*own, *self.knobs.values()}

    @property
    def drawn(self) -> list[gr.components.Component]:
        return [
            self.history,
            self.live,
            self.status,
            self.meter,
            self.notice,
            self.queued,
            self.stop,
        ]


class Painter:
    """Turns views into updates of what changed since the last one; constant work per token."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        # An empty notice is not drawn first: it would wipe out what an action has just said.
        self._last: dict[Any, Any] = {parts.notice: ""}
        self._revision = -1

    def paint(self, view: ChatView) -> Updates:
        parts = self._parts
        updates: Updates = {}
        if view.revision != self._revision:
            self._revision = view.revision
            updates[parts.history] = paint.messages(view.entries)[0]
        wanted = {
            parts.status: paint.status(view),
            parts.meter: paint.meter(view),
            parts.notice: paint.notice(view),
            parts.queued: paint.queued(view),
            parts.stop: view.busy,
            parts.live: (view.live.text, view.live.phase) if view.live else None,
        }
        for part, value in wanted.items():
            if part not in self._last or self._last[part] != value:
                self._last[part] = value
                updates[part] = self._update(part, value, view)
        return updates

    def _update(self, part: Any, value: Any, view: ChatView) -> Any:
        if part is self._parts.live:
            return gr.update(value=paint.live(view.live), visible=view.live is not None)
        if part is self._parts.stop:
            return gr.update(visible=value)
        return gr.update(value=value, visible=bool(value))


def edited(value: Any) -> str:
    """The text of an edited message; Gradio gives a text or a list of pieces."""
    if isinstance(value, str):
        return value
    pieces = value if isinstance(value, list) else [value]
    return "".join(p.get("text", "") if isinstance(p, dict) else str(p) for p in pieces)


def mapping(kept: Any) -> dict[str, Any]:
    """What the browser kept, whatever it is now."""
    return kept if isinstance(kept, dict) else {}


def choices(kept: Mapping[str, Any]) -> list[str]:
    return [controls.OWN_PRESET, *controls.PRESETS, *(name for name in kept)]
