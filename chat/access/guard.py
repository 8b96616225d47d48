"""What every answer of the server carries, and what is refused before it reaches Gradio.

Model output is data. The page's sanitiser is one line of defence; the Content-Security-Policy
here is the second: even if markup slips through, no script runs, no form is sent and nothing is
loaded from elsewhere. Plain ASGI, because Starlette's BaseHTTPMiddleware hides disconnects.
"""

from __future__ import annotations

import secrets
from urllib.parse import quote, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from chat.access.answer import CARDS, MANIFEST, SCRIPT, number, policy, refused
from chat.access.bodies import DRAINED, MAX_BODY, BodyRefused, BoundedBody
from chat.access.callers import PERSON_COOKIE, VISITOR, Visitor, person_in
from chat.access.cookies import is_secure, set_cookie
from chat.access.gate import OPEN, PROBES, Gate, Identity
from chat.access.hosts import Hosts
from chat.ids import new_id
from chat.places import LOOPBACK
from chat.settings.schema import AccessSettings

COOKIE_SECONDS = 365 * 24 * 3600

# What Gradio can do and this page never asks for: files, uploads, requests to elsewhere, tools for
# developers. Most holes of its past were here.
CLOSED = (
    *(
        f"/gradio_api/{name}"
        for name in (
            *("component_server", "custom_component", "deep_link", "dev", "file", "profiling"),
            *("process_recording", "proxy", "run-history", "runs", "stream", "token", "upload"),
            *("undo-vibe-edit", "user", "vibe-code", "vibe-edit", "vibe-starter-queries"),
        )
    ),
    *("/login/", "/logout", "/monitoring", "/custom_component", "/file", "/proxy", "/upload"),
    *("/docs", "/openapi.json", "/redoc"),
)


class Guard:
    """Checks requests, adds headers, and prepares the one HTML page.

    Args:
        hosts: names the app may be called by.
        gate: who may come in, and how they are known behind it.
        proxies: whether a proxy's X-Forwarded-Host is to be believed.
        embedded: the page may be shown in a frame of Hugging Face's site.
        root_path: where a proxy serves the page.
        head, body: HTML to add to the page; every script in it gets the page's nonce.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        gate: Gate | None = None,
        hosts: Hosts | None = None,
        proxies: bool = False,
        embedded: bool = False,
        root_path: str = "",
        head: str = "",
        body: str = "",
    ) -> None:
        self.app = app
        self._gate = gate or Gate(AccessSettings())
        self._hosts = hosts or Hosts(LOOPBACK)
        self._proxies = proxies
        self._embedded = embedded
        self._root_path = root_path
        self._head = head.encode()
        self._body = body.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
        elif scope["type"] == "http":
            await self._answer(scope, receive, send)
        else:  # nothing here speaks WebSocket
            await send({"type": "websocket.close", "code": 1008})

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = Headers(scope=scope)
        identity = self._gate.identify(headers)
        visitor = self._visitor(scope, headers, identity)
        scope = {**scope, VISITOR: visitor}
        answer = Answer(self, scope, visitor, send)
        body = BoundedBody(receive)
        if (refusal := self._refusal(scope, headers, identity)) is not None:
            if refusal.status_code == 413 and number(headers["content-length"]) <= DRAINED:
                await body.drop()
            await refusal(scope, receive, answer)
            return
        try:
            await self.app(scope, body, answer)
        except BodyRefused as body_refused:
            if answer.begun:
                raise
            refusal = refused(scope, body_refused.status_code, body_refused.detail)
            await refusal(scope, receive, answer)

    @property
    def signing_in(self) -> bool:
        return self._gate.signing_in

    def _refusal(self, scope: Scope, headers: Headers, who: Identity | None) -> Response | None:
        """What is answered instead of the app, if anything."""
        path, method = scope["path"], scope["method"]
        # Probes ask by address, which allowed_hosts need not list, and are told nothing of worth.
        if path not in PROBES and (sentence := self._foreign(method, headers)):
            return refused(scope, 403, sentence)
        if (length := headers.get("content-length", "0")) and number(length) > MAX_BODY:
            return refused(scope, 413, "This request is too large.")
        if not self._gate.lets_in(path, who):
            return self._stranger(scope, headers)
        if path.startswith(CLOSED) and path not in OPEN:
            return refused(scope, 404, "Not here.")
        return None

    def _foreign(self, method: str, headers: Headers) -> str:
        """What to say to a request that another site had a browser send; empty for all others."""
        called = [headers.get("host", "")]
        if self._proxies and (forwarded := headers.get("x-forwarded-host")):
            called.append(forwarded.split(",")[-1].strip())
        if not all(map(self._hosts.allow, called)):
            return "This app is not known by that name; server.allowed_hosts lists its names."
        origin = headers.get("origin")
        reading = method in ("GET", "HEAD", "OPTIONS")
        if not reading and origin and urlsplit(origin).netloc not in called:
            return "Requests from other sites are not answered."
        visiting = reading and headers.get("sec-fetch-mode") == "navigate"
        if headers.get("sec-fetch-site") == "cross-site" and not visiting:
            return "Requests from other sites are not answered."
        return ""

    def _stranger(self, scope: Scope, headers: Headers) -> Response:
        """To the page for signing in, or a plain no for everything that is not a page."""
        path = scope["path"]
        wants_page = scope["method"] == "GET" and "text/html" in headers.get("accept", "")
        if self._gate.signing_in and wants_page:
            query = f"?next={quote(path)}" if path != "/" else ""
            return RedirectResponse(f"{self._root_path}/farmesh/login{query}", status_code=303)
        sentence = "Sign in first." if self._gate.signing_in else "A key is needed here."
        response = refused(scope, 401, sentence)
        response.headers["www-authenticate"] = "Bearer"
        return response

    def _visitor(self, scope: Scope, headers: Headers, identity: Identity | None) -> Visitor:
        """Who asks is ours to say, not theirs: of strangers alone the cookie counts."""
        cookie = person_in(headers.get("cookie"))
        caller = self._gate.caller_of(scope, headers, identity, cookie)
        if identity is None:
            return Visitor(caller, cookie)
        return Visitor(caller, identity.person, identity.name)

    def cookie(self, person: str, *, secure: bool) -> str:
        """The Set-Cookie value for a person."""
        return set_cookie(
            PERSON_COOKIE, person, COOKIE_SECONDS, secure=secure, framed=self._embedded
        )

    def page(self, html: bytes, nonce: str) -> bytes:
        """Gradio's page with our head and body in it and a nonce on every script."""
        if b"<gradio-app" not in html:
            return html
        html = CARDS.sub(b"", html).replace(MANIFEST, b"")
        html = html.replace(b"</head>", self._head + b"</head>", 1)
        html = html.replace(b"<gradio-app", self._body + b"<gradio-app", 1)
        return SCRIPT.sub(b'<script nonce="' + nonce.encode() + b'"', html)


class Answer:
    """Rewrites one response on its way out."""

    def __init__(self, guard: Guard, scope: Scope, visitor: Visitor, send: Send) -> None:
        self._guard, self._send = guard, send
        self._nonce = secrets.token_urlsafe(16)
        self._person = visitor.person
        self._secure = is_secure(scope, Headers(scope=scope))
        self._ours = scope["path"].startswith("/farmesh/")
        self.begun = False
        self._start: Message | None = None  # held back while the page is collected
        self._html = b""

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.begun = True
            headers = MutableHeaders(scope=message)
            is_page = headers.get("content-type", "").startswith("text/html")
            self._add(headers, is_page)
            if is_page:
                self._start = message
                return
        elif message["type"] == "http.response.body" and self._start is not None:
            self._html += message.get("body", b"")
            if message.get("more_body"):
                return
            start, self._start = self._start, None
            html = self._guard.page(self._html, self._nonce)
            MutableHeaders(scope=start)["content-length"] = str(len(html))
            await self._send(start)
            message = {"type": "http.response.body", "body": html}
        await self._send(message)

    def _add(self, headers: MutableHeaders, is_page: bool) -> None:
        for name in [name for name in headers if name.startswith("access-control-")]:
            del headers[name]  # Gradio invites other sites to read its answers
        headers["x-content-type-options"] = "nosniff"
        headers["referrer-policy"] = "same-origin"  # with none at all, forms have no Origin either
        headers["cross-origin-opener-policy"] = "same-origin"
        headers["cross-origin-resource-policy"] = "same-origin"
        if self._secure:
            headers["strict-transport-security"] = "max-age=31536000"
        headers["permissions-policy"] = "camera=(), geolocation=(), microphone=()"
        headers["content-security-policy"] = policy(self._nonce, embedded=self._guard._embedded)
        if self._ours:  # asked for again each time: a new version must not meet an old script
            headers["cache-control"] = "no-cache"
        if is_page:
            headers["cache-control"] = "no-store"
            if not self._person and not self._guard.signing_in:
                headers.append("set-cookie", self._guard.cookie(new_id(), secure=self._secure))
