"""Where pip would look for a package on this machine, and the wheel that it would find there.

pip's own configuration says it (files, ``PIP_…`` variables), so that mirrors, proxies and indexes
in folders work here as they do for pip. Pages are those of the Simple repository API:
https://packaging.python.org/en/latest/specifications/simple-repository-api/
"""

from __future__ import annotations

import ast
import asyncio
import json
import logging
import re
import ssl
import sys
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urljoin, urlsplit

import httpx

from farmesh.errors import CheckpointNotFound, IndexUnreachable

logger = logging.getLogger(__name__)

PYPI = "https://pypi.org/simple"
_SECTIONS = ("global", "download", ":env:")  # of pip's configuration; a later one wins
_SETTING = re.compile(r"(?P<section>[^.=\s]+)\.(?P<key>[\w-]+)=(?P<value>.+)")
_ACCEPT = (
    "application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html;q=0.2, "
    "text/html;q=0.1"
)
_CONNECT_SECONDS, _READ_SECONDS = 5.0, 30.0
_LONGEST_PAGE = 2**24  # bytes; that of a package with thousands of files has some 2**21
_NO = ("", "0", "false", "no", "off")


@dataclass(frozen=True, slots=True)
class PipSettings:
    """What of pip's configuration says where packages come from."""

    indexes: tuple[str, ...] = (PYPI,)  # addresses, of folders too (file:)
    links: tuple[str, ...] = ()  # pages or folders with files
    proxy: str | None = None
    cert: str | None = None  # file of certificates to trust instead of the usual ones


def read_settings(listing: str) -> PipSettings:
    """The output of ``pip config list``."""
    values: dict[str, str] = {}
    lines = [found for line in listing.splitlines() if (found := _SETTING.fullmatch(line))]
    for section in _SECTIONS:
        for line in lines:
            if line["section"] == section:
                with suppress(ValueError, SyntaxError):
                    values[line["key"]] = str(ast.literal_eval(line["value"]))
    indexes = [values.get("index-url", PYPI), *values.get("extra-index-url", "").split()]
    if values.get("no-index", "").lower() not in _NO:
        indexes = []
    links = values.get("find-links", "").split()
    return PipSettings(tuple(indexes), tuple(links), values.get("proxy"), values.get("cert"))


async def pip_settings() -> PipSettings:
    """Those of this machine; without a pip that can be asked, PyPI."""
    output, _ = await by_pip("config", "list")
    return read_settings(output)


async def by_pip(*arguments: str) -> tuple[str, str]:
    """What pip prints, and what it complains of."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "pip", *arguments),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        output, complaints = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()  # its pipes are closed by that
    return output.decode("utf-8", "replace"), complaints.decode("utf-8", "replace")


@asynccontextmanager
async def connection(settings: PipSettings) -> AsyncIterator[httpx.AsyncClient]:
    """Asks as pip would; the usual variables (``HTTPS_PROXY`` …) count too."""
    timeout = httpx.Timeout(_READ_SECONDS, connect=_CONNECT_SECONDS)
    async with httpx.AsyncClient(
        verify=_trusted(settings.cert), proxy=settings.proxy, timeout=timeout, follow_redirects=True
    ) as http:
        yield http


def _trusted(cert: str | None) -> ssl.SSLContext | bool:
    usual = not cert or not Path(cert).is_file()
    return True if usual else ssl.create_default_context(cafile=cert)


class NotUnderstood(Exception):
    """An index answers, but not us: it wants something that pip may know how to give."""


async def locate(
    package: str, version: str, settings: PipSettings, http: httpx.AsyncClient
) -> Path | str:
    """The wheel's file on this machine, or its address.

    Raises:
        CheckpointNotFound: no index has it.
        IndexUnreachable: an index does not answer, and no other has it.
        NotUnderstood: the same, of one that answers with something else.
    """
    name = normalised(package)
    own = [f"{index.rstrip('/')}/{name}/" for index in settings.indexes]
    troubles: list[Exception] = []
    for place in (*settings.links, *own):
        try:
            for link in await _links(place, http):
                if is_wheel_of(link, name, version):
                    return _file_of(link) or link
        except (IndexUnreachable, NotUnderstood, ValueError) as error:
            logger.info("%s", error)  # ValueError: an address that is none
            troubles.append(error)
    for kind in (NotUnderstood, IndexUnreachable):
        for trouble in troubles:
            if isinstance(trouble, kind):
                raise trouble
    raise CheckpointNotFound(f"The package index has no {package} {version}.")


def normalised(package: str) -> str:
    """A package's name as indexes write it in addresses (PEP 503)."""
    return re.sub(r"[-_.]+", "-", package).lower()


def is_wheel_of(link: str, name: str, version: str) -> bool:
    """Whether an address or path is a wheel of that version, for any machine."""
    parts = unquote(urlsplit(link).path).rpartition("/")[2].split("-")
    wheel = len(parts) >= 5 and parts[-1] == "any.whl"
    return wheel and normalised(parts[0]) == name and parts[1] == version


async def _links(place: str, http: httpx.AsyncClient) -> list[str]:
    """What a page or a folder names; nothing when it is not there."""
    folder = _file_of(place)
    if folder is not None:
        return await asyncio.to_thread(_links_here, folder)
    try:
        async with http.stream("GET", place, headers={"Accept": _ACCEPT}) as answer:
            if answer.status_code in (404, 410):
                return []
            answer.raise_for_status()
            page = bytearray()
            async for piece in answer.aiter_bytes():
                page += piece
                if len(page) > _LONGEST_PAGE:
                    raise NotUnderstood(f"{shown(place)} answers without end.")
            kind, base = answer.headers.get("content-type", ""), str(answer.url)
    except (httpx.HTTPStatusError, httpx.InvalidURL, httpx.UnsupportedProtocol) as error:
        raise NotUnderstood(f"{shown(place)} does not hand out packages: {error}") from error
    except (httpx.HTTPError, OSError) as error:
        if is_tls(error):
            raise NotUnderstood(f"{shown(place)} cannot be trusted: {error}") from error
        raise IndexUnreachable(f"The package index {shown(place)} does not answer.") from error
    found = links_in(page.decode("utf-8", "replace"), base, is_json="json" in kind)
    return [link for link in found if link.startswith(("http://", "https://"))]


def _links_here(path: Path) -> list[str]:
    """The same in a folder of this machine, or in a page that lies there."""
    page = path / "index.html" if path.is_dir() else path
    with suppress(OSError):
        if page.is_file() and page.stat().st_size <= _LONGEST_PAGE:
            text = page.read_text("utf-8", "replace")
            return links_in(text, page.resolve().as_uri(), is_json=page.suffix == ".json")
        return [file.resolve().as_uri() for file in path.iterdir()]
    return []


def links_in(page: str, base: str, *, is_json: bool) -> list[str]:
    """Addresses of all files that a page of an index names."""
    try:
        found = _in_json(json.loads(page)) if is_json else _Anchors.of(page)
        return [urljoin(base, link) for link in found]
    except (ValueError, RecursionError) as error:  # no JSON, or an address that is none
        raise NotUnderstood(f"{shown(base)} answers with something else: {error}") from error


def _in_json(page: Any) -> Iterable[str]:
    files = page.get("files") if isinstance(page, Mapping) else None
    entries = [file for file in files or () if isinstance(file, Mapping)]
    return [url for file in entries if isinstance(url := file.get("url"), str)]


class _Anchors(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    @classmethod
    def of(cls, page: str) -> list[str]:
        parser = cls()
        parser.feed(page)
        return parser.found

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "a" and (link := dict(attrs).get("href")):
            self.found.append(link)


def _file_of(place: str) -> Path | None:
    """A path or a file: address as a path; None: it is somewhere else."""
    parts = urlsplit(place)
    if parts.scheme == "file":
        return Path(unquote(parts.path))
    return None if "://" in place else Path(place).expanduser()


def shown(place: str) -> str:
    """An address without the names, passwords and keys that it may hold."""
    parts = urlsplit(place)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}" if parts.netloc else place


def is_tls(error: BaseException | None) -> bool:
    """Whether it was the other side's certificate."""
    while error is not None:
        if isinstance(error, ssl.SSLError):
            return True
        error = error.__cause__ or error.__context__
    return False
