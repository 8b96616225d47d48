"""Every model family through real nodes, token for token against transformers in one process."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers as tf
from transformers import AutoModelForCausalLM

from farmesh.checkpoint.device import resolve_device
from farmesh.checkpoint.families import supported_models
from farmesh.checkpoint.reader import Checkpoint
from farmesh.client.client import FarMeshClient
from farmesh.client.session import InferenceSession
from farmesh.errors import CheckpointError, UnsupportedModel
from tests.farmesh.harness import generate, greedy, swarm_of

VOCABULARY = 320
LOGITS = 1e-4  # largest difference allowed in any logit, fp32
CHUNK = 128  # tokens of one prefill message
LENGTHS = (1, 2, 17, CHUNK, CHUNK + 1, 600)  # of prompts
REPLY = 4  # tokens
# Nobody fails here, however busy the machine is.
PATIENT = {"step_timeout_floor": 30.0, "silence_timeout": 30.0, "connect_timeout": 30.0}

_BASE: dict[str, Any] = {
    "vocab_size": VOCABULARY,
    "hidden_size": 64,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "max_position_embeddings": 2048,
    "bos_token_id": None,
    "eos_token_id": None,
    "pad_token_id": None,
}
_GROUPED = {**_BASE, "intermediate_size": 96, "num_key_value_heads": 2}
_FALCON = {**_BASE, "bias": False, "alibi": False}
_LLAMA3_ROPE = {
    "rope_type": "llama3",
    "rope_theta": 10000.0,
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 64,
}
_GEMMA = {**_GROUPED, "head_dim": 32, "sliding_window": 40, "query_pre_attn_scalar": 32}

CONFIGS: dict[str, Any] = {
    "llama-2": lambda: tf.LlamaConfig(**{**_GROUPED, "num_key_value_heads": 4}),
    "llama-3": lambda: tf.LlamaConfig(
        **_GROUPED, rope_parameters=_LLAMA3_ROPE, tie_word_embeddings=True
    ),
    "mistral": lambda: tf.MistralConfig(**_GROUPED, sliding_window=64),
    "mixtral": lambda: tf.MixtralConfig(**_GROUPED, num_local_experts=4, sliding_window=None),
    "qwen2": lambda: tf.Qwen2Config(
        **_GROUPED, use_sliding_window=True, sliding_window=48, max_window_layers=2
    ),
    "qwen3": lambda: tf.Qwen3Config(**_GROUPED, head_dim=32),
    "gemma2": lambda: tf.Gemma2Config(**_GEMMA),
    "gemma3": lambda: tf.Gemma3TextConfig(
        **_GEMMA, layer_types=["sliding_attention", "full_attention"] * 2
    ),
    "phi3": lambda: tf.Phi3Config(**_GROUPED),
    "falcon-7b": lambda: tf.FalconConfig(**_FALCON, multi_query=True, parallel_attn=True),
    "falcon-40b": lambda: tf.FalconConfig(**_FALCON, new_decoder_architecture=True, num_kv_heads=2),
    "falcon-rw": lambda: tf.FalconConfig(
        **{**_FALCON, "alibi": True, "bias": True}, multi_query=False, parallel_attn=False
    ),
    "bloom": lambda: tf.BloomConfig(
        vocab_size=VOCABULARY, hidden_size=64, n_layer=4, n_head=4, eos_token_id=None
    ),
}
LAYOUTS = ("a=0:4", "a=0:3 b=2:4", "a=0:1 b=1:3 c=3:4")  # one, two overlapping, three uneven


def make(path: Path, name: str, **changes: Any) -> Any:
    """A random checkpoint of the family."""
    config = CONFIGS[name]()
    config.update(changes)
    model = random_model(config)
    model.save_pretrained(path)
    return model


def random_model(config: Any) -> Any:
    """Random weights that leave no near ties."""
    with torch.random.fork_rng():
        torch.manual_seed(1)
        # Falcon's eager attention of transformers 5.23 adds its ALiBi twice; its sdpa path once.
        attention = "sdpa" if config.model_type == "falcon" else "eager"
        model = AutoModelForCausalLM.from_config(config, attn_implementation=attention).eval()
        with torch.no_grad():
            for key, parameter in model.named_parameters():
                if parameter.dim() > 1:
                    parameter.mul_(3.0)
                elif "norm" in key or "ln" in key:
                    parameter.add_(0.1 * torch.randn_like(parameter))
    return model


@torch.no_grad()
def expected(model: Any, prompt: Sequence[int], count: int) -> tuple[list[int], torch.Tensor]:
    """Greedy tokens and the logits that chose them, ``[count, vocabulary]``."""
    cache, logits, tokens = None, [], list(prompt)
    ids = torch.tensor([tokens])
    for _ in range(count):
        output = model(ids, past_key_values=cache, use_cache=True)
        cache = output.past_key_values
        logits.append(output.logits[0, -1])
        tokens.append(int(logits[-1].argmax()))
        ids = torch.tensor([tokens[-1:]])
    return tokens[len(prompt) :], torch.stack(logits)


def spy_on_logits(client: FarMeshClient) -> list[torch.Tensor]:
    """All logits that the client computes from now on, ``[rows, vocabulary]`` each."""
    stem, _ = client._ends._parts
    seen: list[torch.Tensor] = []
    compute = stem.logits

    def logits(hidden_states: torch.Tensor) -> torch.Tensor:
        seen.append(compute(hidden_states).clone())
        return seen[-1].clone()

    stem.logits = logits  # type: ignore[method-assign]
    return seen


@dataclass(frozen=True)
class Turn:
    """A prompt, and what transformers alone makes of it."""

    prompt: list[int]
    tokens: list[int]
    logits: torch.Tensor  # that chose them, [tokens, vocabulary]


def conversation(model: Any, draw: random.Random, length: int) -> Iterator[Turn]:
    """Two turns, then a rewind into the middle with a different ending."""
    prompt = [draw.randrange(VOCABULARY) for _ in range(length)]
    for _turn in range(3):
        tokens, logits = expected(model, prompt, REPLY)
        yield Turn(prompt, tokens, logits)
        middle = len(prompt) // 2
        prompt = [*prompt, *tokens] if _turn == 0 else prompt[:middle]
        prompt = [*prompt, draw.randrange(VOCABULARY)]


async def held(session: InferenceSession, turns: Sequence[Turn]) -> None:
    """One conversation through the swarm; its tokens are those of transformers."""
    for turn in turns:
        assert (await generate(session, turn.prompt, greedy(REPLY))).tokens == turn.tokens


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


@pytest.mark.parametrize("model_type", ["gpt2", "gemma3", "made_tomorrow"])
def test_other_architectures_are_refused_by_name(tmp_path: Path, model_type: str) -> None:
    """Bug prevented: an unsupported model loads halfway and answers nonsense; one that transformers
    does not know either is refused with a page of advice to upgrade it."""
    (tmp_path / "config.json").write_text(json.dumps({"model_type": model_type}))
    with pytest.raises(UnsupportedModel) as refused:
        Checkpoint(tmp_path)
    assert model_type in str(refused.value)
    assert all(name in str(refused.value) for name in supported_models())


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
