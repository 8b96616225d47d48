"""A public link through Gradio's tunnel."""

from __future__ import annotations

import asyncio
import secrets
import subprocess

from gradio.exceptions import ShareCertificateWriteError
from gradio.networking import setup_tunnel
from gradio.tunneling import CURRENT_TUNNELS

from chat.errors import ChatError


async def share(host: str, port: int, address: str) -> str:
    """The public address of the page.

    Args:
        address: where the page is in any case, for the sentence that says so.

    Raises:
        ChatError: no link can be had; the text says so plainly.
    """
    try:
        return await asyncio.to_thread(
            setup_tunnel, host, port, secrets.token_urlsafe(32), None, None
        )
    except ShareCertificateWriteError as error:
        raise ChatError(
            "No public link can be had: Gradio has to write a certificate into the current "
            f"folder, which it cannot. The page is at {address} all the same."
        ) from error
    except Exception as error:  # a download, a certificate, a subprocess: all end in the same way
        raise ChatError(
            "No public link can be had at present: Gradio's link server could not be reached. "
            f"The page is at {address} all the same."
        ) from error


def end() -> None:
    """Take the link back with the app's other scopes; Gradio would at the interpreter's exit."""
    for tunnel in CURRENT_TUNNELS:
        process: subprocess.Popen[bytes] | None = tunnel.proc  # typed as never there
        if process is not None:
            process.terminate()
            tunnel.proc = None
    CURRENT_TUNNELS.clear()
