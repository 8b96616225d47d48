"""FarMesh Chat: settings → swarm → chats → page and API → server; closed in reverse order.

``python app.py --help`` lists the flags; the README has the rest.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
import webbrowser
from collections.abc import Sequence
from contextlib import AsyncExitStack
from datetime import datetime
from typing import TYPE_CHECKING

from chat.serving import logs
from chat.settings.catalogue import Catalogue
from chat.settings.command_line import settings_from_command_line
from chat.settings.schema import Settings
from farmesh.errors import FarMeshError

if TYPE_CHECKING:
    from chat.live.store import ChatStore
    from chat.serving.server import Server

log = logging.getLogger("app")

os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")  # before Gradio is imported
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")


def main(argv: Sequence[str] | None = None) -> int:
    settings, catalogue = settings_from_command_line(argv)
    logs.configure(settings.logging)
    import uvloop  # comes with hivemind; less work per message. Here: --help needs no compiled code

    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(run(settings, catalogue))
    except FarMeshError as error:
        print(error, file=sys.stderr)  # noqa: T201
        return 2
    return 0


async def run(settings: Settings, catalogue: Catalogue) -> None:
    """Serve until SIGINT or SIGTERM.

    Raises:
        FarMeshError: the app cannot start; the text says why and what to do.
    """
    # Here and not above: they take seconds, which --help and a wrong setting need not wait for.
    import uvicorn

    from chat.api.metrics import Metrics
    from chat.live import store
    from chat.models import doors
    from chat.models.gateway import opening
    from chat.models.ledger import Ledger
    from chat.models.open_models import Models
    from chat.page import tunnel
    from chat.serving import announce as link
    from chat.serving import application, server, state

    metrics = Metrics()
    ledger = Ledger(metrics)
    async with AsyncExitStack() as stack:
        listening = stack.enter_context(server.listen(settings.server))
        doors.say(settings)
        had_password = bool(settings.access.password.get_secret_value())
        settings = state.with_folder(link.with_password(settings), stack)
        if settings.swarm.mode == "gateway":
            settings, catalogue = await opening.offered(settings, catalogue)
        model = catalogue[settings.models.default]
        models = Models(settings, catalogue, ledger.watch)
        await stack.enter_async_context(models)
        chats = await stack.enter_async_context(
            store.ChatStore(models.default, settings.chat, models=models)
        )
        answering = application.application(chats, settings, model, ledger, metrics)
        serving = server.Server(uvicorn.Config(answering, **server.OPTIONS))
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, end, serving, chats)
        announcing = asyncio.create_task(announce(serving, settings, made_up=not had_password))
        stack.callback(announcing.cancel)
        stack.callback(tunnel.end)
        await serving.serve(sockets=[listening])


def end(server: Server, store: ChatStore) -> None:
    """End all replies first: open streams would hold the server up."""
    if not server.should_exit:
        server.should_exit = True
        log.debug("ending %r", store)
        # Ctrl-C reaches the children of a terminal too: that connections break now is no news.
        logging.disable(logging.ERROR)
        server.closing = asyncio.create_task(store.close())  # type: ignore[attr-defined]


async def announce(server: Server, settings: Settings, *, made_up: bool) -> None:
    """Say where the page is, once it is there.

    Args:
        made_up: the password, if there is one, so that somebody has to be told.
    """
    from chat.serving import announce as link
    from chat.serving.server import address_of

    while not server.started:  # noqa: ASYNC110 - uvicorn has no event for it
        await asyncio.sleep(0.05)
    address = address_of(settings.server)
    say(f"FarMesh Chat is at {address} (Ctrl-C ends it)")
    if (near := link.in_the_network(settings.server)) is not None:
        say(f"In your network: {near}", link.code(near))
    if settings.server.share:
        await share(settings, address, made_up=made_up)
    screen = sys.platform in ("darwin", "win32") or {"DISPLAY", "WAYLAND_DISPLAY"} & {*os.environ}
    if settings.server.open_browser and screen:
        await asyncio.to_thread(webbrowser.open, address)


async def share(settings: Settings, address: str, *, made_up: bool) -> None:
    """Say where others find the page, or why they do not."""
    from chat.page import tunnel
    from chat.serving import announce as link
    from chat.serving.server import reachable

    who = link.who_may_come_in(settings, made_up=made_up)
    try:
        host = reachable(settings.server.host)
        public = await tunnel.share(host, settings.server.port, address)
    except FarMeshError as error:
        say(str(error), who if settings.access.sign_in == "shared" else "")
    else:
        until = link.until(datetime.now().astimezone())
        say(f"Public link: {public}", link.code(public), until, who)


def say(*lines: str) -> None:
    for line in filter(None, lines):
        print(line, flush=True)  # noqa: T201


if __name__ == "__main__":
    code = main()
    logging.shutdown()
    sys.stdout.flush()
    os._exit(code)  # all is closed; taking torch apart would only make people wait
