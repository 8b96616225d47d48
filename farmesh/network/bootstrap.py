"""A peer that others join through."""

from __future__ import annotations

import asyncio
import contextlib
from types import TracebackType

from farmesh.config import BootstrapConfig
from farmesh.network.joining import joined
from farmesh.network.options import PeerOptions
from farmesh.network.transport import Whereabouts


class Bootstrap:
    """A peer that others join through; an ``async with`` scope that serves no blocks.

    Raises on entry: as :func:`farmesh.network.joining.joined`.
    """

    def __init__(self, config: BootstrapConfig) -> None:
        """Raises: ConfigError."""
        self._options = PeerOptions(
            initial_peers=config.initial_peers,
            host=config.host,
            port=config.port,
            announce=config.announce,
            identity_path=config.identity_path,
            relay=config.relay,
        )
        self._scope = contextlib.AsyncExitStack()
        self._whereabouts = Whereabouts()

    def __repr__(self) -> str:
        return f"<Bootstrap {self._whereabouts}>"

    @property
    def lost(self) -> asyncio.Event:
        """Set when the peer broke for good and its process should end."""
        return self._whereabouts.lost

    @property
    def addresses(self) -> tuple[str, ...]:
        """Full addresses, ``/ip4/…/tcp/…/p2p/…``, for others' ``initial_peers``."""
        return self._whereabouts.addresses

    async def __aenter__(self) -> Bootstrap:
        peer = await self._scope.enter_async_context(joined(self._options))
        self._whereabouts = peer.whereabouts
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._scope.__aexit__(kind, error, traceback)
