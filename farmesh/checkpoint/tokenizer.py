"""The tokenizer of a checkpoint, whatever its format."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from farmesh.errors import CheckpointError
from farmesh.hub.files import Source
from farmesh.hub.source import fetch_tokenizer, open_source

_PROBE = "a 1\n\u00e9\U0001f600"


def load_tokenizer(
    name: str | Path,
    *,
    revision: str | None = None,
    cache_dir: Path | str | None = None,
    token: str | None = None,
) -> Any:
    """transformers' tokenizer, with its special tokens and its chat template if it has one.

    Raises: CheckpointError when there is none that can be used.
    """
    source = open_source(name, revision=revision, cache_dir=cache_dir, token=token)
    try:
        return _from_gguf(source) if source.gguf else _from_files(source)
    except (OSError, ValueError, KeyError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise CheckpointError(f"{source.name} has no usable tokenizer: {reason}") from error


def _from_files(source: Source) -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(fetch_tokenizer(source), local_files_only=True)


def _from_gguf(source: Source) -> Any:
    """
    Raises:
        CheckpointError: the file cannot be right.
        ValueError: its tokenizer is of a kind that transformers does not know, or is damaged.
    """
    from transformers import TokenizersBackend
    from transformers.integrations.gguf import convert_gguf_tokenizer, get_gguf_tokenizer

    from farmesh.checkpoint.gguf_model import open_header

    # AutoTokenizer gives the same, but reads the whole file with another, much slower reader first.
    header = open_header(source)  # transformers believes all lengths and counts
    with tempfile.NamedTemporaryFile(suffix=".gguf") as file:
        file.write(source.read(source.gguf or "", 0, header.size))
        file.flush()
        try:
            architecture, tokenizer, config = get_gguf_tokenizer(file.name)
            backend, _ = convert_gguf_tokenizer(architecture, tokenizer)
            built = TokenizersBackend(tokenizer_object=backend, **config)
            built.encode(_PROBE)  # some damage shows only here
            return built
        except Exception as error:  # the Rust library raises bare ones for a damaged vocabulary
            raise ValueError(str(error) or type(error).__name__) from error
