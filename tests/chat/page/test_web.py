"""The edge: headers, cookies, who may ask for what. Each test names the bug it prevents."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest
from fastapi import FastAPI

from chat.access.callers import PERSON_COOKIE, person_in
from chat.access.guard import Guard
from chat.ids import new_id
from chat.live.prompts import Request
from chat.live.store import ChatStore
from chat.page import layout, mounting, routes
from chat.settings.schema import ChatSettings
from tests.support.chats import say
from tests.support.fakes import FakeClient, ready_backend

HOME = "http://127.0.0.1:7860"


@pytest.fixture
async def store() -> AsyncIterator[ChatStore]:
    async with ChatStore(ready_backend(FakeClient()), ChatSettings()) as opened:
        yield opened


@pytest.fixture
async def http(store: ChatStore) -> AsyncIterator[httpx.AsyncClient]:
    app = FastAPI()
    routes.add_routes(app, store)
    mounting.mount(app, store, layout.PageOptions("Fake"))
    guard = Guard(app, head=mounting.head(), body=mounting.body())
    transport = httpx.ASGITransport(app=guard)
    async with httpx.AsyncClient(transport=transport, base_url=HOME) as client:
        yield client


async def test_page_has_a_policy_that_forbids_everything_foreign(http: httpx.AsyncClient) -> None:
    """A reply made the browser fetch https://evil.example/x.png?q=secret."""
    answer = await http.get("/")
    policy = answer.headers["content-security-policy"]
    assert "img-src 'self' data: blob:" in policy
    assert "unsafe-eval" not in policy
    scripts = policy.partition("script-src ")[2].partition(";")[0]
    assert "unsafe-inline" not in scripts
    nonce = scripts.partition("'nonce-")[2].partition("'")[0]
    html = answer.text.partition("window.gradio_config")[0]
    assert html.count("<script") == html.count(f'nonce="{nonce}"')
    assert nonce not in (await http.get("/")).headers["content-security-policy"]
    assert answer.headers["x-content-type-options"] == "nosniff"


async def test_person_is_a_cookie_that_no_script_reads(http: httpx.AsyncClient) -> None:
    cookie = (await http.get("/")).headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Lax" in cookie
    person = person_in(cookie.partition(";")[0])
    assert len(person) == 43
    assert "set-cookie" not in (await http.get("/")).headers, "a reload made a new person"
    assert person_in(f"{PERSON_COOKIE}=guess") == ""


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"origin": "https://evil.example"}, 403),  # cross-site POST to localhost
        ({"origin": "null"}, 403),
        ({"host": "evil.example", "origin": "http://evil.example"}, 403),  # DNS rebinding
        ({"origin": HOME}, 404),  # let through; the cookie is missing
    ],
)
async def test_foreign_sites_get_no_answer(
    http: httpx.AsyncClient, headers: dict[str, str], status: int
) -> None:
    answer = await http.post(f"/farmesh/chat/{new_id()}", json={"messages": []}, headers=headers)
    assert answer.status_code == status


@pytest.mark.parametrize(
    "path",
    [
        "/gradio_api/file=app.py",
        "/gradio_api/file=/etc/passwd",
        "/gradio_api/file=..%2f..%2fetc/passwd",
        "/gradio_api/file=http://127.0.0.1:1/",
        "/gradio_api/proxy=http://127.0.0.1:1/",
        "/farmesh/assets/../session.py",
        "/farmesh/assets/%2e%2e/session.py",
    ],
)
async def test_no_file_and_no_foreign_address_is_served(http: httpx.AsyncClient, path: str) -> None:
    """CVE-2023-51449 and its family: traversal, and requests made by the server."""
    answer = await http.get(path)
    assert answer.status_code in (400, 403, 404, 405)
    assert "location" not in answer.headers


async def test_somebody_elses_chat_is_not_there(http: httpx.AsyncClient, store: ChatStore) -> None:
    chat_id, person = new_id(), new_id()
    await say(store.open(chat_id, person), "secret")
    assert (await http.get(f"/farmesh/chat/{chat_id}")).status_code == 404
    http.cookies.set(PERSON_COOKIE, person)
    answer = await http.get(f"/farmesh/chat/{chat_id}")
    assert [m["text"] for m in answer.json()["messages"]] == ["secret", "ok"]
    await http.delete(f"/farmesh/chat/{chat_id}")
    assert (await http.get(f"/farmesh/chat/{chat_id}")).status_code == 404


async def test_browser_brings_a_chat_back_once(http: httpx.AsyncClient, store: ChatStore) -> None:
    """A restart of the app lost every conversation (gradio#10559)."""
    chat_id, person = new_id(), new_id()
    http.cookies.set(PERSON_COOKIE, person)
    kept = {
        "system": "be kind",
        "messages": [{"role": "user", "text": "a\tb"}, {"role": "assistant", "text": "c"}],
    }
    for _ in range(2):
        answer = await http.post(f"/farmesh/chat/{chat_id}", json=kept)
        assert answer.json() == {"messages": 2}
    chat = store.open(chat_id, person)
    assert chat.view.entries[0].message.text == "a\tb"
    assert chat.system == "be kind"
    for wrong in ([], {}, {"messages": "x"}, {"messages": [{"role": "system", "text": ""}]}):
        answer = await http.post(f"/farmesh/chat/{new_id()}", json=wrong)
        assert answer.status_code == 400


async def test_every_action_of_the_page_is_private(http: httpx.AsyncClient) -> None:
    """Handlers of the page that programs could call would bypass the page's checks."""
    info = (await http.get("/gradio_api/info")).json()
    assert set(info["named_endpoints"]) == {"/ask", "/chat", "/new_chat"}


async def test_tabs_hold_no_connection_open(http: httpx.AsyncClient) -> None:
    """A gr.State or an unload handler gives every tab a heartbeat; the sixth tab never loads."""
    assert (await http.get("/config")).json()["connect_heartbeat"] is False


async def test_a_growing_reply_is_exported_too(http: httpx.AsyncClient, store: ChatStore) -> None:
    """The app was lost in the middle of a long reply, and the page had kept nothing of it."""
    chat_id, person = new_id(), new_id()
    http.cookies.set(PERSON_COOKIE, person)
    client = store.backend.engine.client
    client.step = 0.01
    client.enqueue("word " * 400)
    chat = store.open(chat_id, person)
    await chat.send("Tell me everything.", Request())
    async for view in chat.watch(0.0):
        if view.live is not None and len(view.live.text) > 10:
            break
    state = (await http.get(f"/farmesh/swarm?chat={chat_id}")).json()
    data = (await http.get(f"/farmesh/chat/{chat_id}")).json()
    assert state["running"]
    question, reply = data["messages"]
    assert question["text"] == "Tell me everything."
    assert reply["text"].startswith("word word")
    assert reply["cut"], "it can be continued where it was brought back"
    await chat.stop()
    assert not (await http.get(f"/farmesh/swarm?chat={chat_id}")).json()["running"]
