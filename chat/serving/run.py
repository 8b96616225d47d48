"""The app from its settings to its end; what is opened here is closed in reverse order."""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import Callable
from contextlib import AsyncExitStack

from chat.api.metrics import Metrics
from chat.live.store import ChatStore
from chat.models import choice, doors
from chat.models.fit import this_machine
from chat.models.gateway import opening
from chat.models.ledger import Ledger
from chat.models.open_models import Models
from chat.page import tunnel
from chat.serving import logs, state
from chat.serving.announce import announce, with_password
from chat.serving.application import application
from chat.serving.server import Server, listen
from chat.settings.catalogue import Catalogue
from chat.settings.schema import Settings
from farmesh import nursery

log = logging.getLogger(__name__)


async def run(settings: Settings, catalogue: Catalogue) -> None:
    """Serve until SIGTERM or Ctrl-C.

    Raises:
        FarMeshError: the app cannot start; the text says why and what to do.
    """
    metrics = Metrics()
    ledger = Ledger(metrics)
    async with AsyncExitStack() as stack:
        hush = stack.enter_context(logs.hushing())
        listening = stack.enter_context(listen(settings.server))
        doors.say(settings)
        had_password = bool(settings.access.password.get_secret_value())
        settings = state.with_folder(with_password(settings), stack)
        if settings.swarm.mode == "gateway":
            settings, catalogue = await opening.offered(settings, catalogue)
        settings, note = await choice.at_start(settings, catalogue, this_machine())
        model = catalogue[settings.models.default]
        models = await stack.enter_async_context(
            Models(settings, catalogue, ledger.watch, forked=nursery.POSSIBLE)
        )
        chats = await stack.enter_async_context(
            ChatStore(models.default, settings.chat, models=models)
        )
        answering = application(chats, settings, model, ledger, metrics, note)
        server = Server(answering, end_replies=chats.close)
        end_on_signals(server, hush)
        announcing = asyncio.create_task(announce(server, settings, made_up=not had_password))
        stack.callback(announcing.cancel)
        stack.callback(tunnel.end)
        await server.serve(sockets=[listening])


def end_on_signals(server: Server, hush: Callable[[], None]) -> None:
    """SIGTERM and Ctrl-C end the server, and with it the scope around it.

    Where SIGINT is ignored, as a shell starts what shall survive its Ctrl-C (``python app.py &`` in
    a script), it stays so; SIGTERM ends the app everywhere.
    """

    def end() -> None:
        log.debug("ending %r", server)
        hush()
        server.should_exit = True

    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, end)
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        loop.add_signal_handler(signal.SIGINT, end)
