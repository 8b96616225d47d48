"""The real app inside the test's process, on a model of the test's own: its insides can be counted.

Its loop runs in a thread, because Playwright's synchronous API keeps one in the test's thread.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import AbstractAsyncContextManager, contextmanager
from pathlib import Path
from typing import Any, TypeVar

import uvicorn
from fastapi import FastAPI
from starlette.types import ASGIApp, Receive, Scope, Send

from chat.access.guard import Guard
from chat.live.store import ChatStore
from chat.models.backend import Backend
from chat.models.open_models import Models
from chat.page import layout, mounting, routes
from chat.settings.schema import ChatSettings
from tests.support.ports import free_port

Result = TypeVar("Result")
Opening = Callable[[], AbstractAsyncContextManager[Backend | Models]]


class InsideApp:
    """What a :class:`tests.browser.conftest.Tab` needs of an app, and a door to its loop."""

    def __init__(self, url: str, loop: asyncio.AbstractEventLoop, store: ChatStore) -> None:
        self.url = url
        self.loop = loop
        self.store = store
        self.log = Path()
        self.heard: list[tuple[str, Any]] = []  # path of a request, and what ``note`` said then
        self.note: Callable[[], Any] = lambda: None

    def call(self, coroutine: Coroutine[Any, Any, Result]) -> Result:
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(30)

    def listening(self, app: ASGIApp) -> ASGIApp:
        """Remember what ``note`` says when a request arrives."""

        async def answer(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] == "http":
                self.heard.append((scope["path"], self.note()))
            await app(scope, receive, send)

        return answer


def page_of(store: ChatStore, options: layout.PageOptions) -> ASGIApp:
    """The page with its own routes and its guard, as app.py puts them together."""
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    routes.add_routes(app, store)
    mounting.mount(app, store, options)
    return Guard(app, head=mounting.head(), body=mounting.body())


@contextmanager
def inside(opening: Opening, **settings: Any) -> Iterator[InsideApp]:
    """Serve the page for the backend or models that ``opening`` gives, until the scope is left."""
    started: concurrent.futures.Future[InsideApp] = concurrent.futures.Future()
    server: list[uvicorn.Server] = []

    async def serve() -> None:
        port = free_port()
        async with opening() as opened:
            models = opened if isinstance(opened, Models) else None
            backend = opened.default if isinstance(opened, Models) else opened
            chosen = ChatSettings(**{"turns_per_minute": 1000, **settings})
            async with ChatStore(backend, chosen, models=models) as store:
                app = InsideApp(f"http://127.0.0.1:{port}", asyncio.get_running_loop(), store)
                page = page_of(store, layout.PageOptions(backend.name))
                config = uvicorn.Config(
                    app.listening(page),
                    port=port,
                    log_level="error",
                    timeout_graceful_shutdown=1,
                )
                server.append(uvicorn.Server(config))
                serving = asyncio.create_task(server[0].serve())
                while not (server[0].started or serving.done()):  # noqa: ASYNC110 - no event
                    await asyncio.sleep(0.02)
                started.set_result(app)
                await serving

    def run() -> None:
        try:
            asyncio.run(serve())
        except BaseException as error:
            if started.done():
                raise
            started.set_exception(error)

    thread = threading.Thread(target=run, name="inside app")
    thread.start()
    try:
        yield started.result(120)
    finally:
        for one in server:
            one.should_exit = True
        thread.join(20)
        assert not thread.is_alive(), "the app did not end"


def wait_until(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.02)
