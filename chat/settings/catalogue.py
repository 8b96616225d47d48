"""The model catalogue."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import Field, ValidationError

from chat.settings.mistakes import nearest, sentence
from chat.settings.origin import Layer, read_toml, shown
from chat.settings.schema import PROJECT, FilePath, Section
from farmesh.errors import ConfigError, InvalidSampling
from farmesh.params import SamplingParams

# --- The model catalogue ----------------------------------------------------------------------


class SamplingDefaults(Section):
    """How a model's replies are sampled until a person chooses otherwise."""

    max_new_tokens: int = 256
    temperature: float = 0.7
    top_p: float = 0.95
    top_k: int = 0
    min_p: float = 0.0
    repetition_penalty: float = 1.0
    stop: tuple[str, ...] = ()

    def params(self) -> SamplingParams:
        """The same values as the engine takes them."""
        return SamplingParams(**self.model_dump())


class ModelEntry(Section):
    """One model of the catalogue."""

    id: str
    name: str  # shown to people
    description: str = ""  # one sentence, shown beside the name
    licence: str  # SPDX identifier or the licence's name
    checkpoint: str  # folder with config.json and safetensors, GGUF file, or name on the hub
    revision: str | None = None  # branch, tag or commit on the hub; None: its main branch
    dht_prefix: Annotated[str, Field(pattern=r"^[^. ]+$")] | None = None  # None: from the name
    context: int = Field(ge=16)  # tokens a chat may hold, prompt and replies together
    chat_template: FilePath | None = None  # Jinja file; None: the checkpoint's own
    adapter: str | None = None  # LoRA that the nodes apply: folder, or its name in the swarm
    sampling: SamplingDefaults = SamplingDefaults()

    @property
    def checkpoint_path(self) -> Path | str:
        """The folder or file when there is one, relative to the project; else the name as it is."""
        return _folder_or_name(self.checkpoint)

    @property
    def adapter_path(self) -> Path | str | None:
        """The same of the adapter."""
        return _folder_or_name(self.adapter) if self.adapter else None


def _folder_or_name(text: str) -> Path | str:
    path = PROJECT / Path(text).expanduser()
    is_file = path.suffix == ".gguf" and ":" not in text
    return path if path.is_dir() or is_file or text[:1] in "./~" else text


@dataclass(frozen=True, slots=True)
class Catalogue:
    """The models that the page offers, in the file's order."""

    path: Path
    models: tuple[ModelEntry, ...]

    def __getitem__(self, model_id: str) -> ModelEntry:
        """
        Raises:
            ConfigError: the catalogue has no such model.
        """
        for model in self.models:
            if model.id == model_id:
                return model
        known = [model.id for model in self.models]
        raise ConfigError(
            f"There is no model {model_id!r} in {shown(self.path)}{nearest(model_id, known)} "
            f"It has: {', '.join(known)}."
        )


def load_catalogue(path: Path) -> Catalogue:
    """Read a catalogue: one table per model, its name is the model's id.

    Raises:
        ConfigError: the file cannot be read, or something in it is wrong.
    """
    layer = Layer(shown(path), read_toml(path))
    models = []
    for model_id, table in layer.values.items():
        if not isinstance(table, Mapping):
            raise ConfigError(
                f"{layer.name}: {model_id!r} stands outside of a model's table; "
                f"a model starts with a line like [guide]."
            )
        try:
            entry = ModelEntry.model_validate({"id": model_id, **table})
            entry.sampling.params()
        except ValidationError as error:
            raise ConfigError(sentence(error, ModelEntry, [layer], (model_id,))) from None
        except InvalidSampling as error:
            raise ConfigError(f"{layer.name}: in {model_id}.sampling, {error}") from None
        models.append(entry)
    if not models:
        raise ConfigError(f"{layer.name} describes no model; docs/configuration.md shows how.")
    return Catalogue(path, tuple(models))
