"""What is left out of a process: parts of packages that are imported and never used here."""

from __future__ import annotations

import contextlib
import ctypes
import importlib.util
import sys
from types import ModuleType
from typing import Any


class _Hollow(ModuleType):
    """A package whose own code runs when something of it is asked for; its modules import freely.

    ``importlib.util.LazyLoader`` runs it as soon as a module of it is imported.
    """

    def __getattr__(self, name: str) -> Any:
        module = sys.modules.get(f"{self.__name__}.{name}")  # is being imported just now
        if module is not None:
            return module
        spec = self.__spec__
        if name.startswith("__") or spec is None or spec.loader is None:
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        self.__class__ = ModuleType  # type: ignore[assignment] # what it defines is found from now on
        spec.loader.exec_module(self)
        return getattr(self, name)


def hollow(name: str) -> None:
    """Import modules of a package later on without what its ``__init__`` imports."""
    spec = None if name in sys.modules else importlib.util.find_spec(name)
    if spec is not None:
        module = importlib.util.module_from_spec(spec)
        module.__class__ = _Hollow
        sys.modules[name] = module


class _Absent(ModuleType):
    """Stands for a library, and for whatever is in it, where nobody calls it in earnest.

    Modules that name it in annotations, in defaults or while they are imported can be imported.
    """

    __path__: list[str] = []  # noqa: RUF012 - a package without files

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(f"{self.__name__} is left out of this process")
        return self

    def __call__(self, *arguments: Any, **_: Any) -> Any:
        """As a decorator it leaves what it decorates as it is."""
        return arguments[0] if len(arguments) == 1 and callable(arguments[0]) else self


def leave_out(name: str) -> None:
    """Import what needs a library without it: this process will not call it."""
    sys.modules.setdefault(name, _Absent(name))


def return_memory() -> None:
    """Give what loading has used back to the system: glibc keeps it, in pieces, for later."""
    with contextlib.suppress(AttributeError, OSError):  # another C library
        ctypes.CDLL(None).malloc_trim(0)
