"""Who may come in: passwords, keys, Hugging Face, and what strangers get. Bugs are named."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from fastapi import FastAPI, Request

from chat.access import signin
from chat.access.accounts import (
    AccountFile,
    Key,
    hash_key,
    hash_password,
    key_of,
    password_is_right,
    read,
    write,
)
from chat.access.callers import PERSON_COOKIE
from chat.access.gate import SESSION_COOKIE, Gate
from chat.access.guard import Guard
from chat.access.hosts import Hosts, hosts_of
from chat.api import mesh
from chat.api.metrics import Metrics
from chat.api.offer import OpenModel
from chat.api.openai import routes
from chat.ids import is_id, new_id
from chat.live.limits import Caller
from chat.live.store import ChatStore
from chat.models.ledger import Ledger
from chat.page import layout, mounting
from chat.page import routes as page_routes
from chat.settings.schema import AccessSettings, ChatSettings, ServerSettings
from farmesh.errors import ConfigError
from tests.support.fakes import FakeClient, ready_backend
from tests.support.served import MODEL, served

PASSWORD = "correct horse battery"
KEY, OTHER_KEY = "fm-first", "fm-second"
HOME = "http://127.0.0.1:7860"


@pytest.fixture(scope="module")
def access_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("access") / "access.json"
    keys = {
        "hers": Key(sha256=hash_key(KEY), user="alice", per_minute=3, at_once=4),
        "robot": Key(sha256=hash_key(OTHER_KEY)),
    }
    users = {"alice": hash_password(PASSWORD), "bob": hash_password("another password")}
    write(path, AccountFile(secret="s" * 43, users=users, keys=keys))
    return path


def nothing() -> dict[str, str]:
    """Stands where Gradio's page would."""
    return {}


@dataclass
class House:
    """The whole app behind its gate."""

    http: httpx.AsyncClient
    store: ChatStore
    gate: Gate

    async def sign_in(self, name: str = "alice", password: str = PASSWORD, **more: str) -> Any:
        form = {"name": name, "password": password, **more}
        return await self.http.post("/farmesh/login", data=form)


async def house(
    environ: dict[str, str], *, page: bool = False, **settings: Any
) -> AsyncIterator[House]:
    """With Gradio's page, or with one route in its place: building it takes a second."""
    gate = Gate(AccessSettings(**settings), environ=environ)
    backend = ready_backend(FakeClient())
    async with ChatStore(backend, ChatSettings(turns_per_minute=100)) as store:
        app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None)
        ledger = Ledger()
        signin.add_routes(app, gate, environ=environ)
        page_routes.add_routes(app, store)
        mesh.add_routes(app, store, MODEL, ledger, Metrics())
        routes.add_routes(app, store, OpenModel("guide"))
        if page:
            mounting.mount(app, store, layout.PageOptions("Fake"))
        else:
            app.get("/config")(nothing)
            app.get("/")(nothing)
        guard = Guard(app, gate=gate, head=mounting.head(), body=mounting.body())
        transport = httpx.ASGITransport(app=guard)
        async with httpx.AsyncClient(transport=transport, base_url=HOME) as client:
            yield House(client, store, gate)


@pytest.fixture
async def locked(access_file: Path) -> AsyncIterator[House]:
    async for opened in house({}, sign_in="password", file=access_file):
        yield opened


@pytest.fixture
async def whole(access_file: Path) -> AsyncIterator[House]:
    async for opened in house({}, page=True, sign_in="password", file=access_file):
        yield opened


# --- nothing without signing in -------------------------------------------------------------------

EVERYTHING = [
    ("GET", "/"),
    ("HEAD", "/"),
    ("GET", "/config"),
    ("GET", "/gradio_api/info"),
    ("GET", "/gradio_api/openapi.json"),
    ("POST", "/gradio_api/queue/join"),
    ("GET", "/gradio_api/queue/data?session_hash=x"),
    ("GET", "/gradio_api/queue/status"),
    ("POST", "/gradio_api/call/chat"),
    ("POST", "/gradio_api/run/new_chat"),
    ("POST", "/gradio_api/api/new_chat"),
    ("POST", "/gradio_api/cancel"),
    ("POST", "/gradio_api/reset"),
    ("GET", "/gradio_api/heartbeat/abc"),
    ("POST", "/gradio_api/upload"),
    ("GET", "/gradio_api/file=app.py"),
    ("GET", "/gradio_api/startup-events"),
    ("GET", "/gradio_api/app_id"),
    ("GET", "/gradio_api/login_check"),
    ("GET", "/theme.css"),
    ("GET", "/static/fonts/x.woff2"),
    ("GET", "/assets/index.js"),
    ("GET", "/svelte/x.js"),
    ("GET", "/manifest.json"),
    ("GET", "/robots.txt"),
    ("GET", "/favicon.ico"),
    ("GET", "/pwa_icon"),
    ("GET", "/monitoring"),
    ("GET", "/farmesh/assets/main.js"),
    ("GET", "/farmesh/swarm"),
    ("GET", f"/farmesh/chat/{'x' * 43}"),
    ("POST", f"/farmesh/chat/{'x' * 43}"),
    ("POST", "/farmesh/logout"),
    ("GET", "/farmesh/login/../swarm"),
    ("GET", "/healthz/../config"),
    ("GET", "//config"),
    ("GET", "/v1/models"),
    ("POST", "/v1/chat/completions"),
    ("GET", "/metrics"),
    ("GET", "/mesh/status"),
    ("OPTIONS", "/config"),
    ("POST", "/login"),
    ("GET", "/nowhere"),
]


async def test_strangers_get_nothing(whole: House) -> None:
    """Gradio's own login leaves /cancel and /heartbeat open; routes beside it are not covered."""
    for method, path in EVERYTHING:
        request = whole.http.build_request(method, HOME)
        request.url = httpx.URL(HOME).copy_with(raw_path=path.encode())  # unnormalised
        for headers in ({}, {"authorization": "Bearer fm-x"}, {"cookie": f"{SESSION_COOKIE}=x.y"}):
            request.headers.update(headers)
            answer = await whole.http.send(request)
            assert answer.status_code == 401, (path, headers)
            assert "farmesh_person" not in answer.headers.get("set-cookie", "")


async def test_every_route_of_gradio_is_behind_the_gate(whole: House) -> None:
    """A new version of Gradio brings a route that nobody here has heard of."""
    app: Any = whole.http._transport.app.app  # type: ignore[attr-defined]
    paths: dict[str, set[str]] = {}
    waiting = list(app.routes)
    while waiting:
        route = waiting.pop()
        waiting += getattr(getattr(route, "app", None), "routes", [])
        waiting += getattr(getattr(route, "original_router", None), "routes", [])
        if path := getattr(route, "path", ""):
            paths.setdefault(path, {"GET", "POST"}).update(getattr(route, "methods", None) or ())
    assert len(paths) > 60
    for path in set(paths) - {"/farmesh/login", "/health", "/healthz", "/readyz"}:
        filled = path.replace("{", "").replace("}", "").replace(":path", "")
        for method in paths[path]:
            answer = await whole.http.request(method, filled)
            assert answer.status_code == 401, (method, path)


async def test_probes_stay_open_and_say_little(locked: House) -> None:
    """A load balancer has no password; and a stranger learns nothing but yes or no."""
    assert (await locked.http.get("/healthz")).json() == {"status": "ok"}
    assert set((await locked.http.get("/readyz")).json()) == {"ready", "status"}


async def test_a_browser_is_shown_where_to_sign_in(locked: House) -> None:
    """A page of JSON, or a door that forgets where one wanted to go."""
    answer = await locked.http.get("/config", headers={"accept": "text/html"})
    assert (answer.status_code, answer.headers["location"]) == (303, "/farmesh/login?next=/config")
    answer = await locked.http.get("/farmesh/login?next=/config")
    assert 'value="/config"' in answer.text
    assert "<script" not in answer.text
    assert "set-cookie" not in answer.headers
    assert "frame-ancestors 'self'" in answer.headers["content-security-policy"]


# --- passwords ------------------------------------------------------------------------------------


async def test_signing_in_opens_everything(whole: House) -> None:
    """A cookie that works for the page and not for what the page asks for."""
    answer = await whole.sign_in(next="/config")
    assert (answer.status_code, answer.headers["location"]) == (303, "/config")
    cookie = answer.headers["set-cookie"]
    assert all(flag in cookie for flag in ("HttpOnly", "SameSite=Lax", "Path=/", "Max-Age="))
    assert "Secure" not in cookie, "it would never come back over plain HTTP"
    for path in ("/", "/config", "/v1/models", "/metrics", "/farmesh/assets/main.js"):
        assert (await whole.http.get(path)).status_code == 200, path
    assert (await whole.http.get("/farmesh/me")).json() == {"name": "alice"}
    answer = await whole.http.post("/farmesh/logout")
    assert answer.headers["location"] == "/farmesh/login"
    assert (await whole.http.get("/config")).status_code == 401


async def test_the_cookie_is_secure_behind_https(locked: House) -> None:
    """A session that is sent in the clear."""
    headers = {"x-forwarded-proto": "https"}
    form = {"name": "alice", "password": PASSWORD}
    answer = await locked.http.post("/farmesh/login", data=form, headers=headers)
    assert "; Secure" in answer.headers["set-cookie"]
    assert "max-age" in answer.headers["strict-transport-security"]


@pytest.mark.parametrize(
    ("name", "password"),
    [("alice", "wrong"), ("alice", ""), ("nobody", PASSWORD), ("", ""), ("alice\0", PASSWORD),
     ("alice", PASSWORD + "x" * 2000), ("__proto__", "x"), ("alice", "another password")],
)  # fmt: skip
async def test_a_wrong_password_opens_nothing(locked: House, name: str, password: str) -> None:
    """A name without a hash that compares equal to an empty password."""
    answer = await locked.sign_in(name, password)
    assert answer.status_code == 401
    assert "set-cookie" not in answer.headers
    assert "do not belong together" in answer.text, "it must not say which of the two is wrong"


async def test_guessing_is_slow(locked: House) -> None:
    """A thousand passwords a second, and each takes the app's memory."""
    for _ in range(signin.TRIES):
        await locked.sign_in(password="")
    answer = await locked.sign_in()
    assert answer.status_code == 429
    assert "Wait" in answer.text


def test_an_unknown_name_takes_as_long_as_a_wrong_password(access_file: Path) -> None:
    """Names could be found out by the time that a no takes."""
    file = read(access_file)

    def took(name: str) -> float:
        began = time.process_time()
        assert not password_is_right(file, name, "wrong password")
        return time.process_time() - began

    known, unknown = (min(took(name) for _ in range(3)) for name in ("alice", "nobody"))
    assert 0.4 < unknown / known < 2.5


@pytest.mark.parametrize(
    "wanted",
    ["https://evil.example", "//evil.example", "/\\evil.example", "\\\\evil", "javascript:alert(1)",
     "/a\r\nset-cookie: x=y", "", "evil", "/" + "a" * 2000],
)  # fmt: skip
async def test_no_way_out_through_next(locked: House, wanted: str) -> None:
    """gradio#13593: an open redirect sends people who trust our address somewhere else."""
    answer = await locked.sign_in(next=wanted)
    assert answer.headers["location"] == "/"
    assert "x=y" not in str(answer.headers)
    page = await locked.http.get("/farmesh/login", params={"next": '"><script>'})
    assert "<script" not in page.text


async def test_a_new_password_signs_everybody_out(locked: House, tmp_path: Path) -> None:
    """Whoever stole a session kept it after the password was changed."""
    file = read(locked.gate.settings.file)
    await locked.sign_in()
    assert (await locked.http.get("/config")).status_code == 200
    changed = {**file.users, "alice": hash_password("a new password")}
    try:
        write(locked.gate.settings.file, file.model_copy(update={"users": changed}))
        assert (await locked.http.get("/config")).status_code == 401
        gone = {k: v for k, v in file.users.items() if k != "alice"}
        write(locked.gate.settings.file, file.model_copy(update={"users": gone}))
        assert (await locked.http.get("/config")).status_code == 401
    finally:
        write(locked.gate.settings.file, file)


def with_another_signature(value: str) -> str:
    """One bit of the signature is another one.

    Its first character: the last one of base64 has bits that belong to no byte.
    """
    rest, _, signature = value.rpartition(".")
    return f"{rest}.{'B' if signature[0] == 'A' else 'A'}{signature[1:]}"


async def test_sessions_cannot_be_made_up(locked: House) -> None:
    """A cookie signed with another secret, for another purpose, or too old."""
    other = Gate(AccessSettings(sign_in="huggingface"), environ=OAUTH)
    forged = [
        other.session("alice"),
        locked.gate.sign(["alice", locked.gate._fingerprint("alice")], "oauth"),
        with_another_signature(locked.gate.session("alice")),
        locked.gate.session("mallory"),
    ]
    for value in forged:
        cookie = {"cookie": f"{SESSION_COOKIE}={value}"}
        assert (await locked.http.get("/config", headers=cookie)).status_code == 401
    good = {"cookie": f"{SESSION_COOKIE}={locked.gate.session('alice')}"}
    assert (await locked.http.get("/config", headers=good)).status_code == 200


async def test_nobody_becomes_somebody_else_by_a_header(locked: House) -> None:
    """The id behind the gate was taken from the client's own cookie."""
    person = locked.gate.person("bob")
    assert is_id(person)
    chat_id = new_id()
    locked.store.open(chat_id, person)
    await locked.sign_in()
    locked.http.cookies.set(PERSON_COOKIE, person)
    answer = await locked.http.get(f"/farmesh/chat/{chat_id}")
    assert answer.status_code == 404
    await locked.sign_in("bob", "another password")
    assert (await locked.http.get(f"/farmesh/chat/{chat_id}")).status_code == 200


# --- one password for all -------------------------------------------------------------------------


async def test_guests_with_one_password_are_still_several_people() -> None:
    """Everybody with the link's password saw everybody else's chats."""
    async for opened in house({}, sign_in="shared", password="k7fm-29qd-xw3p"):
        for path in ("/", "/config", "/v1/models", "/mesh/status", "/farmesh/swarm"):
            assert (await opened.http.get(path)).status_code == 401, path
        assert 'name="name"' not in (await opened.http.get("/farmesh/login")).text
        wrong = await opened.sign_in(password="k7fm-29qd-xw3q")
        assert wrong.status_code == 401
        assert "set-cookie" not in wrong.headers
        people = []
        for _ in range(2):
            answer = await opened.sign_in(password=" k7fm-29qd-xw3p\n")  # as it was pasted
            assert answer.status_code == 303
            assert (await opened.http.get("/config")).status_code == 200
            chat_id = new_id()
            headers = {"content-length": "16"}
            body = b'{"messages": []}'
            made = await opened.http.post(f"/farmesh/chat/{chat_id}", content=body, headers=headers)
            assert made.status_code == 200
            people.append(chat_id)
        assert (await opened.http.get(f"/farmesh/chat/{people[1]}")).status_code == 200
        assert (await opened.http.get(f"/farmesh/chat/{people[0]}")).status_code == 404
        session = opened.http.cookies[SESSION_COOKIE]
    async for opened in house({}, sign_in="shared", password="k7fm-29qd-xw3p"):
        opened.http.cookies.set(SESSION_COOKIE, session)
        assert (await opened.http.get("/config")).status_code == 200, "a restart signs nobody out"
    async for opened in house({}, sign_in="shared", password="another one"):
        opened.http.cookies.set(SESSION_COOKIE, session)
        assert (await opened.http.get("/config")).status_code == 401, "a new password does"


# --- keys -----------------------------------------------------------------------------------------


async def test_a_key_opens_everything_for_programs(whole: House) -> None:
    """gradio_client and openai bring the same header."""
    headers = {"authorization": f"Bearer {KEY}"}
    for path in ("/v1/models", "/config", "/gradio_api/info", "/metrics"):
        assert (await whole.http.get(path, headers=headers)).status_code == 200, path
    wrong = await whole.http.get("/v1/models", headers={"authorization": "Bearer fm-wrong"})
    assert wrong.json()["error"]["code"] == "invalid_api_key"
    assert wrong.json()["error"]["type"] == "authentication_error"


async def test_page_and_programs_of_one_person_share_their_limits(locked: House) -> None:
    """A person who is at their limit on the page goes on through the API, without end."""
    body = {"model": "guide", "messages": [{"role": "user", "content": "hello"}]}
    headers = {"authorization": f"Bearer {KEY}"}
    page = Caller.of(locked.gate.person("alice"))
    locked.store.rate.take(page, time.monotonic())  # a message of the page
    codes = [
        (await locked.http.post("/v1/chat/completions", json=body, headers=headers)).status_code
        for _ in range(3)
    ]
    assert codes == [200, 200, 429], "her key has three a minute"
    robot = {"authorization": f"Bearer {OTHER_KEY}"}
    answer = await locked.http.post("/v1/chat/completions", json=body, headers=robot)
    assert answer.status_code == 200


async def test_keys_without_signing_in(access_file: Path) -> None:
    """An open page whose API is for those with a key: both, or neither, was locked."""
    async for opened in house({}, api_keys=True, file=access_file):
        for path in ("/v1/models", "/mesh/status", "/metrics"):
            assert (await opened.http.get(path)).status_code == 401
            headers = {"authorization": f"Bearer {OTHER_KEY}"}
            assert (await opened.http.get(path, headers=headers)).status_code == 200
        for path in ("/", "/config", "/healthz", "/farmesh/swarm"):
            assert (await opened.http.get(path)).status_code == 200


def test_no_file_is_said_at_start(tmp_path: Path) -> None:
    """An app that starts without its users and lets in everybody, or nobody."""
    with pytest.raises(ConfigError, match="add-user"):
        Gate(AccessSettings(sign_in="password", file=tmp_path / "none.json"))
    (tmp_path / "bad.json").write_text("{}")
    with pytest.raises(ConfigError, match="not an access file"):
        Gate(AccessSettings(api_keys=True, file=tmp_path / "bad.json"))
    with pytest.raises(ConfigError, match="OAUTH_CLIENT_ID"):
        Gate(AccessSettings(sign_in="huggingface"), environ={})


# --- the command ----------------------------------------------------------------------------------


def command(path: Path, *words: str, given: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "chat.accounts", "--file", str(path), *words],
        input=given, capture_output=True, text=True, timeout=60, env={**os.environ},
    )  # fmt: skip


def test_users_and_keys_by_command(tmp_path: Path) -> None:
    """A password or a key that can be read from the file, or by others of the machine."""
    path = tmp_path / "sub" / "access.json"
    assert command(path, "add-user", "carol", "--stdin", given=f"{PASSWORD}\n").returncode == 0
    made = command(path, "add-key", "script", "--user", "carol", "--per-minute", "5")
    token = made.stdout.strip()
    assert token.startswith("fm-")
    assert len(token) > 40
    text = path.read_text()
    assert PASSWORD not in text
    assert token not in text
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    file = read(path)
    assert password_is_right(file, "carol", PASSWORD)
    found = key_of(file, token)
    assert found is not None
    assert found[1].per_minute == 5
    assert "user carol" in command(path, "list").stdout
    assert command(path, "remove-user", "carol").returncode == 0
    assert read(path).keys == {}, "the key of somebody who was removed still opened"


@pytest.mark.parametrize(
    ("words", "given"),
    [
        (("add-user", "x y", "--stdin"), PASSWORD),
        (("add-user", "dora", "--stdin"), "short"),
        (("add-key", "k", "--user", "nobody"), ""),
        (("add-key", "k", "--per-minute", "0"), ""),
        (("remove-user", "nobody"), ""),
        (("list",), ""),
    ],
)
def test_mistakes_are_one_sentence(tmp_path: Path, words: tuple[str, ...], given: str) -> None:
    """A traceback, or a half-written file."""
    done = command(tmp_path / "access.json", *words, given=given)
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "access.json").exists()


# --- names and proxies ----------------------------------------------------------------------------


def test_hosts_without_a_word_from_the_operator() -> None:
    """DNS rebinding: a name of somebody else's that leads to this machine."""
    here = hosts_of(ServerSettings(), {})
    assert all(map(here.allow, ("localhost:7860", "127.0.0.1", "[::1]:7860")))
    assert not any(map(here.allow, ("evil.example", "10.0.0.1", "", "localhost.evil.example")))
    network = hosts_of(ServerSettings(host="0.0.0.0"), {})
    assert all(map(network.allow, ("10.0.0.1:7860", "[fe80::1]:7860", "localhost")))
    assert not network.allow("evil.example")
    named = hosts_of(ServerSettings(host="0.0.0.0", allowed_hosts=("Chat.example.org",)), {})
    assert named.allow("chat.example.org:443")
    assert not any(map(named.allow, ("example.org", "10.0.0.1", "xchat.example.org")))
    assert hosts_of(ServerSettings(allowed_hosts=("*",)), {}).allow("anything")
    shared = hosts_of(ServerSettings(share=True), {})
    assert shared.allow("abc.gradio.live")
    assert not shared.allow("gradio.live.evil.example")
    assert hosts_of(ServerSettings(), {"SPACE_ID": "a/b"}).allow("a-b.hf.space")
    assert not Hosts().allow("localhost")


def test_addresses_are_believed_only_from_proxies() -> None:
    """Everybody is somebody new with every request: X-Forwarded-For is free text."""
    from starlette.datastructures import Headers

    scope = {"type": "http", "client": ("10.0.0.9", 1)}
    headers = Headers({"x-forwarded-for": "6.6.6.6, 1.2.3.4, 10.0.0.2"})
    for proxies, expected in ((0, "10.0.0.9"), (1, "10.0.0.2"), (2, "1.2.3.4"), (9, "10.0.0.9")):
        assert Gate(AccessSettings(), proxies).address(scope, headers) == expected
    assert Gate(AccessSettings(), 1).address(scope, Headers({})) == "10.0.0.9"
    lines = [(b"x-forwarded-for", b"6.6.6.6"), (b"x-forwarded-for", b"1.2.3.4")]
    assert Gate(AccessSettings(), 1).address(scope, Headers(raw=lines)) == "1.2.3.4"


@pytest.mark.parametrize(
    ("proxies", "client", "forwarded", "place"),
    [
        (0, "192.168.1.7", "", "at:192.168.1.7"),
        (0, "::ffff:192.168.1.7", "", "at:192.168.1.7"),
        (0, "2001:db8:1:2:aaaa::1", "", "at:2001:db8:1:2::/64"),
        (1, "127.0.0.1", "1.2.3.4", "at:1.2.3.4"),
        (1, "127.0.0.1", "", ""),  # the proxy does not say it
        (0, "127.0.0.1", "1.2.3.4", ""),  # a proxy of which nobody told us
        (0, "9.9.9.9", "1.2.3.4", "at:9.9.9.9"),  # a visitor who says to be one
    ],
)
def test_strangers_share_an_address_that_is_theirs(
    proxies: int, client: str, forwarded: str, place: str
) -> None:
    """Everybody behind a proxy counted as one household, and a cookie thrown away as a new one."""
    from starlette.datastructures import Headers

    scope = {"type": "http", "client": (client, 1)}
    headers = Headers({"x-forwarded-for": forwarded} if forwarded else {})
    gate, cookie = Gate(AccessSettings(), proxies), new_id()
    caller = gate.caller_of(scope, headers, None, cookie)
    assert (caller.id, caller.place) == (cookie, place)
    program = gate.caller_of(scope, headers, None)
    assert program.place == ""
    assert program.id == place or not place


async def test_only_a_believed_proxy_says_what_we_are_called(locked: House) -> None:
    """X-Forwarded-Host from anybody made any Origin our own."""
    headers = {"origin": "http://evil.example", "x-forwarded-host": "evil.example"}
    answer = await locked.http.post("/farmesh/login", headers=headers)
    assert answer.status_code == 403


# --- Hugging Face ---------------------------------------------------------------------------------

OAUTH = {"OAUTH_CLIENT_ID": "space", "OAUTH_CLIENT_SECRET": "hush"}


def provider() -> FastAPI:
    """An OpenID provider that checks what it is given, with a real PKCE challenge."""
    import base64
    import hashlib

    app = FastAPI()
    asked: dict[str, str] = {}

    @app.get("/.well-known/openid-configuration")
    async def configuration(request: Request) -> dict[str, str]:
        base = str(request.base_url).rstrip("/")
        names = ("authorization", "token", "userinfo")
        return {f"{name}_endpoint": f"{base}/{name}" for name in names}

    @app.get("/authorization")
    async def authorize(request: Request) -> dict[str, str]:
        asked.update(request.query_params)
        return {"code": "one-time"}

    @app.post("/token")
    async def token(request: Request) -> Any:
        form = await request.form()
        digest = hashlib.sha256(str(form["code_verifier"]).encode()).digest()
        challenge = base64.urlsafe_b64encode(digest).decode().rstrip("=")
        right = form["code"] == "one-time" and challenge == asked["code_challenge"]
        right = right and form["redirect_uri"] == asked["redirect_uri"]
        if not right:
            return httpx_error(400)
        return {"access_token": "token", "token_type": "bearer"}

    @app.get("/userinfo")
    async def userinfo(request: Request) -> Any:
        if request.headers.get("authorization") != "Bearer token":
            return httpx_error(401)
        return {"preferred_username": "Alice"}

    return app


def httpx_error(status: int) -> Any:
    from starlette.responses import JSONResponse

    return JSONResponse({"error": "invalid_grant"}, status_code=status)


@pytest.mark.parametrize(("allowed", "status"), [((), 303), (("alice",), 303), (("bob",), 403)])
async def test_signing_in_with_hugging_face(allowed: tuple[str, ...], status: int) -> None:
    """The whole way there and back, against a provider that checks each step."""
    async with served(provider()) as url:
        environ = {**OAUTH, "OPENID_PROVIDER_URL": url}
        settings = {"sign_in": "huggingface", "huggingface_users": allowed}
        async for opened in house(environ, **settings):
            assert (
                "huggingface?next=/config"
                in (await opened.http.get("/farmesh/login?next=/config")).text
            )
            sent = await opened.http.get("/farmesh/login/huggingface?next=/config")
            target = sent.headers["location"]
            query = parse_qs(urlsplit(target).query)
            assert query["redirect_uri"] == [f"{HOME}/login/callback"]
            assert query["code_challenge_method"] == ["S256"]
            async with httpx.AsyncClient() as browser:
                code = (await browser.get(target)).json()["code"]
            back = f"/login/callback?code={code}&state={query['state'][0]}"
            answer = await opened.http.get(back)
            assert answer.status_code == status
            if status == 303:
                assert answer.headers["location"] == "/config"
                assert (await opened.http.get("/farmesh/me")).json() == {"name": "Alice"}
            else:
                assert (await opened.http.get("/config")).status_code == 401


async def test_a_sign_in_that_began_elsewhere_is_refused() -> None:
    """Login CSRF: somebody is signed in as somebody else by a link; and codes that are made up."""
    async with served(provider()) as url:
        environ = {**OAUTH, "OPENID_PROVIDER_URL": url}
        async for opened in house(environ, sign_in="huggingface"):
            assert (await opened.http.get("/login/callback?code=x&state=y")).status_code == 400
            sent = await opened.http.get("/farmesh/login/huggingface")
            state = parse_qs(urlsplit(sent.headers["location"]).query)["state"][0]
            assert (await opened.http.get("/login/callback?code=x&state=z")).status_code == 400
            async with httpx.AsyncClient() as browser:
                await browser.get(sent.headers["location"])
            back = f"/login/callback?code=made-up&state={state}"
            assert (await opened.http.get(back)).status_code == 502
            assert (await opened.http.get("/config")).status_code == 401
