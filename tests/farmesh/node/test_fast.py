"""Blocks through the kernels, against transformers' layers with the same weights."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
import torch
from gguf import GGMLQuantizationType as Kind

from farmesh.checkpoint.reader import Checkpoint
from farmesh.core import Span
from farmesh.errors import ConfigError, UnsupportedModel
from farmesh.kernels import compiling
from farmesh.kernels.groups import grouped
from farmesh.node.attention import PackedBatch, Segment
from farmesh.node.blocks import BlockStack
from farmesh.node.fast import FastStack
from farmesh.node.stacks import Weights, choose_weights, weight_bytes
from tests.support.families import CONFIGS, random_model
from tests.support.gguf import write_gguf

CPU = torch.device("cpu")
SPAN = Span(0, 4)
FAMILIES = ("llama-2", "llama-3", "mistral", "qwen2", "qwen3", "phi3")
CLOSE = 2e-3  # of a token's length, after four blocks that treble what they are given


def rounded_model(folder: Path, name: str) -> None:
    """A checkpoint whose matrices are 8-bit numbers already: quantising them changes nothing."""
    model = random_model(CONFIGS[name]())
    with torch.no_grad():
        for key, weight in model.named_parameters():
            if weight.dim() == 2 and "layers" in key:
                weight.copy_(torch.from_numpy(grouped(weight.numpy(), 8).floats()))
            if key.endswith("bias"):
                weight.add_(0.3 * torch.randn_like(weight))
    model.save_pretrained(folder)


def stacks(folder: Path) -> tuple[FastStack, BlockStack]:
    fast = FastStack(Checkpoint(folder), SPAN, bits=8)
    plain = BlockStack(Checkpoint(folder), SPAN, CPU, torch.float32)
    for stack in (fast, plain):
        stack.load()
    return fast, plain


def run(stack: Any, chats: dict[int, torch.Tensor], plan: list[dict[int, int]]) -> Any:
    """Each chat's outputs, after ticks that run so many tokens of each.

    ``chats`` are ``[tokens, hidden]`` by the first slot of each in the cache.
    """
    cache = stack.make_cache(1024)
    done = dict.fromkeys(chats, 0)
    outputs: dict[int, list[torch.Tensor]] = {base: [] for base in chats}
    for tick in plan:
        segments, rows = [], []
        for base, tokens in tick.items():
            start = done[base]
            segments.append(Segment(sum(map(len, rows)), tokens, base, start))
            rows.append(chats[base][start : start + tokens])
            done[base] += tokens
        packed = PackedBatch(segments, cache, CPU)
        found = stack.forward(torch.cat(rows)[None], SPAN, packed)[0].split(packed.sizes)
        for base, part in zip(tick, found, strict=True):
            outputs[base].append(part.clone())
    return {base: torch.cat(parts) for base, parts in outputs.items()}


@pytest.mark.parametrize("name", FAMILIES)
def test_blocks_are_those_of_transformers(name: str, tmp_path: Path) -> None:
    """Bug prevented: a bias, a norm of heads, a window or a rotation that a family has and the
    kernels leave out."""
    rounded_model(tmp_path, name)
    fast, plain = stacks(tmp_path)
    torch.manual_seed(2)
    chats = {0: torch.randn(150, 64), 256: torch.randn(90, 64)}
    plan = [{0: 100}, {0: 1, 256: 60}, {256: 1, 0: 1}, {0: 40, 256: 20}, {256: 1}]
    found, wanted = run(fast, chats, plan), run(plain, chats, plan)
    for base in chats:
        error = (found[base] - wanted[base]).norm(dim=1) / wanted[base].norm(dim=1)
        assert error.max() < CLOSE


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("name", ["llama-3", "qwen2"])
def test_neighbours_change_no_bit(name: str, threads: int, tmp_path: Path) -> None:
    """Bug prevented: what is computed beside a chat, how much of it, or in which pieces its own
    prompt comes, changes its tokens. Speculation will count on it."""
    rounded_model(tmp_path, name)
    fast, _ = stacks(tmp_path)
    torch.manual_seed(3)
    mine = torch.randn(80, 64)
    others = {64 * n + 100: torch.randn(60, 64) * 10.0 ** (n % 5) for n in range(1, 13)}
    others[164][::2, 5] = 1e6  # outliers, as real models have them, and worse
    others[228][3] = float("nan")
    alone = run(fast, {0: mine}, [{0: 1}] * 80)[0]
    draw = random.Random(name)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        for _ in range(6):
            plan, left = [], 80
            busy = dict.fromkeys(others, 60)
            while left:
                tokens = min(left, draw.choice([1, 1, 2, 3, 5, 8, 16, 33]))
                left -= tokens
                tick = {0: tokens}
                for base in draw.sample(sorted(busy), draw.randrange(len(busy))):
                    tick[base] = min(busy[base], draw.choice([1, 1, 1, 4, 20]))
                    busy[base] -= tick[base]
                order = draw.sample(sorted(tick), len(tick))
                plan.append({base: tick[base] for base in order if tick[base]})
            assert torch.equal(run(fast, {0: mine} | others, plan)[0], alone)
    finally:
        torch.set_num_threads(before)


def test_a_part_of_a_span(tmp_path: Path) -> None:
    """Bug prevented: a session that uses blocks 1 and 2 of a node is computed with 0 and 1."""
    rounded_model(tmp_path, "llama-2")
    fast, plain = stacks(tmp_path)
    x = torch.randn(1, 5, 64)
    outputs = [
        stack.forward(x, Span(1, 3), PackedBatch([Segment(0, 5, 0, 0)], stack.make_cache(64), CPU))
        for stack in (fast, plain)
    ]
    assert (outputs[0] - outputs[1]).norm() < CLOSE * outputs[1].norm()


def test_what_is_chosen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bugs prevented: a node says what it does not do; a file in 4 bits makes a node of 32; LoRAs
    are lost on the fast path."""

    def chosen(kind: str, path: Path, **changes: Any) -> Weights:
        options: dict[str, Any] = {"device": CPU, "dtype": torch.float32} | changes
        return choose_weights(kind, Checkpoint(path), **options)

    model = random_model(CONFIGS["llama-2"]())
    four, eight, whole = (tmp_path / f"{bits}.gguf" for bits in (4, 8, 32))
    for path, kind in ((four, Kind.Q4_1), (eight, Kind.Q8_0), (whole, Kind.F32)):
        write_gguf(path, model, kind)
    assert chosen("auto", four) == Weights("int4", 8)
    assert chosen("auto", eight) == Weights("int8", 8)
    assert chosen("auto", whole) == chosen("none", four) == Weights("none")
    assert chosen("auto", four, dtype=torch.bfloat16) == Weights("none")
    assert chosen("auto", four, adapters=[object()]) == Weights("none")
    assert chosen("int8", whole) == Weights("int8", 8)
    assert chosen("int4", whole) == Weights("int4", 4)
    with pytest.raises(ConfigError, match="quantize must be one of"):
        chosen("int2", whole)
    sizes = [
        weight_bytes(Checkpoint(path), chosen(kind, path), torch.float32)
        for kind, path in (("auto", four), ("auto", eight), ("none", eight))
    ]
    assert sizes[0] < 0.7 * sizes[1] < 0.3 * sizes[2]

    bloom = tmp_path / "bloom"
    random_model(CONFIGS["bloom"]()).save_pretrained(bloom)
    with pytest.raises(UnsupportedModel, match="blocks like Llama's"):
        chosen("int4", bloom)

    monkeypatch.setattr("farmesh.node.fast.kernels", lambda: None)
    monkeypatch.setattr("farmesh.node.stacks.why_not", lambda: "There is no compiler.")
    assert chosen("auto", four) == Weights("none")
    with pytest.raises(UnsupportedModel, match="There is no compiler"):
        chosen("int4", four)
    assert compiling.kernels() is not None


@pytest.mark.parametrize("kind", [Kind.Q4_0, Kind.Q4_1, Kind.Q5_1, Kind.Q8_0])
def test_a_file_stays_as_it_is(kind: Kind, tmp_path: Path) -> None:
    """Bug prevented: rows of queries and keys in llama.cpp's order; a second rounding."""
    path = tmp_path / "model.gguf"
    model = write_gguf(path, random_model(CONFIGS["llama-3"]()), kind)
    fast = FastStack(Checkpoint(path), SPAN, bits=8)
    fast.load()
    for number, block in enumerate(fast._blocks):
        for field, name in (("query", "self_attn.q_proj"), ("key", "self_attn.k_proj")):
            held = block._matrices[field].rows(torch.arange(block._matrices[field].shape[0]))
            wanted = model.get_parameter(f"model.layers.{number}.{name}.weight")
            assert torch.equal(held, wanted.detach())
