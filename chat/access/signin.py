"""Signing in: a page without a script, and Hugging Face's OpenID Connect."""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
import time
from collections.abc import Mapping
from hmac import compare_digest
from pathlib import Path
from urllib.parse import quote

import httpx
from authlib.integrations.base_client import OAuthError
from authlib.integrations.httpx_client import AsyncOAuth2Client
from fastapi import FastAPI, Request
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.responses import HTMLResponse, RedirectResponse, Response

from chat.access.accounts import password_is_right
from chat.access.callers import visitor_of
from chat.access.cookies import is_secure, set_cookie
from chat.access.gate import DAY, SESSION_COOKIE, Gate
from chat.live.limits import Caller, TooManyTurns, TurnRate
from chat.places import on_a_space

log = logging.getLogger(__name__)

TRIES = 10  # wrong passwords per minute and address
LONGEST = 1000  # characters of a name or a password
STATE_COOKIE = "farmesh_oauth"
STATE_SECONDS = 600
PROVIDER = "https://huggingface.co"
WRONG = "That name and password do not belong together."

_TEMPLATES = Environment(
    loader=FileSystemLoader(Path(__file__).parent / "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def add_routes(
    app: FastAPI, gate: Gate, *, root_path: str = "", environ: Mapping[str, str] = os.environ
) -> None:
    """Add ``/farmesh/login`` and ``/farmesh/logout``; with Hugging Face what it needs, too."""
    if not gate.signing_in:
        return
    desk = _Desk(gate, root_path, environ)

    @app.get("/farmesh/login", include_in_schema=False)
    async def ask(next: str = "") -> Response:  # noqa: A002 - the query's own name
        return desk.page(local_path(next))

    @app.post("/farmesh/logout", include_in_schema=False)
    async def sign_out(request: Request) -> Response:
        answer = RedirectResponse(f"{root_path}/farmesh/login", status_code=303)
        answer.delete_cookie(SESSION_COOKIE, path="/")
        return answer

    @app.get("/farmesh/me", include_in_schema=False)
    async def me(request: Request) -> dict[str, str]:
        return {"name": visitor_of(request).name}

    if gate.settings.sign_in in ("password", "shared"):
        app.post("/farmesh/login", include_in_schema=False)(desk.check)
    else:
        app.get("/farmesh/login/huggingface", include_in_schema=False)(desk.send_away)
        app.get("/login/callback", include_in_schema=False)(desk.come_back)


def local_path(wanted: str) -> str:
    """Where to go after signing in: a page of this app, whatever a link says."""
    plain = wanted.isprintable() and "\\" not in wanted and len(wanted) < LONGEST
    return wanted if plain and wanted.startswith("/") and not wanted.startswith("//") else "/"


class _Desk:
    """Where people sign in."""

    def __init__(self, gate: Gate, root_path: str, environ: Mapping[str, str]) -> None:
        self._gate = gate
        self._root = root_path
        self._environ = environ
        self._tries = TurnRate(TRIES)
        self._one_at_a_time = asyncio.Semaphore(2)  # each guess takes 32 MiB

    def page(self, after: str, said: str = "", status: int = 200) -> Response:
        way = self._gate.settings.sign_in
        action = f"{self._root}/farmesh/login"
        if way == "huggingface":
            action += f"/huggingface?next={quote(after)}"
        form = {"way": way, "action": action, "next": after, "said": said}
        html = _TEMPLATES.get_template("sign_in.html").render(form)
        return HTMLResponse(html, status_code=status)

    async def check(self, request: Request) -> Response:
        """A name and a password, or the one that all share."""
        async with request.form(max_files=0, max_fields=10) as form:
            name, password, after = (str(form.get(k, "")) for k in ("name", "password", "next"))
        after = local_path(after)
        try:
            address = self._gate.address(request.scope, request.headers)
            self._tries.take(Caller.of(address), time.monotonic())
        except TooManyTurns as error:
            return self.page(after, f"Too many tries. Wait {error.wait} seconds.", 429)
        if shared := self._gate.shared_password:
            if not compare_digest(password.strip().encode(), shared.encode()):
                log.info("somebody gave a wrong password")
                return self.page(after, "That is not the password.", 401)
            return self._enter(request, self._gate.guest(), after)
        if len(name) > LONGEST or len(password) > LONGEST or self._gate.accounts is None:
            return self.page(after, WRONG, 401)
        async with self._one_at_a_time:
            right = await asyncio.to_thread(
                password_is_right, self._gate.accounts.now, name, password
            )
        if not right:
            log.info("somebody gave a wrong password")
            return self.page(after, WRONG, 401)
        return self._enter(request, name, after)

    # --- Hugging Face ---

    async def send_away(self, request: Request, next: str = "") -> Response:  # noqa: A002
        """To Hugging Face, with a state that only this browser can bring back."""
        verifier = secrets.token_hex(32)
        try:
            async with self._oauth(request) as client:
                provider = await self._provider(client)
                where = provider["authorization_endpoint"]
                url, state = client.create_authorization_url(where, code_verifier=verifier)
        except (httpx.HTTPError, KeyError, ValueError):
            log.warning("Hugging Face cannot be asked", exc_info=True)
            return self.page(local_path(next), "Hugging Face does not answer. Try again.", 502)
        kept = self._gate.sign([state, verifier, local_path(next)], "oauth")
        answer = RedirectResponse(url, status_code=303)
        self._set(answer, request, STATE_COOKIE, kept, STATE_SECONDS)
        return answer

    async def come_back(self, request: Request) -> Response:
        """From Hugging Face, with a code."""
        kept = self._gate.unsign(request.cookies.get(STATE_COOKIE, ""), "oauth", STATE_SECONDS)
        if not isinstance(kept, list) or request.query_params.get("state") != kept[0]:
            return self.page("/", "This sign-in took too long, or began elsewhere. Try again.", 400)
        _, verifier, after = map(str, kept)
        try:
            name = await self._name(request, verifier)
        except (OAuthError, httpx.HTTPError, KeyError, ValueError):
            log.warning("a sign-in with Hugging Face failed", exc_info=True)
            return self.page(after, "Hugging Face did not confirm this sign-in. Try again.", 502)
        allowed = self._gate.settings.huggingface_users
        if allowed and name.lower() not in map(str.lower, allowed):
            return self.page(after, f"{name} may not use this app.", 403)
        answer = self._enter(request, name, after)
        answer.delete_cookie(STATE_COOKIE, path="/")
        return answer

    async def _name(self, request: Request, verifier: str) -> str:
        """
        Raises:
            OAuthError, HTTPError, KeyError, ValueError: it was not confirmed.
        """
        async with self._oauth(request) as client:
            provider = await self._provider(client)
            await client.fetch_token(
                provider["token_endpoint"],
                code=request.query_params.get("code", ""),
                code_verifier=verifier,
            )
            told = await client.get(provider["userinfo_endpoint"])
            told.raise_for_status()
            return str(told.json()["preferred_username"])

    def _oauth(self, request: Request) -> AsyncOAuth2Client:
        return AsyncOAuth2Client(
            self._environ.get("OAUTH_CLIENT_ID"),
            self._environ.get("OAUTH_CLIENT_SECRET"),
            scope=self._environ.get("OAUTH_SCOPES") or "openid profile",
            redirect_uri=f"{self._own_address(request)}/login/callback",
            code_challenge_method="S256",
            timeout=15,
        )

    def _own_address(self, request: Request) -> str:
        """A Space knows its public name; elsewhere it is what the browser calls us."""
        if host := self._environ.get("SPACE_HOST"):
            return f"https://{host}"
        scheme = "https" if self._secure(request) else "http"
        return f"{scheme}://{request.headers.get('host', '')}{self._root}"

    async def _provider(self, client: AsyncOAuth2Client) -> dict[str, str]:
        base = self._environ.get("OPENID_PROVIDER_URL") or PROVIDER
        url = f"{base.rstrip('/')}/.well-known/openid-configuration"
        answer = await client.request("GET", url, withhold_token=True)
        answer.raise_for_status()
        return dict(answer.json())

    # --- cookies ---

    def _enter(self, request: Request, name: str, after: str) -> Response:
        answer = RedirectResponse(f"{self._root}{after}", status_code=303)
        seconds = int(self._gate.settings.days * DAY)
        self._set(answer, request, SESSION_COOKIE, self._gate.session(name), seconds)
        log.info("somebody signed in")
        return answer

    def _set(self, answer: Response, request: Request, name: str, value: str, seconds: int) -> None:
        framed = on_a_space(self._environ)
        cookie = set_cookie(name, value, seconds, secure=self._secure(request), framed=framed)
        answer.headers.append("set-cookie", cookie)

    def _secure(self, request: Request) -> bool:
        return is_secure(request.scope, request.headers)
