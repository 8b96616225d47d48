"""Settings merged from a file, the environment and flags."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from chat.places import on_a_space
from chat.settings.mistakes import fields_of, nearest, sentence
from chat.settings.origin import Layer, read_toml, shown
from chat.settings.schema import PROJECT, Settings
from farmesh.errors import ConfigError

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


# --- Layers -----------------------------------------------------------------------------------


def load_settings(flags: Layer, environ: Mapping[str, str], config: Path | None = None) -> Settings:
    """Merge all layers.

    Raises:
        ConfigError: a value or a key is wrong; the message says which, where, and what would do.
    """
    path = config or _default_file(environ)
    layers = [
        Layer(shown(path), read_toml(path)),
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
        raise ConfigError(sentence(error, Settings, layers)) from None
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
    return SPACE_FILE if on_a_space(environ) else DEFAULT_FILE


def variables() -> dict[str, tuple[str, str]]:
    """Every environment variable of the app and the setting that it stands for."""
    return {
        f"{PREFIX}{section}_{key}".upper(): (section, key)
        for section, field in Settings.model_fields.items()
        for key in fields_of(field.annotation)
    }


def _environment_layer(environ: Mapping[str, str]) -> Layer:
    known = variables()
    for name in environ:
        if name.startswith(PREFIX) and name not in known and name != CONFIG_VARIABLE:
            raise ConfigError(
                f"The environment variable {name} stands for no setting"
                f"{nearest(name, [*known, CONFIG_VARIABLE])}"
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
