"""Ids of chats: long enough that nobody guesses one."""

from __future__ import annotations

import re
import secrets

ID_BYTES = 32
_ID = re.compile(r"[A-Za-z0-9_-]{43}")  # 32 bytes in base64url


def new_id() -> str:
    return secrets.token_urlsafe(ID_BYTES)


def is_id(text: object) -> bool:
    return isinstance(text, str) and _ID.fullmatch(text) is not None
