"""One chat: what people do with it, its conversation, and at most one running turn.

A reply runs in a task of its own. Pages only watch: one that is reloaded watches again and has
missed nothing, and while nobody watches, no token is asked for, so the nodes rest.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncGenerator, Callable, Iterable
from dataclasses import dataclass, replace

from chat import words
from chat.conversation.attached import split
from chat.conversation.tree import Conversation, Message
from chat.errors import ChatError
from chat.live.attendance import Attendance
from chat.live.held import HeldSession
from chat.live.limits import Caller, Line, TurnRate
from chat.live.prompts import Asked, Prompts, Request
from chat.live.turn import Means, Place, Turn
from chat.live.view import ChatView, Last, Transcript, view_of
from chat.models.backend import Backend

MAX_QUEUED = 5  # messages that may wait behind a running reply
MAX_SENT = 16  # messages whose ids are remembered: a page's newest ones


@dataclass(frozen=True, slots=True)
class ChatLimits:
    """What a chat shares with the others."""

    rate: TurnRate
    line: Line
    grace: float = 90.0  # seconds a reply waits for its page to come back
    max_message_chars: int = 20_000


@dataclass(frozen=True, slots=True)
class _Waiting:
    """A message behind the running reply."""

    text: str
    request: Request
    id: str


class Chat:
    """One conversation of one person; all its methods run on the app's event loop."""

    def __init__(
        self,
        chat_id: str,
        person: str,
        backend: Backend,
        limits: ChatLimits,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.id = chat_id
        self.person = person
        self.caller = Caller.of(person)  # whom its turns count on; a page may come from elsewhere
        self.backend = backend
        self.conversation = Conversation()
        self.attendance = Attendance(limits.grace, self._give_up)
        self.last_used = clock()
        self.system = ""
        self._limits = limits
        self._clock = clock
        self._prompts = Prompts()
        self._held = HeldSession()
        self._turn: Turn | None = None
        self._queued: list[_Waiting] = []
        self._transcript = Transcript()
        self._last = Last()
        self._first_kept: int | None = None  # node of the oldest message that the model sees
        self._sending = asyncio.Lock()  # messages are looked at in the order in which they came
        self._sent: deque[str] = deque(maxlen=MAX_SENT)  # ids that pages gave them
        self._unwanted: deque[str] = deque(maxlen=MAX_SENT)  # stopped before they arrived
        self._closed = False

    def __repr__(self) -> str:
        doing = repr(self._turn) if self._turn else "IDLE"
        return f"<Chat {doing} {len(self._transcript.entries)} messages, {self._held!r}>"

    @property
    def running(self) -> bool:
        """Whether a reply is being made, or a message looked at that will have one."""
        return self._turn is not None or self._sending.locked()

    @property
    def holds_cache(self) -> bool:
        return bool(self._held)

    @property
    def view(self) -> ChatView:
        """The chat now; cheap, whatever its length."""
        engine = self.backend.engine
        queued = [(one.id, one.text) for one in self._queued]
        sent, transcript = tuple(self._sent), self._transcript
        return view_of(transcript, self._last, self._turn, queued, sent, engine, self._held)

    async def watch(self, every: float = 0.04) -> AsyncGenerator[ChatView, None]:
        """The chat whenever it changed, at most once per ``every`` seconds, until it rests."""
        with self.attendance.watching() as changed:
            while True:
                changed.clear()
                view = self.view
                yield view
                if not view.busy or self._closed:
                    return
                drawn = self._clock()
                await changed.wait()
                # A reply of 100,000 characters costs the browser more to draw than a short one.
                pause = every + len(view.live.text) * 1e-6 if view.live else every
                await asyncio.sleep(max(0.0, drawn + pause - self._clock()))

    # --- what people do ----------------------------------------------------------------------

    async def send(self, text: str, request: Request, message_id: str = "") -> bool:
        """Add a message and start the reply; behind a running one it waits for its turn.

        Args:
            message_id: chosen by the page; of two with the same id the second is no message.

        Returns:
            Whether the message was taken now; False for one that is here already.

        Raises:
            ChatError, ContextOverflow: the message is refused; nothing was sent.
        """
        if not text.strip():
            raise ChatError("Write a message first.")
        now = self._clock()
        async with self._sending:
            if message_id and message_id in self._sent:
                return False
            await self._check(text, request, self.conversation.messages)
            if self._closed:
                return False
            self._limits.rate.take(self.caller, now)
            if len(self._queued) >= MAX_QUEUED:
                raise ChatError(f"{MAX_QUEUED} messages wait already behind this reply.")
            if message_id:
                self._sent.append(message_id)
            if message_id in self._unwanted and self._turn is None:
                self._add_unanswered(text)
                return True
            self._queued.append(_Waiting(text, request, message_id))
            if self._turn is not None:
                self.attendance.wake()
            else:
                self._begin_next()
            return True

    async def regenerate(self, request: Request, node_id: int | None = None) -> None:
        """Another version of a reply; without ``node_id`` of the last message's.

        Raises:
            ChatError: there is nothing to reply to, or the limits say no.
        """
        self._limits.rate.take(self.caller, self._clock())
        await self._halt()
        parent = self._answered(node_id)
        shown = [
            entry.node_id
            for entry in self._transcript.entries
            if self.conversation.parent(entry.node_id) == parent
        ]
        self.conversation.hide_after(parent)
        self._begin(Place(parent, replaced=shown[0] if shown else None), request)

    async def edit(self, node_id: int, text: str, request: Request) -> None:
        """Another text for a message; a user's message is then answered anew.

        Raises:
            ChatError, ContextOverflow: refused; nothing changed.
        """
        message = self._known(node_id)
        if message.text == text:
            return
        if message.role == "assistant":
            await self._halt()
            self.conversation.edit(node_id, text, int(time.time()))
            self._transcript_changed()
            return
        if not text.strip():
            raise ChatError("Write a message first.")
        before = self.conversation.path_to(self.conversation.parent(node_id))
        await self._check(text, request, before)
        self._limits.rate.take(self.caller, self._clock())
        await self._halt()
        self._begin(Place(self.conversation.edit(node_id, text, int(time.time()))), request)

    async def continue_reply(self, request: Request) -> None:
        """Make the last reply longer from where it ended.

        Raises:
            ChatError: the last message is no reply.
        """
        await self._halt()
        last = self._transcript.entries[-1] if self._transcript.entries else None
        if last is None or last.message.role != "assistant":
            raise ChatError("There is no reply to continue yet.")
        self._limits.rate.take(self.caller, self._clock())
        parent = self.conversation.parent(last.node_id)
        self.conversation.hide_after(parent)
        place = Place(parent, continues=last.node_id, replaced=last.node_id)
        self._begin(place, replace(request, begin=""))

    async def undo(self) -> str:
        """Take the last turn off the shown path; its text is given back."""
        await self._halt()
        text = self.conversation.undo()
        self._last = replace(self._last, notice=None, status="")
        self._transcript_changed()
        return text or ""

    async def redo(self) -> None:
        """Bring back the turn that was undone last.

        Raises:
            ChatError: there is none.
        """
        await self._halt()
        if not self.conversation.redo():
            raise ChatError("There is nothing to bring back.")
        self._transcript_changed()

    async def show_version(self, node_id: int, by: int) -> None:
        """Show the version of a message ``by`` places further."""
        self._known(node_id)
        await self._halt()
        self.conversation.step(node_id, by)
        self._last = replace(self._last, notice=None)
        self._transcript_changed()

    async def use(self, backend: Backend) -> tuple[str, ...]:
        """Go on with another model: the conversation stays, a running reply is stopped.

        Returns:
            The texts that waited behind the running reply.
        """
        if backend is self.backend:
            return ()
        waiting = await self.stop("stopped: another model was chosen")
        await self.rest()
        self.conversation.forget_tokens()
        self.backend = backend
        self._first_kept = None
        self._last = replace(self._last, notice=None, used=0)
        self._transcript_changed()
        return waiting

    def restore(self, conversation: Conversation, system: str = "") -> None:
        """Take a conversation that the browser kept; only into an empty chat."""
        if self.conversation.empty and not self.running:
            self.conversation = conversation
            self.system = system
            self._transcript_changed()

    async def stop(
        self, note: str = "stopped", on_their_way: Iterable[str] = ()
    ) -> tuple[str, ...]:
        """End the running reply and what waits behind it; gives back the texts that waited.

        Args:
            on_their_way: ids of messages of which the page does not know yet whether they are here;
                one that comes later stays unanswered.
        """
        self._unwanted.extend(set(on_their_way) - set(self._sent))
        waiting = tuple(one.text for one in self._queued)
        self._queued.clear()
        await self._halt(note)
        self.attendance.wake()
        return waiting

    def take_back(self, message_id: str) -> tuple[str, ...]:
        """Let a message not wait any more; its text is given back, if it still waited."""
        found = tuple(one.text for one in self._queued if message_id and one.id == message_id)
        self._queued = [one for one in self._queued if not message_id or one.id != message_id]
        self.attendance.wake()
        return found

    async def rest(self) -> None:
        """Give the nodes' KV cache back; the next turn fills a new one."""
        await self._held.give_back()

    async def close(self) -> None:
        self._closed = True
        await self.stop("the app was closed")
        await self.rest()

    # --- turns -------------------------------------------------------------------------------

    async def _halt(self, note: str = "stopped") -> None:
        """End the running reply; what waits behind it goes on waiting."""
        if self._turn is not None:
            await self._turn.stop(note)

    def _give_up(self) -> None:
        """Nobody has come back for the running reply."""
        if self._turn is not None:
            self._queued.clear()
            self._turn.give_up("stopped: the page was closed")

    def _begin_next(self) -> None:
        """Start the reply to the message that has waited longest."""
        first = self._queued.pop(0)
        self._begin(Place(self._add(first.text)), first.request)

    def _begin(self, place: Place, request: Request) -> None:
        self.last_used = self._clock()
        self.system = request.system
        self._last = replace(self._last, notice=None, status="")
        asked = Asked(
            self.conversation.path_to(place.parent),
            request,
            self._transcript_changed().dropped,
            self._known(place.continues) if place.continues is not None else None,
        )
        means = Means(
            self.backend,
            self.caller,
            self._limits.line,
            self._prompts,
            self._held,
            self.attendance,
            self._clock,
        )
        self._turn = Turn(asked, place, means)
        self.attendance.begin()
        self._turn.start(self._end)

    def _end(self, turn: Turn) -> None:
        """Put what a turn made into the conversation, and let the next message have its turn."""
        place, message = turn.place, turn.message
        if message is not None and place.continues is not None:
            self.conversation.replace(place.continues, message)
            self.conversation.show(place.continues)
        elif message is not None:
            self.conversation.add(message, place.parent)
        elif place.replaced is not None:
            self.conversation.show(place.replaced)
        if turn.prompt is not None:
            first = turn.prompt.first_kept
            kept = self._transcript.entries[first : first + 1] if first else ()
            self._first_kept = kept[0].node_id if kept else None
        self._last = Last(turn.notice, turn.status, turn.used)
        self._turn = None
        self.last_used = self._clock()
        self.attendance.end()
        self._transcript_changed()
        if self._queued and turn.notice is None and not turn.stopped and not self._closed:
            self._begin_next()

    # --- small things ------------------------------------------------------------------------

    def _add(self, text: str) -> int:
        return self.conversation.add(Message("user", text, time=int(time.time())))

    def _add_unanswered(self, text: str) -> None:
        """A message that was stopped on its way; Retry has it answered after all."""
        self._add(text)
        self._last = replace(self._last, notice=None, status="stopped")
        self._transcript_changed()

    async def _check(self, text: str, request: Request, before: tuple[Message, ...]) -> None:
        """
        Raises:
            ChatError, ContextOverflow: the message is too long to be sent, whatever leaves.
        """
        longest = self._limits.max_message_chars
        written = len(split(text)[1])  # files are measured in tokens alone
        if written > longest:
            raise ChatError(
                f"This message has {words.number(written)} characters; "
                f"at most {words.number(longest)} can be sent. Nothing was sent."
            )
        if (engine := self.backend.engine) is not None:
            messages = (*before, Message("user", text))
            await self._prompts.fit(engine, Asked(messages, request, self._transcript.dropped))

    def _answered(self, node_id: int | None) -> int:
        """The user's message that a reply (or the last one) answers."""
        entries = self._transcript.entries
        if not entries:
            raise ChatError("There is no message to reply to yet.")
        if node_id is None:
            node_id = entries[-1].node_id
        if self._known(node_id).role == "user":
            return node_id
        return self.conversation.parent(node_id)

    def _known(self, node_id: int) -> Message:
        message = self.conversation.message(node_id)
        if message is None:
            raise ChatError("That message is gone; reload the page.")
        return message

    def _transcript_changed(self) -> Transcript:
        self._transcript = self._transcript.next(self.conversation, self._first_kept)
        self.attendance.wake()
        return self._transcript
