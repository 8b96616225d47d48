"""Ports and patience: where tests listen, and how long they wait on a busy machine."""

from __future__ import annotations

import os
import socket


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def patience() -> float:
    """How much longer than on a quiet machine something may take."""
    return min(5.0, max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1)))
