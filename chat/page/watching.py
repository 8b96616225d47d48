"""Who draws a page, and when another takes over."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from chat.live.chat import Chat

TAKEOVER = 1.0  # seconds that a watcher waits for the one before it
# A browser has six connections for all tabs together. Tabs beyond these look now and then, which
# the page's script does when it hears that nobody watches its reply.
MAX_STREAMS = 4


@dataclass(eq=False, frozen=True, slots=True)
class Watcher:
    """A stream that draws a chat on a page."""

    chat: Chat
    ended: asyncio.Event = field(default_factory=asyncio.Event)
