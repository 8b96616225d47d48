"""The inference session that a chat holds on the nodes."""

from __future__ import annotations

from chat.models.backend import Client, InferenceSession
from farmesh.core import Route


class HeldSession:
    """A chat's inference session: opened with a turn, kept for the next one, given back."""

    def __init__(self) -> None:
        self._session: InferenceSession | None = None

    def __repr__(self) -> str:
        return f"<HeldSession {f'{self.position} tokens' if self else 'NONE'}>"

    def __bool__(self) -> bool:
        return self._session is not None

    @property
    def position(self) -> int:
        """Tokens that the nodes hold."""
        return self._session.position if self._session else 0

    @property
    def route(self) -> Route | None:
        return self._session.route if self._session else None

    def open(self, client: Client) -> InferenceSession:
        """The session that is held, or a new one."""
        if self._session is None:
            self._session = client.session()
        return self._session

    def lose(self) -> None:
        """The nodes gave it up."""
        self._session = None

    async def give_back(self) -> None:
        """Free the nodes' KV caches; the next turn fills new ones."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()
