"""Checkpoints and judges, made once per test run."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

pytest.register_assert_rewrite("tests.farmesh.harness", "tests.farmesh.simulation")

from tests.models import Oracle, Shape, make_checkpoint  # noqa: E402 - after the line above


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four blocks, hidden size 64."""
    return make_checkpoint(tmp_path_factory.mktemp("checkpoints") / "tiny")


@pytest.fixture(scope="session")
def oracle(checkpoint: Path) -> Oracle:
    return Oracle(checkpoint)


@pytest.fixture(scope="session")
def grouped_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Grouped key and value heads, tied embeddings, six blocks."""
    shape = Shape(blocks=6, kv_heads=2, tied=True, seed=2)
    return make_checkpoint(tmp_path_factory.mktemp("checkpoints") / "grouped", shape)


@pytest.fixture(scope="session")
def grouped_oracle(grouped_checkpoint: Path) -> Oracle:
    return Oracle(grouped_checkpoint)


@pytest.fixture(scope="session")
def judge(tmp_path_factory: pytest.TempPathFactory) -> Oracle:
    """Three blocks, hidden size 32: as small as it gets while every mistake changes the text."""
    shape = Shape(blocks=3, hidden=32, heads=2, kv_heads=1, vocab=64, context=128, seed=3)
    return Oracle(make_checkpoint(tmp_path_factory.mktemp("checkpoints") / "judge", shape))
