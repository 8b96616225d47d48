"""Handlers that have a reply written: to a new message, anew, or longer."""

from __future__ import annotations

from dataclasses import dataclass

import gradio as gr

from chat.live.chat import Chat
from chat.page.desk import Desk
from chat.page.parts import Updates, Values


@dataclass(frozen=True, slots=True)
class Sending:
    desk: Desk

    async def send(self, values: Values, request: gr.Request) -> Updates:
        parts = self.desk.parts

        async def act(chat: Chat) -> Updates:
            await chat.send(values[parts.box] or "", self.desk.request_of(values))
            return {parts.box: "", parts.begin: ""}

        return await self.desk.do(values, request, act)

    async def example(self, values: Values, request: gr.Request, data: gr.SelectData) -> Updates:
        async def act(chat: Chat) -> Updates:
            text = data.value["text"] if isinstance(data.value, dict) else str(data.value)
            await chat.send(text, self.desk.request_of(values))
            return {}

        return await self.desk.do(values, request, act)

    async def regenerate(self, values: Values, request: gr.Request) -> Updates:
        async def act(chat: Chat) -> Updates:
            await chat.regenerate(self.desk.request_of(values))
            return {self.desk.parts.begin: ""}

        return await self.desk.do(values, request, act)

    async def continue_reply(self, values: Values, request: gr.Request) -> Updates:
        async def act(chat: Chat) -> Updates:
            await chat.continue_reply(self.desk.request_of(values))
            return {}

        return await self.desk.do(values, request, act)
