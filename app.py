"""FarMesh Chat: settings → swarm → chats → page → server; closed in reverse order.

``python app.py --help`` lists the flags; the README has the rest.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import socket
import sys
import webbrowser
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack
from typing import Any

os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")  # before Gradio is imported
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")

import uvicorn
from fastapi import FastAPI

from chat import ui, ui_share, web
from chat.backend import Backend
from chat.embedded import EmbeddedSwarm
from chat.opening import opened
from chat.security import LOOPBACK, Guard
from chat.settings import Catalogue, ServerSettings, Settings, settings_from_command_line
from chat.store import ChatStore
from chat.words import ChatError
from farmesh.errors import FarMeshError

log = logging.getLogger("app")

GRACEFUL_SECONDS = 1  # for answers that are being sent when the app is ended


class Server(uvicorn.Server):
    """uvicorn without its signal handlers: it would end the process before our scopes close."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def main(argv: Sequence[str] | None = None) -> int:
    settings, catalogue = settings_from_command_line(argv)
    logging.basicConfig(
        level=settings.logging.level.upper(),
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
    )
    logging.getLogger("httpx").setLevel(logging.WARNING)
    try:
        asyncio.run(run(settings, catalogue))
    except FarMeshError as error:
        print(error, file=sys.stderr)  # noqa: T201
        return 2
    return 0


async def run(settings: Settings, catalogue: Catalogue) -> None:
    """Serve until SIGINT or SIGTERM.

    Raises:
        FarMeshError: the app cannot start; the text says why and what to do.
    """
    model = catalogue[settings.models.default]
    embedded = settings.swarm.mode == "embedded"
    swarm = EmbeddedSwarm(settings.swarm, model) if embedded else None
    backend = Backend(model.name, model.sampling.params())
    async with AsyncExitStack() as stack:
        listening = stack.enter_context(listen(settings.server))
        await stack.enter_async_context(opened(backend, settings, model, swarm))
        store = await stack.enter_async_context(ChatStore(backend, settings.chat))
        options = ui.PageOptions(model.name, model.description, privacy(embedded))
        server = Server(uvicorn.Config(application(store, options, settings.server), **UVICORN))
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, end, server, store)
        announcing = asyncio.create_task(announce(server, settings.server))
        stack.callback(announcing.cancel)
        await server.serve(sockets=[listening])


UVICORN: dict[str, Any] = {
    "log_level": "warning",
    "access_log": False,
    "timeout_graceful_shutdown": GRACEFUL_SECONDS,
    "server_header": False,
    "proxy_headers": False,  # the Guard reads what it needs of them
}


def application(store: ChatStore, options: ui.PageOptions, server: ServerSettings) -> Guard:
    """Everything that answers over HTTP."""
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    web.add_routes(app, store)
    ui.mount(app, ui.build(store, options), root_path=server.root_path)
    private = server.host in LOOPBACK and not server.share and not server.root_path
    return Guard(
        app,
        hosts=LOOPBACK if private else (),
        embedded="SPACE_ID" in os.environ,
        head=web.HEAD,
        body=web.BODY,
    )


def privacy(embedded: bool) -> str:
    """One plain sentence on who can read what is written here."""
    if embedded:
        return "All nodes run on this machine: nothing you write leaves it."
    return (
        "The nodes of a swarm can read what passes through them. "
        "For anything private, run a swarm of your own."
    )


@contextlib.contextmanager
def listen(server: ServerSettings) -> Iterator[socket.socket]:
    """The port, taken before anything else is started.

    Raises:
        ChatError: somebody else has it.
    """
    family = socket.AF_INET6 if ":" in server.host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind((server.host, server.port))
        except OSError as error:
            raise ChatError(
                f"Port {server.port} of {server.host} cannot be used "
                f"({(error.strerror or 'no reason given').lower()}); "
                f"choose another one with --port."
            ) from None
        yield listening


def end(server: uvicorn.Server, store: ChatStore) -> None:
    """End all replies first: open streams would hold the server up."""
    if not server.should_exit:
        server.should_exit = True
        log.debug("ending %r", store)
        # Ctrl-C reaches the children of a terminal too: that connections break now is no news.
        logging.disable(logging.ERROR)
        server.closing = asyncio.create_task(store.close())  # type: ignore[attr-defined]


async def announce(server: uvicorn.Server, settings: ServerSettings) -> None:
    """Say where the page is, once it is there."""
    while not server.started:  # noqa: ASYNC110 - uvicorn has no event for it
        await asyncio.sleep(0.05)
    host = "127.0.0.1" if settings.host in ("0.0.0.0", "::") else settings.host
    address = f"http://{f'[{host}]' if ':' in host else host}:{settings.port}{settings.root_path}"
    print(f"FarMesh Chat is at {address} (Ctrl-C ends it)", flush=True)  # noqa: T201
    if settings.share:
        try:
            link = await ui_share.share(host, settings.port)
            print(f"Public link, for up to a week: {link}", flush=True)  # noqa: T201
        except ChatError as error:
            print(error, flush=True)  # noqa: T201
    screen = sys.platform in ("darwin", "win32") or {"DISPLAY", "WAYLAND_DISPLAY"} & {*os.environ}
    if settings.open_browser and screen:
        await asyncio.to_thread(webbrowser.open, address)


if __name__ == "__main__":
    code = main()
    logging.shutdown()
    sys.stdout.flush()
    os._exit(code)  # all is closed; taking torch apart would only make people wait
