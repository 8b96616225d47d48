"""The text of a file, whatever kind it is."""

from __future__ import annotations

import asyncio
import codecs
import sys
from pathlib import PurePath

from chat.errors import ChatError
from chat.files.extract import CPU_SECONDS
from chat.settings.schema import PROJECT

MAX_BYTES = 8_000_000  # of a file
AT_ONCE = 2  # documents that are read at the same time; the others wait
PATIENCE = 3.0  # times CPU_SECONDS that a reader may take by the clock
KINDS = {".pdf": "pdf", ".docx": "word"}
_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


class Reader:
    """Reads files for everybody of this app."""

    def __init__(self) -> None:
        self._turns = asyncio.Semaphore(AT_ONCE)

    async def text_of(self, name: str, data: bytes) -> str:
        """
        Raises:
            ChatError: there is no text in it that could be read.
        """
        if len(data) > MAX_BYTES:
            raise ChatError(
                f"{name} is too large: at most {MAX_BYTES // 1_000_000} MB can be read."
            )
        kind = KINDS.get(PurePath(name).suffix.lower())
        if kind is None:
            text = await asyncio.to_thread(plain, name, data)
        else:
            async with self._turns:
                text = await _extracted(name, kind, data)
        if not text.strip():
            raise ChatError(f"There is no text in {name}.")
        return text


def plain(name: str, data: bytes) -> str:
    """
    Raises:
        ChatError: it is no text.
    """
    named = next((codec for mark, codec in _MARKS if data.startswith(mark)), "utf-8")
    try:
        text = data.decode(named)
    except UnicodeDecodeError:
        text = data.decode("cp1252", "replace")  # what older editors write
    if "\0" in text:
        raise ChatError(f"{name} is no text; text, PDF and Word files can be read.")
    return text.replace("\r\n", "\n")


async def _extracted(name: str, kind: str, data: bytes) -> str:
    """
    Raises:
        ChatError: the document is broken or locked, or takes too long.
    """
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "chat.files.extract", kind),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        cwd=PROJECT,
        env={"OMP_NUM_THREADS": "1"},
    )
    try:
        async with asyncio.timeout(PATIENCE * CPU_SECONDS):
            text, _ = await process.communicate(data)
    except TimeoutError:
        raise ChatError(f"{name} takes too long to read.") from None
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode:
        raise ChatError(f"{name} cannot be read: it is broken, or locked with a password.")
    return text.decode()
