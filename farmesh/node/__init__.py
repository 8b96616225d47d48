"""The node side: FarNode serves a span of blocks.

node       FarNode: lifecycle, announcements, block choice
service    what a node answers to other peers: sessions, steps, pushes
scheduler  one packed forward per tick over all sessions that have work
blocks     decoder layers of a span, loaded from a checkpoint
attention  attention of packed tokens over each session's own KV cache
cache      pages of the KV cache
"""

from farmesh.node.node import FarNode

__all__ = ["FarNode"]
