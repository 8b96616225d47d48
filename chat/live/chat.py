"""One chat: its conversation, its inference session, and at most one running reply.

A reply runs in a task of its own. Pages only watch: one that is reloaded watches again and has
missed nothing, and while nobody watches, no token is asked for, so the nodes rest.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass, field, replace

from chat import words
from chat.conversation.prompt import Prompt, PromptBuilder, fit
from chat.conversation.reply import Phase, Presenter, ReplyView
from chat.conversation.tree import Conversation, Entry, Message
from chat.errors import ChatError, Notice
from chat.live.limits import Caller, Line, TurnRate
from chat.models.backend import Backend, Engine, InferenceSession
from farmesh.core import Route
from farmesh.errors import FarMeshError, SessionClosed
from farmesh.events import FinishReason
from farmesh.params import SamplingParams
from farmesh.text import TextStream

log = logging.getLogger(__name__)

DOUBLE_CLICK = 0.8  # seconds in which the same text again is one message, not two
FIRST_WATCH = 5.0  # seconds that a new reply goes on before a page has begun to watch it
GONE = 2.0  # seconds after which a page that still watches has not gone after all
MAX_QUEUED = 5  # messages that may wait behind a running reply
RESERVE_SHARE = 4  # at most a quarter of the context is kept free for a reply


@dataclass(frozen=True, slots=True)
class Request:
    """How a reply is wanted."""

    params: SamplingParams = field(default_factory=SamplingParams)
    system: str = ""  # the system prompt
    begin: str = ""  # what the reply starts with


@dataclass(frozen=True, slots=True)
class ChatView:
    """Everything that a page shows of a chat at one moment."""

    revision: int  # rises whenever ``entries`` change
    entries: tuple[Entry, ...]
    live: ReplyView | None
    queued: tuple[str, ...]
    notice: Notice | None
    status: str  # about the last reply
    used: int  # tokens of context, as of the last reply
    limit: int  # tokens of context there are; 0 while unknown
    dropped: int  # messages at the beginning that the model does not see any more
    route: Route | None

    @property
    def busy(self) -> bool:
        return self.live is not None or bool(self.queued and not self.notice)


@dataclass(eq=False, slots=True)
class _Turn:
    """One reply in the making."""

    request: Request
    parent: int  # the user's message that it answers
    presenter: Presenter
    continues: int | None = None  # the reply that it makes longer
    replaced: int | None = None  # the reply that was shown before, for when nothing comes
    begin_ids: tuple[int, ...] = ()
    prompt_tokens: int = 0
    stop_note: str = ""  # why it is being stopped
    task: asyncio.Task[None] | None = None


@dataclass(frozen=True, slots=True)
class ChatLimits:
    """What a chat shares with the others."""

    rate: TurnRate
    line: Line
    grace: float = 90.0  # seconds a reply waits for its page to come back
    max_message_chars: int = 20_000


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
        self.last_used = clock()
        self.system = ""
        self._limits = limits
        self._clock = clock
        self._turn: _Turn | None = None
        self._queued: list[tuple[str, Request]] = []
        self._inference: InferenceSession | None = None
        self._builder: PromptBuilder | None = None
        self._watchers: set[asyncio.Event] = set()
        self._watched = asyncio.Event()
        self._lingers = False
        self._grace: asyncio.TimerHandle | None = None
        self._revision = 0
        self._entries: tuple[Entry, ...] = ()
        self._notice: Notice | None = None
        self._status = ""
        self._used = 0
        self._first_kept: int | None = None  # node of the oldest message that the model sees
        self._last_sent = ("", float("-inf"))
        self._closed = False

    def __repr__(self) -> str:
        state = "RUNNING" if self.running else "IDLE"
        held = self._inference.position if self._inference else 0
        return f"<Chat {state} {len(self._entries)} messages, {held} tokens on the nodes>"

    # --- what pages see ----------------------------------------------------------------------

    @property
    def running(self) -> bool:
        return self._turn is not None

    @property
    def watched(self) -> bool:
        """Whether a page follows it."""
        return bool(self._watchers)

    @property
    def holds_cache(self) -> bool:
        return self._inference is not None

    @property
    def view(self) -> ChatView:
        """The chat now; cheap, whatever its length."""
        engine = self.backend.engine
        turn = self._turn
        route = turn.presenter.route if turn else None
        return ChatView(
            revision=self._revision,
            entries=self._entries,
            live=turn.presenter.view if turn else None,
            queued=tuple(text for text, _ in self._queued),
            notice=self._notice,
            status=self._status,
            used=turn.prompt_tokens + len(turn.presenter.token_ids) if turn else self._used,
            limit=engine.context if engine else 0,
            dropped=self._first_index(),
            route=route or (self._inference.route if self._inference else None),
        )

    async def watch(self, every: float = 0.04) -> AsyncGenerator[ChatView, None]:
        """The chat whenever it changed, at most once per ``every`` seconds, until it rests."""
        changed = asyncio.Event()
        self._watchers.add(changed)
        self._attend()
        try:
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
        finally:
            self._watchers.discard(changed)
            if not self._watchers:
                self._leave()

    # --- what people do ----------------------------------------------------------------------

    def send(self, text: str, request: Request) -> bool:
        """Add a message and start the reply; behind a running one it waits for its turn.

        Returns:
            Whether the message was taken; False for the second half of a double click.

        Raises:
            ChatError: the message is refused; nothing was sent.
        """
        if not text.strip():
            raise ChatError("Write a message first.")
        now = self._clock()
        if self._last_sent[0] == text and now - self._last_sent[1] < DOUBLE_CLICK:
            return False
        self._check(text, request)
        self._limits.rate.take(self.caller, now)
        self._last_sent = (text, now)
        if len(self._queued) >= MAX_QUEUED:
            raise ChatError(f"{MAX_QUEUED} messages wait already behind this reply.")
        self._queued.append((text, request))
        if self.running:
            self._changed()
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
        shown = [e.node_id for e in self._entries if self.conversation.parent(e.node_id) == parent]
        self.conversation.hide_after(parent)
        self._begin(parent, request, replaced=shown[0] if shown else None)

    async def edit(self, node_id: int, text: str, request: Request) -> None:
        """Another text for a message; a user's message is then answered anew.

        Raises:
            ChatError: refused; nothing changed.
        """
        message = self._known(node_id)
        if message.text == text:
            return
        if message.role == "assistant":
            await self._halt()
            self.conversation.edit(node_id, text)
            self._transcript_changed()
            return
        if not text.strip():
            raise ChatError("Write a message first.")
        before = self.conversation.path_to(self.conversation.parent(node_id))
        self._check(text, request, before)
        self._limits.rate.take(self.caller, self._clock())
        await self._halt()
        self._begin(self.conversation.edit(node_id, text), request)

    async def continue_reply(self, request: Request) -> None:
        """Make the last reply longer from where it ended.

        Raises:
            ChatError: the last message is no reply.
        """
        await self._halt()
        last = self._entries[-1] if self._entries else None
        if last is None or last.message.role != "assistant":
            raise ChatError("There is no reply to continue yet.")
        self._limits.rate.take(self.caller, self._clock())
        parent = self.conversation.parent(last.node_id)
        self.conversation.hide_after(parent)
        begun = replace(request, begin="")
        self._begin(parent, begun, continues=last.node_id, replaced=last.node_id)

    async def undo(self) -> str:
        """Take the last turn away; its text is given back."""
        await self._halt()
        text = self.conversation.undo()
        self._notice = None
        self._status = ""
        self._transcript_changed()
        return text or ""

    async def show_version(self, node_id: int, by: int) -> None:
        """Show the version of a message ``by`` places further."""
        self._known(node_id)
        await self._halt()
        self.conversation.step(node_id, by)
        self._notice = None
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
        self._builder = None
        self._first_kept, self._used = None, 0
        self._notice = None
        self._transcript_changed()
        return waiting

    def restore(self, conversation: Conversation, system: str = "") -> None:
        """Take a conversation that the browser kept; only into an empty chat."""
        if not self._entries and not self.running:
            self.conversation = conversation
            self.system = system
            self._transcript_changed()

    async def stop(self, note: str = "stopped") -> tuple[str, ...]:
        """End the running reply and what waits behind it; gives back the texts that waited."""
        waiting = tuple(text for text, _ in self._queued)
        self._queued.clear()
        await self._halt(note)
        self._changed()
        return waiting

    async def rest(self) -> None:
        """Give the nodes' KV cache back; the next turn fills a new one."""
        inference, self._inference = self._inference, None
        if inference is not None:
            await inference.close()

    async def close(self) -> None:
        self._closed = True
        await self.stop("the app was closed")
        self._changed()
        await self.rest()

    # --- a turn ------------------------------------------------------------------------------

    async def _halt(self, note: str = "stopped") -> None:
        """End the running reply; what waits behind it goes on waiting."""
        turn = self._turn
        if turn is not None and turn.task is not None:
            waiting, self._queued = self._queued, []
            turn.stop_note = note
            turn.task.cancel()
            await asyncio.wait([turn.task])
            self._queued = waiting

    def _begin_next(self) -> None:
        """Start the reply to the message that has waited longest."""
        text, request = self._queued.pop(0)
        self._begin(self.conversation.add(Message("user", text)), request)

    def _begin(
        self,
        parent: int,
        request: Request,
        *,
        continues: int | None = None,
        replaced: int | None = None,
    ) -> None:
        self.last_used = self._clock()
        self.system = request.system
        self._notice, self._status = None, ""
        begun = self._known(continues).text if continues is not None else ""
        presenter = Presenter(TextStream(_NoText()), text=begun)
        turn = _Turn(request, parent, presenter, continues, replaced)
        self._turn = turn
        self._transcript_changed()
        turn.task = asyncio.create_task(self._run(turn), name="reply")
        self._watched.set()
        if not self._watchers:
            self._after(FIRST_WATCH, self.leave)

    async def _run(self, turn: _Turn) -> None:
        """Make one reply; whatever happens, it ends in :meth:`_end`."""
        notice: Notice | None = None
        try:
            turn.presenter.say(f"{self.backend.name} is being opened", Phase.QUEUED)
            engine = await self.backend.ready()
            async with self._limits.line.admit(self.caller, self._told_place(turn)):
                await self._generate(turn, engine)
        except asyncio.CancelledError:
            turn.stop_note = turn.stop_note or "stopped"
        except FarMeshError as error:
            notice = words.explain(error)
            log.info("a reply failed: %s", type(error).__name__)
            await self.rest()
        except Exception as error:
            notice = words.explain(error)
            log.exception("a reply failed")
            await self.rest()
        finally:
            self._end(turn, notice)

    def _told_place(self, turn: _Turn) -> Callable[[int], None]:
        def told(ahead: int) -> None:
            turn.presenter.say(words.place_in_line(ahead), Phase.QUEUED)
            self._changed()

        return told

    async def _generate(self, turn: _Turn, engine: Engine) -> None:
        prompt = self._prompt_of(turn, engine)
        self._first_kept = self._node_at(prompt.first_kept)
        turn.prompt_tokens = len(prompt.token_ids)
        for attempt in (1, 2):
            if self._inference is None:
                self._inference = engine.client.session()
            try:
                await self._follow(turn, engine, prompt)
            except SessionClosed:  # the nodes gave it up while the chat was idle
                self._inference = None
                if attempt == 2 or turn.presenter.token_ids:
                    raise
            else:
                return

    async def _follow(self, turn: _Turn, engine: Engine, prompt: Prompt) -> None:
        presenter, params = turn.presenter, turn.request.params
        ends = set() if params.ignore_eos else {*engine.client.eos_token_ids}
        ends.update(params.stop_token_ids)
        if self._inference is None:
            raise SessionClosed("The inference session is gone.")
        async with aclosing(self._inference.generate(prompt.token_ids, params)) as events:
            async for event in events:
                if getattr(event, "token_id", None) not in ends:
                    presenter.take(event, self._clock())
                    self._changed()
                if presenter.stopped:
                    return
                if not self._watched.is_set():
                    presenter.say("Paused until the page is back", Phase.PAUSED)
                    await self._watched.wait()

    def _prompt_of(self, turn: _Turn, engine: Engine) -> Prompt:
        builder = self._builder_of(engine)
        begun = self._known(turn.continues) if turn.continues is not None else None
        text = begun.text if begun else turn.request.begin
        turn.begin_ids = builder.reply_ids(begun) if begun else builder.encode(text)
        stream = TextStream(engine.tokenizer, turn.request.params.stop, context=turn.begin_ids)
        status = turn.presenter.view.status
        turn.presenter = Presenter(stream, text=text)
        turn.presenter.say(status, Phase.QUEUED)
        messages = self.conversation.path_to(turn.parent)
        return self._fit(engine, messages, turn.request, turn.begin_ids, self._first_index())

    def _fit(
        self,
        engine: Engine,
        messages: tuple[Message, ...],
        request: Request,
        beginning: tuple[int, ...] = (),
        first_kept: int = 0,
    ) -> Prompt:
        return fit(
            self._builder_of(engine),
            request.system,
            messages,
            limit=engine.context,
            reserve=min(request.params.max_new_tokens, engine.context // RESERVE_SHARE),
            first_kept=min(first_kept, max(0, len(messages) - 1)),
            beginning=beginning,
        )

    def _end(self, turn: _Turn, notice: Notice | None) -> None:
        """Keep what arrived, and let the next message have its turn."""
        presenter = turn.presenter
        cut = turn.stop_note != "" or notice is not None
        cut = cut or presenter.finished in (FinishReason.MAX_NEW_TOKENS, FinishReason.CONTEXT_FULL)
        presenter.close(cut=cut)
        message = self._reply(turn, cut)
        if message is not None and turn.continues is not None:
            self.conversation.replace(turn.continues, message)
            self.conversation.show(turn.continues)
        elif message is not None:
            self.conversation.add(message, turn.parent)
        elif turn.replaced is not None:
            self.conversation.show(turn.replaced)
        if notice is None and message is None and not turn.stop_note:
            notice = Notice("The model ended its reply at once, without a word.")
        self._used = turn.prompt_tokens + len(presenter.token_ids)
        self._status = message.note if message else turn.stop_note
        self._notice = notice
        self._turn = None
        self.last_used = self._clock()
        self._after(None)
        self._transcript_changed()
        if self._queued and notice is None and not self._closed:
            self._begin_next()

    def _reply(self, turn: _Turn, cut: bool) -> Message | None:
        """The message that a turn made; None when it made nothing."""
        presenter, stats = turn.presenter, turn.presenter.stats
        if not presenter.token_ids or not presenter.text:
            return None
        parts = [turn.stop_note, words.finish(presenter.finished) if presenter.finished else ""]
        if stats is not None:
            parts.append(words.summary(stats))
        elif presenter.token_ids:
            parts.append(words.count(len(presenter.token_ids), "token"))
        return Message(
            "assistant",
            presenter.text,
            token_ids=turn.begin_ids + presenter.tokens_shown,
            beyond=presenter.beyond,
            cut=cut,
            note=" · ".join(part for part in parts if part),
            params=turn.request.params,
            model=self.backend.name,
            stats=stats,
        )

    # --- who watches -------------------------------------------------------------------------

    def wake(self) -> None:
        """Let everybody who watches look, although nothing has changed."""
        self._changed()

    def linger(self) -> None:
        """The page shows another chat: go on for a while although nobody watches."""
        self._lingers = True

    def leave(self) -> None:
        """A page has gone: ask the nodes for nothing more.

        At once, although its stream may take a while to break. Another page that watches too (a
        tab that was duplicated) goes on when it is still there after that.
        """
        self._lingers = False
        if self._turn is None:
            return
        self._watched.clear()
        self._after(GONE, self._look_again)
        self._changed()  # whoever watches for a page that has gone shall notice

    def _look_again(self) -> None:
        if self._watchers:
            self._attend()
        else:
            self._leave()

    def _attend(self) -> None:
        self._after(None)
        self._lingers = False
        self._watched.set()

    def _leave(self) -> None:
        if self._turn is None or self._watchers:
            return
        if self._lingers:
            self._after(self._limits.grace, self.leave)
            return
        self._watched.clear()
        self._after(self._limits.grace, self._give_up)

    def _give_up(self) -> None:
        if self._turn is not None and self._turn.task is not None and not self._watchers:
            self._queued.clear()
            self._turn.stop_note = "stopped: the page was closed"
            self._turn.task.cancel()

    def _after(self, delay: float | None, call: Callable[[], None] | None = None) -> None:
        """Set the one timer of this chat, or with None take it back."""
        if self._grace is not None:
            self._grace.cancel()
        loop = asyncio.get_running_loop()
        self._grace = loop.call_later(delay, call) if call and delay is not None else None

    # --- small things ------------------------------------------------------------------------

    def _check(
        self, text: str, request: Request, before: tuple[Message, ...] | None = None
    ) -> None:
        """
        Raises:
            ChatError: the message is too long to be sent, whatever leaves.
        """
        longest = self._limits.max_message_chars
        if len(text) > longest:
            raise ChatError(
                f"This message has {words.number(len(text))} characters; "
                f"at most {words.number(longest)} can be sent. Nothing was sent."
            )
        if (engine := self.backend.engine) is not None:
            messages = self.conversation.messages if before is None else before
            beginning = self._builder_of(engine).encode(request.begin)
            self._fit(engine, (*messages, Message("user", text)), request, beginning)

    def _builder_of(self, engine: Engine) -> PromptBuilder:
        if self._builder is None:
            self._builder = PromptBuilder(engine.tokenizer, engine.chat_template)
        return self._builder

    def _answered(self, node_id: int | None) -> int:
        """The user's message that a reply (or the last one) answers."""
        if not self._entries:
            raise ChatError("There is no message to reply to yet.")
        if node_id is None:
            node_id = self._entries[-1].node_id
        if self._known(node_id).role == "user":
            return node_id
        return self.conversation.parent(node_id)

    def _known(self, node_id: int) -> Message:
        message = self.conversation.message(node_id)
        if message is None:
            raise ChatError("That message is gone; reload the page.")
        return message

    def _first_index(self) -> int:
        """Place of the oldest message that the model sees, on the path shown."""
        if self._first_kept is None:
            return 0
        nodes = [entry.node_id for entry in self._entries]
        return nodes.index(self._first_kept) if self._first_kept in nodes else 0

    def _node_at(self, index: int) -> int | None:
        return self._entries[index].node_id if 0 < index < len(self._entries) else None

    def _transcript_changed(self) -> None:
        self._entries = self.conversation.entries
        self._revision += 1
        self._changed()

    def _changed(self) -> None:
        for watcher in self._watchers:
            watcher.set()


class _NoText:
    """Stands for the tokenizer until the model is open."""

    def decode(self, token_ids: list[int], **_: bool) -> str:
        return ""
