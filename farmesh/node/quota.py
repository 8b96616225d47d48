"""How many sessions and tokens one peer may hold."""

from __future__ import annotations

from dataclasses import dataclass

from farmesh.errors import QuotaExceeded


@dataclass(slots=True)
class Account:
    """What one peer has of this node at the moment, over all its sessions."""

    max_queued_bytes: int = 2**62
    sessions: int = 0
    queued_bytes: int = 0  # of steps that wait or are being computed

    def take(self, size: int) -> None:
        """Raises: QuotaExceeded, unless nothing else waits: a single step is bounded elsewhere."""
        if self.queued_bytes and self.queued_bytes + size > self.max_queued_bytes:
            raise QuotaExceeded("queue", "too much of this peer waits here; try again later")
        self.queued_bytes += size
