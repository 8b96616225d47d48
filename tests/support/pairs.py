"""Two ends of one shared connection."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator

from farmesh.network.shared import MESSAGE, Channel, SharedConnection
from tests.support.waiting import PATIENCE


class Pair:
    """A client's and a node's end of one connection, over a real socket."""

    def __init__(self, client: SharedConnection, node: SharedConnection) -> None:
        self.client = client
        self.node = node
        self.accepted: asyncio.Queue[Channel] = asyncio.Queue()
        self.serving: list[asyncio.Task[None]] = []  # handlers of accepted channels
        self.node_run: asyncio.Task[None]
        self.client_run: asyncio.Task[None]

    async def channel(self) -> tuple[Channel, Channel]:
        """Both ends of a new channel that has been spoken on."""
        near = self.client.open()
        await near.write(MESSAGE, b"hello")
        far = await self.accepted.get()
        assert await far.read() == (MESSAGE, b"hello")
        await far.write(MESSAGE, b"welcome")
        assert await near.read() == (MESSAGE, b"welcome")
        return near, far


@contextlib.asynccontextmanager
async def connected() -> AsyncIterator[Pair]:
    ends = [await asyncio.open_connection(sock=end) for end in socket.socketpair()]
    pair = Pair(SharedConnection(*ends[0]), SharedConnection(*ends[1], lambda c: accepted(c)))

    def accepted(channel: Channel) -> None:
        pair.accepted.put_nowait(channel)

    pair.node_run = asyncio.create_task(pair.node.run())
    pair.client_run = asyncio.create_task(pair.client.run())
    async with asyncio.timeout(PATIENCE):
        try:
            yield pair
        finally:
            pair.client.close()
            pair.node.close()
            runs = (pair.node_run, pair.client_run, *pair.serving)
            await asyncio.gather(*runs, return_exceptions=True)
            for _, writer in ends:
                with contextlib.suppress(OSError):
                    await writer.wait_closed()
