"""How the embedded swarm is shared out, and when a child is tried again: pure."""

from __future__ import annotations

from itertools import pairwise

from farmesh.core import Span

FIRST_PAUSE = 0.5  # seconds before a child is started again; doubles with each failure in a row
LONGEST_PAUSE = 8.0  # seconds


# --- Decisions --------------------------------------------------------------------------------


def split_blocks(num_blocks: int, nodes: int) -> tuple[Span, ...]:
    """Cut a model into as many spans as nodes, none longer than another by more than one."""
    edges = [node * num_blocks // nodes for node in range(nodes + 1)]
    return tuple(Span(start, end) for start, end in pairwise(edges))


def pause_before_restart(failures: int) -> float:
    """Seconds to wait after so many ends in a row."""
    return float(min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** min(failures - 1, 10)))


def threads_per_node(wanted: int, cores: int) -> int:
    """What was asked for, or all cores: while one node computes for a chat the others wait.

    A node measures what more than one thread is good for before it uses them.
    """
    return wanted or cores


def is_loopback(address: str) -> bool:
    """Whether an address leads to the machine that it is used on."""
    return address.startswith(("/ip4/127.", "/ip6/::1/"))
