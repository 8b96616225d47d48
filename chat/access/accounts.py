"""Users with passwords, and keys for programs, in one file of hashes."""

from __future__ import annotations

import base64
import hashlib
import os
import re
import secrets
import tempfile
from hmac import compare_digest
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from farmesh.errors import ConfigError

# OWASP's parameters for scrypt: 32 MiB and some tenths of a second for each guess.
COST, BLOCK, PARALLEL = 2**15, 8, 1
MEMORY = 128 * BLOCK * (COST + 64)  # bytes
KEY_PREFIX = "fm-"
MIN_PASSWORD = 10  # characters
USER_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}")


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
