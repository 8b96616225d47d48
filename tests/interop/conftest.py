"""One tiny checkpoint that transformers of 2023 and of today read alike."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.models import Oracle, Shape, make_checkpoint


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four blocks, grouped heads; the config has the older names of two fields too."""
    path = make_checkpoint(tmp_path_factory.mktemp("checkpoints") / "tiny", Shape(kv_heads=2))
    file = path / "config.json"
    config = json.loads(file.read_text())
    older = {
        "torch_dtype": config["dtype"],
        "rope_theta": config["rope_parameters"]["rope_theta"],
    }
    file.write_text(json.dumps(config | older, indent=2))
    return path


@pytest.fixture(scope="session")
def oracle(checkpoint: Path) -> Oracle:
    return Oracle(checkpoint)
