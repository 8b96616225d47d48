"""The client's part of a model: packed as a file has it, or float32."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from gguf import GGMLQuantizationType as Kind

from farmesh.checkpoint.reader import Checkpoint
from farmesh.client.stem import Stem
from tests.support.families import CONFIGS, random_model
from tests.support.gguf import write_gguf

CLOSE = 1e-3  # of the largest logit


@pytest.fixture(params=["llama-2", "llama-3"])  # a head of its own, and tied embeddings
def made(request: Any, tmp_path: Path) -> tuple[Path, Any]:
    path = tmp_path / "model.gguf"
    return path, write_gguf(path, random_model(CONFIGS[request.param]()), Kind.Q8_0)


@pytest.mark.parametrize("quantize", ["auto", "none", "int8"])
def test_both_ends(quantize: str, made: tuple[Path, Any]) -> None:
    """Bugs prevented: other rows of the embeddings, or a head that is not the file's; float32 that
    cannot be had any more."""
    path, model = made
    stem = Stem(Checkpoint(path), quantize=quantize)
    assert stem.packed == (quantize != "none")
    ids = [3, 319, 0, 3]
    with torch.no_grad():
        assert torch.equal(stem.embed(ids)[0], model.get_input_embeddings()(torch.tensor(ids)))
        hidden_states = torch.randn(5, 64)
        wanted = model.lm_head(model.model.norm(hidden_states))
    found = stem.logits(hidden_states)
    assert (found - wanted).abs().max() < CLOSE * wanted.abs().max()
    if quantize != "none":
        assert torch.equal(stem.logits(hidden_states[2:3]), found[2:3])


def test_floats_stay_unless_told(tmp_path: Path) -> None:
    """Bug prevented: the head of a checkpoint in floating point is rounded unasked."""
    model = random_model(CONFIGS["llama-3"]())
    model.save_pretrained(tmp_path)
    for quantize in ("auto", "nf4"):  # nf4: of the nodes alone
        assert not Stem(Checkpoint(tmp_path), quantize=quantize).packed
    packed = Stem(Checkpoint(tmp_path), quantize="int8")
    assert packed.packed
    held, wanted = packed.embed(range(320))[0], model.get_input_embeddings().weight.detach()
    assert 0 < (held - wanted).norm() < 0.01 * wanted.norm()
