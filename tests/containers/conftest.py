"""compose.yaml in an engine: built once, started once."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.containers.docker import Deployment

# An address of this machine alone that is seldom taken.
LISTEN = "127.0.0.2"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.containers)
            item.add_marker(pytest.mark.timeout(1800))  # the first builds the image


@pytest.fixture(scope="package")
def deployment() -> Iterator[Deployment]:
    """All of compose.yaml, healthy; TORCH_INDEX, when set, is where the build gets torch from."""
    made = Deployment("farmesh-test", LISTEN=LISTEN)
    index = [f"--build-arg=TORCH_INDEX={url}"] if (url := os.environ.get("TORCH_INDEX")) else []
    made("build", *index, "bootstrap", timeout=1500)
    try:
        made.up()
        yield made
    finally:
        made("down", "--volumes", "--timeout", "15")
