"""The components that handlers read and write."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import gradio as gr

Values = Mapping[Any, Any]  # what an event brings, by component
Updates = dict[Any, Any]  # what a handler gives back, by component


@dataclass(frozen=True, slots=True)
class Parts:
    """The components of the conversation."""

    chat_id: gr.Textbox
    model_id: gr.Textbox  # the model just chosen for this chat; with a ~ the wish for new chats
    asked: gr.Textbox  # what is to be done, and with which message: JSON of the page's script
    told: gr.Markdown  # what became of that, as the script reads it
    facts: gr.Markdown  # what the script has to know of the messages in ``history``
    history: gr.Chatbot
    live: gr.Chatbot
    status: gr.Markdown
    meter: gr.Markdown
    notice: gr.Markdown
    queued: gr.Markdown
    stop: gr.Button
    system: gr.Textbox
    begin: gr.Textbox
    knobs: Mapping[str, gr.components.Component]  # by the names that chat.controls reads

    @property
    def inputs(self) -> set[gr.components.Component]:
        own = {self.chat_id, self.model_id, self.asked, self.system, self.begin}
        return {*own, *self.knobs.values()}

    @property
    def drawn(self) -> list[gr.components.Component]:
        return [
            *(self.history, self.live, self.facts, self.status, self.meter),
            *(self.notice, self.queued, self.stop),
        ]


@dataclass(frozen=True, slots=True)
class Presets:
    """The preset's name with its two buttons, and what the browser keeps."""

    name: gr.Dropdown
    changed: gr.Markdown  # beside the name, when the controls are not as it says any more
    save: gr.Button
    forget: gr.Button
    kept: gr.BrowserState
    touched: gr.BrowserState  # the controls' values, once a person has changed one
