"""Handlers that have a reply written: to a new message, anew, or longer."""

from __future__ import annotations

from dataclasses import dataclass

import gradio as gr

from chat.live.chat import Chat
from chat.page.asking import Asked
from chat.page.desk import Desk
from chat.page.parts import Updates, Values


@dataclass(frozen=True, slots=True)
class Sending:
    desk: Desk

    async def send(self, values: Values, request: gr.Request) -> Updates:
        """A message; the page shows it already."""

        async def act(chat: Chat, asked: Asked) -> Updates:
            await chat.send(asked.text, self.desk.request_of(values), asked.id)
            return {self.desk.parts.begin: ""} if values[self.desk.parts.begin] else {}

        return await self.desk.do_asked(values, request, act)

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
