"""The MCP tool, asked by the official client over HTTP. Each test names the bug it prevents."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
import pytest_asyncio
from fastapi import FastAPI
from mcp import ClientSession, types
from mcp.client.streamable_http import streamable_http_client

from chat.access.accounts import AccountFile, Key, hash_key, hash_password, write
from chat.api.metrics import Metrics
from chat.live.store import ChatStore
from chat.models.ledger import Ledger
from chat.page import layout, mounting
from chat.serving import server
from chat.serving.application import application
from chat.settings.schema import AccessSettings, ChatSettings, ServerSettings, Settings
from farmesh.errors import ConfigError
from tests.support.fakes import FakeClient, ready_backend
from tests.support.served import MODEL, Edge, served
from tests.support.waiting import until

pytestmark = pytest.mark.asyncio(loop_scope="module")
KEY = "fm-for-a-test"


@dataclass
class Tools:
    """An app with MCP and signing in."""

    url: str
    store: ChatStore
    client: FakeClient

    @contextlib.asynccontextmanager
    async def session(self) -> AsyncIterator[ClientSession]:
        headers = {"authorization": f"Bearer {KEY}"}
        async with (
            httpx.AsyncClient(headers=headers, timeout=20) as http,
            streamable_http_client(f"{self.url}/gradio_api/mcp/", http_client=http) as (to, fro, _),
            ClientSession(to, fro) as session,
        ):
            await session.initialize()
            yield session


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def tools(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Tools]:
    folder = tmp_path_factory.mktemp("mcp")
    users = {"ann": hash_password("correct horse battery")}
    keys = {"tools": Key(sha256=hash_key(KEY), user="ann")}
    write(folder / "access.json", AccountFile(secret="s" * 43, users=users, keys=keys))
    chatting = ChatSettings(conversations_file=folder / "chats.sqlite", turns_per_minute=1000)
    settings = Settings(
        server=ServerSettings(mcp=True),
        access=AccessSettings(sign_in="password", file=folder / "access.json"),
        chat=chatting,
    )
    client, metrics = FakeClient(), Metrics()
    backend = ready_backend(client)
    async with ChatStore(backend, chatting) as store:
        app = application(store, settings, MODEL, Ledger(metrics), metrics)
        async with served(app, **server.OPTIONS, lifespan="on") as url:
            yield Tools(url, store, client)


def text_of(result: types.CallToolResult) -> str:
    (content,) = result.content
    assert isinstance(content, types.TextContent)
    return content.text


async def test_ask_is_the_one_tool(tools: Tools) -> None:
    """Every endpoint of the page was a tool, those too that need what a tool does not keep."""
    async with tools.session() as session:
        (tool,) = (await session.list_tools()).tools
        assert tool.name == "ask"
        assert tool.description is not None
        assert "whole answer" in tool.description
        assert set(tool.inputSchema["properties"]) == {"question", "system_prompt"}
        assert (await session.call_tool("chat", {"message": "x"})).isError
        assert (await session.call_tool("new_chat", {})).isError


async def test_a_question_gets_its_answer(tools: Tools) -> None:
    """Half an answer, or a chat for every question that stays until the app is full."""
    tools.client.enqueue("forty-two", "again")
    async with tools.session() as session:
        asked = {"question": "How many?", "system_prompt": "Be brief"}
        assert text_of(await session.call_tool("ask", asked)) == "forty-two"
        assert tools.client.calls[-1].text == "S:Be briefU:How many?A:"
        assert text_of(await session.call_tool("ask", {"question": "And?"})) == "again"
        assert tools.client.calls[-1].text == "U:And?A:", "the first question was remembered"
    assert len(tools.store) == 0


async def test_what_is_wrong_is_a_sentence(tools: Tools, monkeypatch: pytest.MonkeyPatch) -> None:
    """The other model was told a traceback, or nothing; a tool had no limits."""
    async with tools.session() as session:
        wrong = await session.call_tool("ask", {"question": ""})
        assert wrong.isError
        assert "Traceback" not in text_of(wrong)
        monkeypatch.setattr(tools.store.rate, "_per_minute", 1)
        for _ in range(2):
            late = await session.call_tool("ask", {"question": "x"})
        assert late.isError
        assert "a minute" in text_of(late)


async def test_a_key_counts_on_its_person_at_gradios_endpoints(
    tools: Tools, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Through gradio_client a key's own limits meant nothing, nor how many replies may run."""
    monkeypatch.setattr(tools.client, "step", 0.05)
    line, allowed = tools.store.line, tools.store.settings.running_turns_per_person
    tools.client.enqueue(*["x" * 1900] * (allowed + 1))
    async with httpx.AsyncClient(headers={"authorization": f"Bearer {KEY}"}) as http:
        address = f"{tools.url}/gradio_api/run/ask"
        asking = [
            asyncio.create_task(http.post(address, json={"data": [f"Question {number}", ""]}))
            for number in range(allowed + 1)
        ]
        await until(lambda: line.running + line.waiting == allowed + 1)
        assert (line.running, line.waiting) == (allowed, 1)
        for task in asking:
            task.cancel()
        await asyncio.gather(*asking, return_exceptions=True)
    await until(lambda: line.running + line.waiting == 0)


async def test_strangers_have_no_tools(tools: Tools) -> None:
    """Signing in was for the page, and its tools stood open."""
    for path in ("/gradio_api/mcp", "/gradio_api/mcp/", "/gradio_api/mcp/sse"):
        async with httpx.AsyncClient(base_url=tools.url) as http:
            for headers in ({}, {"authorization": "Bearer fm-wrong"}):
                answer = await http.post(path, json={}, headers=headers)
                assert answer.status_code == 401, path
            own = {"authorization": f"Bearer {KEY}", "origin": "https://evil.example"}
            assert (await http.post(path, json={}, headers=own)).status_code == 403, path


async def test_a_client_that_leaves_ends_its_question(
    tools: Tools, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nodes went on for a tool whose caller had given up."""
    monkeypatch.setattr(tools.client, "step", 0.05)
    tools.client.enqueue("x" * 1900)
    calls = tools.client.calls
    before = len(calls)

    async def ask() -> None:
        async with tools.session() as session:
            await session.call_tool("ask", {"question": "x"})

    asking = asyncio.create_task(ask())
    await until(lambda: len(calls) > before and calls[-1].produced > 3)
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)
    left = calls[-1].produced
    await until(lambda: calls[-1].ended)
    assert calls[-1].produced < left + 100
    await until(lambda: tools.store.line.running == 0)


async def test_without_its_package_it_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """Gradio starts without its MCP server and keeps the reason to itself."""
    backend = ready_backend(FakeClient())
    async with ChatStore(backend, ChatSettings()) as store:
        options = layout.PageOptions("Fake")
        with monkeypatch.context() as patch:
            patch.setitem(sys.modules, "mcp", None)
            with pytest.raises(ConfigError, match=r"requirements-mcp\.txt"):
                mounting.mount(FastAPI(), store, options, mcp=True)

        def fail(*_: Any) -> None:
            raise RuntimeError("another version")

        monkeypatch.setattr("gradio.mcp.GradioMCPServer.get_tool_to_endpoint", fail)
        with pytest.raises(ConfigError, match="another version"):
            mounting.mount(FastAPI(), store, options, mcp=True)


async def test_without_a_word_there_is_none(edge: Edge) -> None:
    """GRADIO_MCP_SERVER opened a door that this app's settings do not know."""
    assert (await edge.http.post("/gradio_api/mcp/", json={})).status_code in (404, 405)
