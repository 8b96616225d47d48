"""What the page's buttons do: handlers between Gradio's events and the chats.

A handler starts something and returns at once; :meth:`Page.watch` alone streams. Live objects
never sit in Gradio's state: every event brings the chat's id, and the Guard says whose it is.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from typing import Any

import gradio as gr

from chat.access.callers import visitor_of
from chat.conversation import controls
from chat.errors import ChatError
from chat.kept.likes import Likes
from chat.live.chat import Chat
from chat.live.prompts import Request
from chat.live.store import LOST, ChatStore
from chat.page import paint
from chat.page.painter import Painter, Parts, Updates, Values, choices, edited, mapping
from chat.page.watching import MAX_STREAMS, TAKEOVER, Watcher
from chat.words import explain
from farmesh.errors import FarMeshError

log = logging.getLogger(__name__)


class Page:
    """The handlers of one app's page."""

    def __init__(self, store: ChatStore, parts: Parts, likes: Likes | None = None) -> None:
        self._store = store
        self.likes = likes
        self._parts = parts
        self._every = 1 / store.settings.updates_per_second
        self._watching: dict[str, Watcher] = {}  # by Gradio session; the newest of each

    # --- watching ----------------------------------------------------------------------------

    async def attach(self, values: Values, request: gr.Request) -> AsyncIterator[Updates]:
        """Show another chat, or the same one after a reload: its system prompt comes along."""
        try:
            chat = self._chat(values, request)
            await self._use_wanted(chat, values)
            yield {self._parts.system: chat.system}
        except FarMeshError as error:
            yield {self._parts.notice: self._said(error)}
        else:
            async for updates in self.watch(values, request):
                yield updates

    async def watch(self, values: Values, request: gr.Request) -> AsyncIterator[Updates]:
        """Draw the chat, and follow its reply until it rests. A newer watcher takes over."""
        try:
            chat = self._chat(values, request)
        except FarMeshError as error:
            yield {self._parts.notice: self._said(error)}
            return
        tab, mine = str(request.session_hash), Watcher(chat)
        await self._take_over(tab, mine)
        painter = Painter(self._parts)
        try:
            async with aclosing(chat.watch(self._every)) as views:
                async for view in views:
                    newest = self._watching.get(tab)
                    if newest is mine and (updates := painter.paint(view)):
                        yield updates
                    if newest is not mine or self._too_many(mine):
                        if newest is not None:  # None: the page has gone
                            chat.attendance.linger()
                        break
            # Gradio sends the last update again at the end; by then others may have drawn.
            yield gr.skip()
        finally:
            mine.ended.set()
            if self._watching.get(tab) is mine:
                del self._watching[tab]

    async def _take_over(self, tab: str, mine: Watcher) -> None:
        """Be the one who draws on a page, when the one before has drawn its last."""
        before = self._watching.get(tab)
        self._watching[tab] = mine
        if before is not None:
            before.chat.attendance.wake()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(TAKEOVER):
                    await before.ended.wait()

    def _too_many(self, mine: Watcher) -> bool:
        """Whether this person's other tabs hold all the streams that a browser has room for."""
        person = mine.chat.person
        others = (w for w in self._watching.values() if w is not mine and w.chat.person == person)
        return sum(1 for _ in others) >= MAX_STREAMS

    def gone(self, tab: str) -> None:
        """The stream to a page broke: it was closed, or has crashed, or its network has gone."""
        if (watcher := self._watching.pop(tab, None)) is not None:
            watcher.chat.attendance.leave()

    # --- actions -----------------------------------------------------------------------------

    async def send(self, values: Values, request: gr.Request) -> Updates:
        text = values[self._parts.box] or ""

        async def act(chat: Chat) -> Updates:
            await chat.send(text, self._request(values))
            return {self._parts.box: "", self._parts.begin: ""}

        return await self._do(values, request, act)

    async def example(self, values: Values, request: gr.Request, data: gr.SelectData) -> Updates:
        async def act(chat: Chat) -> Updates:
            text = data.value["text"] if isinstance(data.value, dict) else str(data.value)
            await chat.send(text, self._request(values))
            return {}

        return await self._do(values, request, act)

    async def regenerate(self, values: Values, request: gr.Request) -> Updates:
        async def act(chat: Chat) -> Updates:
            await chat.regenerate(self._request(values))
            return {self._parts.begin: ""}

        return await self._do(values, request, act)

    async def undo(self, values: Values, request: gr.Request) -> Updates:
        async def act(chat: Chat) -> Updates:
            return {self._parts.box: await chat.undo()}

        return await self._do(values, request, act)

    async def edit(self, values: Values, request: gr.Request, data: gr.EditData) -> Updates:
        async def act(chat: Chat) -> Updates:
            owners = paint.messages(chat.view.entries)[1]
            index = data.index if isinstance(data.index, int) else data.index[0]
            if not 0 <= index < len(owners):  # the app was started anew under an open page
                raise ChatError(LOST)
            await chat.edit(owners[index], edited(data.value), self._request(values))
            return {}

        return await self._do(values, request, act)

    async def choose(self, values: Values, request: gr.Request, data: gr.SelectData) -> Updates:
        """One of the options under the last reply."""

        async def act(chat: Chat) -> Updates:
            entries = chat.view.entries
            match data.value:
                case paint.CONTINUE:
                    await chat.continue_reply(self._request(values))
                case paint.EARLIER | paint.LATER:
                    by = 1 if data.value == paint.LATER else -1
                    await chat.show_version(entries[-1].node_id, by)
                case paint.EARLIER_QUESTION | paint.LATER_QUESTION:
                    by = 1 if data.value == paint.LATER_QUESTION else -1
                    await chat.show_version(entries[-2].node_id, by)
            return {}

        return await self._do(values, request, act)

    async def continue_reply(self, values: Values, request: gr.Request) -> Updates:
        async def act(chat: Chat) -> Updates:
            await chat.continue_reply(self._request(values))
            return {}

        return await self._do(values, request, act)

    async def like(self, chat_id: str, request: gr.Request, data: gr.LikeData) -> Updates:
        """Write down what the person thinks of a reply."""
        try:
            chat = self._store.open(chat_id, visitor_of(request.request).person)
            owners = paint.messages(chat.view.entries)[1]
            index = data.index if isinstance(data.index, int) else data.index[0]
            path = chat.conversation.path_to(owners[index])
            if self.likes is not None and path:
                liked = data.liked if isinstance(data.liked, bool) else None
                await asyncio.to_thread(self.likes.add, path, liked)
        except (FarMeshError, LookupError, OSError) as error:
            log.warning("a like could not be written down: %s", type(error).__name__)
            return {self._parts.notice: self._said(error)}
        return {}

    async def use_model(self, values: Values, request: gr.Request) -> Updates:
        """Go on with another model; controls that nobody has touched take over its own values."""

        try:
            chat = self._chat(values, request)
        except FarMeshError as error:
            return {self._parts.notice: self._said(error)}
        own = controls.preset_values(controls.OWN_PRESET, chat.backend.defaults, {}) or {}
        chosen = {name: values[self._parts.knobs[name]] for name in own}

        async def act(chat: Chat) -> Updates:
            if own != chosen:
                return {}
            new = controls.preset_values(controls.OWN_PRESET, chat.backend.defaults, {}) or {}
            return {self._parts.knobs[name]: value for name, value in new.items()}

        updates = await self._do(values, request, act)
        return {**updates, self._parts.model_id: f"~{chat.backend.id}"}

    # --- presets: kept in the browser ----------------------------------------------------------

    def use_preset(
        self, name: str, kept: Any, chat_id: str, request: gr.Request | None = None
    ) -> list[Any]:
        """The controls' values for a preset; a name that is just being typed changes nothing."""
        chat = self._store.find(chat_id, visitor_of(request.request).person) if request else None
        own = (chat.backend if chat else self._store.backend).defaults
        values = controls.preset_values(name, own, mapping(kept))
        return [(values or {}).get(field, gr.skip()) for field in controls.PRESET_FIELDS]

    def save_preset(self, name: str, kept: Any, *values: Any) -> tuple[Any, Any, Any]:
        named = (name or "").strip()[:40]
        try:
            if not named or named in (controls.OWN_PRESET, *controls.PRESETS):
                raise ChatError("Type a name of your own for this preset, then save it.")
            chosen = dict(zip(controls.PRESET_FIELDS, values, strict=True))
            controls.read(chosen)
        except FarMeshError as error:
            return gr.skip(), gr.skip(), self._said(error)
        known = {**mapping(kept), named: chosen}
        known = dict(list(known.items())[-controls.MAX_PRESETS :])
        return (
            gr.update(choices=choices(known), value=named),
            known,
            gr.update(value="", visible=False),
        )

    def forget_preset(self, name: str, kept: Any) -> tuple[Any, Any, Any]:
        known = {key: value for key, value in mapping(kept).items() if key != name}
        return gr.update(choices=choices(known), value=controls.OWN_PRESET), known, gr.skip()

    def list_presets(self, kept: Any) -> Any:
        return gr.update(choices=choices(mapping(kept)))

    # --- the controls: what a person has set outlives a reload -----------------------------------

    def keep_controls(self, *values: Any) -> dict[str, Any]:
        """What the browser is to keep of the controls."""
        return dict(zip(self._parts.knobs, values, strict=True))

    def keep_preset(self, name: str, kept: Any, *values: Any) -> Any:
        """The model's own values are not kept: they are another model's others."""
        if name == controls.OWN_PRESET:
            return {}
        return self.keep_controls(*values) if name in choices(mapping(kept)) else gr.skip()

    def list_controls(self, touched: Any) -> list[Any]:
        """The controls as they were left; values that do not fit any more are forgotten."""
        values = mapping(touched)
        try:
            controls.read(values)
        except (FarMeshError, AttributeError):  # or it is no text where one should be
            values = {}
        return [values.get(name, gr.skip()) for name in self._parts.knobs]

    # --- inside ------------------------------------------------------------------------------

    async def _do(
        self,
        values: Values,
        request: gr.Request,
        act: Callable[[Chat], Awaitable[Updates]],
    ) -> Updates:
        """Do one thing; what is refused is said, and what the person wrote stays."""
        try:
            chat = self._chat(values, request)
            waiting = await self._use_wanted(chat, values)
            updates = await act(chat)
            if waiting:
                written = updates.get(self._parts.box, values[self._parts.box]) or ""
                updates[self._parts.box] = "\n".join([*waiting, *([written] if written else [])])
            return {self._parts.notice: gr.update(value="", visible=False), **updates}
        except FarMeshError as error:
            return {self._parts.notice: self._said(error)}
        except Exception as error:
            log.exception("an action of the page failed")
            return {self._parts.notice: self._said(error)}

    async def _use_wanted(self, chat: Chat, values: Values) -> tuple[str, ...]:
        """Let the chat go on with the model that was chosen; returns the texts that waited in it.

        Every action brings the choice with it, so that none can overtake it.
        """
        wanted = str(values[self._parts.model_id] or "")
        if not wanted.startswith("~"):
            return await self._store.use(chat, wanted) if wanted else ()
        if len(wanted) > 1 and not chat.view.entries and not chat.running:
            with contextlib.suppress(FarMeshError):  # not offered any more: the default one
                await self._store.use(chat, wanted[1:])
        return ()

    def _said(self, error: Exception) -> Any:
        return gr.update(value=paint.sentence(explain(error).text), visible=True)

    def _chat(self, values: Values, request: gr.Request) -> Chat:
        visitor = visitor_of(request.request)
        chat_id = str(values[self._parts.chat_id] or "")
        return self._store.open(chat_id, visitor.person, visitor.caller)

    def _request(self, values: Values) -> Request:
        """
        Raises:
            InvalidSampling: a control's value is out of range.
        """
        chosen = {name: values[part] for name, part in self._parts.knobs.items()}
        return Request(
            controls.read(chosen),
            (values[self._parts.system] or "").strip(),
            values[self._parts.begin] or "",
        )
