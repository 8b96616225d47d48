"""Ways to another peer through the daemon: streams, unary calls, and connections kept open."""

from __future__ import annotations

import asyncio
from typing import Any

from hivemind.p2p import P2P, PeerID

from farmesh.core import PeerId
from farmesh.network.failures import peer_errors
from farmesh.network.probing import Probe, probe
from farmesh.network.shared import SharedConnection, run_connection


class Dialler:
    """Opens streams to other peers and calls them, each within ``seconds``."""

    def __init__(self, p2p: P2P, seconds: float) -> None:
        self._p2p = p2p
        self._seconds = seconds

    async def open(
        self, peer_id: PeerId, name: str
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Raises: PeerUnreachable."""
        with peer_errors():
            async with asyncio.timeout(self._seconds):
                _, reader, writer = await self._p2p.call_binary_stream_handler(
                    PeerID.from_base58(peer_id), name
                )
        return reader, writer

    async def call(self, peer_id: PeerId, name: str, request: Any, answer: Any) -> Any:
        """Send one protobuf message and return the one that answers it, of the type ``answer``.

        Raises: PeerUnreachable, RemoteError.
        """
        with peer_errors():
            async with asyncio.timeout(self._seconds):
                return await self._p2p.call_protobuf_handler(
                    PeerID.from_base58(peer_id), name, request, answer
                )

    async def probe(self, peer_id: PeerId) -> Probe:
        """Raises: PeerUnreachable, RemoteError."""
        return await probe(self._p2p, PeerID.from_base58(peer_id), self._seconds)


class SharedConnections:
    """One shared connection per peer, opened when it is first asked for."""

    def __init__(self, dialler: Dialler, name: str) -> None:
        """
        Args:
            name: of the method that answers with the other end.
        """
        self._dialler = dialler
        self._name = name
        self._opened: dict[PeerId, asyncio.Task[SharedConnection]] = {}
        self._readers: set[asyncio.Task[None]] = set()

    def __repr__(self) -> str:
        return f"<SharedConnections {len(self._readers)} open>"

    async def to(self, peer_id: PeerId) -> SharedConnection:
        """The one to this peer, opened once for all who ask.

        Raises: PeerUnreachable.
        """
        task = self._opened.get(peer_id)
        if task is None or (task.done() and not _usable(task)):
            task = asyncio.create_task(self._open(peer_id), name="farmesh-connect")
            task.add_done_callback(_retrieve)
            self._opened[peer_id] = task
        return await asyncio.shield(task)

    async def aclose(self) -> None:
        """Break them off."""
        tasks = [*self._opened.values(), *self._readers]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _open(self, peer_id: PeerId) -> SharedConnection:
        connection = SharedConnection(*await self._dialler.open(peer_id, self._name))
        reader = asyncio.create_task(run_connection(connection), name="farmesh-shared")
        self._readers.add(reader)
        reader.add_done_callback(self._readers.discard)
        return connection


def _usable(task: asyncio.Task[SharedConnection]) -> bool:
    if task.cancelled() or task.exception() is not None:
        return False
    connection = task.result()
    return not (connection.broken or connection.retired)


def _retrieve(task: asyncio.Task[SharedConnection]) -> None:
    if not task.cancelled():  # those who wait hear of it, if any are left
        task.exception()
