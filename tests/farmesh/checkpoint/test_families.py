"""Every model family through real nodes, token for token against transformers in one process."""

from __future__ import annotations

import asyncio
import json
import random
from pathlib import Path

import pytest
import torch

from farmesh.checkpoint.device import resolve_device
from farmesh.checkpoint.reader import Checkpoint
from farmesh.errors import CheckpointError, UnsupportedModel
from tests.support.families import (
    CHUNK,
    CONFIGS,
    LAYOUTS,
    PATIENT,
    VOCABULARY,
    conversation,
    expected,
    held,
    make,
    spy_on_logits,
)
from tests.support.harness import generate, greedy, swarm_of

LOGITS = 1e-4  # largest difference allowed in any logit, fp32
LENGTHS = (1, 2, 17, CHUNK, CHUNK + 1, 600)  # of prompts


@pytest.mark.parametrize("name", CONFIGS)
async def test_a_family_is_exact(name: str, tmp_path: Path) -> None:
    """Bug prevented: a window, scaling, head grouping or bias that only one family uses is lost,
    and its replies go wrong without an error, perhaps only beyond the first chunk or turn, at a
    chunk's edge, or for a single token; or tokens of one chat see another's keys, positions or
    masks in a batch."""
    model = make(tmp_path, name)
    draw = random.Random(name)
    conversations = [list(conversation(model, draw, length)) for length in LENGTHS]
    wanted = torch.cat([turn.logits for turns in conversations for turn in turns])
    for layout in LAYOUTS:
        # Small batches: several sessions share one, and a prompt's chunk takes more than one.
        async with swarm_of(tmp_path, layout, max_batch_tokens=96) as swarm:
            client = await swarm.client(prefill_chunk=CHUNK, **PATIENT)
            seen = spy_on_logits(client)
            talks = [held(client.session(), turns) for turns in conversations]
            if len(swarm.nodes) == 1:  # one after the other
                for talk in talks:
                    await talk
            else:
                await asyncio.gather(*talks)
        rows = torch.cat(seen)  # of all sessions, in the order in which they came to pass
        assert len(rows) == len(wanted)
        nearest = (wanted[:, None] - rows[None]).abs().amax(-1).amin(-1)
        assert nearest.max() < LOGITS


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
@pytest.mark.parametrize("name", ["llama-3", "gemma2", "bloom"])
async def test_half_precision(name: str, dtype: str, tmp_path: Path) -> None:
    """Bug prevented: --dtype is announced and not used, or overflows; clients that compute in
    float32 cannot talk to such a node."""
    model = make(tmp_path, name)
    prompt = random.Random(name).choices(range(VOCABULARY), k=40)
    _, wanted = expected(model, prompt, 1)
    async with swarm_of(tmp_path, "a=0:2 b=2:4", dtype=dtype) as swarm:
        node = swarm.nodes["a"]
        assert node.info.torch_dtype == dtype
        weights = node.service._stack._layers[0].parameters()  # type: ignore[union-attr]
        assert {weight.dtype for weight in weights} == {getattr(torch, dtype)}
        client = await swarm.client(prefill_chunk=16)
        seen = spy_on_logits(client)
        await generate(client.session(), prompt, greedy(1))
    error = (torch.cat(seen) - wanted).norm() / wanted.norm()
    assert 1e-6 < error < (0.08 if dtype == "bfloat16" else 0.01)


def test_a_trunk_checkpoint_loads(tmp_path: Path) -> None:
    """Bug prevented: BLOOM's published files name their tensors without the model's root, and a
    node finds none of them."""
    from safetensors.torch import load_file, save_file

    make(tmp_path, "bloom")
    path = tmp_path / "model.safetensors"
    tensors = load_file(path)
    save_file({name.removeprefix("transformer."): t for name, t in tensors.items()}, path)
    checkpoint = Checkpoint(tmp_path)
    assert checkpoint.names("transformer.h.0.")
    stored = checkpoint.read(["transformer.ln_f.weight"], torch.float32)
    assert torch.equal(stored["transformer.ln_f.weight"], tensors["transformer.ln_f.weight"])


@pytest.mark.parametrize(
    ("model_type", "near"), [("gpt2", None), ("qwen3_tomorrow", "qwen3"), ("made_tomorrow", None)]
)
def test_other_architectures_are_refused_by_name(
    tmp_path: Path, model_type: str, near: str | None
) -> None:
    """Bug prevented: an unsupported model loads halfway and answers nonsense; one that transformers
    does not know either is refused with a page of advice to upgrade it."""
    (tmp_path / "config.json").write_text(json.dumps({"model_type": model_type}))
    with pytest.raises(UnsupportedModel) as refused:
        Checkpoint(tmp_path)
    assert f"'{model_type}' cannot be served here" in str(refused.value)
    assert "python -m farmesh families" in str(refused.value)
    assert near is None or f" {near}" in str(refused.value)


@pytest.mark.parametrize(
    ("model_type", "name", "prefix"),
    [
        ("llama", "meta-llama/Meta-Llama-3.1-8B-Instruct", "Meta-Llama-3-1-8B-Instruct-hf"),
        ("falcon", "tiiuae/falcon-40b", "falcon-40b"),
        ("bloom", "bigscience/bloom", "bigscience/bloom-petals"),
        (
            "mixtral",
            "mistralai/Mixtral-8x7B-Instruct-v0.1",
            "mistralai/Mixtral-8x7B-Instruct-v0-1",
        ),
    ],
)
def test_prefixes_are_upstreams(model_type: str, name: str, prefix: str) -> None:
    """Bug prevented: our nodes announce a model under a key where nobody looks for it."""
    from farmesh.checkpoint.families import family_of

    assert family_of({"model_type": model_type}).dht_prefix(name) == prefix


@pytest.mark.parametrize("name", ["cuda:2", "cuda:1", "warp"])
def test_a_device_that_is_not_there(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bug prevented: a mistyped GPU is a traceback, after gigabytes were fetched."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: name == "cuda:2")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert resolve_device("cpu").type == "cpu"
    with pytest.raises(CheckpointError, match=r"no cuda:2|CUDA is not available|is not a device"):
        resolve_device(name)
