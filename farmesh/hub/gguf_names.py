"""Names of GGUF files: a large model is split into files that are numbered in their names."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import PurePosixPath

SUFFIX = ".gguf"
_SHARD = re.compile(r"(?P<model>.+)-(?P<number>\d{5})-of-(?P<count>\d{5})\.gguf")
_MOST_SHARDS = 1000  # the largest models known have some sixty
_NO_MODELS = ("mmproj", "imatrix")  # beginnings of names: an eye for a model, numbers for rounding


def shards_of(file: str) -> list[str]:
    """All files of the model that ``file`` belongs to, the first one first; itself, if it is whole.

    A count that nobody could mean leaves the file alone, which then does not hold a whole model.
    """
    match = _SHARD.fullmatch(file)
    count = int(match["count"]) if match else 0
    if match is None or not 0 < int(match["number"]) <= count <= _MOST_SHARDS:
        return [file]
    return [f"{match['model']}-{n:05}-of-{count:05}{SUFFIX}" for n in range(1, count + 1)]


def model_name(file: str) -> str:
    """The name of a model for people and the swarm: the file's, without folder, number and type."""
    name = PurePosixPath(file).name
    match = _SHARD.fullmatch(name)
    return match["model"] if match else name.removesuffix(SUFFIX)


def models_among(files: Iterable[str]) -> list[str]:
    """The first file of each GGUF model in a folder."""
    found = {
        shards_of(file)[0]
        for file in files
        if file.endswith(SUFFIX) and "/" not in file and not file.startswith(_NO_MODELS)
    }
    return sorted(found)
