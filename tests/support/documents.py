"""What commands in documents stand for, and what refuses them."""

from __future__ import annotations

import argparse
import contextlib
import importlib
import importlib.util
import io
import sys

import pytest

from tests.support.paths import PROJECT

PEER = "/ip4/127.0.0.1/tcp/9/p2p/QmPgiDQKDHEJm7z6ruw2Sbb1jg1oCmSs86cRmtHB7L2PgJ"

STAND_INS = {
    "ADDRESS": PEER,
    "CHECKPOINT": "models/guide",
    "FOLDER": "models/guide",
    "FILE": "configs/default.toml",
    "NAME": "guide",
    "TEXT": "Hello",
}


class _Parsed(Exception):
    """The program has read its arguments, and would begin."""


def refused(module: str, words: list[str]) -> str:
    """What the program itself says of its arguments."""
    folder = PROJECT.joinpath(*module.split("."))
    name = f"{module}.__main__" if folder.is_dir() else module
    words = [STAND_INS.get(word, word) for word in words]
    real = argparse.ArgumentParser.parse_args

    def parse_args(self: argparse.ArgumentParser, *given: object) -> None:
        real(self, *given)  # type: ignore[call-overload]
        raise _Parsed

    said = io.StringIO()
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stderr(said):
        patch.setattr(argparse.ArgumentParser, "parse_args", parse_args)
        patch.setattr(sys, "argv", [module, *words])
        try:
            importlib.import_module(name).main()
        except _Parsed:
            return ""
        except ImportError as error:
            return str(error)
        except SystemExit as ended:
            return "" if ended.code in (0, None) else said.getvalue() or str(ended.code)
    return f"{module} reads no arguments"
