"""A small hub for tests: as much of the Hugging Face hub's protocol as huggingface_hub uses.

It serves folders as repositories, can drop connections in mid-file, and remembers what was asked.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

MAIN = "main"


@dataclass
class Repo:
    """A folder per revision; ``token`` is asked for when it is set."""

    revisions: dict[str, Path]
    token: str | None = None
    gated: bool = False

    def commit(self, revision: str) -> str | None:
        """The commit of a branch, or of itself; None: no such revision."""
        for name, folder in self.revisions.items():
            commit = hashlib.sha1(f"{name} {folder}".encode()).hexdigest()
            if revision in (name, commit):
                return commit
        return None

    def folder(self, commit: str) -> Path:
        return next(path for name, path in self.revisions.items() if self.commit(name) == commit)


@dataclass(frozen=True)
class Asked:
    """One request."""

    method: str
    file: str  # "" for the list of files
    offset: int = 0  # where the answer began
    error: str = ""


@dataclass
class Hub:
    """Repositories by name; ``drops`` says after how many bytes of a file a connection ends."""

    url: str
    repos: dict[str, Repo] = field(default_factory=dict)
    drops: dict[str, list[int]] = field(default_factory=dict)
    reset: bool = False  # drop with RST, as a firewall does, instead of an early end
    before_drop: Callable[[int], None] = lambda offset: None  # what is under way is lost in a reset
    sent: int = 0  # bytes of files
    asked: list[Asked] = field(default_factory=list)
    parts: list[tuple[str, int]] = field(default_factory=list)  # that were asked for, by offset
    gate: threading.Event = field(default_factory=threading.Event)  # weights wait for it

    def __post_init__(self) -> None:
        self.gate.set()

    def add(self, name: str, folder: Path, **options: Any) -> Repo:
        self.repos[name] = Repo({MAIN: folder}, **options)
        return self.repos[name]

    @property
    def fetched(self) -> set[str]:
        """Files that were sent, wholly or in part."""
        return {one.file for one in self.asked if one.method == "GET" and one.file}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: Hub

    def log_message(self, *_: Any) -> None:
        return None

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def _answer(self) -> None:
        path = unquote(urlsplit(self.path).path).strip("/")
        if path.startswith("api/models/"):
            name, kind, revision = re.split(
                r"/(revision|tree)/|$", path.removeprefix("api/models/"), maxsplit=1
            )
            file = ""
        else:
            kind = None
            name, _, rest = path.partition("/resolve/")
            revision, _, file = rest.partition("/")
        repo = self.hub.repos.get(name)
        bearer = self.headers.get("Authorization", "").removeprefix("Bearer ")
        if repo is None or (repo.token and not repo.gated and bearer != repo.token):
            return self._refuse(401 if not bearer else 404, "RepoNotFound")
        if repo.gated and bearer != repo.token:
            return self._refuse(403 if bearer else 401, "GatedRepo")
        commit = repo.commit(revision or MAIN)
        if commit is None:
            return self._refuse(404, "RevisionNotFound")
        folder = repo.folder(commit)
        if not file:
            return self._list(name, commit, folder, tree=kind == "tree")
        if not (folder / file).is_file():
            return self._refuse(404, "EntryNotFound", commit)
        return self._send(folder / file, file, commit)

    def _refuse(self, status: int, code: str, commit: str = "") -> None:
        self.hub.asked.append(Asked(self.command, "", error=code))
        self.send_response(status)
        self.send_header("X-Error-Code", code)
        if commit:
            self.send_header("X-Repo-Commit", commit)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _list(self, name: str, commit: str, folder: Path, *, tree: bool) -> None:
        """What a repository holds, in the words of its own address or of its tree's."""
        self.hub.asked.append(Asked(self.command, ""))
        files = [
            {"size": path.stat().st_size, "path": path.relative_to(folder).as_posix()}
            for path in sorted(folder.rglob("*"))
            if path.is_file()
        ]
        siblings = [{"rfilename": file["path"], "size": file["size"]} for file in files]
        answer: Any = {"id": name, "sha": commit, "siblings": siblings}
        if tree:
            answer = [{"type": "file", "oid": commit, **file} for file in files]
        body = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _send(self, path: Path, file: str, commit: str) -> None:
        data = path.read_bytes()
        first, _, last = self.headers.get("Range", "bytes=0-").removeprefix("bytes=").partition("-")
        offset = int(first or 0)
        part = bool(offset or last)
        if last:  # a part of a file, of which nothing is kept
            self.hub.parts.append((file, offset))
            data = data[: int(last) + 1]
        else:
            self.hub.asked.append(Asked(self.command, file, offset))
        self.send_response(206 if part else 200)
        self.send_header("ETag", f'"{hashlib.sha256(data).hexdigest()}"')
        self.send_header("X-Repo-Commit", commit)
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("Content-Length", str(len(data) - offset))
        if part:
            self.send_header("Content-Range", f"bytes {offset}-{len(data) - 1}/{len(data)}")
        self.end_headers()
        if self.command == "HEAD":
            return
        if file.endswith((".safetensors", ".gguf")) and not last:
            self.hub.gate.wait(30)
        drops = self.hub.drops.get(file)
        end = drops.pop(0) if drops else len(data)
        self.hub.sent += max(0, end - offset)
        self.wfile.write(data[offset:end])
        if end < len(data):
            self.wfile.flush()
            self.hub.before_drop(end)
            self._drop()

    def _drop(self) -> None:
        if self.hub.reset:  # closing with unsent data waiting for zero seconds sends RST
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            os.close(self.connection.detach())  # at once: the server would end it in order first
        else:
            self.connection.shutdown(socket.SHUT_RDWR)
        self.close_connection = True


@contextmanager
def serving(host: str = "127.0.0.1", port: int = 0) -> Iterator[Hub]:
    """A hub on a port of its own, or the one given, for as long as the scope."""
    server = ThreadingHTTPServer((host, port), _Handler)
    server.daemon_threads = True
    hub = Hub(f"http://127.0.0.1:{server.server_address[1]}")
    server.RequestHandlerClass = type("Handler", (_Handler,), {"hub": hub})
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
