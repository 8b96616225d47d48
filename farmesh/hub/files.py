"""A folder of this machine as the files of a checkpoint."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from functools import cached_property
from pathlib import Path
from typing import Protocol

from farmesh.errors import CheckpointNotFound
from farmesh.hub.progress import Progress


class Source(Protocol):
    """The files of one checkpoint."""

    name: str  # as a person gave it
    folder: Path  # where files are, once fetched
    repository: str | None  # on the hub; None: a folder of this machine

    @property
    def files(self) -> Collection[str]:
        """All that there are, here or to be fetched."""

    def fetch(self, names: Iterable[str], progress: Progress | None = None) -> None:
        """Make these files present in ``folder``.

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

    @cached_property
    def files(self) -> Collection[str]:
        return files_in(self.folder)

    def fetch(self, names: Iterable[str], progress: Progress | None = None) -> None:
        for name in names:
            if not (self.folder / name).is_file():
                raise CheckpointNotFound(f"{self.folder} lacks the file {name}.")


def files_in(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
