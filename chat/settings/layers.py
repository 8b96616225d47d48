"""The app's settings: frozen values merged from a file, the environment and flags.

Layers, the later one wins::

    the defaults below
    a TOML file               --config, else FARMESH_CHAT_CONFIG, else configs/space.toml on a
                              Space, else configs/default.toml
    Gradio's own variables    GRADIO_SERVER_NAME, GRADIO_SERVER_PORT, GRADIO_ROOT_PATH, GRADIO_SHARE
    FARMESH_CHAT_*            FARMESH_CHAT_<SECTION>_<KEY>, e.g. FARMESH_CHAT_SERVER_PORT=8000
    flags of app.py           --port 8000

Every layer remembers its own name, so that a message can say where a wrong value stands. The
descriptions below are the only ones: configs/default.toml and docs/configuration.md are made from
them (``python -m scripts.check_docs --write``).
"""

from __future__ import annotations

import argparse
import difflib
import os
import sys
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, NoReturn

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
)

from farmesh.core import SamplingParams
from farmesh.errors import ConfigError, InvalidSampling

PROJECT = Path(__file__).resolve().parents[2]  # relative paths in settings start here
DEFAULT_FILE = PROJECT / "configs" / "default.toml"
SPACE_FILE = PROJECT / "configs" / "space.toml"
PREFIX = "FARMESH_CHAT_"
CONFIG_VARIABLE = "FARMESH_CHAT_CONFIG"

GRADIO_VARIABLES = {
    "GRADIO_SERVER_NAME": ("server", "host"),
    "GRADIO_SERVER_PORT": ("server", "port"),
    "GRADIO_ROOT_PATH": ("server", "root_path"),
    "GRADIO_SHARE": ("server", "share"),
}


def _split(value: object) -> object:
    """Let a list be written as one string, as in an environment variable."""
    return value.replace(",", " ").split() if isinstance(value, str) else value


def _absolute(value: object) -> object:
    """Read a path the one way that settings have: from the project's folder, ``~`` expanded."""
    if isinstance(value, str | Path) and str(value):
        return PROJECT / Path(value).expanduser()
    return value


Words = Annotated[tuple[str, ...], BeforeValidator(_split)]
FilePath = Annotated[Path, BeforeValidator(_absolute)]
Address = Annotated[str, Field(pattern=r"^/.+/p2p/\w+$")]
# Where a FarMesh Chat is: no name or password in it, and no /v1 at its end.
AppUrl = Annotated[
    str,
    Field(pattern=r"^(https?://[\w.\-\[\]:]+(/[\w.\-~/%]*)?)?$"),
    AfterValidator(lambda url: url.rstrip("/").removesuffix("/v1").rstrip("/")),
]


class Section(BaseModel):
    """A table of the settings file: frozen, and no key that it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)


class ServerSettings(Section):
    """Where the page is served."""

    host: str = Field("127.0.0.1", description="address to listen on; 0.0.0.0 means every one")
    port: int = Field(7860, ge=1, le=65535, description="TCP port to listen on")
    root_path: str = Field("", description="path under which a proxy serves the page, e.g. /chat")
    open_browser: bool = Field(True, description="open the page in the default browser at start")
    share: bool = Field(False, description="ask Gradio for a public link at start")
    share_password: bool = Field(
        True,
        description="with a public link and nobody signing in: ask for access.password, which is "
        "made up and printed when there is none",
    )
    allowed_hosts: Words = Field(
        (),
        description="names that the app may be called by, e.g. chat.example.org; * for any "
        "(empty: this machine's own)",
    )
    proxies: int = Field(
        0,
        ge=0,
        le=10,
        description="reverse proxies in front, whose X-Forwarded-For and -Host are believed",
    )
    mcp: bool = Field(
        False,
        description="offer the MCP tool ask at /gradio_api/mcp (needs requirements-mcp.txt)",
    )


class AccessSettings(Section):
    """Who may come in."""

    sign_in: Literal["off", "shared", "password", "huggingface"] = Field(
        "off",
        description="off: everybody who reaches the port; shared: everybody with access.password; "
        "password: users of access.file; huggingface: accounts there",
    )
    password: SecretStr = Field(
        SecretStr(""), description="the one password of sign_in = shared; better not in a file"
    )
    api_keys: bool = Field(
        False, description="programs need a key, at /v1, /mesh and /metrics (with sign_in always)"
    )
    file: FilePath = Field(
        Path(".state/access.json"),
        description="users and keys, as hashes; python -m chat.accounts fills it",
    )
    huggingface_users: Words = Field(
        (), description="Hugging Face accounts that may sign in; empty for every one"
    )
    days: float = Field(30.0, gt=0, description="days until one has to sign in again")


class SwarmSettings(Section):
    """Who serves the model's blocks."""

    mode: Literal["embedded", "join", "gateway"] = Field(
        "embedded",
        description="embedded: own nodes on this machine; join: the swarm at peers; gateway: "
        "another FarMesh Chat, at gateway_url, whose swarm it uses",
    )
    peers: Annotated[tuple[Address, ...], BeforeValidator(_split)] = Field(
        (), description="bootstrap addresses of the swarm to join, /ip4/.../tcp/.../p2p/..."
    )
    gateway_url: AppUrl = Field(
        "", description="gateway: where the other app is, e.g. https://chat.example.org"
    )
    gateway_key: SecretStr = Field(
        SecretStr(""), description="gateway: key for programs that the other app gave out"
    )
    host: str = Field(
        "127.0.0.1",
        description="embedded: address the nodes listen on; 0.0.0.0 lets other machines join",
    )
    nodes: int = Field(2, ge=1, le=64, description="embedded: node processes to start")
    threads: int = Field(
        0, ge=0, le=1024, description="embedded: torch threads per node; 0 shares out the cores"
    )
    cache_tokens: int = Field(
        16384, ge=64, description="embedded: tokens of context a node keeps for all chats together"
    )
    state_dir: FilePath = Field(
        Path(".state"), description="folder for the embedded nodes' identities and logs"
    )


class ChatSettings(Section):
    """What people may do, and how long the app keeps things for them."""

    system_prompt: str = Field("", description="text put before every new chat; empty for none")
    max_chats: int = Field(200, ge=1, description="chats kept at once; the longest idle one goes")
    idle_minutes: float = Field(
        30.0, gt=0, description="minutes without a message until a chat's KV caches are given back"
    )
    grace_seconds: float = Field(
        90.0, ge=0, description="seconds a chat waits for its tab to come back after a reload"
    )
    turns_per_minute: int = Field(20, ge=1, description="messages one person may send per minute")
    running_turns_per_person: int = Field(
        2, ge=1, description="replies that one person may have running at once"
    )
    people_per_address: int = Field(
        5,
        ge=1,
        description="strangers with one address may together send, and have running, as much as "
        "so many people",
    )
    running_turns: int = Field(
        16, ge=1, description="replies running at once over all chats; more wait in line"
    )
    waiting_turns: int = Field(
        64, ge=0, description="messages that may wait in line; more are turned away with a sentence"
    )
    max_message_chars: int = Field(20_000, ge=1, description="longest message, in characters")
    api_sessions: int = Field(
        32, ge=0, description="idle sessions kept for programs, whose next request goes on there"
    )
    likes_file: str = Field(
        "",
        description="file for likes and dislikes, with the reply and the message, as JSON lines; "
        "empty: the page has no such buttons",
    )
    conversations_file: FilePath = Field(
        Path(".state/conversations.sqlite"),
        description="file for conversations of people who sign in; others' stay in the browser",
    )
    updates_per_second: float = Field(
        25.0, gt=0, le=120, description="times per second that a growing reply is drawn, at most"
    )


class ModelSettings(Section):
    """Which model the page offers."""

    default: str = Field(
        "guide",
        min_length=1,
        description="id of a model in the catalogue; with a gateway, of one of the other app's",
    )
    catalogue: FilePath = Field(
        Path("configs/models.toml"), description="file that describes the models"
    )


class LoggingSettings(Section):
    """What the app writes to its own log; text of chats is never logged."""

    level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="least severe messages shown: debug, info, warning or error"
    )
    format: Literal["text", "json"] = Field(
        "text", description="text for people; json: one object per line, every reply among them"
    )


class Settings(Section):
    """Everything that can be set; one field per section of the file."""

    server: ServerSettings = ServerSettings()
    access: AccessSettings = AccessSettings()
    swarm: SwarmSettings = SwarmSettings()
    chat: ChatSettings = ChatSettings()
    models: ModelSettings = ModelSettings()
    logging: LoggingSettings = LoggingSettings()


SECRETS = ("password", "gateway_key")  # settings whose values are never shown


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
    checkpoint: str  # folder with config.json and safetensors; else a name on the hub
    revision: str | None = None  # branch, tag or commit on the hub; None: its main branch
    dht_prefix: Annotated[str, Field(pattern=r"^[^. ]+$")] | None = None  # None: from the name
    context: int = Field(ge=16)  # tokens a chat may hold, prompt and replies together
    chat_template: FilePath | None = None  # Jinja file; None: the checkpoint's own
    adapter: str | None = None  # LoRA that the nodes apply: folder, or its name in the swarm
    sampling: SamplingDefaults = SamplingDefaults()

    @property
    def checkpoint_path(self) -> Path | str:
        """The folder when there is one, relative to the project; else the name as it is."""
        return _folder_or_name(self.checkpoint)

    @property
    def adapter_path(self) -> Path | str | None:
        """The same of the adapter."""
        return _folder_or_name(self.adapter) if self.adapter else None


def _folder_or_name(text: str) -> Path | str:
    folder = PROJECT / Path(text).expanduser()
    return folder if folder.is_dir() or text[:1] in "./~" else text


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
            f"There is no model {model_id!r} in {_shown(self.path)}{_nearest(model_id, known)} "
            f"It has: {', '.join(known)}."
        )


def load_catalogue(path: Path) -> Catalogue:
    """Read a catalogue: one table per model, its name is the model's id.

    Raises:
        ConfigError: the file cannot be read, or something in it is wrong.
    """
    layer = Layer(_shown(path), _read_toml(path))
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
            raise ConfigError(_sentence(error, ModelEntry, [layer], (model_id,))) from None
        except InvalidSampling as error:
            raise ConfigError(f"{layer.name}: in {model_id}.sampling, {error}") from None
        models.append(entry)
    if not models:
        raise ConfigError(f"{layer.name} describes no model; docs/configuration.md shows how.")
    return Catalogue(path, tuple(models))


# --- Layers -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Layer:
    """Values from one place, nested like the file; ``origins`` names single values' places."""

    name: str
    values: Mapping[str, Any]
    origins: Mapping[tuple[str, ...], str] | None = None

    def has(self, path: tuple[str, ...]) -> bool:
        return self.get(path) is not None

    def get(self, path: tuple[str, ...]) -> Any:
        """What this layer sets there; None when it says nothing."""
        values: Any = self.values
        for key in path:
            if not isinstance(values, Mapping) or key not in values:
                return None
            values = values[key]
        return values

    def origin(self, path: tuple[str, ...]) -> str:
        return (self.origins or {}).get(path[:2], self.name)


def load_settings(flags: Layer, environ: Mapping[str, str], config: Path | None = None) -> Settings:
    """Merge all layers.

    Raises:
        ConfigError: a value or a key is wrong; the message says which, where, and what would do.
    """
    path = config or _default_file(environ)
    layers = [
        Layer(_shown(path), _read_toml(path)),
        _gradio_layer(environ),
        _environment_layer(environ),
        flags,
    ]
    merged: dict[str, Any] = {}
    for layer in layers:
        for section, values in layer.values.items():
            known = merged.get(section)
            if isinstance(known, Mapping) and isinstance(values, Mapping):
                values = {**known, **values}
            merged[section] = values
        for named, choice, value in _IMPLIED:
            if layer.get(named) and not layer.has(choice):
                merged[choice[0]][choice[1]] = value
    try:
        settings = Settings.model_validate(merged)
    except ValidationError as error:
        raise ConfigError(_sentence(error, Settings, layers)) from None
    _check_together(settings)
    return settings


# Naming one says the other, unless the same place says otherwise.
_IMPLIED = (
    (("swarm", "peers"), ("swarm", "mode"), "join"),
    (("swarm", "gateway_url"), ("swarm", "mode"), "gateway"),
    (("access", "password"), ("access", "sign_in"), "shared"),
)


def _check_together(settings: Settings) -> None:
    """
    Raises:
        ConfigError: settings that are right one by one do not go together.
    """
    swarm, access = settings.swarm, settings.access
    if swarm.mode == "join" and not swarm.peers:
        raise ConfigError(
            'swarm.mode is "join", but swarm.peers names nobody to join: give the address of a '
            "bootstrap peer with --peers, or leave the mode at embedded."
        )
    if swarm.mode == "gateway" and not swarm.gateway_url:
        raise ConfigError(
            'swarm.mode is "gateway", but swarm.gateway_url names no other app: give its address '
            "with --gateway, or leave the mode at embedded."
        )
    if access.sign_in == "shared" and not access.password.get_secret_value():
        raise ConfigError(
            'access.sign_in is "shared", but access.password is empty: set '
            "FARMESH_CHAT_ACCESS_PASSWORD."
        )


def _default_file(environ: Mapping[str, str]) -> Path:
    if named := environ.get(CONFIG_VARIABLE):
        return PROJECT / Path(named).expanduser()
    return SPACE_FILE if environ.get("SPACE_ID") else DEFAULT_FILE


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(f"There is no settings file {_shown(path)}.") from None
    except OSError as error:
        raise ConfigError(f"{_shown(path)} cannot be read: {error.strerror}.") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{_shown(path)} is not a text file in UTF-8.") from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{_shown(path)} is not valid TOML: {error}.") from None


def variables() -> dict[str, tuple[str, str]]:
    """Every environment variable of the app and the setting that it stands for."""
    return {
        f"{PREFIX}{section}_{key}".upper(): (section, key)
        for section, field in Settings.model_fields.items()
        for key in _fields(field.annotation)
    }


def _environment_layer(environ: Mapping[str, str]) -> Layer:
    known = variables()
    for name in environ:
        if name.startswith(PREFIX) and name not in known and name != CONFIG_VARIABLE:
            raise ConfigError(
                f"The environment variable {name} stands for no setting"
                f"{_nearest(name, [*known, CONFIG_VARIABLE])}"
            )
    return _layer_of_variables(environ, known)


def _gradio_layer(environ: Mapping[str, str]) -> Layer:
    return _layer_of_variables(environ, GRADIO_VARIABLES)


def _layer_of_variables(environ: Mapping[str, str], known: Mapping[str, tuple[str, str]]) -> Layer:
    values: dict[str, dict[str, str]] = {}
    origins: dict[tuple[str, ...], str] = {}
    for name, (section, key) in known.items():
        if environ.get(name):  # an empty variable sets nothing
            values.setdefault(section, {})[key] = environ[name]
            origins[section, key] = f"the environment variable {name}"
    return Layer("the environment", values, origins)


# --- One sentence for what is wrong -----------------------------------------------------------


def _sentence(
    error: ValidationError,
    model: type[BaseModel],
    layers: Sequence[Layer],
    prefix: tuple[str, ...] = (),
) -> str:
    first = error.errors(include_url=False)[0]
    inner = tuple(str(part) for part in first["loc"] if not isinstance(part, int))
    path = (*prefix, *inner)
    dotted = ".".join(path)
    layer = next((layer for layer in reversed(layers) if layer.has(path)), layers[0])
    origin = layer.origin(path)
    if first["type"] == "extra_forbidden":
        known = sorted(_fields(_model_at(model, inner[:-1])))
        kind = "section" if len(path) == 1 and not prefix else "setting"
        return f"{origin}: there is no {kind} {dotted}{_nearest(path[-1], known)}"
    if first["type"].startswith("model"):
        return f"{origin}: {dotted} must be a table; it starts with a line like [{dotted}]."
    if first["type"] == "missing":
        return f"{origin}: {dotted} is missing."
    if path[-1] == "peers":
        return (
            f"{origin}: {first['input']!r} is not the address of a peer; "
            f"one looks like /ip4/10.0.0.5/tcp/31337/p2p/Qm...."
        )
    if path[-1] == "gateway_url":
        return (
            f"{origin}: {first['input']!r} is not the address of a FarMesh Chat; "
            f"one looks like https://chat.example.org."
        )
    if path[-1] in SECRETS:
        return f"{origin}: {dotted} must be a text."
    reason = first["msg"].removeprefix("Value error, ").replace("Input should", "should")
    return f"{origin}: {dotted} is {first['input']!r}, but {reason[0].lower()}{reason[1:]}."


def _nearest(name: str, known: Iterable[str]) -> str:
    """``"; did you mean …?"`` or a full stop."""
    match = difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)
    return f"; did you mean {match[0]}?" if match else "."


def _model_at(model: type[BaseModel], path: tuple[str, ...]) -> object:
    at: object = model
    for key in path:
        at = _fields(at)[key].annotation
    return at


def _fields(annotation: object) -> Mapping[str, Any]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation.model_fields
    return {}


def _shown(path: Path) -> str:
    """A path as a person would write it: short inside the project or the current folder."""
    for base in (PROJECT, Path.cwd()):
        if path.is_relative_to(base):
            return str(path.relative_to(base))
    return str(path)


# --- The command line of app.py ---------------------------------------------------------------


def command_line() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python app.py",
        description=(
            "Chat in the browser with a model whose layers are spread over several nodes. Without "
            "any flag it starts two nodes on this machine that serve the small bundled model, and "
            "opens the page; nothing leaves the machine."
        ),
        epilog=(
            "Everything else is set in the settings file; configs/default.toml lists and explains "
            "every setting. Each can also be given as an environment variable, e.g. "
            "FARMESH_CHAT_CHAT_IDLE_MINUTES=10. To serve blocks to others: python -m farmesh --help"
        ),
    )
    parser.add_argument(
        "--config",
        metavar="FILE",
        type=Path,
        help="settings file to use instead of configs/default.toml; needs only what it changes",
    )
    parser.add_argument(
        "--host", metavar="ADDRESS", help="address to listen on, 0.0.0.0 for every one (127.0.0.1)"
    )
    parser.add_argument("--port", metavar="PORT", help="TCP port to listen on (7860)")
    parser.add_argument(
        "--model", metavar="NAME", help="model to chat with, by its name in configs/models.toml"
    )
    parser.add_argument(
        "--peers",
        metavar="ADDR",
        nargs="+",
        help="join the swarm of these bootstrap peers instead of starting nodes on this machine",
    )
    parser.add_argument(
        "--gateway",
        dest="gateway_url",
        metavar="URL",
        help="use another FarMesh Chat and its swarm instead; its key for programs goes into the "
        "environment variable FARMESH_CHAT_SWARM_GATEWAY_KEY",
    )
    parser.add_argument(
        "--share",
        action="store_true",
        default=None,
        help="ask Gradio for a public link, so that others can reach this page for up to a week; "
        "they need a password, which is printed",
    )
    parser.add_argument(
        "--no-password",
        dest="share_password",
        action="store_false",
        default=None,
        help="let everybody who has the public link in, without a password",
    )
    parser.add_argument(
        "--no-browser",
        dest="open_browser",
        action="store_false",
        default=None,
        help="do not open the page in a browser",
    )
    return parser


# flag (and its name in argparse): the setting it stands for
_FLAGS = {
    ("--host", "host"): ("server", "host"),
    ("--port", "port"): ("server", "port"),
    ("--share", "share"): ("server", "share"),
    ("--no-password", "share_password"): ("server", "share_password"),
    ("--no-browser", "open_browser"): ("server", "open_browser"),
    ("--model", "model"): ("models", "default"),
    ("--peers", "peers"): ("swarm", "peers"),
    ("--gateway", "gateway_url"): ("swarm", "gateway_url"),
}


def _flag_layer(arguments: argparse.Namespace) -> Layer:
    values: dict[str, dict[str, Any]] = {}
    origins: dict[tuple[str, ...], str] = {}
    for (flag, name), (section, key) in _FLAGS.items():
        value = getattr(arguments, name)
        if value is not None:
            values.setdefault(section, {})[key] = value
            origins[section, key] = f"the flag {flag}"
    return Layer("the command line", values, origins)


def settings_from_command_line(
    argv: Sequence[str] | None = None, environ: Mapping[str, str] = os.environ
) -> tuple[Settings, Catalogue]:
    """Read flags, environment, settings file and catalogue; a mistake ends the process with 2."""
    arguments = command_line().parse_args(argv)
    config = arguments.config.expanduser().absolute() if arguments.config else None
    try:
        settings = load_settings(_flag_layer(arguments), environ, config)
        catalogue = load_catalogue(settings.models.catalogue)
        if settings.swarm.mode != "gateway":  # else the other app's models count
            catalogue[settings.models.default]
    except ConfigError as error:
        _exit(error)
    return settings, catalogue


def settings_from_environment(environ: Mapping[str, str] = os.environ) -> Settings:
    """The settings without flags, for commands beside the app.

    Raises:
        ConfigError: something in them is wrong.
    """
    return load_settings(Layer("the command line", {}), environ)


def _exit(error: ConfigError) -> NoReturn:
    print(error, file=sys.stderr)  # noqa: T201
    raise SystemExit(2) from None
