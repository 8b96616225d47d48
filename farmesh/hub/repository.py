"""A repository of the Hugging Face hub, at one commit."""

from __future__ import annotations

import contextlib
import hashlib
import logging
import re
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import huggingface_hub
from huggingface_hub import constants, errors, hf_hub_download, try_to_load_from_cache
from huggingface_hub.file_download import (
    _cache_commit_hash_for_specific_revision as note_commit,
)
from huggingface_hub.file_download import http_get, repo_folder_name
from huggingface_hub.utils import (  # type: ignore[attr-defined]
    WeakFileLock,
    build_hf_headers,
    get_session,
    hf_raise_for_status,
)

from farmesh.errors import CheckpointError, CheckpointGated, CheckpointNotFound, HubUnreachable
from farmesh.hub.files import files_in, first_shard, read_part
from farmesh.hub.gguf_names import SUFFIX, models_among
from farmesh.hub.progress import Progress, meter

logger = logging.getLogger(__name__)

REPOSITORY_NAME = re.compile(r"[\w-][\w.-]*(/[\w-][\w.-]*)?")  # owner/name, or an old name alone
_LARGE = (".safetensors", SUFFIX)  # files whose transfer is taken up where it ended
_TRIES = 3  # of one file whose connection breaks before anything came
_PAUSE_SECONDS = 1.0  # between those tries
_PART, _NOTHING_THERE = 206, 416  # HTTP: a part as asked for; it would begin behind the end
_LIST_SECONDS = 20.0  # for the list of a repository's files
_HTTP_ERROR: type[Exception] = errors.HfHubHTTPError.__bases__[0]  # of whichever httpx the hub uses


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
        self.gguf = first_shard(anchor)
        if self.gguf is not None:  # such a file may be as large as a model
            self._commit, self._sizes = self._find(self.gguf, revision)
            self.folder = self._cache / "snapshots" / self._commit
            return
        # A file fetched by the branch's name tells its commit, and leaves a note of it in the cache
        # for the day without a network; all others are then fetched by commit.
        try:
            first = self._download(anchor, revision or constants.DEFAULT_REVISION, None)
        except CheckpointNotFound as error:
            self._name_gguf_models(error, revision)
            raise
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

    def _name_gguf_models(self, error: CheckpointNotFound, revision: str | None) -> None:
        """Raises: CheckpointNotFound, when the repository has other files than were looked for."""
        if isinstance(error.__cause__, errors.RemoteEntryNotFoundError):
            _, sizes = self._ask(revision)
            if models := models_among(sizes):
                raise CheckpointNotFound(
                    f"{self._where} holds GGUF models, so name one of them, as in "
                    f"{self.name}:{models[0]}."
                ) from error

    def size(self, name: str) -> int | None:
        return self._sizes.get(name) or None

    def read(self, name: str, start: int, count: int) -> bytes:
        if self._is_cached(name):
            return read_part(self.folder / name, start, count)
        url = huggingface_hub.hf_hub_url(self.name, name, revision=self._commit)
        headers = build_hf_headers(token=self._token) | {
            "Accept-Encoding": "identity",
            "Range": f"bytes={start}-{start + count - 1}",
        }
        with self._typed_errors(name):
            return _get_range(url, headers, start, count)

    @property
    def _cache(self) -> Path:
        """Where the library keeps this repository."""
        folder = repo_folder_name(repo_id=self.name, repo_type="model")
        return Path(self._cache_dir or constants.HF_HUB_CACHE) / folder

    def _is_cached(self, name: str) -> bool:
        return self._cached(name, self._commit) is not None

    def _cached(self, name: str, revision: str | None) -> Path | None:
        found = try_to_load_from_cache(
            self.name, name, cache_dir=self._cache_dir, revision=revision
        )
        return Path(found) if isinstance(found, str) else None

    def _find(self, file: str, revision: str | None) -> tuple[str, dict[str, int]]:
        """The commit that the revision has now, and its files; without a network, as kept."""
        try:
            with self._typed_errors(file):
                commit, sizes = self._ask(revision)
        except HubUnreachable:
            cached = self._cached(file, revision)
            if cached is None:
                raise
            folder = cached.parents[file.count("/")]
            return folder.name, {name: (folder / name).stat().st_size for name in files_in(folder)}
        if file not in sizes or not commit.isalnum():
            known = [name for name in sizes if name.endswith(SUFFIX)]
            hint = f" It has {', '.join(known[:20])}." if known else ""
            raise CheckpointNotFound(f"{self._where} has no file {file} on the hub.{hint}")
        with contextlib.suppress(OSError):  # a cache that is only read
            note_commit(str(self._cache), revision or constants.DEFAULT_REVISION, commit)
        return commit, sizes

    def _list(self) -> dict[str, int]:
        """All files with their sizes; without a network those that are cached."""
        try:
            return self._ask(self._commit)[1]
        except (_HTTP_ERROR, ConnectionError) as error:  # config.json came, so the name is right
            logger.info("the list of files of %s cannot be had: %s", self.name, error)
            return {name: (self.folder / name).stat().st_size for name in files_in(self.folder)}

    def _ask(self, revision: str | None) -> tuple[str, dict[str, int]]:
        """The commit of a revision, and its files with their sizes."""
        info = huggingface_hub.HfApi(token=self._token).model_info(
            self.name, revision=revision, files_metadata=True, timeout=_LIST_SECONDS
        )
        return info.sha or "", {file.rfilename: file.size or 0 for file in info.siblings or ()}

    def _download(self, name: str, revision: str, report: Callable[[int], None] | None) -> Path:
        tries_left = _TRIES
        while True:
            tries_left -= 1
            try:
                with self._typed_errors(name):
                    if name.endswith(_LARGE):
                        self._bring(name, revision, meter(report))
                    return Path(
                        hf_hub_download(
                            self.name,
                            name,
                            revision=revision,
                            cache_dir=self._cache_dir,
                            token=self._token,
                            tqdm_class=meter(report),
                        )
                    )
            except HubUnreachable as error:
                # Dropped in mid-file; one that does not answer at all was tried often enough.
                if not tries_left or not isinstance(error.__cause__, _HTTP_ERROR):
                    raise
                logger.info("%s Trying again.", error)
                time.sleep(_PAUSE_SECONDS)

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
        cache = self._cache
        blob = cache / "blobs" / etag
        lock = cache.parent / ".locks" / cache.name / f"{etag}.lock"
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


def _get_range(url: str, headers: Mapping[str, str], start: int, count: int) -> bytes:
    """A part of a file, also of a server that begins at its begin or sends more."""
    data = bytearray()
    with get_session().stream("GET", url, headers=headers, follow_redirects=True) as response:
        if response.status_code == _NOTHING_THERE:
            return b""
        hf_raise_for_status(response)
        skipped = 0 if response.status_code == _PART else start
        for piece in response.iter_bytes():
            data += piece[skipped:]
            skipped = max(0, skipped - len(piece))
            if len(data) >= count:
                break
    return bytes(data[:count])
