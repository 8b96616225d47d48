"""Where a checkpoint's files come from: a folder, or a repository of the Hugging Face hub.

huggingface_hub does the work: its cache, ``HF_TOKEN``, ``HF_HOME``, ``HF_ENDPOINT`` and
``HF_HUB_OFFLINE`` mean here what they mean everywhere. Only named files are fetched, never a whole
repository, and all of one commit. What goes wrong is a :class:`CheckpointError` with one sentence.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import math
import os
import re
import sys
import time
from collections.abc import Callable, Collection, Iterable, Iterator
from fnmatch import fnmatch
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import huggingface_hub
from huggingface_hub import constants, errors, hf_hub_download, try_to_load_from_cache
from huggingface_hub.file_download import http_get, repo_folder_name
from huggingface_hub.utils import (  # type: ignore[attr-defined]
    WeakFileLock,
    build_hf_headers,
)
from huggingface_hub.utils import tqdm as hub_tqdm  # type: ignore[attr-defined]

from farmesh.errors import CheckpointError, CheckpointGated, CheckpointNotFound, HubUnreachable

logger = logging.getLogger(__name__)

Progress = Callable[[int, int], None]  # (bytes that are here, bytes wanted)

_REPOSITORY = re.compile(r"[\w-][\w.-]*(/[\w-][\w.-]*)?")  # owner/name, or an old name alone
_TRIES = 3  # of one file whose connection breaks before anything came
_PAUSE_SECONDS = 1.0  # between those tries
_LIST_SECONDS = 20.0  # for the list of a repository's files
_HTTP_ERROR: type[Exception] = errors.HfHubHTTPError.__bases__[0]  # of whichever httpx the hub uses

# What tokenizers are made of, whatever their kind.
_TOKENIZER_FILES = (
    "tokenizer*",
    "*.tiktoken",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.*",
    "merges.txt",
    "spiece.model",
    "sentencepiece*.model",
    "chat_template.*",
    "additional_chat_templates/*",
    "config.json",
)


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


def open_source(
    name: str | Path,
    anchor: str = "config.json",
    *,
    revision: str | None = None,
    cache_dir: Path | str | None = None,
    token: str | None = None,
) -> Source:
    """A folder when there is one of that name, else a repository of the hub.

    Args:
        anchor: the file without which it is none of what is wanted.
        revision: branch, tag or commit of a repository; None: its main branch.
        cache_dir: instead of the hub's own (``HF_HOME``).
        token: None: ``HF_TOKEN``, or who is logged in on this machine.

    Raises:
        CheckpointNotFound: neither exists, or it lacks ``anchor``.
        CheckpointGated, HubUnreachable: the hub does not hand it out, or does not answer.
    """
    text = os.fspath(name)
    path = Path(text).expanduser()
    if path.is_dir():
        return Folder(text, path, anchor)
    if isinstance(name, Path) or not _REPOSITORY.fullmatch(text):
        raise CheckpointNotFound(
            f"There is no checkpoint folder {text!r}, and it is no name on the hub either. Give a "
            "folder with config.json and *.safetensors files, or a name like owner/model."
        )
    return Repository(text, anchor, revision=revision, cache_dir=cache_dir, token=token)


def is_remote(name: str | Path) -> bool:
    """Whether :func:`open_source` would ask the hub."""
    text = os.fspath(name)
    return bool(_REPOSITORY.fullmatch(text)) and not Path(text).expanduser().is_dir()


def adapter_name(name: str | Path) -> str:
    """What an adapter is called in the swarm: its name on the hub, or its folder's."""
    path = Path(name).expanduser()
    return path.resolve().name if path.is_dir() else os.fspath(name)


def fetch_tokenizer(
    name: str | Path,
    *,
    revision: str | None = None,
    cache_dir: Path | str | None = None,
    token: str | None = None,
) -> Path:
    """A folder with the tokenizer's files and config.json.

    Raises: CheckpointError.
    """
    source = open_source(name, revision=revision, cache_dir=cache_dir, token=token)
    source.fetch(
        file for file in source.files if any(fnmatch(file, one) for one in _TOKENIZER_FILES)
    )
    return source.folder


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
        return _files_in(self.folder)

    def fetch(self, names: Iterable[str], progress: Progress | None = None) -> None:
        for name in names:
            if not (self.folder / name).is_file():
                raise CheckpointNotFound(f"{self.folder} lacks the file {name}.")


class Repository:
    """One commit of a repository on the hub; without a network, what the cache holds of it."""

    def __init__(
        self,
        name: str,
        anchor: str,
        *,
        revision: str | None = None,
        cache_dir: Path | str | None = None,
        token: str | None = None,
    ) -> None:
        self.name = name
        self.repository: str | None = name
        self._token = token
        self._cache_dir = cache_dir
        self._where = f"{name} (revision {revision})" if revision else name
        # A file fetched by the branch's name tells its commit, and leaves a note of it in the cache
        # for the day without a network; all others are then fetched by commit.
        first = self._download(anchor, revision or constants.DEFAULT_REVISION, None)
        self.folder = first.parent
        self._commit = self.folder.name
        self._sizes = self._list()

    def __repr__(self) -> str:
        return f"<Repository {self._where} at {self._commit[:8]}>"

    @property
    def files(self) -> Collection[str]:
        return self._sizes.keys()

    def fetch(self, names: Iterable[str], progress: Progress | None = None) -> None:
        missing = [name for name in dict.fromkeys(names) if not self._is_cached(name)]
        total = sum(self._sizes.get(name, 0) for name in missing)
        done = 0
        for name in missing:
            before = done

            def report(here: int, before: int = before) -> None:
                if progress is not None:
                    progress(min(before + here, total), total)

            self._download(name, self._commit, report)
            done += self._sizes.get(name, 0)
            report(0, done)

    def _is_cached(self, name: str) -> bool:
        found = try_to_load_from_cache(
            self.name, name, cache_dir=self._cache_dir, revision=self._commit
        )
        return isinstance(found, str)

    def _list(self) -> dict[str, int]:
        """All files with their sizes; without a network those that are cached."""
        api = huggingface_hub.HfApi(token=self._token)
        try:
            info = api.model_info(
                self.name, revision=self._commit, files_metadata=True, timeout=_LIST_SECONDS
            )
        except (_HTTP_ERROR, ConnectionError) as error:  # config.json came, so the name is right
            logger.info("the list of files of %s cannot be had: %s", self.name, error)
            return {name: (self.folder / name).stat().st_size for name in _files_in(self.folder)}
        return {file.rfilename: file.size or 0 for file in info.siblings or ()}

    def _download(self, name: str, revision: str, report: Callable[[int], None] | None) -> Path:
        for tries_left in reversed(range(_TRIES)):
            try:
                with self._typed_errors(name):
                    if name.endswith(".safetensors"):
                        self._bring(name, revision, _meter(report))
                    return Path(
                        hf_hub_download(
                            self.name,
                            name,
                            revision=revision,
                            cache_dir=self._cache_dir,
                            token=self._token,
                            tqdm_class=_meter(report),
                        )
                    )
            except HubUnreachable as error:
                # Dropped in mid-file; one that does not answer at all was tried often enough.
                if not tries_left or not isinstance(error.__cause__, _HTTP_ERROR):
                    raise
                logger.info("%s Trying again.", error)
                time.sleep(_PAUSE_SECONDS)
        raise AssertionError("unreachable")

    def _bring(self, name: str, revision: str, meter: type[Any]) -> None:
        """Leave a large file's content in the cache, where ``hf_hub_download`` then finds it.

        That function throws away what it has of a file when the connection is reset or the process
        ends. Here it stays, under the name that the library's own tools know and clean up, and the
        next try goes on behind it, whichever process makes it.
        """
        url = huggingface_hub.hf_hub_url(self.name, name, revision=revision)
        try:
            found = huggingface_hub.get_hf_file_metadata(url, token=self._token)
        except (_HTTP_ERROR, ConnectionError):
            return  # hf_hub_download asks too, and knows what the cache has instead
        size, etag = found.size, found.etag
        if size is None or etag is None or size > constants.MAX_HTTP_DOWNLOAD_SIZE:
            return
        if not etag.isalnum():  # it becomes a file's name, so it must not be a path
            return
        cache = Path(self._cache_dir or constants.HF_HUB_CACHE)
        folder = repo_folder_name(repo_id=self.name, repo_type="model")
        blob = cache / folder / "blobs" / etag
        lock = cache / ".locks" / folder / f"{etag}.lock"
        for parent in (blob.parent, lock.parent):
            parent.mkdir(parents=True, exist_ok=True)
        with WeakFileLock(lock):  # the library's own
            if not blob.exists():
                part = blob.with_name(f"{etag}.incomplete")
                while not _complete(part, url, size, etag, self._token, meter):
                    logger.warning("What was here of %s was damaged; it is fetched anew.", name)
                part.replace(blob)

    @contextlib.contextmanager
    def _typed_errors(self, file: str) -> Iterator[None]:
        try:
            yield
        except errors.GatedRepoError as error:
            raise CheckpointGated(
                f"{self.name} is gated: accept its terms at {constants.ENDPOINT}/{self.name}, then "
                "set HF_TOKEN to a token of that account."
            ) from error
        except errors.RevisionNotFoundError as error:
            raise CheckpointNotFound(f"{self._where} is not on the hub: no such revision.") from (
                error
            )
        except errors.RepositoryNotFoundError as error:
            raise CheckpointNotFound(
                f"There is no folder {self.name!r} here, and no such model on the hub; a private "
                "one needs HF_TOKEN."
            ) from error
        except errors.RemoteEntryNotFoundError as error:
            raise CheckpointNotFound(f"{self._where} has no file {file} on the hub.") from error
        except errors.LocalEntryNotFoundError as error:
            raise self._unreachable(file, error.__cause__) from error
        except errors.HfHubHTTPError as error:
            if error.response.status_code in (401, 403):
                raise CheckpointGated(
                    f"The hub does not hand out {self._where}: the token in HF_TOKEN is not valid "
                    "for it."
                ) from error
            raise HubUnreachable(
                f"The hub answered with an error ({error.response.status_code}) when asked for "
                f"{file} of {self._where}; try again later."
            ) from error
        except errors.HFValidationError as error:
            raise CheckpointNotFound(f"{self.name!r} is no name on the hub.") from error
        except (_HTTP_ERROR, ConnectionError) as error:
            raise HubUnreachable(
                f"The connection to the hub broke while {file} of {self._where} was fetched; what "
                "has come is kept, try again."
            ) from error
        except OSError as error:  # the disk, or a file that came with another size
            raise CheckpointError(f"{file} of {self._where} cannot be kept: {error}") from error

    def _unreachable(self, file: str, cause: BaseException | None) -> HubUnreachable:
        if isinstance(cause, errors.OfflineModeIsEnabled) or constants.is_offline_mode():
            why = "HF_HUB_OFFLINE keeps this process from the hub"
        else:
            why = f"the hub ({constants.ENDPOINT}) does not answer"
        return HubUnreachable(
            f"There is no folder {self.name!r} here, {why}, and its cache on this machine has no "
            f"{file} of {self._where}."
        )


def _complete(
    part: Path, url: str, size: int, etag: str, token: str | None, meter: type[Any]
) -> bool:
    """Fetch what is missing of a file, for as long as something comes.

    False: what an earlier try had left was not a part of this file; it is deleted.
    """
    headers = build_hf_headers(token=token) | {"Accept-Encoding": "identity"}
    with part.open("ab") as file:
        if file.tell() > size:
            file.seek(0)
            file.truncate()
        resumed = had = file.tell()
        while True:
            try:
                http_get(
                    url,
                    file,
                    resume_size=had,
                    headers=headers,
                    expected_size=size,
                    tqdm_class=meter,
                )
                break
            except errors.HfHubHTTPError:
                raise
            except _HTTP_ERROR as error:
                if file.tell() <= had:
                    raise
                logger.info("%s broke at %d of %d bytes: %s", url, file.tell(), size, error)
                resumed = had = file.tell()
    # The hub's etag of a large file is its SHA-256. What was on this disk for a while is checked.
    if resumed and len(etag) == 64 and _sha256(part) != etag:
        part.unlink()
        return False
    return True


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _files_in(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def _meter(report: Callable[[int], None] | None) -> type[Any]:
    """A bar that draws nothing and tells how many bytes of the file are here."""

    class Meter(hub_tqdm):
        def __init__(self, *arguments: Any, initial: int = 0, **options: Any) -> None:
            options["disable"] = True
            super().__init__(*arguments, initial=initial, **options)
            self.here = initial

        def update(self, n: float | None = 1) -> None:
            self.here += int(n or 0)
            if report is not None:
                report(self.here)

    return Meter


class FetchBar:
    """Shows a person how much has come from the hub; a :data:`Progress`.

    On a terminal it is one line that is drawn again and again. Elsewhere, as under a supervisor
    that reads it, each line says the percentage, at most once a second.
    """

    def __init__(self) -> None:
        self._drawn = -math.inf  # monotonic seconds
        self._percent = -1
        self._live = sys.stderr.isatty()

    def __call__(self, done: int, total: int) -> None:
        percent, now = 100 * done // max(1, total), time.monotonic()
        if percent == self._percent or (now - self._drawn < 1.0 and done < total):
            return
        self._percent, self._drawn = percent, now
        figures = f"{done / 1e6:.0f} of {total / 1e6:.0f} MB"
        line = f"Fetching: {percent} % ({figures})\n"
        if self._live:
            bar = ("█" * (percent * 30 // 100)).ljust(30, "·")
            line = f"\rFetching {bar} {figures} " + ("\n" if done >= total else "")
        sys.stderr.write(line)
        sys.stderr.flush()
