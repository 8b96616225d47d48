"""What is printed for people: where the page is, a password, until when, and a code to scan."""

from __future__ import annotations

import asyncio
import io
import os
import secrets
import socket
import sys
import webbrowser
from datetime import datetime, timedelta
from typing import TextIO

import segno
from pydantic import SecretStr

from chat.page import tunnel
from chat.places import LOOPBACK, on_a_space
from chat.serving.server import Server, address_of, reachable
from chat.settings.schema import ServerSettings, Settings
from farmesh.errors import FarMeshError

LINK_DAYS = 7  # that Gradio keeps a link, at most
_LETTERS = "abcdefghjkmnpqrstuvwxyz23456789"  # none that is taken for another
_NOWHERE = ("192.0.2.1", 9)  # an address of documentation: asked for the way to it, never called


async def announce(server: Server, settings: Settings, *, made_up: bool) -> None:
    """Say where the page is, once it is there.

    Args:
        made_up: the password, if there is one, so that somebody has to be told.
    """
    await server.listens.wait()
    address = address_of(settings.server)
    say(f"FarMesh Chat is at {address} (Ctrl-C ends it)")
    if (near := in_the_network(settings.server)) is not None:
        say(f"In your network: {near}", code(near))
    if settings.server.share:
        await share(settings, address, made_up=made_up)
    screen = sys.platform in ("darwin", "win32") or {"DISPLAY", "WAYLAND_DISPLAY"} & {*os.environ}
    if settings.server.open_browser and screen:
        await asyncio.to_thread(webbrowser.open, address)


async def share(settings: Settings, address: str, *, made_up: bool) -> None:
    """Say where others find the page, or why they do not."""
    who = who_may_come_in(settings, made_up=made_up)
    try:
        host = reachable(settings.server.host)
        public = await tunnel.share(host, settings.server.port, address)
    except FarMeshError as error:
        say(str(error), who if settings.access.sign_in == "shared" else "")
    else:
        say(f"Public link: {public}", code(public), until(datetime.now().astimezone()), who)


def say(*lines: str) -> None:
    for line in filter(None, lines):
        print(line, flush=True)  # noqa: T201


def with_password(settings: Settings) -> Settings:
    """The settings, with a password made up where a shared link would let everybody in."""
    server, access = settings.server, settings.access
    if not (server.share and server.share_password) or access.sign_in != "off":
        return settings
    password = access.password if access.password.get_secret_value() else made_up_password()
    locked = access.model_copy(update={"sign_in": "shared", "password": password})
    return settings.model_copy(update={"access": locked})


def made_up_password() -> SecretStr:
    """About 59 bits, easy to read out: ``k7fm-29qd-xw3p``."""
    parts = ("".join(secrets.choice(_LETTERS) for _ in range(4)) for _ in range(3))
    return SecretStr("-".join(parts))


def who_may_come_in(settings: Settings, *, made_up: bool) -> str:
    """One sentence for whoever hands the link on."""
    match settings.access.sign_in:
        case "off":
            return "No password: whoever has the link can chat here."
        case "shared" if made_up:
            return f"Password for the page: {settings.access.password.get_secret_value()}"
        case "shared":
            return "The page asks for the password that is set as access.password."
        case _:
            return "People have to sign in there."


def until(now: datetime) -> str:
    """How long a link of Gradio's lasts."""
    end = now + timedelta(days=LINK_DAYS)
    return f"It ends with this app, at the latest on {end:%A, %d %B at %H:%M}."


def in_the_network(server: ServerSettings) -> str | None:
    """The page's address for other machines near by; None when it listens for this one only."""
    if server.host in LOOPBACK or server.host.startswith("127.") or on_a_space():
        return None
    host = server.host
    if host in ("0.0.0.0", "::"):
        found = own_address()
        if found is None:
            return None
        host = found
    name = f"[{host}]" if ":" in host else host
    return f"http://{name}:{server.port}{server.root_path}"


def own_address() -> str | None:
    """This machine's address in its network; nothing is sent to find it."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(_NOWHERE)
            address = str(probe.getsockname()[0])
        except OSError:
            return None
    return None if address.startswith(("127.", "0.")) else address


def code(text: str, out: TextIO = sys.stdout) -> str:
    """A QR code made of characters; empty where nobody could scan it."""
    if not out.isatty() or "utf" not in (out.encoding or "").lower():
        return ""
    drawn = io.StringIO()
    segno.make(text, error="l").terminal(drawn, compact=True)
    return drawn.getvalue().rstrip("\n")
