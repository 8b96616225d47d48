"""The state folder: a place of its own in it for each running app."""

from __future__ import annotations

import fcntl
from contextlib import ExitStack
from pathlib import Path

from farmesh.errors import ConfigError

_SLOTS = 32  # apps of one user that may share a state folder


def claim_slot(state_dir: Path, scope: ExitStack) -> Path:
    """A folder that no other running app uses: ``swarm-1``, or the next one that is free."""
    for number in range(1, _SLOTS + 1):
        folder = state_dir / f"swarm-{number}"
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            lock = scope.enter_context((folder / "lock").open("w"))
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            continue
        except OSError as error:
            raise ConfigError(
                f"The state folder {state_dir} cannot be used ({error.strerror}); "
                "name another one in swarm.state_dir."
            ) from error
        return folder
    raise ConfigError(f"{_SLOTS} running apps use the state folder {state_dir} already.")
