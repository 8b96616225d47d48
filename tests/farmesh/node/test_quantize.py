"""Blocks quantised by bitsandbytes, token for token against transformers with the same library."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, BitsAndBytesConfig

from farmesh.checkpoint.reader import Checkpoint
from farmesh.config import NodeConfig
from farmesh.errors import ConfigError, UnsupportedModel
from farmesh.node import FarNode
from farmesh.node.quantize import block_bytes, check_quantization
from tests.support.families import VOCABULARY, expected, make, spy_on_logits
from tests.support.harness import generate, greedy, swarm_of

pytest.importorskip("bitsandbytes", reason="needs the extra quant", exc_type=ImportError)
pytestmark = pytest.mark.filterwarnings(
    "ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning"
)

KINDS = {
    "int8": BitsAndBytesConfig(load_in_8bit=True),
    "nf4": BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=torch.float32,
    ),
}


# nf4 wants rows of whole groups of 64. (Falcon is not here: transformers does not quantise it.)
SIZES = {name: {"intermediate_size": 128} for name in ("llama-3", "gemma2")}


def judge(folder: Path, kind: str) -> Any:
    """The whole model in this process, its blocks quantised by transformers."""
    model = AutoModelForCausalLM.from_pretrained(
        folder, quantization_config=KINDS[kind], dtype=torch.float32, device_map={"": "cpu"}
    )
    return model.eval() if kind == "nf4" else model.train()  # as nodes do; nothing is dropped out


# int8 of Llama's like is the kernels' (test_fast.py).
@pytest.mark.parametrize(
    ("name", "kind"),
    [("llama-3", "nf4"), *((name, kind) for name in ("gemma2", "bloom") for kind in KINDS)],
)
async def test_quantised_blocks_are_exact(name: str, kind: str, tmp_path: Path) -> None:
    """Bug prevented: a layer is left out or rounded otherwise than upstream's nodes round it."""
    plain = make(tmp_path, name, **SIZES.get(name, {}))
    model = judge(tmp_path, kind)
    draw = random.Random(name)
    prompts = [[draw.randrange(VOCABULARY) for _ in range(length)] for length in (60, 5, 30)]
    wanted = [expected(model, prompt, 6)[0] for prompt in prompts]
    logits, without = (expected(one, prompts[0], 1)[1] for one in (model, plain))
    async with swarm_of(tmp_path, "a=0:2 b=2:4", quantize=kind) as swarm:
        assert swarm.nodes["a"].info.quant_type == kind
        client = await swarm.client(prefill_chunk=32)
        seen = spy_on_logits(client)
        await generate(client.session(), prompts[0], greedy(1))
        # Far closer to the quantised model than that is to the plain one.
        assert (seen[0] - logits).norm() < 0.1 * (without - logits).norm()
        replies = await asyncio.gather(
            *(generate(client.session(), prompt, greedy(6)) for prompt in prompts)
        )
    assert [reply.tokens for reply in replies] == wanted


def test_sizes_are_those_of_the_weights(tmp_path: Path) -> None:
    """Bug prevented: a node takes as many blocks as would fit without quantisation, or too many."""
    from farmesh.core import Span
    from farmesh.node.blocks import BlockStack

    make(tmp_path, "llama-2", intermediate_size=128)
    checkpoint = Checkpoint(tmp_path)
    sizes = {}
    for kind in ("none", *KINDS):
        stack = BlockStack(
            checkpoint, Span(0, 1), torch.device("cpu"), torch.float32, quantize=kind
        )
        stack.load()
        sizes[kind] = block_bytes(checkpoint, kind, torch.float32)
        held = sum(
            weight.numel() * weight.element_size() for weight in stack._layers[0].parameters()
        )
        assert held <= sizes[kind] < 1.2 * held
    assert sizes["nf4"] < sizes["int8"] < sizes["none"] / 3


def test_what_cannot_be_quantised_is_said(tmp_path: Path, monkeypatch: Any) -> None:
    """Bug prevented: a node announces nf4 and keeps its experts in full precision."""
    make(tmp_path, "mixtral")
    with pytest.raises(UnsupportedModel, match="most of its weights are not in linear layers"):
        FarNode(NodeConfig(checkpoint=tmp_path, quantize="nf4"))
    make(tmp_path, "llama-2")
    checkpoint = Checkpoint(tmp_path)
    with pytest.raises(UnsupportedModel, match="a layer with 96 inputs"):
        check_quantization("nf4", checkpoint)
    monkeypatch.setitem(__import__("sys").modules, "bitsandbytes", None)
    with pytest.raises(ConfigError, match=r"pip install 'bitsandbytes"):
        check_quantization("int8", checkpoint)
