"""Known holes of Gradio and of web servers, one by one, against the whole app on a real socket."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import httpx
import pytest

from chat.access import bodies
from chat.access.callers import PERSON_COOKIE
from chat.ids import new_id
from chat.serving import server
from tests.support.chats import say
from tests.support.served import Edge
from tests.support.waiting import until

# Gradio asks pandas for its own statistics in a way that pandas does not like any more.
pytestmark = [
    pytest.mark.filterwarnings(
        "ignore:'future.no_silent_downcasting'", "ignore:The copy keyword is deprecated"
    ),
    pytest.mark.asyncio(loop_scope="module"),  # all share one running app
]

EVIL = "https://evil.example"
SECRET = "open sesame"


PASSWD = "root:"
TRAVERSALS = [
    "/gradio_api/file=/etc/passwd",  # CVE-2023-51449
    "/gradio_api/file=../../../../etc/passwd",
    "/gradio_api/file=%2e%2e%2f%2e%2e%2f%2e%2e%2fetc%2fpasswd",
    "/gradio_api/file/etc/passwd",
    "/file=/etc/passwd",
    "/file/etc/passwd",
    "/gradio_api/file=C:/Windows/win.ini",  # CVE-2026-28414
    "/static/../../../../../etc/passwd",
    "/static/%2e%2e/%2e%2e/%2e%2e/%2e%2e/%2e%2e/etc/passwd",
    "/static//etc/passwd",
    "/assets/..%2f..%2f..%2f..%2f..%2fetc/passwd",
    "/assets//etc/passwd",
    "/svelte/../../../../../../etc/passwd",
    "/farmesh/assets/../../app.py",
    "/farmesh/assets/%2e%2e/%2e%2e/app.py",
    "/farmesh/assets//etc/passwd",
    "/farmesh/assets/..\\..\\app.py",
    "/gradio_api/custom_component/../../../../etc/passwd",
    "/gradio_api/stream/x/1/2/playlist-file",
    "/v1/models/..%2f..%2fetc%2fpasswd",
    "/pwa_icon/..%2f..%2f..%2fetc%2fpasswd",
    "/favicon.ico/../../etc/passwd",
    "/gradio_api/file=app.py\0.png",
]


async def test_no_file_is_read(edge: Edge) -> None:
    """CVE-2023-51449, CVE-2024-1728, CVE-2024-51751, CVE-2026-28414: files of the server."""
    for path in TRAVERSALS:
        request = edge.http.build_request("GET", "/")
        request.url = edge.http.base_url.copy_with(raw_path=path.replace("\0", "%00").encode())
        answer = await edge.http.send(request)
        assert answer.status_code in (400, 403, 404, 405, 422), path
        assert PASSWD not in answer.text, path
        assert "def main(" not in answer.text, path


@pytest.mark.parametrize("way", ["file=", "proxy=", "file/", "deep_link?url=", "custom_component/"])
async def test_no_address_is_asked(edge: Edge, way: str) -> None:
    """CVE-2023-51449, CVE-2026-28416, gradio#13593: SSRF, and redirects to wherever one likes."""
    for target in (edge.canary, EVIL, "//evil.example", "file:///etc/passwd"):
        for method in ("GET", "HEAD"):
            answer = await edge.http.request(method, f"/gradio_api/{way}{target}")
            assert answer.status_code in (400, 403, 404, 405), (way, target)
            assert "location" not in answer.headers


async def test_no_address_inside_of_a_message_is_asked(edge: Edge) -> None:
    """CVE-2024-4325: a FileData whose path is a URL made /queue/join fetch it."""
    file = {
        "path": f"{edge.canary}/x",
        "url": f"{edge.canary}/x",
        "meta": {"_type": "gradio.FileData"},
    }
    send = edge.event("fm-say", "click")
    watch = edge.event("fm-attach", "click")
    for event, path in ((send, "run/predict"), (send, "queue/join"), (watch, "queue/join")):
        data = [file for _ in event["inputs"]]
        body = {"data": data, "fn_index": event["id"], "session_hash": "abc", "event_data": file}
        await edge.http.post(f"/gradio_api/{path}", json=body)
    body = {"data": [file, "", file], "session_hash": "abc"}
    await edge.http.post("/gradio_api/call/chat", json=body)
    await until(lambda: not edge.blocks._queue.event_ids_to_events)
    async with httpx.AsyncClient() as http:
        with pytest.raises(httpx.RemoteProtocolError):
            await http.get(f"{edge.canary}/own")  # after whatever the app may have asked
    assert edge.touched == ["GET /own HTTP/1.1\r\n"]
    edge.touched.clear()


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/gradio_api/upload"),  # CVE-2024-47872, CVE-2024-1728
        ("GET", "/gradio_api/upload_progress?upload_id=x"),
        ("POST", "/gradio_api/component_server"),  # CVE-2024-1561, GHSA-j36p-7w88-g82j
        ("POST", "/gradio_api/component_server/"),
        ("POST", "/gradio_api/process_recording"),
        ("POST", "/gradio_api/vibe-edit"),
        ("POST", "/gradio_api/vibe-code"),
        ("GET", "/gradio_api/vibe-code"),
        ("GET", "/gradio_api/dev/reload"),
        ("GET", "/gradio_api/runs"),
        ("GET", "/gradio_api/token"),
        ("GET", "/gradio_api/deep_link"),
        ("GET", "/monitoring"),
        ("GET", "/monitoring/summary"),
        ("GET", "/docs"),
        ("GET", "/openapi.json"),
        ("GET", "/redoc"),
        ("POST", "/gradio_api/stream/abc"),
    ],
)
async def test_what_the_page_never_asks_for_is_not_there(
    edge: Edge, method: str, path: str
) -> None:
    """A feature of Gradio that nobody here uses is a hole that nobody here looks at."""
    files = {"files": ("x.html", b"<script>alert(1)</script>", "text/html")}
    answer = await edge.http.request(method, path, files=files if method == "POST" else None)
    assert answer.status_code in (404, 405)
    assert "alert" not in answer.text


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": EVIL},
        {"origin": "null"},
        {"origin": EVIL, "host": "evil.example"},  # DNS rebinding
        {"origin": EVIL, "x-forwarded-host": "evil.example"},
        {"origin": "http://localhost.evil.example"},
        {"origin": "http://127.0.0.1:1"},
        {"sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors"},
    ],
)
async def test_other_sites_cannot_act(edge: Edge, headers: dict[str, str]) -> None:
    """gradio#13594: any page that somebody visits talks to the app on their own machine."""
    for path in (
        "/gradio_api/queue/join",
        "/gradio_api/run/new_chat",
        "/gradio_api/cancel",
        "/gradio_api/call/chat",
        "/v1/chat/completions",
        f"/farmesh/chat/{new_id()}",
        "/farmesh/leave",
    ):
        answer = await edge.http.post(path, json={}, headers=headers)
        assert answer.status_code == 403, path


async def test_other_sites_cannot_read(edge: Edge) -> None:
    """gradio#10276, #13594: any Origin was reflected, with credentials."""
    for origin in (EVIL, "null", "http://localhost.evil.example", str(edge.http.base_url)):
        for path in ("/config", "/v1/models", "/", "/farmesh/swarm"):
            for method in ("GET", "OPTIONS"):
                headers = {
                    "origin": origin,
                    "access-control-request-method": "POST",
                    "access-control-request-headers": "authorization",
                }
                answer = await edge.http.request(method, path, headers=headers)
                found = [name for name in answer.headers if name.startswith("access-control")]
                assert not found, (origin, path)
    embedded = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors"}
    assert (await edge.http.get("/config", headers=embedded)).status_code == 403
    visit = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"}
    assert (await edge.http.get("/", headers=visit)).status_code == 200, "a link to the page"


async def test_a_name_of_somebody_elses_is_not_ours(edge: Edge) -> None:
    """DNS rebinding reads what it likes: for the browser it is the same site."""
    for host in ("evil.example", "evil.example:7860", "127.0.0.1.evil.example", "", "localhost@x"):
        answer = await edge.http.get("/config", headers={"host": host})
        assert answer.status_code in (400, 403), host
    probe = await edge.http.get("/healthz", headers={"host": "10.0.0.7:7860"})
    assert probe.status_code == 200, "a cluster asks its pods by address"


async def join(edge: Edge, chat_id: str, person: str, session: str) -> None:
    """Ask the page's own queue for a chat."""
    attach = edge.event("fm-attach", "click")
    place = edge.component("fm-chat-id")
    values = {part["id"]: part["props"].get("value") for part in edge.config["components"]}
    data = [chat_id if part == place else values[part] for part in attach["inputs"]]
    body = {"data": data, "fn_index": attach["id"], "session_hash": session, "event_data": None}
    edge.http.cookies.set(PERSON_COOKIE, person)
    await edge.http.post("/gradio_api/queue/join", json=body)


async def listen(edge: Edge, session: str) -> str:
    """What the page's own queue sends to a session, until it has nothing more to say."""
    text = ""
    query = {"session_hash": session}
    async with edge.http.stream("GET", "/gradio_api/queue/data", params=query) as answer:
        async for line in answer.aiter_lines():
            text += line
            if "close_stream" in line:
                break
    return text


async def shown(edge: Edge, chat_id: str, person: str, session: str) -> str:
    """What the page's own queue sends to whoever asks for a chat."""
    await join(edge, chat_id, person, session)
    return await listen(edge, session)


async def test_somebody_elses_chat_through_the_queue(edge: Edge) -> None:
    """A chat's id that leaks (a log, a screen) or a guessed session hash opened the chat."""
    chat_id, owner = new_id(), new_id()
    await say(edge.store.open(chat_id, owner), SECRET)
    assert SECRET in await shown(edge, chat_id, owner, "guess"), "the test itself reads nothing"
    assert SECRET not in await shown(edge, chat_id, new_id(), "guess")
    assert SECRET not in await shown(edge, chat_id, "", "guess")
    edge.http.cookies.clear()
    listening = asyncio.create_task(listen(edge, "guess"))  # it comes too late
    await join(edge, new_id(), new_id(), "guess")  # and hears a newcomer's event, none before it
    heard = await listening
    assert "process_completed" in heard
    assert SECRET not in heard


async def test_what_is_over_is_forgotten(edge: Edge) -> None:
    """gradio#11602, #13154: every event that was ever served stayed, with its request."""
    queue, states = edge.blocks._queue, edge.blocks.state_holder
    person = new_id()
    for number in range(8):
        await shown(edge, new_id(), person, f"leaves-{number}")
    await until(lambda: not queue.event_ids_to_events)
    pending = queue.pending_event_ids_session  # an empty set stays for every tab, and no request
    await until(lambda: not any(ids for tab, ids in pending.items() if "leaves" in tab))
    assert len(queue.event_analytics) <= queue.ANALYTICS_MAX_EVENTS
    assert set(states.time_last_used) <= set(states.session_data) | {None}
    assert not edge.blocks.pending_streams


@pytest.mark.parametrize(
    "forged", ["x", "x" * 43 + "; a=b", "é" * 43, "../" * 14 + "x", "\x00" * 43]
)
async def test_forged_ids_open_nothing(edge: Edge, forged: str) -> None:
    """An id that is used as a path, a header or a key without a look at it."""
    cookie = f"{PERSON_COOKIE}={forged}".encode("latin-1", "replace")
    path = f"/farmesh/chat/{new_id()}"
    try:
        answer = await edge.http.get(path, headers={b"cookie": cookie})
    except httpx.LocalProtocolError:
        return  # cannot even be sent
    assert answer.status_code in (400, 404)


# --- sizes and speeds -----------------------------------------------------------------------------


async def test_a_body_that_is_too_large(edge: Edge) -> None:
    """A few requests fill the memory: refused by its length, or while it comes."""
    size = bodies.MAX_BODY + 1
    head = f"POST /v1/chat/completions HTTP/1.1\nhost: 127.0.0.1\ncontent-length: {size}\n\n"
    assert (await edge.raw(head + "x")).startswith("HTTP/1.1 413")

    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(size // 100_000 + 1):
            yield b"x" * 100_000

    for path in ("/v1/chat/completions", "/gradio_api/queue/join", f"/farmesh/chat/{new_id()}"):
        json_type = {"content-type": "application/json"}
        try:
            answer = await edge.http.post(path, content=chunks(), headers=json_type)
            assert answer.status_code == 413, path
        except httpx.TransportError:  # closed while it was still coming
            continue
    assert (await edge.http.get("/healthz")).status_code == 200


async def test_a_body_that_is_too_deep(edge: Edge) -> None:
    """Nested a hundred thousand times: a parser that runs out of stack takes the app with it."""
    deep = b"[" * 100_000 + b"]" * 100_000
    for path in ("/v1/chat/completions", "/gradio_api/queue/join", f"/farmesh/chat/{new_id()}"):
        answer = await edge.http.post(
            path, content=deep, headers={"content-type": "application/json"}
        )
        assert answer.status_code < 500, (path, answer.text)
    assert (await edge.http.get("/healthz")).status_code == 200


async def test_slow_clients_are_left(edge: Edge, monkeypatch: pytest.MonkeyPatch) -> None:
    """Slowloris: headers, or a body, one byte at a time, on every descriptor there is."""
    with monkeypatch.context() as patch:
        patch.setattr(server, "HEAD_SECONDS", 0.3)
        assert await edge.raw("") == ""
        assert await edge.raw("GET / HTTP/1.1\nhost: 127.0.0.1\nx: ") == ""
    monkeypatch.setattr(bodies, "BODY_SECONDS", 0.3)
    for path in ("/v1/chat/completions", "/gradio_api/queue/join"):
        head = f"POST {path} HTTP/1.1\nhost: 127.0.0.1\ncontent-type: application/json\n"
        answer = await edge.raw(head + "content-length: 100\n\n{")
        assert answer.startswith("HTTP/1.1 408"), answer[:200]
    assert (await edge.http.get("/healthz")).status_code == 200


async def test_headers_that_are_too_many(edge: Edge) -> None:
    """Headers without end are kept in memory until they end."""
    many = "".join(f"x-{n}: {'y' * 1000}\n" for n in range(600))
    answer = await edge.raw(f"GET / HTTP/1.1\nhost: 127.0.0.1\n{many}\n")
    assert not answer or answer.startswith("HTTP/1.1 4")
    assert (await edge.http.get("/healthz")).status_code == 200


@pytest.mark.parametrize(
    "request_text",
    [
        "GET /x\x0b HTTP/1.1\nhost: 127.0.0.1\n\n",
        "GET / HTTP/1.1\nhost: 127.0.0.1\nhost: evil.example\n\n",
        "GET / HTTP/1.1\n\n",
        "GET / HTTP/1.1\nhost: 127.0.0.1\nx : y\n\n",
        "POST /v1/models HTTP/1.1\nhost: 127.0.0.1\ncontent-length: -1\n\n",
        "POST /v1/models HTTP/1.1\nhost: 127.0.0.1\ncontent-length: 1\ncontent-length: 2\n\nab",
        "POST /v1/models HTTP/1.1\nhost: 127.0.0.1\ntransfer-encoding: xchunked\n\n0\n\n",
        "GET http://evil.example/config HTTP/1.1\nhost: evil.example\n\n",
    ],
)
async def test_requests_that_mean_two_things(edge: Edge, request_text: str) -> None:
    """Smuggling: a proxy reads one request where we read two, or another host's."""
    answer = await edge.raw(request_text)
    assert answer.split(" ")[1][0] == "4", answer[:200]


async def test_no_header_can_be_put_into_an_answer(edge: Edge) -> None:
    """Header injection: a line break in something that comes back as a header."""
    lines = ["/%0d%0aset-cookie:%20x=y", "/v1/models/%0d%0aset-cookie:%20x=y", "/?x=%0d%0ax:y"]
    for path in lines:
        answer = await edge.http.get(path, headers={"accept": "text/html"})
        assert "x=y" not in str(answer.headers.get_list("set-cookie"))
    answer = await edge.http.request("TRACE", "/", headers={"cookie": "secret=1"})
    assert answer.status_code in (400, 403, 404, 405)
    assert "secret" not in answer.text


async def test_web_sockets_are_refused(edge: Edge) -> None:
    """A second way in that no check looks at."""
    answer = await edge.raw(
        "GET /gradio_api/queue/join HTTP/1.1\nhost: 127.0.0.1\nconnection: Upgrade\n"
        "upgrade: websocket\nsec-websocket-version: 13\n"
        "sec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\n\n"
    )
    assert " 101 " not in answer.splitlines()[0]


async def test_errors_say_nothing_of_the_inside(
    edge: Edge, monkeypatch: pytest.MonkeyPatch
) -> None:
    """chat.petals.dev#62: a traceback, with paths and other people's text in it."""

    def explode(*_: object) -> None:
        raise RuntimeError(f"{SECRET} in /home/somebody/app.py")

    monkeypatch.setattr(edge.store.rate, "take", explode)
    body = {"model": "guide", "messages": [{"role": "user", "content": "hello"}]}
    answer = await edge.http.post("/v1/chat/completions", json=body)
    assert answer.status_code == 500
    assert SECRET not in answer.text
    assert "Traceback" not in answer.text
    answer = await edge.http.post("/gradio_api/call/chat", json={"data": ["hello"]})
    event = answer.json()["event_id"]
    text = (await edge.http.get(f"/gradio_api/call/chat/{event}")).text
    assert SECRET not in text
    assert "Traceback" not in text
