"""What there is on the page, from left to right: chats and swarm, the chat, how it replies.

There is no ``gr.State`` on purpose: it would make every tab hold one connection open for ever, and
a browser allows six per server.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import gradio as gr

from chat.conversation import controls
from chat.models.open_models import Models
from chat.page.labels import t
from chat.page.parts import Parts, Presets
from chat.page.templates import render
from farmesh.params import SamplingParams

LATEX: list[dict[str, str | bool]] = [
    {"left": "$$", "right": "$$", "display": True},
    {"left": "\\[", "right": "\\]", "display": True},
    {"left": "\\(", "right": "\\)", "display": False},  # of $x$, too: chat/page/markup.py
]
EXAMPLES = (
    "Write a haiku about the sea.",
    "Why is the sky blue?",
    "Give me three ideas for a rainy Sunday.",
    "Write a Python function that reverses a string.",
)
LIKES = "Likes and dislikes are written down here, with the reply and your message."
# Gradio shows it to the browser anyway; that it stays the same is what keeps presets readable.
PRESETS_SECRET = "farmesh-presets"
HIDDEN: dict[str, Any] = {"visible": "hidden", "container": False}
BUTTON: dict[str, Any] = {"scale": 0, "min_width": 0}


@dataclass(frozen=True, slots=True)
class PageOptions:
    """What the page says beside the chat."""

    model: str  # the model's name
    about: str = ""  # one sentence about it
    privacy: str = ""  # one sentence on what nodes can see
    note: str = ""  # why it is another model than was wanted
    examples: tuple[str, ...] = EXAMPLES  # messages to begin with
    signed_in: bool = False  # everybody here is, by a name of their own
    kept_here: bool = False  # conversations are kept by the server, not by browsers


def lay_out(
    options: PageOptions,
    models: Models | None,
    own: SamplingParams,
    *,
    system_prompt: str = "",
    likes: bool = False,
) -> tuple[Parts, Presets]:
    """Draw everything; call inside of a ``gr.Blocks``.

    Args:
        own: the model's own values of the controls.
        likes: what people think of replies is written down.
    """
    with gr.Row(elem_id="fm-app"):
        _sidebar(options, likes=likes)
        with gr.Column(elem_id="fm-main", scale=1, min_width=0):
            drawn(_header(options, models), elem_id="fm-header")
            with gr.Column(elem_id="fm-log"):
                history, live = _log(options)
            with gr.Column(elem_id="fm-foot"):
                notice = drawn(elem_id="fm-notice-slot", visible=False)
                queued = drawn(elem_id="fm-queued-slot", visible=False)
                stop = _composer()
                with gr.Row(elem_id="fm-lines"):
                    status = drawn(elem_id="fm-status")
                    meter = drawn(elem_id="fm-meter-slot")
        with gr.Column(elem_id="fm-tune", scale=0, min_width=0):
            drawn("<h3>How it replies</h3>")
            presets = _presets()
            knobs, system, begin = _controls(own, system_prompt)
            drawn(render("keys"), elem_id="fm-keys")
        told = drawn(elem_id="fm-told", visible="hidden")
        facts = drawn(elem_id="fm-facts", visible="hidden")
    parts = Parts(
        chat_id=gr.Textbox(elem_id="fm-chat-id", label="Chat", **HIDDEN),
        model_id=gr.Textbox(elem_id="fm-model-id", label="Model", **HIDDEN),
        asked=gr.Textbox(elem_id="fm-asked", label="Asked", **HIDDEN),
        told=told,
        facts=facts,
        history=history,
        live=live,
        status=status,
        meter=meter,
        notice=notice,
        queued=queued,
        stop=stop,
        system=system,
        begin=begin,
        knobs=knobs,
    )
    return parts, presets


def drawn(html: str = "", **options: Any) -> gr.Markdown:
    """A place for HTML of our own, escaped where it was made.

    Not ``gr.HTML``: that evaluates its value as a script's template, for which the page's
    Content-Security-Policy would have to allow ``eval``.
    """
    return gr.Markdown(html, sanitize_html=False, latex_delimiters=[], container=False, **options)


# --- chats and swarm -----------------------------------------------------------------------------


def _sidebar(options: PageOptions, *, likes: bool) -> None:
    fine = [text for text in (options.privacy, LIKES if likes else "") if text]
    with gr.Column(elem_id="fm-side", scale=0, min_width=0):
        drawn(render("brand"))
        # A new chat's id is the browser's to choose, so the page's own script listens to this one.
        gr.Button(t("New chat"), elem_id="fm-new", size="md")
        kept = "server" if options.kept_here else "browser"
        drawn(f'<div id="fm-chats" data-kept="{kept}"></div>', elem_id="fm-chats-slot")
        card = render("swarm_card", fine=fine, signed_in=options.signed_in)
        drawn(card, elem_id="fm-swarm-slot")


# --- the chat ------------------------------------------------------------------------------------


def _header(options: PageOptions, models: Models | None) -> str:
    """The model's name, or a choice where there is one; its state, and the page's buttons."""
    offers: list[tuple[str, str, str]] = []
    chosen = ""
    if models is not None:
        chosen = models.default.id
        offers = [(entry.id, *models.offer(entry)) for entry in models.entries]
    model, said = options.model, options.about
    return render("header", offers=offers, chosen=chosen, about=said, model=model)


def _log(options: PageOptions) -> tuple[gr.Chatbot, gr.Chatbot]:
    """What was said, and below it the reply that is growing, so that drawing it stays cheap."""
    look = partial(
        gr.Chatbot,
        show_label=False,
        container=False,
        layout="panel",
        height=None,
        autoscroll=False,
        latex_delimiters=LATEX,
        sanitize_html=True,
        allow_tags=False,
        group_consecutive_messages=False,
        line_breaks=True,
        buttons=[],  # the page has its own: assets/actions.js
    )
    history = look(
        elem_id="fm-history",
        label=t("Conversation"),
        placeholder=render("welcome", note=options.note),
        examples=[{"text": text} for text in options.examples],
    )
    live = look(elem_id="fm-live", label=t("Reply being written"), visible=False)
    return history, live


def _composer() -> gr.Button:
    """The box and its buttons; what they do is the page's script's (assets/sending.js)."""
    with gr.Row(elem_id="fm-composer", equal_height=True):
        gr.Textbox(
            elem_id="fm-box",
            label=t("Message"),
            show_label=False,
            container=False,
            placeholder=t("Write a message"),
            lines=1,
            max_lines=8,
            autofocus=True,
            scale=1,
        )
        stop = gr.Button(t("Stop"), elem_id="fm-stop", visible="hidden", **BUTTON)
        gr.Button(t("Send"), elem_id="fm-send", variant="primary", **BUTTON)
    return stop


# --- how it replies ------------------------------------------------------------------------------


def _presets() -> Presets:
    changed = drawn(elem_id="fm-preset-changed", visible=False)
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
        save = gr.Button(t("Save"), elem_id="fm-preset-save", **BUTTON)
        forget = gr.Button(t("Forget"), elem_id="fm-preset-forget", **BUTTON)
    kept = gr.BrowserState({}, storage_key="farmesh.presets", secret=PRESETS_SECRET)
    touched = gr.BrowserState({}, storage_key="farmesh.controls", secret=PRESETS_SECRET)
    return Presets(name, changed, save, forget, kept, touched)


def _controls(
    own: SamplingParams, system_prompt: str
) -> tuple[dict[str, Any], gr.Textbox, gr.Textbox]:
    """The controls by their names, the system prompt, and what the reply is to begin with."""
    knobs: dict[str, Any] = {s.name: _slider(s, own) for s in controls.SLIDERS if s.common}
    knobs["max_new_tokens"] = gr.Number(
        own.max_new_tokens,
        label=t("Longest reply"),
        info=t("tokens"),
        precision=None,
        elem_id="fm-max-new-tokens",
    )
    system = gr.Textbox(
        system_prompt,
        label=t("System prompt"),
        info=t("what the model is told before this chat"),
        lines=2,
        max_lines=8,
        elem_id="fm-system",
    )
    with gr.Accordion(t("More"), open=False, elem_id="fm-more"):
        knobs |= {s.name: _slider(s, own) for s in controls.SLIDERS if not s.common}
        knobs["seed"] = gr.Textbox(
            "", label=t("Seed"), info=t("empty: another one for every reply"), elem_id="fm-seed"
        )
        knobs["stop"] = gr.Textbox(
            "\n".join(own.stop),
            label=t("Stop at"),
            info=t("the reply ends before any of these; one per line"),
            lines=2,
            max_lines=6,
        )
        begin = gr.Textbox(
            "", label=t("Start the reply with"), lines=1, max_lines=4, elem_id="fm-begin"
        )
        knobs["greedy"] = gr.Checkbox(
            False, label=t("Greedy: always the likeliest token"), elem_id="fm-greedy"
        )
        knobs["ignore_eos"] = gr.Checkbox(
            False, label=t("Never end by itself, only at the limit"), elem_id="fm-endless"
        )
    return knobs, system, begin


def _slider(slider: controls.Slider, own: SamplingParams) -> gr.Slider:
    made = gr.Slider(
        slider.low,
        slider.high,
        value=getattr(own, slider.name),
        step=slider.step,
        label=t(slider.label),
        info=t(slider.info),
        elem_id=f"fm-{slider.name.replace('_', '-')}",
    )
    # What is out of range is refused where all values are read, with a sentence, and not here with
    # a traceback. No subclass: Gradio would write a stub for it beside this file.
    made.preprocess = lambda payload: payload  # type: ignore[method-assign]
    return made
