"""How many blocks a model has to share out, before any node is started."""

from __future__ import annotations

import json
from pathlib import Path

from chat.settings.catalogue import ModelEntry
from farmesh.errors import CheckpointError
from farmesh.hub.files import Source, local_gguf
from farmesh.hub.source import open_source


def check_folder(model: ModelEntry) -> int:
    """How many blocks there are to share out; a folder that no node could serve ends here."""
    folder = Path(model.checkpoint_path)
    if folder.suffix == ".gguf" or local_gguf(folder) is not None:
        return _count_in_gguf(open_source(folder))
    num_blocks = _count_blocks(model, folder)
    if not any(folder.glob("*.safetensors")):
        raise CheckpointError(
            f"The model {model.id!r} has no *.safetensors files in {folder}: "
            "put them there, or choose another model with --model."
        )
    return num_blocks


def ask_hub(model: ModelEntry) -> int:
    """The same of a model on the hub, of which only what says so is fetched."""
    source = open_source(model.checkpoint, revision=model.revision)
    return _count_in_gguf(source) if source.gguf else _count_blocks(model, source.folder)


def _count_in_gguf(source: Source) -> int:
    from farmesh import open_gguf  # it imports numpy

    return open_gguf(source).num_blocks


def _count_blocks(model: ModelEntry, folder: Path) -> int:
    try:
        config = json.loads((folder / "config.json").read_text("utf-8"))
        return int(config.get("num_hidden_layers") or config["n_layer"])
    except OSError:
        raise CheckpointError(
            f"The model {model.id!r} has no checkpoint at {model.checkpoint}: "
            "there is no config.json that can be read."
        ) from None
    except (ValueError, KeyError, TypeError, AttributeError):
        raise CheckpointError(
            f"{folder / 'config.json'} does not say how many layers the model has."
        ) from None
