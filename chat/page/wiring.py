"""Which event calls which handler.

There is no ``unload`` here on purpose: like ``gr.State`` it would make every tab hold a connection
open. A closed tab is noticed by its stream instead (:mod:`chat.page.streams`).
"""

from __future__ import annotations

from typing import Any

import gradio as gr

from chat.conversation import controls
from chat.kept.likes import Likes
from chat.page.changing import Changing, Liking
from chat.page.desk import Desk
from chat.page.parts import Presets
from chat.page.sending import Sending
from chat.page.tuning import Tuning
from chat.page.watching import Watching

QUIET: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
QUICK: dict[str, Any] = {"queue": False, **QUIET}


def wire_chat(desk: Desk, watching: Watching, likes: Likes | None) -> None:
    """Every action returns at once; then the page watches the chat."""
    parts = desk.parts
    said = [parts.notice, parts.told, parts.begin]
    quick: dict[str, Any] = {"inputs": parts.inputs, "outputs": said, **QUICK}
    watch: dict[str, Any] = {
        "fn": watching.watch,
        "inputs": parts.inputs,
        "outputs": parts.drawn,
        "concurrency_id": "watch",
        "concurrency_limit": None,
        "trigger_mode": "multiple",
        **QUIET,
    }
    _hidden("Watch", "fm-watch").click(**watch)
    attach = {**watch, "fn": watching.attach, "outputs": [*parts.drawn, parts.system]}
    _hidden("Attach", "fm-attach").click(**attach)

    sending = Sending(desk)
    # One after the other, and none is left out: the page's script takes care of that.
    _hidden("Say", "fm-say").click(sending.send, trigger_mode="multiple", **quick).then(**watch)
    _hidden("Retry", "fm-retry").click(sending.regenerate, **quick).then(**watch)
    _hidden("Continue", "fm-continue").click(sending.continue_reply, **quick).then(**watch)

    changing = Changing(desk)
    _hidden("Edit", "fm-edit").click(changing.edit, **quick).then(**watch)
    _hidden("Version", "fm-version").click(changing.show_version, **quick).then(**watch)
    _hidden("Undo", "fm-undo").click(changing.undo, **quick).then(**watch)
    _hidden("Redo", "fm-redo").click(changing.redo, **quick).then(**watch)
    if likes is not None:
        parts.history.like(Liking(desk, likes).like, [parts.chat_id], parts.notice, **QUICK)

    knobs = [parts.knobs[name] for name in controls.PRESET_FIELDS]
    quick["outputs"] = [*said, parts.model_id, *knobs]
    _hidden("Use this model", "fm-use-model").click(Tuning(desk).use_model, **quick).then(**watch)


def wire_settings(demo: gr.Blocks, desk: Desk, presets: Presets) -> None:
    """The controls and their presets; the browser keeps both."""
    parts, tuning = desk.parts, Tuning(desk)
    name, kept = presets.name, presets.kept
    knobs: list[Any] = list(parts.knobs.values())
    changed = [parts.knobs[field] for field in controls.PRESET_FIELDS]
    kept_now = [presets.touched, presets.changed]
    keep: dict[str, Any] = {"outputs": kept_now, "trigger_mode": "always_last", **QUICK}

    turned = [name, kept, parts.chat_id, *knobs]
    gr.on([knob.input for knob in knobs], tuning.keep_controls, turned, **keep)
    found = [name, presets.changed, *knobs]
    demo.load(tuning.list_controls, [presets.touched, kept], found, **QUICK)
    chosen = name.input(tuning.use_preset, [name, kept, parts.chat_id], changed, **QUICK)
    chosen.then(tuning.keep_preset, [name, kept, *knobs], **keep)
    outputs = [name, kept, parts.notice]
    presets.save.click(tuning.save_preset, [name, kept, *changed], outputs, **QUICK)
    presets.forget.click(tuning.forget_preset, [name, kept], outputs, **QUICK)


def _hidden(label: str, elem_id: str) -> gr.Button:
    """A button that the page's own script presses."""
    return gr.Button(label, elem_id=elem_id, visible="hidden")
