"""The page, put together and served."""

from __future__ import annotations

import gradio as gr
from fastapi import FastAPI

from chat.kept.likes import Likes
from chat.live.store import ChatStore
from chat.page import mcp as ask_tool
from chat.page.desk import Desk
from chat.page.endpoints import add_api
from chat.page.labels import translations
from chat.page.layout import PageOptions, lay_out
from chat.page.streams import Streams
from chat.page.templates import ASSETS, paper, render
from chat.page.theme import theme
from chat.page.watching import Watching
from chat.page.wiring import wire_chat, wire_settings
from chat.settings.schema import PROJECT

TITLE = "FarMesh Chat"


def mount(
    app: FastAPI, store: ChatStore, options: PageOptions, *, root_path: str = "", mcp: bool = False
) -> None:
    """Serve the page at ``/`` of an app of our own.

    Raises:
        ConfigError: MCP is wanted and cannot be served.
    """
    if mcp:
        ask_tool.check_installed()
    demo, watching = _build(store, options)
    app.add_middleware(Streams, gone=watching.gone)
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
        ask_tool.only_ask(demo)


def head() -> str:
    """For the page's head, before anything of Gradio's: type, colours and the page's own script."""
    modules = sorted(path.name for path in ASSETS.glob("*.js"))
    light, dark = paper()
    return render("head", modules=modules, light=light, dark=dark)


def body() -> str:
    """For the page's body, painted before Gradio's script has loaded."""
    return render("first")


def _build(store: ChatStore, options: PageOptions) -> tuple[gr.Blocks, Watching]:
    settings, own = store.settings, store.backend.defaults
    likes = Likes(PROJECT / settings.likes_file) if settings.likes_file else None
    with gr.Blocks(title=TITLE, fill_height=True, analytics_enabled=False) as demo:
        parts, presets = lay_out(
            options,
            store.models,
            own,
            system_prompt=settings.system_prompt,
            likes=likes is not None,
        )
        desk = Desk(store, parts)
        watching = Watching(desk)
        wire_chat(desk, watching, likes)
        wire_settings(demo, desk, presets)
        add_api(store)
    demo.queue(default_concurrency_limit=None, max_size=None, api_open=False)
    return demo, watching
