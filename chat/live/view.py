"""What a page shows of a chat: values that are made anew whenever something has changed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from chat.conversation.reply import ReplyView
from chat.conversation.tree import Conversation, Entry
from chat.errors import Notice
from chat.live.held import HeldSession
from chat.live.turn import Turn
from chat.models.backend import Engine
from farmesh.core import Route


@dataclass(frozen=True, slots=True)
class ChatView:
    """Everything that a page shows of a chat at one moment."""

    revision: int  # rises whenever ``entries`` change
    entries: tuple[Entry, ...]
    live: ReplyView | None
    queued: tuple[str, ...]
    queued_ids: tuple[str, ...]
    sent: tuple[str, ...]  # ids of the newest messages that arrived
    can_redo: bool  # a turn was undone, and can be brought back
    notice: Notice | None
    status: str  # about the last reply
    used: int  # tokens of context, as of the last reply
    limit: int  # tokens of context there are; 0 while unknown
    dropped: int  # messages at the beginning that the model does not see any more
    route: Route | None

    @property
    def busy(self) -> bool:
        return self.live is not None or bool(self.queued and not self.notice)


@dataclass(frozen=True, slots=True)
class Transcript:
    """The shown messages; made when they change, which is not with every token."""

    revision: int = 0
    entries: tuple[Entry, ...] = ()
    dropped: int = 0  # messages at the beginning that the model does not see any more
    can_redo: bool = False

    def next(self, conversation: Conversation, first_kept: int | None) -> Transcript:
        """
        Args:
            first_kept: node of the oldest message that the model sees; None: it sees all.
        """
        entries = conversation.entries
        dropped = next((i for i, entry in enumerate(entries) if entry.node_id == first_kept), 0)
        return Transcript(self.revision + 1, entries, dropped, conversation.can_redo)


@dataclass(frozen=True, slots=True)
class Last:
    """What the turn before left behind."""

    notice: Notice | None = None
    status: str = ""
    used: int = 0  # tokens of context


def view_of(
    transcript: Transcript,
    last: Last,
    turn: Turn | None,
    queued: Sequence[tuple[str, str]],
    sent: tuple[str, ...],
    engine: Engine | None,
    held: HeldSession,
) -> ChatView:
    """The chat at this moment; nothing here takes longer in a longer chat."""
    fitted = turn.prompt if turn else None
    return ChatView(
        revision=transcript.revision,
        entries=transcript.entries,
        live=turn.view if turn else None,
        queued=tuple(text for _, text in queued),
        queued_ids=tuple(message_id for message_id, _ in queued),
        sent=sent,
        can_redo=transcript.can_redo,
        notice=last.notice,
        status=last.status,
        used=turn.used if turn else last.used,
        limit=engine.context if engine else 0,
        dropped=fitted.first_kept if fitted else transcript.dropped,
        route=(turn.route if turn else None) or held.route,
    )
