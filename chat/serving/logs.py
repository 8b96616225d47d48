"""The app's own log: lines for people, or one JSON object per line for programs.

No text of a chat is ever logged, in neither form: handlers of requests log types and numbers.
"""

from __future__ import annotations

import contextlib
import json
import logging
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

from chat.settings.schema import LoggingSettings

# Attributes that every record has; what else is on one was given with ``extra``.
_OWN = set(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class JsonLines(logging.Formatter):
    """One object per record: time, level, logger, message, and whatever ``extra`` carried."""

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        line.update({k: v for k, v in vars(record).items() if k not in _OWN})
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False, default=str)


def configure(settings: LoggingSettings) -> None:
    """Set up the root logger."""
    logging.basicConfig(
        level=settings.level.upper(),
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
        force=True,
    )
    logging.getLogger("httpx").setLevel(logging.WARNING)
    if settings.format == "json":
        for handler in logging.getLogger().handlers:
            handler.setFormatter(JsonLines())
    elif settings.level != "debug":  # a line for every reply is for programs
        logging.getLogger("chat.models.ledger").setLevel(logging.WARNING)


@contextlib.contextmanager
def hushing() -> Iterator[Callable[[], None]]:
    """Calling what this gives leaves only what is critical in the log until the scope is left.

    Ctrl-C reaches the children of a terminal too: that connections break then is no news.
    """
    levels: dict[logging.Handler, int] = {}

    def hush() -> None:
        for handler in logging.getLogger().handlers:
            levels.setdefault(handler, handler.level)
            handler.setLevel(logging.CRITICAL)

    try:
        yield hush
    finally:
        for handler, level in levels.items():
            handler.setLevel(level)
