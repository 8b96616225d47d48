"""The gate: who a request comes from, and whether they may come in.

It stands in front of everything, Gradio's routes too. A person who has signed in brings a signed
cookie, a program brings a key; what lies behind knows people by the id that is derived here.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import os
import secrets
from base64 import urlsafe_b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http.cookies import CookieError, SimpleCookie

from itsdangerous import BadSignature, URLSafeTimedSerializer
from starlette.datastructures import Headers
from starlette.types import Scope

from chat.access.accounts import AccountFile, Accounts, key_of
from chat.live.limits import Caller
from chat.settings.schema import AccessSettings
from farmesh.errors import ConfigError

SESSION_COOKIE = "farmesh_session"
DAY = 24 * 3600  # seconds

PROBES = frozenset({"/health", "/healthz", "/readyz"})
# What strangers may ask for: probes, and what is needed to sign in.
OPEN = PROBES | {"/farmesh/login", "/farmesh/login/huggingface", "/login/callback"}
FOR_PROGRAMS = ("/v1/", "/mesh/", "/metrics")  # need a key as soon as there are keys
FORWARDED = ("forwarded", "x-forwarded-for", "x-real-ip")  # what proxies add


@dataclass(frozen=True, slots=True)
class Identity:
    """Somebody who is known."""

    name: str
    person: str  # 43 characters, like the id that strangers have in their cookie
    caller: Caller


class Gate:
    """Identifies requests by cookie or key.

    Raises on construction:
        ConfigError: the access file is missing or unreadable, or Hugging Face's values are.
    """

    def __init__(
        self,
        settings: AccessSettings,
        proxies: int = 0,
        environ: Mapping[str, str] = os.environ,
    ) -> None:
        """
        Args:
            proxies: reverse proxies whose X-Forwarded-For is to be believed.
        """
        self.settings = settings
        self._proxies = proxies
        needs_file = settings.sign_in == "password" or settings.api_keys
        self.accounts = Accounts(settings.file) if needs_file else None
        self._secret = self._find_secret(environ)

    @property
    def knows_people(self) -> bool:
        """Whether everybody who is let in is somebody who comes back by the same name."""
        return self.settings.sign_in in ("password", "huggingface")

    @property
    def shared_password(self) -> str:
        """The one password for everybody; empty when people sign in otherwise, or not at all."""
        shared = self.settings.sign_in == "shared"
        return self.settings.password.get_secret_value() if shared else ""

    @property
    def signing_in(self) -> bool:
        """Whether nothing is shown to strangers."""
        return self.settings.sign_in != "off"

    def lets_in(self, path: str, identity: Identity | None) -> bool:
        if identity is not None or path in OPEN:
            return True
        if self.signing_in:
            return False
        return not (self.settings.api_keys and path.startswith(FOR_PROGRAMS))

    def identify(self, headers: Headers) -> Identity | None:
        """Whoever a key or a session belongs to; a wrong key is nobody, whatever else is there."""
        scheme, _, token = headers.get("authorization", "").partition(" ")
        if self.accounts is not None:
            if scheme.lower() == "bearer":
                return self._of_key(token.strip())
            if (key := headers.get("x-api-key")) is not None:  # as Anthropic's clients send it
                return self._of_key(key.strip())
        return self._of_session(headers.get("cookie", ""))

    def caller_of(
        self, scope: Scope, headers: Headers, identity: Identity | None, cookie: str = ""
    ) -> Caller:
        """For the limits: the identity's own, or what a stranger is counted by.

        Strangers with a page count by its cookie. As anybody can throw that away, they count by
        their address too, where several may be at home; programs have to do with what those leave
        of one person's share.

        Args:
            cookie: a stranger's, when there is one.
        """
        if identity is not None:
            return identity.caller
        address = self.address(scope, headers)
        # The token opens nothing here; programs that choose different ones share no sessions.
        key = headers.get("authorization") or headers.get("x-api-key", "")
        own = f"{address} {key}"
        cache_key = hashlib.sha256(own.encode()).hexdigest()
        place = f"at:{_network(address)}"
        if not cookie:
            return Caller(place, cache_key)
        known = self._tells_people_apart(scope, headers)
        return Caller(cookie, cache_key, place=place if known else "")

    def address(self, scope: Scope, headers: Headers) -> str:
        """Where a request comes from, as far as it can be believed."""
        if self._proxies and len(hops := _hops(headers)) >= self._proxies:
            return hops[-self._proxies]
        return _direct(scope)

    def _tells_people_apart(self, scope: Scope, headers: Headers) -> bool:
        """Whether the address is a visitor's own, and not a proxy's of which nobody told us."""
        if self._proxies:
            return len(_hops(headers)) >= self._proxies
        near = _is_private(_direct(scope))  # from farther away anybody could say to be a proxy
        return not (near and any(name in headers for name in FORWARDED))

    # --- sessions ---

    def session(self, name: str) -> str:
        """The value of a new session's cookie."""
        return self._signer.dumps([name, self._fingerprint(name)])

    def guest(self) -> str:
        """A name for somebody who gave the shared password: nobody else's chats are theirs."""
        return f"guest-{secrets.token_hex(16)}"

    def person(self, name: str) -> str:
        """A user's id: the same on every device, and not to be guessed from the name."""
        digest = hmac.digest(self._secret, f"person {name}".encode(), "sha256")
        return urlsafe_b64encode(digest).decode().rstrip("=")

    def sign(self, value: object, purpose: str) -> str:
        """For small values that a browser keeps for us."""
        return self._serializer(purpose).dumps(value)

    def unsign(self, text: str, purpose: str, seconds: int) -> object:
        """None when it is not ours or too old."""
        try:
            return self._serializer(purpose).loads(text, max_age=seconds)
        except BadSignature:
            return None

    def _of_session(self, cookies: str) -> Identity | None:
        if not self.signing_in or not cookies:
            return None
        try:
            kept = SimpleCookie(cookies).get(SESSION_COOKIE)
        except CookieError:
            return None
        if kept is None:
            return None
        try:
            found = self._signer.loads(kept.value, max_age=int(self.settings.days * DAY))
            name, fingerprint = map(str, found)
        except (BadSignature, ValueError, TypeError):
            return None
        if not hmac.compare_digest(fingerprint, self._fingerprint(name)):
            return None  # the user is gone, or has a new password
        return self._known(name)

    def _of_key(self, token: str) -> Identity | None:
        if self.accounts is None or (found := key_of(self.accounts.now, token)) is None:
            return None
        name, key = found
        person = self.person(key.user) if key.user else self.person(f"key {name}")
        caller = Caller(person, f"key {name}", key.per_minute, key.at_once)
        return Identity(key.user or name, person, caller)

    def _known(self, name: str) -> Identity:
        person = self.person(name)
        return Identity(name, person, Caller.of(person))

    def _fingerprint(self, name: str) -> str:
        """Changes with the user's password; empty for whoever may not come in any more."""
        if self.settings.sign_in == "huggingface":
            allowed = self.settings.huggingface_users
            return "hf" if not allowed or name.lower() in map(str.lower, allowed) else _nobody()
        if self.settings.sign_in == "shared":  # the secret itself changes with the password
            return "shared"
        stored = self._file.users.get(name)
        return hashlib.sha256(stored.encode()).hexdigest()[:16] if stored else _nobody()

    @property
    def _file(self) -> AccountFile:
        return self.accounts.now if self.accounts else AccountFile(secret="")

    @property
    def _signer(self) -> URLSafeTimedSerializer:
        return self._serializer("session")

    def _serializer(self, purpose: str) -> URLSafeTimedSerializer:
        return URLSafeTimedSerializer(
            self._secret, salt=f"farmesh {purpose}", signer_kwargs=_SIGNER
        )

    def _find_secret(self, environ: Mapping[str, str]) -> bytes:
        if self.shared_password:  # slow to guess back for whoever has a cookie
            return hashlib.scrypt(
                self.shared_password.encode(), salt=b"farmesh shared password", n=2**14, r=8, p=1
            )
        if self.accounts is not None:
            return self.accounts.now.secret.encode()
        if self.settings.sign_in == "huggingface":
            secret = environ.get("OAUTH_CLIENT_SECRET", "")
            if not secret or not environ.get("OAUTH_CLIENT_ID"):
                raise ConfigError(
                    "access.sign_in is huggingface, but OAUTH_CLIENT_ID and OAUTH_CLIENT_SECRET "
                    "are not set; on a Space, hf_oauth: true in README.md sets them."
                )
            return hashlib.sha256(f"farmesh {secret}".encode()).digest()
        return secrets.token_bytes(32)


_SIGNER: dict[str, Callable[..., object] | str] = {
    "digest_method": hashlib.sha256,
    "key_derivation": "hmac",
}


def _direct(scope: Scope) -> str:
    client = scope.get("client")
    return client[0] if client else ""


def _hops(headers: Headers) -> list[str]:
    """Some proxies add a line of their own to what a visitor made up."""
    said = ",".join(headers.getlist("x-forwarded-for"))
    return [hop.strip() for hop in said.split(",") if hop.strip()]


def _is_private(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_private
    except ValueError:
        return True  # no address at all, as of a Unix socket


def _network(address: str) -> str:
    """What one household has: an IPv4 address, or a /64 of IPv6, whose hosts choose their own."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(found, ipaddress.IPv6Address):
        if (within := found.ipv4_mapped) is not None:
            return str(within)
        return str(ipaddress.ip_network((int(found), 64), strict=False))
    return str(found)


def _nobody() -> str:
    return secrets.token_hex(16)
