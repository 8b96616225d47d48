"""Tiny models of every family with random weights, and what transformers says they say."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import transformers as tf
from transformers import AutoModelForCausalLM

from farmesh.client.client import FarMeshClient
from farmesh.client.session import InferenceSession
from tests.support.harness import generate, greedy

VOCABULARY = 320
REPLY = 4  # tokens


CHUNK = 128  # tokens of one prefill message


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


_GEMMA = {**_GROUPED, "head_dim": 32, "sliding_window": 40, "query_pre_attn_scalar": 32}


LLAMA3_ROPE = {
    "rope_type": "llama3",
    "rope_theta": 10000.0,
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 64,
}

CONFIGS: dict[str, Any] = {
    "llama-2": lambda: tf.LlamaConfig(**{**_GROUPED, "num_key_value_heads": 4}),
    "llama-3": lambda: tf.LlamaConfig(
        **_GROUPED, rope_parameters=LLAMA3_ROPE, tie_word_embeddings=True
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


TARGETS = {
    "llama-3": ["q_proj", "v_proj", "down_proj"],
    "falcon-7b": ["query_key_value", "dense_4h_to_h"],
    "bloom": ["query_key_value"],
}


def make_adapter(model: Any, path: Path, seed: int, **options: Any) -> Any:
    """A LoRA that changes the text, saved to ``path``; the model with it."""
    options = {"r": 4, "lora_alpha": 16, "lora_dropout": 0.0, **options}
    from peft import LoraConfig, get_peft_model  # the extra lora, which few tests need

    adapted = get_peft_model(model, LoraConfig(task_type="CAUSAL_LM", **options))
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(seed)
        for name, parameter in adapted.named_parameters():
            if "lora_" in name:
                parameter.normal_(std=0.3)
    adapted.save_pretrained(path)
    return adapted.eval()
