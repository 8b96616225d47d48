"""What every answer of the server carries, and what is refused before it reaches Gradio.

Model output is data. The page's sanitiser is one line of defence; the Content-Security-Policy
here is the second: even if markup slips through, no script runs, no form is sent and nothing is
loaded from elsewhere. Plain ASGI, because Starlette's BaseHTTPMiddleware hides disconnects.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Collection
from http.cookies import SimpleCookie
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from chat.store import is_id, new_id

PERSON_COOKIE = "farmesh_person"
COOKIE_DAYS = 365

LOOPBACK = frozenset({"localhost", "127.0.0.1", "[::1]", "testserver"})

# Pages of these sites may show the app in a frame when it runs as a Space.
SPACE_PARENTS = "https://huggingface.co https://*.hf.space"

_SCRIPT = re.compile(rb"<script(?=[\s>])")
_MANIFEST = b'<link rel="manifest" href="/manifest.json" />'  # Gradio's; ours is in the head
_CARDS = re.compile(rb'\s*<meta\s+(?:property="og:|name="twitter:)[^>]*/>')  # Gradio's own


def policy(nonce: str, *, embedded: bool) -> str:
    """The Content-Security-Policy of the page."""
    parents = f"'self' {SPACE_PARENTS}" if embedded else "'self'"
    rules = {
        "default-src": "'self'",
        "script-src": f"'self' 'nonce-{nonce}'",
        "style-src": "'self' 'unsafe-inline'",
        "img-src": "'self' data: blob:",
        "font-src": "'self' data:",
        "media-src": "'self' data: blob:",
        "connect-src": "'self'",
        "worker-src": "'self' blob:",
        "frame-src": "'none'",
        "object-src": "'none'",
        "base-uri": "'self'",
        "form-action": "'self'",
        "frame-ancestors": parents,
    }
    return "; ".join(f"{name} {value}" for name, value in rules.items())


def person_of(cookie_header: str | None) -> str:
    """The person a request comes from; empty when it brings no valid cookie."""
    if not cookie_header:
        return ""
    value = SimpleCookie(cookie_header).get(PERSON_COOKIE)
    return value.value if value and is_id(value.value) else ""


class Guard:
    """Checks requests, adds headers, and prepares the one HTML page.

    Args:
        hosts: names the app may be called by; empty for any. Set on loopback, where a foreign
            page could otherwise reach the app through a name that it points at 127.0.0.1.
        embedded: the page may be shown in a frame of Hugging Face's site.
        head, body: HTML to add to the page; every script in it gets the page's nonce.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        hosts: Collection[str] = (),
        embedded: bool = False,
        head: str = "",
        body: str = "",
    ) -> None:
        self.app = app
        self._hosts = frozenset(hosts)
        self._embedded = embedded
        self._head = head.encode()
        self._body = body.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        if refusal := self._refusal(scope["method"], headers):
            await PlainTextResponse(refusal, status_code=403)(scope, receive, send)
            return
        await self.app(scope, receive, _Answer(self, scope, headers, send))

    def _refusal(self, method: str, headers: Headers) -> str:
        host = headers.get("x-forwarded-host") or headers.get("host", "")
        if self._hosts and _name(headers.get("host", "")) not in self._hosts:
            return "This app answers on this machine only; see docs/deploy.md to open it up."
        origin = headers.get("origin")
        if method in ("GET", "HEAD", "OPTIONS") or not origin:
            return ""
        if urlsplit(origin).netloc not in (host, headers.get("host", "")):
            return "Requests from other sites are not answered."
        return ""

    def cookie(self, person: str, *, secure: bool) -> str:
        """The Set-Cookie value for a person."""
        # Inside a frame of another site only a partitioned cookie comes back at all.
        where = "SameSite=None; Partitioned" if self._embedded and secure else "SameSite=Lax"
        age = COOKIE_DAYS * 24 * 3600
        flags = f"Path=/; Max-Age={age}; HttpOnly; {where}"
        return f"{PERSON_COOKIE}={person}; {flags}" + ("; Secure" if secure else "")

    def page(self, html: bytes, nonce: str) -> bytes:
        """The page with our head and body in it and a nonce on every script."""
        html = _CARDS.sub(b"", html).replace(_MANIFEST, b"")
        html = html.replace(b"</head>", self._head + b"</head>", 1)
        html = html.replace(b"<gradio-app", self._body + b"<gradio-app", 1)
        return _SCRIPT.sub(b'<script nonce="' + nonce.encode() + b'"', html)


class _Answer:
    """Rewrites one response on its way out."""

    def __init__(self, guard: Guard, scope: Scope, headers: Headers, send: Send) -> None:
        self._guard, self._send = guard, send
        self._nonce = secrets.token_urlsafe(16)
        self._person = person_of(headers.get("cookie"))
        forwarded = headers.get("x-forwarded-proto", scope.get("scheme", "http"))
        self._secure = forwarded.split(",")[0].strip() == "https"
        self._ours = scope["path"].startswith("/farmesh/")
        self._start: Message | None = None  # held back while the page is collected
        self._html = b""

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
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
        headers["x-content-type-options"] = "nosniff"
        headers["referrer-policy"] = "no-referrer"
        headers["permissions-policy"] = "camera=(), geolocation=(), microphone=()"
        headers["content-security-policy"] = policy(self._nonce, embedded=self._guard._embedded)
        if self._ours:  # asked for again each time: a new version must not meet an old script
            headers["cache-control"] = "no-cache"
        if is_page:
            headers["cache-control"] = "no-store"
            if not self._person:
                headers.append("set-cookie", self._guard.cookie(new_id(), secure=self._secure))


def _name(host: str) -> str:
    """``[::1]:7860`` and ``localhost:7860`` without the port."""
    return host if host.endswith("]") else host.rpartition(":")[0] or host
