"""The app's routes on a real uvicorn, over canned replies or over real nodes in this process."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio
import uvicorn
from fastapi import FastAPI

from chat.access.gate import Gate
from chat.access.guard import Guard
from chat.api import mesh
from chat.api import tokenizer as api_tokenizer
from chat.api.metrics import Metrics
from chat.api.offer import OpenModel
from chat.api.openai import routes
from chat.live.store import ChatStore
from chat.models.backend import Backend, Engine
from chat.models.ledger import Ledger
from chat.page import routes as page_routes
from chat.serving import server
from chat.serving.application import application
from chat.settings.catalogue import ModelEntry
from chat.settings.schema import ChatSettings, Settings
from farmesh.params import SamplingParams
from tests.support.fakes import FakeClient, ready_backend
from tests.support.harness import Swarm
from tests.support.waiting import PATIENCE, until

MODEL = ModelEntry(id="guide", name="Guide", licence="MIT", checkpoint="models/guide", context=1024)


@contextlib.asynccontextmanager
async def served(app: Any, **options: Any) -> AsyncIterator[str]:
    """The address of a uvicorn that serves ``app`` on this loop."""
    own = {"timeout_graceful_shutdown": 1, "lifespan": "off", **options, "log_level": "error"}
    config = uvicorn.Config(app, port=0, **own)
    running = uvicorn.Server(config)
    with contextlib.ExitStack() as stack:
        stack.enter_context(contextlib.suppress(asyncio.CancelledError))
        task = asyncio.create_task(running._serve())
        await until(lambda: running.started)
        port = running.servers[0].sockets[0].getsockname()[1]
        try:
            yield f"http://127.0.0.1:{port}"
        finally:
            running.should_exit = True
            await task


def named_events(answer: httpx.Response) -> list[dict[str, Any]]:
    """A stream's events; each is named as its type says."""
    found = []
    for part in answer.text.split("\n\n"):
        lines = dict(line.split(": ", 1) for line in part.splitlines() if ": " in line)
        if "event" in lines:
            data = json.loads(lines["data"])
            assert data["type"] == lines["event"]
            found.append(data)
    return found


@dataclass
class Api:
    """A running server and what is behind it."""

    http: httpx.AsyncClient
    store: ChatStore
    ledger: Ledger

    async def post(self, path: str, body: Any, **options: Any) -> httpx.Response:
        return await self.http.post(path, json=body, **options)

    async def chat(self, text: str = "hello", **fields: Any) -> dict[str, Any]:
        """A whole chat completion."""
        body = {"model": "guide", "messages": [{"role": "user", "content": text}], **fields}
        answer = await self.post("/v1/chat/completions", body)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())


@contextlib.asynccontextmanager
async def api_over(
    backend: Backend, ledger: Ledger, *, gate: Gate | None = None, **settings: Any
) -> AsyncIterator[Api]:
    options = {"turns_per_minute": 1000, "running_turns_per_person": 8, **settings}
    app = FastAPI(openapi_url=None)
    async with ChatStore(backend, ChatSettings(**options)) as store:
        page_routes.add_routes(app, store)
        model = OpenModel("guide")
        api_tokenizer.add_routes(app, store, model)
        routes.add_routes(app, store, model)
        metrics = Metrics()
        ledger.observer = metrics
        mesh.add_routes(app, store, MODEL, ledger, metrics)
        async with (
            served(Guard(app, gate=gate)) as url,
            httpx.AsyncClient(base_url=url, timeout=PATIENCE) as http,
        ):
            yield Api(http, store, ledger)


@pytest.fixture
def client() -> FakeClient:
    return FakeClient()


@pytest.fixture
async def api(client: FakeClient) -> AsyncIterator[Api]:
    """Canned replies."""
    ledger = Ledger()
    backend = ready_backend(client, ledger.watch)
    async with api_over(backend, ledger) as api:
        yield api


@pytest.fixture(scope="session")
def tokenizer(guide: Path) -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(guide)


@dataclass
class RealApi(Api):
    """The same over real nodes."""

    swarm: Swarm


@pytest.fixture
async def real(guide: Path, tokenizer: Any) -> AsyncIterator[RealApi]:
    """The bundled model on two nodes in this process."""
    ledger = Ledger()
    async with Swarm(guide) as swarm:
        await swarm.serve_all("first=0:4 second=4:8")
        joined = await swarm.client(tokenizer)
        backend = Backend("Guide", SamplingParams(max_new_tokens=32), ledger.watch)

        async def open_engine(_: Backend) -> Engine:
            return Engine(joined, tokenizer, 1024, guides=joined.guides)

        await backend.start(open_engine)
        async with api_over(backend, ledger) as api:
            yield RealApi(api.http, api.store, ledger, swarm)


@dataclass
class Edge:
    """The whole app, and a server of ours that nothing may ever ask."""

    http: httpx.AsyncClient
    store: ChatStore
    config: dict[str, Any]
    blocks: Any  # Gradio's own object behind the page
    canary: str
    touched: list[str] = field(default_factory=list)

    @property
    def port(self) -> int:
        return self.http.base_url.port or 0

    async def raw(self, request: str) -> str:
        """What comes back for these very bytes."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        line, _, rest = request.partition("\n")
        closing = f"{line}\nconnection: close\n{rest}" if rest else request
        writer.write(closing.replace("\n", "\r\n").encode("latin-1"))
        try:
            async with asyncio.timeout(PATIENCE):
                return (await reader.read()).decode("latin-1")
        except ConnectionResetError:
            return ""
        finally:
            writer.close()

    def component(self, elem_id: str) -> int:
        parts = self.config["components"]
        return next(int(p["id"]) for p in parts if p["props"].get("elem_id") == elem_id)

    def event(self, elem_id: str, name: str) -> dict[str, Any]:
        """What the page calls when something happens to one of its parts."""
        target = [self.component(elem_id), name]
        return next(d for d in self.config["dependencies"] if target in d["targets"])


@dataclass
class Building:
    """The whole app on its port, shared by the tests of a module: building the page takes long."""

    url: str
    store: ChatStore
    config: dict[str, Any]
    blocks: Any
    canary: str
    touched: list[str]


def blocks_of(guard: Guard) -> Any:
    app: Any = guard.app
    mounted = (getattr(route, "app", None) for route in app.routes)
    return next(one.get_blocks() for one in mounted if hasattr(one, "get_blocks"))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def building() -> AsyncIterator[Building]:
    backend = ready_backend(FakeClient())
    touched: list[str] = []

    async def touch(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        touched.append((await reader.readline()).decode())
        writer.close()

    listening = await asyncio.start_server(touch, "127.0.0.1", 0)
    canary = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
    async with listening, ChatStore(backend, ChatSettings(turns_per_minute=10_000)) as store:
        metrics = Metrics()
        app = application(store, Settings(), MODEL, Ledger(metrics), metrics)
        async with served(app, **server.OPTIONS, lifespan="on") as url:
            async with httpx.AsyncClient(base_url=url, timeout=PATIENCE) as http:
                config = (await http.get("/config")).json()
            yield Building(url, store, config, blocks_of(app), canary, touched)


@pytest_asyncio.fixture(loop_scope="module")
async def edge(building: Building) -> AsyncIterator[Edge]:
    """The app as somebody new meets it; its module's tests run on the module's loop."""
    building.touched.clear()
    async with httpx.AsyncClient(base_url=building.url, timeout=PATIENCE) as http:
        yield Edge(
            http,
            building.store,
            building.config,
            building.blocks,
            building.canary,
            building.touched,
        )
    assert not building.touched, "the app asked another server"
