"""Where a checkpoint's files come from: a folder, a GGUF file, or a repository of the hub.

huggingface_hub does the work: its cache, ``HF_TOKEN``, ``HF_HOME``, ``HF_ENDPOINT`` and
``HF_HUB_OFFLINE`` mean here what they mean everywhere. Only named files are fetched, never a whole
repository, and all of one commit. What goes wrong is a :class:`CheckpointError` with one sentence.
"""

from __future__ import annotations

import os
from fnmatch import fnmatch
from pathlib import Path

from farmesh.errors import CheckpointNotFound
from farmesh.hub.files import CONFIG, Folder, Source, local_gguf
from farmesh.hub.gguf_names import SUFFIX
from farmesh.hub.repository import REPOSITORY_NAME, Repository

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


def open_source(
    name: str | Path,
    anchor: str = CONFIG,
    *,
    revision: str | None = None,
    cache_dir: Path | str | None = None,
    token: str | None = None,
) -> Source:
    """A folder or a GGUF file when there is one of that name, else a repository of the hub.

    ``owner/name:file.gguf`` is a GGUF file in a repository.

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
    if anchor == CONFIG and (gguf := local_gguf(path)) is not None:
        return Folder(text, gguf.parent, gguf.name)
    if path.is_dir():
        return Folder(text, path, anchor)
    repository, file = on_hub(text)
    if isinstance(name, Path) or not repository:
        what = "GGUF file" if path.suffix == SUFFIX else "checkpoint folder"
        raise CheckpointNotFound(
            f"There is no {what} {text!r}, and it is no name on the hub either. Give a folder with "
            "config.json and *.safetensors files, a GGUF file, or a name like owner/model."
        )
    return Repository(
        repository, file or anchor, revision=revision, cache_dir=cache_dir, token=token
    )


def on_hub(name: str) -> tuple[str, str]:
    """A repository's name, and the GGUF file in it that is meant; empty where there is none."""
    repository, _, file = name.partition(":")
    inside = not file.startswith("/") and ".." not in file.split("/")
    if not REPOSITORY_NAME.fullmatch(repository) or not inside:
        return "", ""
    # What is called like a file is one, and no repository.
    return (repository, file) if name.endswith(SUFFIX) == bool(file) else ("", "")


def is_remote(name: str | Path) -> bool:
    """Whether :func:`open_source` would ask the hub."""
    text = os.fspath(name)
    path = Path(text).expanduser()
    if path.is_dir() or (path.suffix == SUFFIX and path.is_file()):
        return False
    return bool(on_hub(text)[0])


def adapter_name(name: str | Path) -> str:
    """What an adapter is called in the swarm: its name on the hub, or its folder's."""
    path = Path(name).expanduser()
    return path.resolve().name if path.is_dir() else os.fspath(name)


def fetch_tokenizer(source: Source) -> Path:
    """A folder with the tokenizer's files and config.json.

    Raises: CheckpointError.
    """
    source.fetch(
        file for file in source.files if any(fnmatch(file, one) for one in _TOKENIZER_FILES)
    )
    return source.folder
