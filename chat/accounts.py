"""``python -m chat.accounts``: users and keys of the accounts file, from a terminal."""

from __future__ import annotations

import argparse
import getpass
import secrets
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from pydantic import ValidationError

from chat.access.accounts import (
    KEY_PREFIX,
    MIN_PASSWORD,
    USER_NAME,
    AccountFile,
    Key,
    hash_key,
    hash_password,
    read,
    write,
)
from chat.settings.command_line import settings_from_environment
from farmesh.errors import ConfigError

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
    if not USER_NAME.fullmatch(name):
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
