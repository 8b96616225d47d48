"""Cookies of ours, as they are set."""

from __future__ import annotations

from starlette.datastructures import Headers
from starlette.types import Scope


def is_secure(scope: Scope, headers: Headers) -> bool:
    """Whether the browser came by https, to us or to a proxy before us."""
    forwarded = headers.get("x-forwarded-proto", scope.get("scheme", "http"))
    return forwarded.split(",")[0].strip() == "https"


def set_cookie(name: str, value: str, seconds: int, *, secure: bool, framed: bool) -> str:
    """The value of a Set-Cookie header.

    Args:
        framed: the page may stand in a frame of another site, where only a partitioned cookie
            comes back at all. Browsers take those by https only.
    """
    where = "SameSite=None; Partitioned" if framed and secure else "SameSite=Lax"
    flags = f"Path=/; Max-Age={seconds}; HttpOnly; {where}" + ("; Secure" if secure else "")
    return f"{name}={value}; {flags}"
