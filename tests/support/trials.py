"""Every causal language model of transformers, tiny and random, through blocks, packed, by turns.

What a trial holds against transformers alone: three sessions, two of them packed into one forward,
over uneven and overlapping spans; prompts longer than every window, in pieces; three turns, the
last of which begins with an edit far back. All logits that choose a token must be within
:data:`CLOSE`, in float32, and choose the same token. Weights are random everywhere (norms, biases,
sinks, corrections of routers), so that one that is ignored shows. Caches begin as NaN, and what a
rewind leaves behind becomes NaN again.
"""

from __future__ import annotations

import inspect
import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from transformers import (
    CONFIG_MAPPING,
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForImageTextToText,
)
from transformers.models.auto.modeling_auto import (
    MODEL_FOR_CAUSAL_LM_MAPPING_NAMES,
    MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES,
)

from farmesh.checkpoint import tried
from farmesh.checkpoint.reader import Checkpoint
from farmesh.client.stem import Stem
from farmesh.core import Span
from farmesh.errors import UnsupportedModel
from farmesh.node.attention import PackedBatch, Segment
from farmesh.node.blocks import BlockStack
from farmesh.node.recurrent import has_states
from farmesh.node.states import RowStates

CLOSE = 1e-4  # largest difference allowed in any logit
VOCABULARY = 320
BLOCKS = 4
_WINDOW = 16  # of every sliding or chunked attention
_ROOM = 128  # cache slots of a session; more than any conversation here
_PIECE = 19  # tokens of a prompt that run at once, at most
_MOST = 5_000_000  # weights of a tiny model
_REPLY = 2  # tokens of each reply
_CPU = torch.device("cpu")

# Sizes by the names that configurations have for them; a type takes those that it knows.
_SMALL: dict[str, Any] = {
    "vocab_size": VOCABULARY,
    "vocab_size_per_layer_input": VOCABULARY,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": BLOCKS,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "max_position_embeddings": 2048,
    "sliding_window": _WINDOW,
    "attention_chunk_size": _WINDOW,
    "num_experts": 4,
    "num_local_experts": 4,
    "n_routed_experts": 4,
    "moe_num_experts": 4,
    "num_experts_per_tok": 2,
    "num_experts_per_token": 2,
    "moe_topk": 2,
    "moe_k": 2,
    "top_k_experts": 2,
    "n_group": 1,
    "topk_group": 1,
    "n_shared_experts": 1,
    "moe_intermediate_size": 24,
    "expert_intermediate_size": 24,
    "shared_expert_intermediate_size": 24,
    "moe_shared_expert_intermediate_size": 24,
    "shared_intermediate_size": 24,
    "intermediate_size_mlp": 40,
    "first_k_dense_replace": 1,
    "q_lora_rank": 24,
    "kv_lora_rank": 16,
    "qk_rope_head_dim": 8,
    "qk_nope_head_dim": 16,
    "v_head_dim": 16,
    "linear_num_key_heads": 2,
    "linear_num_value_heads": 4,
    "linear_key_head_dim": 8,
    "linear_value_head_dim": 8,
    "mamba_d_state": 8,
    "mamba_d_head": 16,
    "mamba_n_heads": 4,
    "mamba_d_ssm": 64,
    "mamba_expand": 2,
    "mamba_chunk_size": 16,
    "mamba_headdim": 16,
    "state_size": 8,
    "ssm_state_size": 8,
    "mamba_num_heads": 4,
    "mamba_head_dim": 16,
    "chunk_size": 16,
    "n_groups": 1,
    "mamba_n_groups": 1,
    "mamba_ngroups": 1,
    "conv_L_cache": 3,
    "bos_token_id": None,
    "eos_token_id": None,
    "pad_token_id": None,
}
# What a type needs beside that, or instead.
_MROPE: dict[str, Any] = {"rope_type": "default", "rope_theta": 1e4, "mrope_section": [1, 1, 2]}
# Where a norm stands behind a sum that begins near zero, float32 loses more than a trial allows.
_SOFT: dict[str, Any] = {"rms_norm_eps": 0.05}
_OWN: dict[str, dict[str, Any]] = {
    "qwen3_next": _SOFT,
    "qwen3_5_text": _SOFT,
    "qwen3_5_moe_text": _SOFT,
    "nemotron_h": {"layer_norm_epsilon": 0.05},
    "mamba2": {"num_heads": 4, "head_dim": 16},
    "kimi_linear": {
        "linear_head_dim": 8,
        "linear_num_heads": 4,
        "layer_types": ["linear_attention", "full_attention"] * 2,
    },
    "gemma3_text": {"layer_types": ["sliding_attention", "full_attention"] * 2},
    "bailing_hybrid": {"layer_types": ["linear_attention", "full_attention"] * 2},
    "lfm2": {"layer_types": ["conv", "full_attention"] * 2},
    "lfm3": {"layer_types": ["conv", "full_attention"] * 2},
    "jamba": {"attn_layer_period": 2, "attn_layer_offset": 1, "expert_layer_period": 2},
    "granitemoehybrid": {"layer_types": ["mamba", "attention"] * 2},
    "olmo_hybrid": {"layer_types": ["linear_attention", "full_attention"] * 2},
    "lfm2_moe": {"layer_types": ["conv", "full_attention"] * 2, "num_dense_layers": 1},
    "bamba": {"layers_block_type": ["linear_attention", "full_attention"] * 2},
    "dbrx": {"n_layers": BLOCKS, "d_model": 32, "n_heads": 4},
    "emu3": {"text_config": {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}},
    "modernbert-decoder": {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2},
    "step3p7": {"text_config": {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}},
    "step3p5": {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2},
    "hunyuan_vl_text": {"pad_token_id": 0},
    "granite4_vision_text": {"pad_token_id": 0},
    "ernie4_5_vl_moe_text": {"moe_intermediate_size": [24, 24]},
    "longcat_flash": {
        "ffn_hidden_size": 48,
        "expert_ffn_hidden_size": 24,
        "num_layers": 2,
        "zero_expert_num": 2,
        "moe_topk": 2,
        "num_hidden_layers": BLOCKS,
    },
    "phi4_multimodal": {},
    "paddleocr_vl_text": {"rope_parameters": {**_MROPE, "mrope_section": [2, 3, 3]}},
    "qwen2_5_omni_text": {"rope_parameters": _MROPE},
    "gemma4": {
        "text_config": {"pad_token_id": 0},
        "image_token_id": 159,
        "video_token_id": 158,
        "audio_token_id": 157,
    },
    "glm4v_text": {"rope_parameters": _MROPE},
    "glm_ocr_text": {"rope_parameters": _MROPE},
    "glm4v_moe_text": {"rope_parameters": {**_MROPE, "mrope_section": [1, 1, 0]}},
    "qwen2_5_vl_text": {"rope_parameters": _MROPE},
    "qwen2_vl_text": {"rope_parameters": _MROPE},
    "helium": {"hidden_size": 64},
    "gptj": {"rotary_dim": 4},
    "codegen": {"rotary_dim": 4},
    "cwm": {"bos_token_id": 1},
    "gemma4_text": {"hidden_size_per_layer_input": 0, "num_kv_shared_layers": 0},
}


# Of what sees and hears, which is there and never used.
_TINY: dict[str, Any] = {
    "hidden_size": 32,
    "embed_dim": 32,
    "out_hidden_size": 32,
    "intermediate_size": 32,
    "num_hidden_layers": 1,
    "depth": 1,
    "num_attention_heads": 2,
    "num_heads": 2,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "vision_output_dim": 32,
    "projector_input_dim": 32,
    "projector_output_dim": 32,
    "image_size": 28,
    "patch_size": 14,
}


def types() -> list[str]:
    """Every type that transformers has a causal language model for, alone or with eyes and ears."""
    return sorted({*MODEL_FOR_CAUSAL_LM_MAPPING_NAMES, *MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES})


def tiny_config(model_type: str, **changes: Any) -> Any:
    """A configuration of few and small parts."""
    cls = CONFIG_MAPPING[model_type]
    own = {**_OWN.get(model_type, {}), **changes}
    parts = {}
    for name, part in cls.sub_configs.items():
        sizes = own.pop(name, {})
        if part is AutoConfig and "model_type" not in sizes:
            default = getattr(cls(), name, None)  # what kind the type takes when nothing is said
            if default is None:
                continue
            sizes = {"model_type": default.model_type, **sizes}
        kind = CONFIG_MAPPING[sizes["model_type"]] if part is AutoConfig else part
        small = _known(kind, _SMALL if name == "text_config" else _TINY)
        own_text = _OWN.get(kind.model_type, {}) if name == "text_config" else {}
        parts[name] = {**small, **own_text, **sizes}
    return cls(**{**({} if "text_config" in parts else _known(cls, _SMALL)), **parts, **own})


def _known(cls: Any, sizes: dict[str, Any]) -> dict[str, Any]:
    """Those of these sizes that a configuration has."""
    known = set(inspect.signature(cls.__init__).parameters) | set(cls.attribute_map)
    known |= set(getattr(cls, "__dataclass_fields__", ()))
    found = {name: value for name, value in sizes.items() if name in known}
    if "kv_lora_rank" in found:  # latents have as many heads as there are
        found["num_key_value_heads"] = found["num_attention_heads"]
    return found


def random_model(config: Any) -> Any:
    """transformers' model, with no weight that could be left out unnoticed."""
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(7)
        alone = config.get_text_config(decoder=True) is config
        kind = AutoModelForCausalLM if alone else AutoModelForImageTextToText
        with torch.device("meta"):
            size = sum(weight.numel() for weight in kind.from_config(config).parameters())
        if size > _MOST:
            raise RuntimeError(f"its tiny model would have {size} weights")
        model = kind.from_config(config, attn_implementation="eager", dtype=torch.float32).eval()
        stored = model.state_dict(keep_vars=True)
        for tensor in stored.values():
            if not tensor.is_floating_point():
                continue
            if tensor.dim() > 1:
                tensor.normal_(std=tensor.shape[-1] ** -0.5)
            else:
                tensor.add_(torch.randn_like(tensor), alpha=0.3)
        model.tie_weights()
    return model


@dataclass
class Talk:
    """One session of a trial: what it has said, where its cache lies, and what is to come."""

    route: tuple[tuple[int, Span], ...]  # which stack runs which blocks
    base: int
    prompts: list[tuple[int, list[int]]]  # of each turn: tokens kept of what was, and new ones
    tokens: list[int] = field(default_factory=list)
    position: int = 0
    logits: dict[int, torch.Tensor] = field(default_factory=dict)  # by position
    states: list[RowStates] = field(default_factory=lambda: [RowStates(), RowStates()])


def talks(draw: random.Random) -> list[Talk]:
    def words(count: int) -> list[int]:
        return draw.choices(range(VOCABULARY - 10), k=count)  # the last ones may mean pictures

    early = ((0, Span(0, 1)), (1, Span(1, 4)))
    late = ((0, Span(0, 3)), (1, Span(3, 4)))
    return [
        Talk(route, index * _ROOM, [(0, words(length)), (1000, words(5)), (kept, words(7))])
        for index, (route, length, kept) in enumerate(
            ((early, 61, 23), (early, 34, 2), (late, 47, 18))
        )
    ]


class Trial:
    """A checkpoint served by two overlapping stacks of blocks in this process."""

    def __init__(self, path: Path) -> None:
        checkpoint = Checkpoint(path)
        self.stem = Stem(checkpoint)
        self.stacks = [
            BlockStack(checkpoint, span, _CPU, torch.float32) for span in (Span(0, 3), Span(1, 4))
        ]
        for stack in self.stacks:
            stack.load()
        self.caches = [stack.make_cache(3 * _ROOM) for stack in self.stacks]
        for cache in self.caches:
            for pool in (*cache._keys, *cache._values):
                pool.fill_(torch.nan)

    def turn(self, everybody: Sequence[Talk], turn: int, draw: random.Random) -> None:
        """One turn of all conversations at once."""
        for talk in everybody:
            self._begin(talk, *talk.prompts[turn])
        left = {id(talk): _REPLY for talk in everybody}
        while any(left.values()):
            self._tick([talk for talk in everybody if left[id(talk)]], left, draw)

    def _begin(self, talk: Talk, kept: int, new: list[int]) -> None:
        talk.tokens = talk.tokens[:kept] + new
        if talk.position > kept:
            talk.position = self._go_back(talk, kept)
        talk.logits = {}
        for cache in self.caches:
            for pool in (*cache._keys, *cache._values):
                pool[:, talk.base + talk.position : talk.base + _ROOM] = torch.nan

    def _go_back(self, talk: Talk, position: int) -> int:
        """Where both stacks can go on from: with states that is their last common snapshot."""
        stateful = [
            states
            for states, stack in zip(talk.states, self.stacks, strict=True)
            if stack.keeps_states
        ]
        while stateful:
            found = min(states.rewind(position) for states in stateful)
            if found == position:
                break
            position = found
        return position

    def _tick(self, busy: list[Talk], left: dict[int, int], draw: random.Random) -> None:
        pieces = {
            id(talk): talk.tokens[talk.position :][: draw.randint(1, _PIECE)] for talk in busy
        }
        for route in dict.fromkeys(talk.route for talk in busy):
            together = [talk for talk in busy if talk.route == route]
            states = [self.stem.embed(pieces[id(talk)]) for talk in together]
            hidden = torch.cat(states, dim=1)
            for stack, span in route:
                hidden = self.stacks[stack].forward(
                    hidden, span, self._packed(stack, together, pieces)
                )
            row = -1
            for talk in together:
                row += len(pieces[id(talk)])
                talk.position += len(pieces[id(talk)])
                if talk.position == len(talk.tokens):
                    logits = self.stem.logits(hidden[0, row : row + 1])[0]
                    talk.logits[talk.position - 1] = logits
                    talk.tokens.append(int(logits.argmax()))
                    left[id(talk)] -= 1

    def _packed(self, stack: int, talks: list[Talk], pieces: dict[int, list[int]]) -> PackedBatch:
        segments, row = [], 0
        for talk in talks:
            count = len(pieces[id(talk)])
            states = talk.states[stack]
            version = states.version
            segments.append(
                Segment(row, count, talk.base, talk.position, states=states, version=version)
            )
            row += count
        return PackedBatch(segments, self.caches[stack], _CPU)


class Differs(Exception):
    """The numbers are not those of transformers."""


@torch.no_grad()
def compare(model: Any, talk: Talk) -> None:
    """Raises: Differs."""
    ids = torch.tensor([talk.tokens[:-1]])
    wanted = model(ids, use_cache=False).logits[0]
    if not bool(wanted.isfinite().all()):
        raise Differs("transformers itself gives no numbers")
    for position, logits in talk.logits.items():
        gap = float((logits - wanted[position]).abs().max())
        if not gap < CLOSE and not gap < _own_gap(model, ids, wanted):
            raise Differs(f"its logits differ from transformers' by {gap:.1g}")
        if int(logits.argmax()) != int(wanted[position].argmax()):
            raise Differs("it chooses other tokens than transformers")


def _own_gap(model: Any, ids: torch.Tensor, wanted: torch.Tensor) -> float:
    """By how much transformers differs from itself when it keeps recurrent states.

    Chunks and single steps of one recurrence round differently, which a gated norm behind it may
    turn into more than 1e-4. Models that keep nothing but keys have no such excuse.
    """
    if not has_states(model):
        return 0.0
    cache, gaps = None, [0.0]
    middle = ids.shape[1] // 2
    for start, end in pairwise([0, *range(middle, ids.shape[1] + 1)]):
        output = model(ids[:, start:end], past_key_values=cache, use_cache=True)
        cache = output.past_key_values
        gaps.append(float((output.logits[0, -1] - wanted[end - 1]).abs().max()))
    return max(gaps)


def try_model(model: Any, path: Path) -> None:
    """One trial of a tiny model. Raises whatever goes wrong; :class:`Differs` for wrong numbers."""
    model.save_pretrained(path)
    with torch.inference_mode():
        trial = Trial(path)
        draw = random.Random(5)
        everybody = talks(draw)
        for turn in range(3):
            trial.turn(everybody, turn, draw)
            for talk in everybody:
                compare(model, talk)


@contextmanager
def untried(model_type: str) -> Iterator[None]:
    """Serve a type whatever the table says of it."""
    with mock.patch.object(tried, "WORKS", tried.WORKS | {model_type}):
        yield


def outcome(model_type: str, path: Path) -> str | None:
    """What is wrong with a type, in words for a table; None: it works."""
    try:
        config = tiny_config(model_type)
        if config.is_encoder_decoder:
            return "an encoder-decoder"
        model = random_model(config)
    except Exception as error:  # noqa: BLE001 - whatever a configuration asks for
        return f"not tried: no tiny model of it could be made ({type(error).__name__})"
    try:
        with untried(model_type):
            try_model(model, path)
    except Differs as error:
        return str(error)
    except UnsupportedModel as error:
        return str(error).rstrip(".")
    except Exception as error:  # noqa: BLE001 - whatever a type does that nobody foresaw
        words = " ".join((str(error) or "no message").split())
        return f"its trial ends with {type(error).__name__}: {words}"[:120]
    return None
