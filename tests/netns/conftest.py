"""The tiny checkpoint of the tests of real processes."""

from tests.swarm.conftest import checkpoint, oracle

__all__ = ["checkpoint", "oracle"]
