"""Weights as they are published: packed by the formats' definitions, served, and compared."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers.integrations.mxfp4 import convert_moe_packed_tensors

from farmesh.checkpoint.reader import Checkpoint
from farmesh.errors import CheckpointError, UnsupportedModel
from tests.support.trials import Trial, compare, random_model, talks, tiny_config

Parts = tuple[torch.Tensor, dict[str, torch.Tensor]]  # what a weight is, and how it is stored
GROUP = 16


def words(numbers: torch.Tensor, bits: int, order: tuple[int, ...] | None = None) -> torch.Tensor:
    """``[rows, n]`` numbers as words of 32 bits along the rows, one bit after another."""
    per_word = 32 // bits
    rows = []
    for row in numbers.tolist():
        packed = []
        for start in range(0, len(row), per_word):
            piece = row[start : start + per_word]
            piece = [piece[index] for index in order] if order else piece
            word = sum(number << (bits * place) for place, number in enumerate(piece))
            packed.append(word - 2**32 if word >= 2**31 else word)
        rows.append(packed)
    return torch.tensor(rows, dtype=torch.int32)


def drawn(shape: tuple[int, int], top: int) -> torch.Tensor:
    return torch.randint(0, top, shape)


def scales(*shape: int) -> torch.Tensor:
    return torch.rand(*shape) * 0.03 + 0.005


def fp8(shape: torch.Size) -> Parts:
    stored = (torch.randn(shape) * 50).to(torch.float8_e4m3fn)
    scale = scales(-(-shape[0] // GROUP), -(-shape[1] // GROUP)) / 50
    rows, columns = (torch.arange(size) // GROUP for size in shape)
    weight = stored.float() * scale[rows[:, None], columns[None, :]]
    return weight, {"weight": stored, "weight_scale_inv": scale}


def compressed(shape: torch.Size) -> Parts:
    numbers, scale = drawn(tuple(shape), 16), scales(shape[0], shape[1] // GROUP)
    weight = (numbers - 8).float() * scale.repeat_interleave(GROUP, 1)
    size = torch.tensor(shape)
    parts = {"weight_packed": words(numbers, 4), "weight_scale": scale, "weight_shape": size}
    return weight, parts


def awq(shape: torch.Size) -> Parts:
    out, into = shape
    numbers, zeros, scale = (
        drawn((into, out), 16),
        drawn((into // GROUP, out), 16),
        scales(into // GROUP, out),
    )
    group = torch.arange(into) // GROUP
    weight = ((numbers - zeros[group]).float() * scale[group]).T.contiguous()
    order = (0, 2, 4, 6, 1, 3, 5, 7)
    packed = {"qweight": words(numbers, 4, order), "qzeros": words(zeros, 4, order)}
    return weight, {**packed, "scales": scale}


def gptq(shape: torch.Size) -> Parts:
    out, into = shape
    numbers, zeros, scale = (
        drawn((into, out), 16),
        drawn((into // GROUP, out), 15) + 1,
        scales(into // GROUP, out),
    )
    group = (torch.randperm(into) // GROUP).int()  # as act-order leaves it
    weight = ((numbers - zeros[group.long()]).float() * scale[group.long()]).T.contiguous()
    packed = {"qweight": words(numbers.T, 4).T.contiguous(), "qzeros": words(zeros - 1, 4)}
    return weight, {**packed, "scales": scale, "g_idx": group}


TOLD: dict[str, dict[str, Any]] = {
    "fp8": {"weight_block_size": [GROUP, GROUP]},
    "compressed-tensors": {
        "format": "pack-quantized",
        "config_groups": {"group_0": {"weights": {"num_bits": 4, "group_size": GROUP}}},
    },
    "awq": {"bits": 4, "version": "gemm", "group_size": GROUP},
    "gptq": {"bits": 4, "group_size": GROUP, "checkpoint_format": "gptq"},
}
PACK: dict[str, Callable[[torch.Size], Parts]] = {
    "fp8": fp8,
    "compressed-tensors": compressed,
    "awq": awq,
    "gptq": gptq,
}


def publish(path: Path, method: str, model_type: str, **changes: Any) -> Any:
    """A checkpoint whose blocks' linear weights are packed; the model of what they mean."""
    model = random_model(tiny_config(model_type, **changes))
    model.save_pretrained(path)
    file = path / "model.safetensors"
    tensors = load_file(file)
    meant = {}
    with torch.random.fork_rng():
        torch.manual_seed(11)
        for name in list(tensors):
            if ".layers." in name and name.endswith("proj.weight"):
                weight, parts = PACK[method](tensors.pop(name).shape)
                meant[name] = weight
                base = name.removesuffix("weight")
                tensors |= {base + suffix: part for suffix, part in parts.items()}
    save_file(tensors, file)
    add_told(path, {"quant_method": method, **TOLD[method]})
    truth = path / "meant"
    model.save_pretrained(truth)
    save_file({**load_file(truth / "model.safetensors"), **meant}, truth / "model.safetensors")
    return type(model).from_pretrained(truth, attn_implementation="eager").eval()


def add_told(path: Path, told: dict[str, Any]) -> None:
    config = json.loads((path / "config.json").read_text())
    config["quantization_config"] = told
    (path / "config.json").write_text(json.dumps(config))


def serves(path: Path, model: Any) -> None:
    draw = random.Random(5)
    with torch.inference_mode():
        trial, everybody = Trial(path), talks(draw)
        trial.turn(everybody, 0, draw)
        for talk in everybody:
            compare(model, talk)


@pytest.mark.parametrize("model_type", ["llama", "qwen3_moe"])
@pytest.mark.parametrize("method", PACK)
def test_packed_weights_are_what_they_mean(method: str, model_type: str, tmp_path: Path) -> None:
    """Bug prevented: a scale, zero point, order of columns or group belongs to another weight, or
    is left out: fluent nonsense. Experts are packed one by one and joined afterwards."""
    changes = {"intermediate_size": 40} if method == "fp8" else {"intermediate_size": 48}
    if model_type == "qwen3_moe":
        changes["moe_intermediate_size"] = 32
    serves(tmp_path, publish(tmp_path, method, model_type, **changes))


def test_mxfp4_is_what_transformers_makes_of_it(tmp_path: Path) -> None:
    """Bug prevented: gpt-oss as published, whose experts are bytes of two numbers, cannot be
    served, or its two halves are swapped."""
    model = random_model(tiny_config("gpt_oss", hidden_size=64, intermediate_size=32))
    model.save_pretrained(tmp_path)
    file = tmp_path / "model.safetensors"
    tensors = load_file(file)
    state = model.state_dict()
    for name in [name for name in tensors if name.endswith(("experts.gate_up_proj", "down_proj"))]:
        experts, into, out = tensors.pop(name).shape
        blocks = torch.randint(0, 256, (experts, out, into // 32, 16), dtype=torch.uint8)
        exponents = torch.randint(120, 124, blocks.shape[:-1], dtype=torch.uint8)
        tensors |= {f"{name}_blocks": blocks, f"{name}_scales": exponents}
        state[name].copy_(convert_moe_packed_tensors(blocks, exponents, dtype=torch.float32))
    save_file(tensors, file)
    add_told(tmp_path, {"quant_method": "mxfp4"})
    serves(tmp_path, model)


@pytest.mark.parametrize(
    ("told", "says"),
    [
        ({"quant_method": "bitnet"}, "'bitnet'"),
        ({"quant_method": "gptq", "bits": 3}, "3 bits"),
        ({"quant_method": "awq", "version": "gemv"}, "'gemm'"),
        ({"quant_method": "compressed-tensors", "format": "nvfp4-pack-quantized"}, "nvfp4"),
    ],
)
def test_other_formats_are_refused(told: dict[str, Any], says: str, tmp_path: Path) -> None:
    """Bug prevented: weights in an unknown format are read as if they were plain numbers."""
    random_model(tiny_config("llama")).save_pretrained(tmp_path)
    add_told(tmp_path, told)
    with pytest.raises(UnsupportedModel, match=says):
        Checkpoint(tmp_path)


def test_a_format_that_nobody_told_of(tmp_path: Path) -> None:
    """Bug prevented: FP8 weights without their configuration are taken for the numbers."""
    publish(tmp_path, "fp8", "llama")
    add_told(tmp_path, {})
    with pytest.raises(CheckpointError, match="8 bits"):
        Trial(tmp_path)
