"""From a chat's view to what changes in the page."""

from __future__ import annotations

from typing import Any

import gradio as gr

from chat.live.view import ChatView
from chat.page import paint
from chat.page.parts import Parts, Updates


class Painter:
    """Turns views into updates of what changed since the last one; constant work per token."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        # An empty notice is not drawn first: it would wipe out what an action has just said.
        self._last: dict[Any, Any] = {parts.notice: ""}
        self._revision = -1
        self._known: object = None  # what the facts were made from

    def paint(self, view: ChatView) -> Updates:
        parts = self._parts
        updates: Updates = {}
        if view.revision != self._revision:
            self._revision = view.revision
            updates[parts.history] = paint.messages(view.entries)
        if (known := (view.revision, view.sent, view.dropped)) != self._known:
            self._known = known
            updates[parts.facts] = gr.update(value=paint.facts(view))
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
            return gr.update(visible=value or "hidden")
        return gr.update(value=value, visible=bool(value))
