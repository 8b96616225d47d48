"""Where the app keeps things between starts: where it can write, else nowhere, and says so.

A checkout may be read-only, as in a container or on a Space. What the settings name by themselves
has to work, or the app does not start; only the places that nobody chose are given up.
"""

from __future__ import annotations

import logging
import tempfile
from contextlib import AsyncExitStack
from pathlib import Path

from chat.kept.archive import Archive
from chat.settings.schema import ChatSettings, Settings, SwarmSettings
from farmesh.errors import ConfigError

log = logging.getLogger(__name__)

USUAL_FOLDER = SwarmSettings().state_dir
USUAL_ARCHIVE = ChatSettings().conversations_file


def writable(folder: Path) -> bool:
    """Whether files can be made there; the folder is made when it is missing."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False


def with_folder(settings: Settings, scope: AsyncExitStack) -> Settings:
    """The settings with a state folder that can be used, for as long as the scope."""
    swarm = settings.swarm
    chosen = swarm.state_dir != USUAL_FOLDER
    if swarm.mode != "embedded" or chosen or writable(swarm.state_dir):
        return settings
    folder = scope.enter_context(tempfile.TemporaryDirectory(prefix="farmesh-chat-"))
    log.warning(
        "%s cannot be written: the nodes' identities and logs go to %s and are gone when this "
        "app ends. swarm.state_dir names a place that stays.",
        *(swarm.state_dir, folder),
    )
    elsewhere = swarm.model_copy(update={"state_dir": Path(folder)})
    return settings.model_copy(update={"swarm": elsewhere})


def archive(chat: ChatSettings) -> Archive | None:
    """The conversations of people who sign in; None when their browsers have to keep them.

    Raises:
        ConfigError: the file that the settings name cannot be used.
    """
    try:
        return Archive(chat.conversations_file)
    except ConfigError:
        if chat.conversations_file != USUAL_ARCHIVE:
            raise
    log.warning(
        "%s cannot be written: conversations stay in people's browsers. chat.conversations_file "
        "names a place for them.",
        chat.conversations_file,
    )
    return None
