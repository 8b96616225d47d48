"""The page: its layout, and which event calls which handler.

Only the modules named ``ui*`` know Gradio. There is no ``gr.State`` and no ``unload`` here on
purpose: either would make every tab hold one connection open for ever, and a browser allows six
per server. A closed tab is noticed by its stream instead.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import gradio as gr
from fastapi import FastAPI
from markupsafe import Markup

from chat.conversation import controls
from chat.kept.likes import Likes
from chat.live.store import ChatStore
from chat.models.fit import about, label
from chat.models.open_models import Models
from chat.page import mcp as ui_mcp
from chat.page.endpoints import add_api
from chat.page.handlers import Page
from chat.page.labels import t, translations
from chat.page.painter import Parts
from chat.page.presets import Presets, presets_menu, wire_presets
from chat.page.streams import Streams
from chat.page.theme import theme
from chat.settings.schema import PROJECT
from farmesh.params import SamplingParams

TITLE = "FarMesh Chat"
LATEX: list[dict[str, str | bool]] = [
    {"left": "$$", "right": "$$", "display": True},
    {"left": "\\[", "right": "\\]", "display": True},
    {"left": "\\(", "right": "\\)", "display": False},
    {"left": "$", "right": "$", "display": False},
]
EXAMPLES = (
    "What is FarMesh?",
    "How do I add a node?",
    "What can the nodes see of my messages?",
    "What does the temperature do?",
)
KEYS = (
    "<details><summary>Keys</summary><dl>"
    "<dt>Enter</dt><dd>send</dd><dt>Shift Enter</dt><dd>new line</dd>"
    "<dt>Escape</dt><dd>stop the reply, or close a drawer</dd>"
    "<dt>↑</dt><dd>edit your last message (in the empty box)</dd>"
    "<dt>Alt Enter</dt><dd>continue the last reply</dd>"
    "<dt>Ctrl Shift O</dt><dd>new chat</dd><dt>Ctrl /</dt><dd>this list</dd></dl></details>"
)
WELCOME = """
<div class="fm-welcome"><img src="./farmesh/assets/icon.svg" alt="" width="56" height="56">
<h2>One model, many machines</h2>
<p>No machine here holds all of it. Your words pass through its layers, node by node,
and the reply comes back token by token.</p></div>
"""


@dataclass(frozen=True, slots=True)
class PageOptions:
    """What the page says beside the chat."""

    model: str  # the model's name
    about: str = ""  # one sentence about it
    privacy: str = ""  # one sentence on what nodes can see
    note: str = ""  # why it is another model than was wanted
    signed_in: bool = False  # everybody here is, by a name of their own
    kept_here: bool = False  # conversations are kept by the server, not by browsers


def mount(
    app: FastAPI, store: ChatStore, options: PageOptions, *, root_path: str = "", mcp: bool = False
) -> None:
    """Serve the page at ``/`` of an app of our own.

    Raises:
        ConfigError: MCP is wanted and cannot be served.
    """
    if mcp:
        ui_mcp.check_installed()
    demo, page = _build(store, options)
    app.add_middleware(Streams, gone=page.gone)
    gr.mount_gradio_app(
        app,
        demo,
        "/",
        root_path=root_path or None,
        theme=theme(),
        run_history=False,  # it would keep every prompt in the browser's storage
        ssr_mode=False,
        show_error=False,
        footer_links=[],
        enable_monitoring=False,
        allowed_paths=[],
        pwa=False,
        i18n=translations(),
        max_file_size=0,
        mcp_server=mcp,
    )
    if mcp:
        ui_mcp.only_ask(demo)


def _build(store: ChatStore, options: PageOptions) -> tuple[gr.Blocks, Page]:
    with gr.Blocks(title=TITLE, fill_height=True, analytics_enabled=False) as demo:
        with gr.Row(elem_id="fm-app"):
            _sidebar(options, likes=bool(store.settings.likes_file))
            with gr.Column(elem_id="fm-main", scale=1, min_width=0):
                _drawn(_header(options, store.models), elem_id="fm-header")
                with gr.Column(elem_id="fm-log"):
                    history, live = _log(options.note)
                with gr.Column(elem_id="fm-foot"):
                    notice = _drawn(elem_id="fm-notice-slot", visible=False)
                    queued = _drawn(elem_id="fm-queued-slot", visible=False)
                    box, send, stop = _composer()
                    with gr.Row(elem_id="fm-lines"):
                        status = _drawn(elem_id="fm-status")
                        meter = _drawn(elem_id="fm-meter-slot")
            knobs, system, begin, presets = _settings(
                store.backend.defaults, store.settings.system_prompt
            )
        hidden: dict[str, Any] = {"visible": "hidden", "container": False}
        parts = Parts(
            chat_id=gr.Textbox(elem_id="fm-chat-id", label="Chat", **hidden),
            model_id=gr.Textbox(elem_id="fm-model-id", label="Model", **hidden),
            history=history,
            live=live,
            status=status,
            meter=meter,
            notice=notice,
            queued=queued,
            box=box,
            stop=stop,
            system=system,
            begin=begin,
            knobs=knobs,
        )
        likes = Likes(PROJECT / store.settings.likes_file) if store.settings.likes_file else None
        page = Page(store, parts, likes)
        _wire(page, parts, send)
        wire_presets(demo, page, parts, presets)
        add_api(store)
    demo.queue(default_concurrency_limit=None, max_size=None, api_open=False)
    return demo, page


# --- the layout, part by part --------------------------------------------------------------------


def _drawn(html: str = "", **options: Any) -> gr.Markdown:
    """A place for HTML of our own, escaped where it was made.

    Not ``gr.HTML``: that evaluates its value as a script's template, for which the page's
    Content-Security-Policy would have to allow ``eval``.
    """
    return gr.Markdown(html, sanitize_html=False, latex_delimiters=[], container=False, **options)


_SIGN_OUT = (
    '<form class="fm-person" method="post" action="./farmesh/logout"><span id="fm-name"></span>'
    '<button type="submit">Sign out</button></form>'
)
LIKES = "Likes and dislikes are written down here, with the reply and your message."


def _sidebar(options: PageOptions, *, likes: bool) -> None:
    fine = "".join(
        f'<p class="fm-fine">{text}</p>' for text in (options.privacy, LIKES * likes) if text
    )
    with gr.Column(elem_id="fm-side", scale=0, min_width=0):
        _drawn(
            '<div class="fm-brand"><img src="./farmesh/assets/icon.svg" alt="" width="34" '
            'height="34"><h1>FarMesh</h1></div>',
        )
        # A new chat's id is the browser's to choose, so assets/page.js listens to this one.
        gr.Button(t("New chat"), elem_id="fm-new", size="md")
        kept = "server" if options.kept_here else "browser"
        _drawn(f'<div id="fm-chats" data-kept="{kept}"></div>', elem_id="fm-chats-slot")
        _drawn(
            '<div><section class="fm-card"><h3>The swarm</h3><p id="fm-swarm-line" '
            'class="fm-quiet" aria-live="polite">Starting</p><div id="fm-swarm"></div></section>'
            f"{fine}{_SIGN_OUT if options.signed_in else ''}</div>",
            elem_id="fm-swarm-slot",
        )


def _header(options: PageOptions, models: Models | None) -> str:
    return (
        '<header class="fm-head">'
        '<button type="button" class="fm-icon" data-toggle="side" aria-label="Chats and swarm">'
        "<svg viewBox='0 0 24 24'><path d='M4 7h16M4 12h16M4 17h10'/></svg></button>"
        f'<div>{_picker(options, models)}<small id="fm-state" aria-live="polite">Starting</small>'
        '<progress id="fm-progress" aria-label="Opening the model" hidden></progress></div>'
        '<button type="button" class="fm-icon" data-toggle="dark" aria-label="Dark or light">'
        "<svg viewBox='0 0 24 24'><path d='M20 14.5A8 8 0 0 1 9.5 4a8 8 0 1 0 10.5 10.5z'/></svg>"
        "</button>"
        '<button type="button" class="fm-icon" data-toggle="tune" aria-label="Settings">'
        "<svg viewBox='0 0 24 24'><path d='M4 7h9m5 0h2M4 17h2m5 0h9'/><circle cx='15.5' cy='7' "
        "r='2.5'/><circle cx='8.5' cy='17' r='2.5'/></svg></button></header>"
    )


def _picker(options: PageOptions, models: Models | None) -> Markup:
    """The model's name; a choice where there is one. The page's script listens to it."""
    if models is None or len(models.entries) < 2:
        return Markup('<b title="{}">{}</b>').format(options.about, options.model)
    choices = Markup("").join(
        Markup('<option value="{}" title="{}"{}>{}</option>').format(
            entry.id,
            about(entry, models.fit(entry)),
            Markup(" selected") if entry.id == models.default.id else "",
            label(entry, models.fit(entry)),
        )
        for entry in models.entries
    )
    return Markup('<select id="fm-model" aria-label="Model" autocomplete="off">{}</select>').format(
        choices
    )


def _log(note: str) -> tuple[gr.Chatbot, gr.Chatbot]:
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
    )
    history = look(
        elem_id="fm-history",
        label=t("Conversation"),
        editable="all",
        buttons=["copy"],
        placeholder=WELCOME + Markup('<p class="fm-welcome">{}</p>').format(note) * bool(note),
        examples=[{"text": text} for text in EXAMPLES],
    )
    live = look(elem_id="fm-live", label=t("Reply being written"), visible=False, buttons=[])
    return history, live


def _composer() -> tuple[gr.Textbox, gr.Button, gr.Button]:
    with gr.Row(elem_id="fm-composer", equal_height=True):
        box = gr.Textbox(
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
        # Takes its own way to the server (assets/page.js): Gradio's is slower than tokens are.
        stop = gr.Button(t("Stop"), elem_id="fm-stop", visible=False, scale=0, min_width=0)
        send = gr.Button(t("Send"), elem_id="fm-send", variant="primary", scale=0, min_width=0)
    return box, send, stop


def _settings(
    own: SamplingParams, system_prompt: str
) -> tuple[dict[str, Any], gr.Textbox, gr.Textbox, Presets]:
    with gr.Column(elem_id="fm-tune", scale=0, min_width=0):
        _drawn("<h3>How it replies</h3>")
        presets = presets_menu()
        knobs: dict[str, Any] = {}
        for slider in controls.SLIDERS:
            if slider.common:
                knobs[slider.name] = _slider(slider, own)
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
            for slider in controls.SLIDERS:
                if not slider.common:
                    knobs[slider.name] = _slider(slider, own)
            knobs["seed"] = gr.Textbox(
                "",
                label=t("Seed"),
                info=t("empty: another one for every reply"),
                elem_id="fm-seed",
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
        _drawn(KEYS, elem_id="fm-keys")
    return knobs, system, begin, presets


def _slider(slider: controls.Slider, own: SamplingParams) -> gr.Slider:
    return gr.Slider(
        slider.low,
        slider.high,
        value=getattr(own, slider.name),
        step=slider.step,
        label=t(slider.label),
        info=t(slider.info),
        elem_id=f"fm-{slider.name.replace('_', '-')}",
    )


# --- the wiring ----------------------------------------------------------------------------------


def _wire(page: Page, parts: Parts, send: gr.Button) -> None:
    """Every action returns at once; then the page watches the chat."""
    attach = gr.Button("Attach", elem_id="fm-attach", visible="hidden")
    again = gr.Button("Watch", elem_id="fm-watch", visible="hidden")
    retry = gr.Button("Retry", elem_id="fm-retry", visible="hidden")
    proceed = gr.Button("Continue", elem_id="fm-continue", visible="hidden")
    use = gr.Button("Use this model", elem_id="fm-use-model", visible="hidden")
    said = [parts.notice, parts.box, parts.begin]
    quiet: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
    watch: dict[str, Any] = {
        "fn": page.watch,
        "inputs": parts.inputs,
        "outputs": parts.drawn,
        "concurrency_id": "watch",
        "concurrency_limit": None,
        "trigger_mode": "multiple",
        **quiet,
    }
    quick: dict[str, Any] = {"inputs": parts.inputs, "outputs": said, "queue": False, **quiet}

    again.click(**watch)
    attach.click(**{**watch, "fn": page.attach, "outputs": [*parts.drawn, parts.system]})
    gr.on([parts.box.submit, send.click], page.send, trigger_mode="once", **quick).then(**watch)
    parts.history.edit(page.edit, **quick).then(**watch)
    parts.history.option_select(page.choose, **quick).then(**watch)
    parts.history.example_select(page.example, **quick).then(**watch)
    gr.on([parts.history.retry, retry.click], page.regenerate, **quick).then(**watch)
    parts.history.undo(page.undo, **quick).then(**watch)
    proceed.click(page.continue_reply, **quick).then(**watch)
    if page.likes is not None:
        liking: dict[str, Any] = {**quick, "inputs": [parts.chat_id], "outputs": parts.notice}
        parts.history.like(page.like, **liking)
    changed = [*said, parts.model_id, *(parts.knobs[name] for name in controls.PRESET_FIELDS)]
    use.click(page.use_model, **{**quick, "outputs": changed}).then(**watch)
