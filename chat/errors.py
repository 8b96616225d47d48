"""What a person asked for and cannot be done, and the way forward."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from farmesh.errors import FarMeshError, SwarmError


class ChatError(FarMeshError):
    """Something that a person asked for cannot be done; the text is the sentence they read."""


class Forward(Enum):
    """What a person can do next."""

    RETRY = "retry"  # ask for the same reply again
    EDIT = "edit"  # change the message or a setting first
    WAIT = "wait"  # nothing but time helps


class GatewayFailure(SwarmError):
    """Another FarMesh Chat, in whose swarm the replies are made, cannot or will not.

    Args:
        text: the sentence that people read.
        short: the same for the line that says how the swarm is.
        code: what the other app calls it, if anything.
        retry_after: seconds until it wants to be asked again.
    """

    def __init__(
        self,
        text: str,
        *,
        short: str = "",
        forward: Forward = Forward.RETRY,
        code: str = "",
        retry_after: int = 2,
    ) -> None:
        super().__init__(text)
        self.short = short or text
        self.forward, self.code, self.retry_after = forward, code, retry_after


@dataclass(frozen=True, slots=True)
class Notice:
    """One sentence above the message box."""

    text: str
    forward: Forward = Forward.RETRY
