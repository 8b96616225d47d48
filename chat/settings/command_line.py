"""The app's flags."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

from chat.settings.catalogue import Catalogue, load_catalogue
from chat.settings.layers import load_settings
from chat.settings.origin import Layer
from chat.settings.schema import Settings
from farmesh.errors import ConfigError

# --- The command line of app.py ---------------------------------------------------------------


def command_line() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python app.py",
        description=(
            "Chat in the browser with a model whose layers are spread over several nodes. Without "
            "any flag it starts two nodes on this machine that serve a small model, and opens the "
            "page; nothing that is written there leaves the machine."
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
            first = catalogue[settings.models.default].id
            catalogue = catalogue.only(settings.models.offered, first)
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
