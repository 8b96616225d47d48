"""Where the app runs: on this machine alone, in a network, on a Space."""

from __future__ import annotations

import os
from collections.abc import Mapping

LOOPBACK = frozenset({"localhost", "127.0.0.1", "[::1]", "::1"})


def on_a_space(environ: Mapping[str, str] = os.environ) -> bool:
    return "SPACE_ID" in environ
