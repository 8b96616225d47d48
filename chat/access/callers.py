"""Who a request comes from, as the Guard has noted it."""

from __future__ import annotations

from http.cookies import CookieError, SimpleCookie

from starlette.requests import HTTPConnection

from chat.ids import is_id
from chat.live.limits import Caller

PERSON_COOKIE = "farmesh_person"

# What the Guard says of a request to those behind it, in its scope.
CALLER = "farmesh.caller"
NAME = "farmesh.name"


def person_of(cookie_header: str | None) -> str:
    """The person a request comes from; empty when it brings no valid cookie."""
    if not cookie_header:
        return ""
    try:
        value = SimpleCookie(cookie_header).get(PERSON_COOKIE)
    except CookieError:
        return ""
    return value.value if value and is_id(value.value) else ""


def caller_of(connection: HTTPConnection | None) -> Caller:
    """Who a request comes from, as the Guard found it."""
    caller = connection.scope.get(CALLER) if connection is not None else None
    if not isinstance(caller, Caller):
        raise RuntimeError("a request that did not pass the Guard")
    return caller
