"""A folder of this machine, or a GGUF file in it, as the files of a checkpoint."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from functools import cached_property
from pathlib import Path
from typing import Protocol

from farmesh.errors import CheckpointError, CheckpointNotFound
from farmesh.hub.gguf_names import SUFFIX, models_among, shards_of
from farmesh.hub.progress import Progress

CONFIG = "config.json"


class Source(Protocol):
    """The files of one checkpoint."""

    name: str  # as a person gave it
    folder: Path  # where files are, once fetched
    repository: str | None  # on the hub; None: a folder of this machine
    gguf: str | None  # the file, or the first of those, that holds all of the model

    @property
    def files(self) -> Collection[str]:
        """All that there are, here or to be fetched."""

    def fetch(self, names: Iterable[str], progress: Progress | None = None) -> None:
        """Make these files present in ``folder``.

        Raises: CheckpointError.
        """

    def size(self, name: str) -> int | None:
        """Bytes of a file; None: not known before it is here."""

    def read(self, name: str, start: int, count: int) -> bytes:
        """A part of a file, which need not be here; fewer bytes where the file ends.

        Raises: CheckpointError.
        """


class Folder:
    """A folder of this machine; everything is there or nowhere."""

    repository: str | None = None

    def __init__(self, name: str, path: Path, anchor: str) -> None:
        if not (path / anchor).is_file():
            raise CheckpointNotFound(f"{path} has no {anchor}, so it is not a checkpoint.")
        self.name = name
        self.folder = path
        self.gguf = first_shard(anchor)

    @cached_property
    def files(self) -> Collection[str]:
        if self.gguf is not None:  # what else lies beside it is none of its business
            return {file for file in shards_of(self.gguf) if (self.folder / file).is_file()}
        return files_in(self.folder)

    def fetch(self, names: Iterable[str], progress: Progress | None = None) -> None:
        for name in names:
            if not (self.folder / name).is_file():
                raise CheckpointNotFound(f"{self.folder} lacks the file {name}.")

    def size(self, name: str) -> int | None:
        return (self.folder / name).stat().st_size

    def read(self, name: str, start: int, count: int) -> bytes:
        return read_part(self.folder / name, start, count)


def local_gguf(path: Path) -> Path | None:
    """The file itself, or the only GGUF model of a folder that has no safetensors.

    Raises: CheckpointNotFound when there are several.
    """
    if path.suffix == SUFFIX and path.is_file():
        return path
    files = [file.name for file in path.iterdir()] if path.is_dir() else []
    models = models_among(files)
    if not models or any(file.endswith(".safetensors") for file in files):
        return None
    if len(models) > 1:
        raise CheckpointNotFound(
            f"{path} holds several GGUF models, so name one of its files: {', '.join(models)}."
        )
    return path / models[0]


def first_shard(anchor: str) -> str | None:
    return shards_of(anchor)[0] if anchor.endswith(SUFFIX) else None


def read_part(path: Path, start: int, count: int) -> bytes:
    """Raises: CheckpointError."""
    try:
        with path.open("rb") as file:
            file.seek(start)
            return file.read(count)
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read: {error}") from error


def files_in(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
