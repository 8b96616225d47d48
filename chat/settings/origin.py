"""One place that settings come from, and what it says."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chat.settings.schema import PROJECT
from farmesh.errors import ConfigError


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


def read_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(f"There is no settings file {shown(path)}.") from None
    except OSError as error:
        raise ConfigError(f"{shown(path)} cannot be read: {error.strerror}.") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{shown(path)} is not a text file in UTF-8.") from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{shown(path)} is not valid TOML: {error}.") from None


def shown(path: Path) -> str:
    """A path as a person would write it: short inside the project or the current folder."""
    for base in (PROJECT, Path.cwd()):
        if path.is_relative_to(base):
            return str(path.relative_to(base))
    return str(path)
