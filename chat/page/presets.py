"""Presets of the sampling controls, kept by the browser."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import gradio as gr

from chat.conversation import controls
from chat.page.handlers import Page
from chat.page.labels import t
from chat.page.painter import Parts


@dataclass(frozen=True, slots=True)
class Presets:
    """The preset's name with its two buttons, and what the browser keeps."""

    name: gr.Dropdown
    save: gr.Button
    forget: gr.Button
    kept: gr.BrowserState
    touched: gr.BrowserState  # the controls' values, once a person has changed one


# Gradio shows it to the browser anyway; that it stays the same is what keeps presets readable.
PRESETS_SECRET = "farmesh-presets"


def presets_menu() -> Presets:
    with gr.Row(elem_id="fm-preset-row"):
        name = gr.Dropdown(
            [controls.OWN_PRESET, *controls.PRESETS],
            value=controls.OWN_PRESET,
            label=t("Preset"),
            info=t("choose one, or type a name and save"),
            allow_custom_value=True,
            elem_id="fm-preset",
            min_width=0,
        )
        save = gr.Button(t("Save"), elem_id="fm-preset-save", scale=0, min_width=0)
        forget = gr.Button(t("Forget"), elem_id="fm-preset-forget", scale=0, min_width=0)
    kept = gr.BrowserState({}, storage_key="farmesh.presets", secret=PRESETS_SECRET)
    touched = gr.BrowserState({}, storage_key="farmesh.controls", secret=PRESETS_SECRET)
    return Presets(name, save, forget, kept, touched)


def wire_presets(demo: gr.Blocks, page: Page, parts: Parts, presets: Presets) -> None:
    quiet: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private", "queue": False}
    changed = [parts.knobs[name] for name in controls.PRESET_FIELDS]
    named = [presets.name, presets.kept, parts.chat_id]
    knobs: list[Any] = list(parts.knobs.values())
    keep: dict[str, Any] = {"outputs": presets.touched, "trigger_mode": "always_last", **quiet}
    gr.on([knob.input for knob in knobs], page.keep_controls, knobs, **keep)
    demo.load(page.list_controls, presets.touched, knobs, **quiet)
    chosen = presets.name.input(page.use_preset, named, changed, **quiet)
    chosen.then(page.keep_preset, [presets.name, presets.kept, *knobs], **keep)
    wanted = [presets.name, presets.kept, *changed]
    outputs = [presets.name, presets.kept, parts.notice]
    presets.save.click(page.save_preset, wanted, outputs, **quiet)
    presets.forget.click(page.forget_preset, [presets.name, presets.kept], outputs, **quiet)
    demo.load(page.list_presets, presets.kept, presets.name, **quiet)
