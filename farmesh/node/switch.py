"""One handler for other peers' calls, while the services behind it come and go."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from farmesh.core import PeerId
from farmesh.errors import RemoteError
from farmesh.network.transport import PeerStream
from farmesh.node.service import NodeService
from farmesh.wire.failures import CODE_CLOSING
from farmesh.wire.messages import Step


class Switch:
    """Answers with the service of the moment; between two spans there is none."""

    def __init__(self) -> None:
        self.service: NodeService | None = None

    def __repr__(self) -> str:
        return f"<Switch to {self.service!r}>"

    @property
    def _current(self) -> NodeService:
        if self.service is None:
            raise RemoteError(CODE_CLOSING, "the node is changing its blocks or shutting down")
        return self.service

    @property
    def max_elements(self) -> int:
        return self.service.max_elements if self.service else 0

    def cache_tokens_left(self) -> int | None:
        return self.service.cache_tokens_left if self.service else None

    async def inference(self, stream: PeerStream) -> None:
        await self._current.inference(stream)

    async def push(self, peer_id: PeerId, step: Step) -> None:
        await self._current.push(peer_id, step)

    async def info(self, peer_id: PeerId, uid: str) -> Mapping[str, Any]:
        return await self._current.info(peer_id, uid)
