"""Who a request comes from, as the Guard has noted it in the request's scope."""

from __future__ import annotations

from dataclasses import dataclass
from http.cookies import CookieError, SimpleCookie

from starlette.requests import HTTPConnection

from chat.ids import is_id
from chat.live.limits import Caller

PERSON_COOKIE = "farmesh_person"
VISITOR = "farmesh.visitor"  # in the scope of every request behind the Guard


@dataclass(frozen=True, slots=True)
class Visitor:
    """Somebody who asks, as everything behind the Guard knows them."""

    caller: Caller  # for the limits
    person: str = ""  # whose chats are theirs; empty for programs and for browsers without a cookie
    name: str = ""  # of whoever has signed in or brought a key


def visitor_of(connection: HTTPConnection | None) -> Visitor:
    """Who a request comes from, as the Guard found it."""
    visitor = connection.scope.get(VISITOR) if connection is not None else None
    if not isinstance(visitor, Visitor):
        raise RuntimeError("a request that did not pass the Guard")
    return visitor


def person_in(cookie_header: str | None) -> str:
    """The person whom a stranger's browser names; empty when it brings no valid cookie."""
    if not cookie_header:
        return ""
    try:
        value = SimpleCookie(cookie_header).get(PERSON_COOKIE)
    except CookieError:
        return ""
    return value.value if value and is_id(value.value) else ""
