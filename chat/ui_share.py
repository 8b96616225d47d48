"""A public link through Gradio's tunnel."""

from __future__ import annotations

import asyncio
import secrets

from gradio.networking import setup_tunnel

from chat.words import ChatError


async def share(host: str, port: int) -> str:
    """The public address of the page.

    Raises:
        ChatError: no link can be had; the text says so plainly.
    """
    try:
        return await asyncio.to_thread(
            setup_tunnel, host, port, secrets.token_urlsafe(32), None, None
        )
    except Exception as error:  # a download, a certificate, a subprocess: all end in the same way
        raise ChatError(
            "No public link can be had at present: Gradio's link server could not be reached. "
            "The page works on this machine all the same."
        ) from error
