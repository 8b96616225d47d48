"""uvicorn, as this app needs it: where it listens, what it is patient with, how it ends."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

from chat.errors import ChatError
from chat.settings.schema import ServerSettings

GRACEFUL_SECONDS = 1  # for answers that are being sent when the app is ended
HEAD_SECONDS = 10.0  # for a request's line and headers to arrive
HEAD_BYTES = 32_768  # of a request's line and headers
CONNECTIONS = 1000  # at once; more are told to come back


class PatientProtocol(H11Protocol):
    """Closes a connection whose first request does not arrive: a slow one costs us as long.

    uvicorn itself waits for ever, so a few thousand idle connections would leave no descriptors.
    """

    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._deadline = self.loop.call_later(HEAD_SECONDS, self._give_up)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
        super().connection_lost(exc)

    def _give_up(self) -> None:
        request: object = self.cycle  # typed as always there, but None until headers are
        if request is None and not self.transport.is_closing():
            self.transport.close()


OPTIONS: dict[str, Any] = {
    "http": PatientProtocol,
    "ws": "none",
    "log_level": "warning",
    "log_config": None,
    "access_log": False,
    "timeout_graceful_shutdown": GRACEFUL_SECONDS,
    "h11_max_incomplete_event_size": HEAD_BYTES,
    "limit_concurrency": CONNECTIONS,
    "server_header": False,
    "proxy_headers": False,  # the Guard reads what it needs of them
}


class Server(uvicorn.Server):
    """uvicorn as a scope of ours: says when it listens, ends all replies before its connections.

    It has no signal handlers: they would end the process before our scopes close.
    """

    def __init__(self, app: ASGIApp, *, end_replies: Callable[[], Awaitable[None]]) -> None:
        super().__init__(uvicorn.Config(app, **OPTIONS))
        self.listens = asyncio.Event()
        self._end_replies = end_replies

    def __repr__(self) -> str:
        state = "ENDING" if self.should_exit else "LISTENING" if self.started else "STARTING"
        return f"<Server {state} {len(self.server_state.connections)} connections>"

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self.listens.set()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Streams of replies would hold it up."""
        await asyncio.gather(self._end_replies(), super().shutdown(sockets))


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


def reachable(host: str) -> str:
    """An address of this machine that leads to what listens on ``host``."""
    return "127.0.0.1" if host in ("0.0.0.0", "::") else host


def address_of(settings: ServerSettings) -> str:
    """Where a person of this machine finds the page."""
    host = reachable(settings.host)
    return f"http://{f'[{host}]' if ':' in host else host}:{settings.port}{settings.root_path}"
