"""Who may come in: users with passwords, and keys for programs, in one file of hashes.

``python -m chat.accounts add-user NAME`` and ``add-key NAME`` fill it; nothing that is in it opens
anything by itself. The app reads it again when it changes.
"""

from __future__ import annotations

import argparse
import base64
import getpass
import hashlib
import os
import re
import secrets
import sys
import tempfile
from collections.abc import Callable, Sequence
from hmac import compare_digest
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from chat.settings.layers import settings_from_environment
from farmesh.errors import ConfigError

# OWASP's parameters for scrypt: 32 MiB and some tenths of a second for each guess.
COST, BLOCK, PARALLEL = 2**15, 8, 1
MEMORY = 128 * BLOCK * (COST + 64)  # bytes
KEY_PREFIX = "fm-"
MIN_PASSWORD = 10  # characters
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}")


class Key(BaseModel):
    """A program's key: only its hash, whose it is, and limits of its own."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    sha256: str
    user: str | None = None  # counts and is limited together with this user's page
    per_minute: int | None = Field(None, ge=1)  # requests
    at_once: int | None = Field(None, ge=1)  # replies that may run


class AccountFile(BaseModel):
    """What the file holds."""

    model_config = ConfigDict(extra="forbid")

    secret: str  # signs sessions and derives people's ids; a new one signs everybody out
    users: dict[str, str] = {}  # name: scrypt hash of the password
    keys: dict[str, Key] = {}  # by a name of the operator's choice


class Accounts:
    """The file, read again when it changes."""

    def __init__(self, path: Path) -> None:
        """
        Raises:
            ConfigError: the file cannot be read.
        """
        self._path = path
        self._stamp: tuple[int, int] | None = None
        self._file = self._read()

    def __repr__(self) -> str:
        return f"<Accounts {len(self._file.users)} users, {len(self._file.keys)} keys>"

    @property
    def now(self) -> AccountFile:
        """What the file holds now; a file that has become unreadable changes nothing."""
        try:
            if self._stamp_now() != self._stamp:
                self._file = self._read()
        except (OSError, ConfigError):
            pass
        return self._file

    def _stamp_now(self) -> tuple[int, int]:
        stat = self._path.stat()
        return stat.st_mtime_ns, stat.st_size

    def _read(self) -> AccountFile:
        try:
            stamp = self._stamp_now()
            found = read(self._path)
        except FileNotFoundError:
            raise ConfigError(
                f"There is no access file {self._path}; make one with "
                f"python -m chat.accounts add-user NAME."
            ) from None
        self._stamp = stamp
        return found


def password_is_right(file: AccountFile, name: str, password: str) -> bool:
    """Slow on purpose, and as slow for a name that nobody has: call it in a thread."""
    stored = file.users.get(name)
    right = matches(password, stored or NOBODY)
    return right and stored is not None


def key_of(file: AccountFile, token: str) -> tuple[str, Key] | None:
    """The key with this secret, and its name; every key is looked at, so time tells nothing."""
    digest = hash_key(token)
    found = None
    for name, key in file.keys.items():
        if compare_digest(digest, key.sha256):
            found = name, key
    return found


# --- hashes -------------------------------------------------------------------------------------


def hash_password(password: str) -> str:
    """``scrypt:cost:block:parallel:salt:hash``"""
    salt = secrets.token_bytes(16)
    parts = [_scrypt(password, salt, COST, BLOCK, PARALLEL), salt]
    made, kept = (base64.b64encode(part).decode() for part in parts)
    return f"scrypt:{COST}:{BLOCK}:{PARALLEL}:{kept}:{made}"


def matches(password: str, stored: str) -> bool:
    try:
        _, cost, block, parallel, salt, made = stored.split(":")
        numbers = int(cost), int(block), int(parallel)
        wanted = base64.b64decode(made)
        got = _scrypt(password, base64.b64decode(salt), *numbers)
    except ValueError:
        return False
    return compare_digest(got, wanted)


def hash_key(token: str) -> str:
    """Keys are 256 random bits: a fast hash of them cannot be guessed back."""
    return hashlib.sha256(token.encode()).hexdigest()


def _scrypt(password: str, salt: bytes, cost: int, block: int, parallel: int) -> bytes:
    return hashlib.scrypt(
        password.encode(), salt=salt, n=cost, r=block, p=parallel, maxmem=2 * MEMORY, dklen=32
    )


NOBODY = f"scrypt:{COST}:{BLOCK}:{PARALLEL}:{'A' * 24}:{'A' * 43}="  # takes as long as any other


# --- the file -----------------------------------------------------------------------------------


def read(path: Path) -> AccountFile:
    """
    Raises:
        FileNotFoundError: there is none.
        ConfigError: it cannot be read, or is no access file.
    """
    try:
        return AccountFile.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        raise
    except OSError as error:
        raise ConfigError(f"The access file {path} cannot be read: {error.strerror}.") from None
    except ValidationError:
        raise ConfigError(f"{path} is not an access file of this app.") from None


def write(path: Path, file: AccountFile) -> None:
    """Whole or not at all, and for nobody else's eyes.

    Raises:
        ConfigError: it cannot be written.
    """
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")  # mode 0600
        with os.fdopen(handle, "w", encoding="utf-8") as out:
            out.write(file.model_dump_json(indent=2, exclude_none=True) + "\n")
            out.flush()
            os.fsync(out.fileno())
        Path(name).replace(path)
    except OSError as error:
        raise ConfigError(f"{path} cannot be written: {error.strerror}.") from None


# --- the command line ---------------------------------------------------------------------------


def command_line() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m chat.accounts",
        description=(
            "Users and keys of the app, kept as hashes in one file. A running app notices changes."
        ),
        epilog=(
            "Signing in is switched on with access.sign_in, keys with access.api_keys; see "
            "docs/operations.md."
        ),
    )
    parser.add_argument(
        "--file", type=Path, metavar="FILE", help="the access file (access.file of the settings)"
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    add = commands.add_parser("add-user", help="add a user, or set a new password")
    add.add_argument("name", metavar="NAME")
    add.add_argument(
        "--stdin", action="store_true", help="read the password from the first line of stdin"
    )
    remove = commands.add_parser("remove-user", help="remove a user; signs them out")
    remove.add_argument("name", metavar="NAME")
    key = commands.add_parser("add-key", help="make a key for programs; it is printed once")
    key.add_argument("name", metavar="NAME", help="what to call it, e.g. the program's name")
    key.add_argument("--user", metavar="USER", help="whose it is; limits then count together")
    key.add_argument("--per-minute", type=int, metavar="N", help="requests per minute")
    key.add_argument("--at-once", type=int, metavar="N", help="replies that may run at once")
    unkey = commands.add_parser("remove-key", help="remove a key")
    unkey.add_argument("name", metavar="NAME")
    commands.add_parser("list", help="show users and keys")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    arguments = command_line().parse_args(argv)
    try:
        path = arguments.file or settings_from_environment().access.file
        file = _read_or_new(path, arguments.command)
        changed, sentence = COMMANDS[arguments.command](file, arguments)
        if changed:
            write(path, file)
    except ConfigError as error:
        print(error, file=sys.stderr)  # noqa: T201
        return 2
    print(sentence)  # noqa: T201
    return 0


def _read_or_new(path: Path, command: str) -> AccountFile:
    try:
        return read(path)
    except FileNotFoundError:
        if not command.startswith("add-"):
            raise ConfigError(f"There is no access file {path} yet.") from None
        return AccountFile(secret=secrets.token_urlsafe(32))


Outcome = tuple[bool, str]  # whether the file changed, and what to say


def _add_user(file: AccountFile, arguments: argparse.Namespace) -> Outcome:
    name = _checked(arguments.name)
    password = sys.stdin.readline().rstrip("\n") if arguments.stdin else _ask()
    if len(password) < MIN_PASSWORD:
        raise ConfigError(f"A password needs at least {MIN_PASSWORD} characters.")
    known = name in file.users
    file.users[name] = hash_password(password)
    return True, f"{name} has a new password." if known else f"{name} was added."


def _ask() -> str:
    first = getpass.getpass("Password: ")
    if getpass.getpass("Again: ") != first:
        raise ConfigError("The two passwords differ; nothing was changed.")
    return first


def _remove_user(file: AccountFile, arguments: argparse.Namespace) -> Outcome:
    if file.users.pop(arguments.name, None) is None:
        raise ConfigError(f"There is no user {arguments.name!r}.")
    theirs = [name for name, key in file.keys.items() if key.user == arguments.name]
    for name in theirs:
        del file.keys[name]
    return True, f"{arguments.name} was removed" + (f", with {len(theirs)} keys." * bool(theirs))


def _add_key(file: AccountFile, arguments: argparse.Namespace) -> Outcome:
    name = _checked(arguments.name)
    if name in file.keys:
        raise ConfigError(f"There is a key {name!r} already; remove it first.")
    if arguments.user is not None and arguments.user not in file.users:
        raise ConfigError(f"There is no user {arguments.user!r}.")
    token = KEY_PREFIX + secrets.token_urlsafe(32)
    try:
        file.keys[name] = Key(
            sha256=hash_key(token),
            user=arguments.user,
            per_minute=arguments.per_minute,
            at_once=arguments.at_once,
        )
    except ValidationError:
        raise ConfigError("--per-minute and --at-once are whole numbers from 1 on.") from None
    return True, token


def _remove_key(file: AccountFile, arguments: argparse.Namespace) -> Outcome:
    if file.keys.pop(arguments.name, None) is None:
        raise ConfigError(f"There is no key {arguments.name!r}.")
    return True, f"The key {arguments.name} was removed."


def _list(file: AccountFile, _: argparse.Namespace) -> Outcome:
    lines = [f"user {name}" for name in file.users]
    for name, key in file.keys.items():
        facts = key.model_dump(exclude={"sha256"}, exclude_none=True)
        lines.append(" ".join([f"key {name}", *(f"{k}={v}" for k, v in facts.items())]))
    return False, "\n".join(lines) or "Nobody yet."


def _checked(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise ConfigError("A name has letters, digits and . _ @ -, and begins with one of these.")
    return name


COMMANDS: dict[str, Callable[[AccountFile, argparse.Namespace], Outcome]] = {
    "add-user": _add_user,
    "remove-user": _remove_user,
    "add-key": _add_key,
    "remove-key": _remove_key,
    "list": _list,
}


if __name__ == "__main__":
    raise SystemExit(main())
