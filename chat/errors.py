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


class Kept(Enum):
    """What is not lost, in words that a sentence goes on from."""

    NOTHING = ""
    MESSAGE = "Your message is kept"
    REPLY = "What arrived is kept"


@dataclass(frozen=True, slots=True)
class Notice:
    """What went wrong, in parts: the page says all of them, a program is told the first."""

    what: str  # a whole sentence
    forward: Forward = Forward.RETRY
    kept: Kept = Kept.NOTHING
    advice: str = ""  # what to do now

    @property
    def text(self) -> str:
        """All of it, for the place above the message box."""
        if self.kept is not Kept.NOTHING:
            return f"{self.what} {self.kept.value}: {self.advice}"
        return f"{self.what} {self.advice}" if self.advice else self.what


class GatewayFailure(SwarmError):
    """Another FarMesh Chat, in whose swarm the replies are made, cannot or will not.

    Args:
        what: the sentence that says so.
        short: the same for the line that says how the swarm is; all that is said if left out.
        kept, advice, forward: as in :class:`Notice`.
        code: what the other app calls it, if anything.
        retry_after: seconds until it wants to be asked again.
    """

    def __init__(
        self,
        what: str,
        *,
        short: str = "",
        kept: Kept = Kept.NOTHING,
        advice: str = "",
        forward: Forward = Forward.RETRY,
        code: str = "",
        retry_after: int = 2,
    ) -> None:
        self.notice = Notice(what, forward, kept, advice)
        super().__init__(self.notice.text)
        self.short = short or self.notice.text
        self.code, self.retry_after = code, retry_after
