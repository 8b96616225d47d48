"""Models in GGUF files through real nodes, against transformers on the same unpacked weights."""

from __future__ import annotations

import os
import random
import struct
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
import torch
import transformers as tf
from gguf import GGMLQuantizationType as Kind
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

from farmesh import load_tokenizer
from farmesh.checkpoint.gguf_header import can_unpack, read_header
from farmesh.checkpoint.gguf_model import open_gguf
from farmesh.checkpoint.reader import Checkpoint
from farmesh.client.client import FarMeshClient
from farmesh.config import ClientConfig, NodeConfig
from farmesh.core import Span
from farmesh.errors import CheckpointError, CheckpointNotFound, UnsupportedModel
from farmesh.hub.gguf_names import model_name, models_among, shards_of
from farmesh.hub.source import is_remote, open_source
from farmesh.network.inprocess import InProcessSwarm
from farmesh.node import FarNode
from farmesh.node.blocks import BlockStack
from tests.farmesh.checkpoint.test_families import LOGITS
from tests.support.families import (
    _GEMMA,
    _GROUPED,
    CONFIGS,
    LLAMA3_ROPE,
    PATIENT,
    VOCABULARY,
    expected,
    random_model,
    spy_on_logits,
)
from tests.support.gguf import byte_vocabulary, llama3_divisors, write, write_gguf
from tests.support.harness import PATIENT_CLIENT, PATIENT_NODE, generate, greedy, swarm_of
from tests.support.hub import Hub

REPLY = 5  # tokens
PROMPT = 90  # tokens: beyond every window
_LONG = [1.0 + n / 4 for n in range(6)]

MODELS: dict[str, Callable[[], Any]] = {
    **{name: CONFIGS[name] for name in ("llama-2", "llama-3", "gemma2", "phi3", "bloom", "qwen3")},
    "mistral": lambda: tf.MistralConfig(**_GROUPED, sliding_window=None),
    "qwen2": lambda: tf.Qwen2Config(**_GROUPED),
    "gemma3": lambda: tf.Gemma3TextConfig(
        **{**_GEMMA, "num_hidden_layers": 7},
        rope_parameters={
            "full_attention": {"rope_type": "linear", "factor": 8.0, "rope_theta": 1e6},
            "sliding_attention": {"rope_type": "default", "rope_theta": 10000.0},
        },
    ),
    "phi3-long": lambda: tf.Phi3Config(
        **_GROUPED,
        sliding_window=60,
        original_max_position_embeddings=64,
        rope_parameters={
            "rope_type": "longrope",
            "rope_theta": 10000.0,
            "partial_rotary_factor": 0.75,
            "short_factor": [1.0] * 6,
            "long_factor": _LONG,
            "original_max_position_embeddings": 64,
        },
    ),
    "qwen2-yarn": lambda: tf.Qwen2Config(
        **_GROUPED,
        rope_parameters={
            "rope_type": "yarn",
            "rope_theta": 10000.0,
            "factor": 4.0,
            "original_max_position_embeddings": 512,
        },
    ),
}
FIELDS: dict[str, dict[str, Any]] = {
    "gemma3": {"gemma3.rope.scaling.type": "linear", "gemma3.rope.scaling.factor": 8.0},
    "phi3-long": {"phi3.rope.scaling.original_context_length": 64},
    "qwen2-yarn": {
        "qwen2.rope.scaling.type": "yarn",
        "qwen2.rope.scaling.factor": 4.0,
        "qwen2.rope.scaling.original_context_length": 512,
    },
}
EXTRA: dict[str, dict[str, Any]] = {
    "llama-3": {"rope_freqs.weight": llama3_divisors(LLAMA3_ROPE, 16)},
    "phi3-long": {
        "rope_factors_long.weight": np.array(_LONG, np.float32),
        "rope_factors_short.weight": np.ones(6, np.float32),
    },
}


def made(folder: Path, name: str, kind: Kind = Kind.F32, **options: Any) -> tuple[Path, Any]:
    """A GGUF file of the family, and transformers' model with what the file holds."""
    path = folder / f"{name}.gguf"
    options.setdefault("fields", FIELDS.get(name))
    options.setdefault("extra", EXTRA.get(name))
    return path, write_gguf(path, random_model(MODELS[name]()), kind, **options)


def prompt_of(name: str) -> list[int]:
    return random.Random(name).choices(range(VOCABULARY), k=PROMPT)


async def check_swarm(path: Path, model: Any, layouts: tuple[str, ...], **options: Any) -> None:
    """Replies through these nodes are transformers', token for token."""
    prompt = prompt_of(path.stem)
    tokens, logits = expected(model, prompt, REPLY)
    for layout in layouts:
        async with swarm_of(path, layout, **options) as swarm:
            client = await swarm.client(prefill_chunk=128, **PATIENT)
            seen = spy_on_logits(client)
            reply = await generate(client.session(), prompt, greedy(REPLY))
        assert reply.tokens == tokens
        assert (torch.cat(seen) - logits).abs().max() < LOGITS


@pytest.mark.parametrize("name", MODELS)
async def test_a_family_is_exact(name: str, tmp_path: Path) -> None:
    """Bug prevented: the order of a head's rows, the one that is added to norms, a scaling of
    positions or a window is read otherwise than it was written, and replies are nonsense."""
    path, model = made(tmp_path, name)
    blocks = int(model.config.num_hidden_layers)
    layouts = (f"a=0:{blocks}", f"a=0:2 b=2:{blocks}", f"a=0:1 b=1:3 c=3:{blocks}")
    await check_swarm(path, model, layouts)


@pytest.mark.parametrize("kind", [Kind.F16, Kind.BF16, Kind.Q8_0, Kind.Q4_0, Kind.Q4_1, Kind.Q5_1])
async def test_rounded_weights_are_exact(kind: Kind, tmp_path: Path) -> None:
    """Bug prevented: blocks of a format are unpacked in another order than they lie in."""
    path, model = made(tmp_path, "llama-3", kind)
    assert {t.kind for t in open_gguf(open_source(path)).tensors.values()} >= {kind}
    await check_swarm(path, model, ("a=0:2 b=2:4",))


async def test_transformers_reads_the_same(tmp_path: Path) -> None:
    """Bug prevented: this engine and transformers make two models of one file."""
    path, model = made(tmp_path, "llama-2", Kind.Q8_0)
    theirs = AutoModelForCausalLM.from_pretrained(
        tmp_path, gguf_file=path.name, dtype=torch.float32
    ).eval()
    for name, parameter in model.named_parameters():
        assert torch.equal(theirs.get_parameter(name), parameter), name
    await check_swarm(path, theirs, ("a=0:2 b=2:4",))


@pytest.mark.parametrize("name", ["llama-2", "qwen2", "gemma2", "phi3", "bloom"])
def test_the_configuration_is_transformers(name: str, tmp_path: Path) -> None:
    """Bug prevented: transformers learns a field of the metadata that is then ignored here."""
    ids = {"bos": 1, "eos": 2, "unknown": 3, "padding": 4}
    fields = {f"tokenizer.ggml.{key}_token_id": value for key, value in ids.items()}
    path, model = made(tmp_path, name, fields=fields)
    theirs = AutoConfig.from_pretrained(tmp_path, gguf_file=path.name).to_dict()
    ours = Checkpoint(path).config.to_dict()
    added = {"_name_or_path", "head_dim", "query_pre_attn_scalar", "final_logit_softcapping"}
    added |= {"attn_logit_softcapping", "sliding_window", "layer_types"}
    differing = {key for key in theirs if theirs[key] != ours.get(key)} - added
    assert not differing
    for key in ("head_dim", "query_pre_attn_scalar", "sliding_window", "attn_logit_softcapping"):
        assert ours.get(key) == model.config.to_dict().get(key, ours.get(key))


@pytest.mark.parametrize("kind", [kind for kind in Kind if can_unpack(kind)])
def test_every_format_is_unpacked(kind: Kind, tmp_path: Path) -> None:
    """Bug prevented: a format that is cut into pieces within a block, or a file that is refused
    although its format can be read."""
    values, size = gguf.GGML_QUANT_SIZES[kind]
    rng = np.random.default_rng(1)
    shape = (512, 1024)  # larger than what is unpacked at once, in most formats
    raw = rng.integers(0, 60, (shape[0], shape[1] // values * size), dtype=np.uint8)
    if kind in (Kind.F32, Kind.F16):
        raw = raw.view(np.float32 if kind is Kind.F32 else np.float16)
    wanted = gguf.dequantize(raw.view(np.uint8), kind).reshape(shape)
    path = tmp_path / "one.gguf"
    write(path, "llama", {}, {"some.weight": raw}, {"some.weight": kind})
    assert np.array_equal(open_gguf(open_source(path)).numbers("some.weight"), wanted)


async def test_what_a_node_holds_is_a_choice(tmp_path: Path) -> None:
    """Bug prevented: a file in 8 bits forces its rounding, or float32, on every node."""
    path, model = made(tmp_path, "llama-2", Kind.Q8_0)
    for dtype in (torch.bfloat16, torch.float32):
        stack = BlockStack(Checkpoint(path), Span(1, 3), torch.device("cpu"), dtype)
        stack.load()
        for block, layer in stack._layers.items():
            held = layer.get_parameter("self_attn.q_proj.weight")
            wanted = model.get_parameter(f"model.layers.{block}.self_attn.q_proj.weight")
            assert torch.equal(held, wanted.to(dtype))


# --- Where a file may lie -------------------------------------------------------------------------


def test_a_folder_with_one_model(tmp_path: Path) -> None:
    """Bug prevented: the folder that a downloader made is no checkpoint; of several models one is
    taken at random."""
    path, _ = made(tmp_path, "llama-2")
    (tmp_path / "mmproj-eye.gguf").write_bytes(b"")
    found = Checkpoint(tmp_path)
    assert (found.name, found.num_blocks) == ("llama-2", 4)
    assert found.default_prefix == Checkpoint(path).default_prefix == "llama-2-hf"
    made(tmp_path, "mistral")
    with pytest.raises(CheckpointNotFound, match=r"several.*llama-2\.gguf, mistral\.gguf"):
        Checkpoint(tmp_path)


def test_names_of_files() -> None:
    """Bug prevented: a part of a split model is taken for all of it."""
    assert shards_of("a/m-00002-of-00003.gguf") == [f"a/m-0000{n}-of-00003.gguf" for n in (1, 2, 3)]
    assert shards_of("m-00004-of-00003.gguf") == ["m-00004-of-00003.gguf"]
    assert shards_of("m-00001-of-99999.gguf") == ["m-00001-of-99999.gguf"]
    assert model_name("a/m.Q4_1-00002-of-00003.gguf") == "m.Q4_1"
    assert models_among(["b.gguf", "sub/c.gguf", "a-00002-of-00002.gguf", "imatrix.gguf"]) == [
        "a-00001-of-00002.gguf",
        "b.gguf",
    ]


async def test_a_split_model(tmp_path: Path) -> None:
    """Bug prevented: tensors of all files but the first are missing."""
    path, model = made(tmp_path, "llama-3", shards=3)
    first = path.with_name("llama-3-00001-of-00003.gguf")
    await check_swarm(first, model, ("a=0:2 b=2:4",))
    assert Checkpoint(tmp_path).name == "llama-3"
    second = path.with_name("llama-3-00002-of-00003.gguf")
    content = second.read_bytes()
    second.unlink()
    with pytest.raises(CheckpointError, match=r"3 files, of which llama-3-00002-of-00003\.gguf is"):
        Checkpoint(first)
    second.write_bytes(path.with_name("llama-3-00003-of-00003.gguf").read_bytes())
    with pytest.raises(CheckpointError, match="not the part of a split model"):
        Checkpoint(first)
    second.write_bytes(content[:-64])
    with pytest.raises(CheckpointError, match="cut off"):
        Checkpoint(first)


async def test_a_file_on_the_hub(hub: Hub, tmp_path: Path) -> None:
    """Bug prevented: a whole model is fetched to learn how many blocks it has; a node fetches files
    of others' blocks; a day without a network ends what is in the cache."""
    made(tmp_path, "llama-3", shards=4)
    hub.add("someone/models", tmp_path)
    name = "someone/models:llama-3-00001-of-00004.gguf"
    assert is_remote(name)
    checkpoint = Checkpoint(name)
    assert (checkpoint.name, checkpoint.num_blocks) == ("llama-3", 4)
    assert not hub.fetched
    told: list[tuple[int, int]] = []
    checkpoint.fetch(["model.layers.3."], progress=lambda *at: told.append(at))
    held = {f for t, f in checkpoint._store._model.files.items() if t.startswith("blk.3.")}  # type: ignore[attr-defined]
    assert hub.fetched == held != set(open_source(name).files)
    assert told[-1][0] == told[-1][1] > 0
    whole = Checkpoint(tmp_path).read(checkpoint.names("model."), torch.float32)
    assert all(
        torch.equal(tensor, whole[key])
        for key, tensor in checkpoint.read(checkpoint.names("model."), torch.float32).items()
    )
    hub.repos.clear()  # it answers with errors from here on
    with pytest.raises(CheckpointNotFound):
        Checkpoint("someone/models:other.gguf")


def test_without_a_network(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bug prevented: a model that is in the cache cannot be opened on the train."""
    made(tmp_path, "llama-2")
    hub.add("someone/models", tmp_path)
    Checkpoint("someone/models:llama-2.gguf").fetch([""])
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    again = Checkpoint("someone/models:llama-2.gguf")
    assert again.read(["model.norm.weight"], torch.float32)


@pytest.mark.parametrize("name", ["llama-2.gguf", "where/llama-2.gguf", "a/b:../x.gguf"])
def test_what_is_nowhere(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bug prevented: a mistyped file is asked for at the hub, or leads out of a repository."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(CheckpointNotFound, match="There is no GGUF file"):
        Checkpoint(name)


def test_the_hub_says_which_files_there_are(hub: Hub, tmp_path: Path) -> None:
    """Bug prevented: somebody who names a repository of GGUF files is told that it is empty."""
    made(tmp_path, "llama-2")
    hub.add("someone/models", tmp_path)
    for name in ("someone/models", "someone/models:llama-3.gguf"):
        with pytest.raises(CheckpointNotFound, match=r"llama-2\.gguf"):
            Checkpoint(name)


# --- Tokenizers -----------------------------------------------------------------------------------

_TEMPLATE = "{% for m in messages %}<|im_start|>{{ m.content }}<|im_end|>{% endfor %}"
_SPECIALS = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]


def test_tokenizer_and_template_come_from_the_file(tmp_path: Path) -> None:
    """Bug prevented: special tokens are cut into letters, or the chat template is lost; replies go
    on behind the end of a turn, which is not the token that the file calls its end."""
    vocabulary = byte_vocabulary(_SPECIALS) | {"tokenizer.chat_template": _TEMPLATE}
    path, _ = made(tmp_path, "llama-2", fields=vocabulary)
    tokens = vocabulary["tokenizer.ggml.tokens"]
    tokenizer = load_tokenizer(path)
    theirs = AutoTokenizer.from_pretrained(tmp_path, gguf_file=path.name)
    for text in ("hello w\u00f6rld 12", "<|im_start|>hell<|im_end|>", "  \n\tx \U0001f600"):
        assert tokenizer.encode(text) == theirs.encode(text)
        assert tokenizer.decode(tokenizer.encode(text)) == text
    assert tokens.index("<|im_end|>") in tokenizer.encode("a<|im_end|>")
    assert tokenizer.apply_chat_template([{"content": "hello"}], tokenize=False) == (
        "<|im_start|>hello<|im_end|>"
    )
    ends = {tokens.index("<|endoftext|>"), tokens.index("<|im_end|>")}
    assert Checkpoint(path).eos_token_ids == ends


def test_a_sentencepiece_vocabulary(tmp_path: Path) -> None:
    """Bug prevented: the tokenizers of Llama 2 and Gemma lose their first token or their spaces."""
    tokens = ["<unk>", "<s>", "</s>", "\u2581", "h", "i", "\u2581h", "hi", "\u2581hi", "<0x0A>"]
    fields = {
        "tokenizer.ggml.model": "llama",
        "tokenizer.ggml.tokens": tokens,
        "tokenizer.ggml.scores": [0.0, 0.0, 0.0, *(-float(n) for n in range(7))],
        "tokenizer.ggml.token_type": [2, 3, 3, 1, 1, 1, 1, 1, 1, 6],
        "tokenizer.ggml.bos_token_id": 1,
        "tokenizer.ggml.eos_token_id": 2,
    }
    path, _ = made(tmp_path, "llama-2", fields=fields)
    ours = load_tokenizer(path)
    theirs = AutoTokenizer.from_pretrained(tmp_path, gguf_file=path.name)
    for text in ("hi hi", "hi\nhi", "hi</s>", ""):
        assert ours.encode(text) == theirs.encode(text)
    assert ours.encode("hi hi") == [1, 8, 8]


def test_a_tokenizer_on_the_hub_comes_without_the_model(hub: Hub, tmp_path: Path) -> None:
    """Bug prevented: the app fetches gigabytes before it can show a prompt."""
    made(tmp_path, "llama-2", fields=byte_vocabulary(_SPECIALS))
    hub.add("someone/models", tmp_path)
    assert load_tokenizer("someone/models:llama-2.gguf").encode("hello")
    assert not hub.fetched


@pytest.mark.parametrize(
    "damage",
    [
        {"tokenizer.ggml.merges": ["no such"]},
        {"tokenizer.ggml.model": "made_tomorrow"},
        {"tokenizer.ggml.tokens": None},
        {"tokenizer.ggml.eos_token_id": 4_000_000_000},
    ],
)
def test_a_broken_tokenizer_gets_a_sentence(damage: dict[str, Any], tmp_path: Path) -> None:
    """Bug prevented: an exception of a Rust library in the page."""
    path, _ = made(tmp_path, "llama-2", fields=byte_vocabulary(_SPECIALS) | damage)
    with pytest.raises(CheckpointError, match="no usable tokenizer"):
        load_tokenizer(path)


# --- Files that are broken, or made to do harm ----------------------------------------------------


def text(value: bytes) -> bytes:
    return struct.pack("<Q", len(value)) + value


def header(tensors: int = 0, fields: int = 0, rest: bytes = b"", version: int = 3) -> bytes:
    return b"GGUF" + struct.pack("<IQQ", version, tensors, fields) + rest


def tensor(name: bytes, dims: tuple[int, ...], kind: int = 0, offset: int = 0) -> bytes:
    return (
        text(name)
        + struct.pack(f"<I{len(dims)}Q", len(dims), *dims)
        + struct.pack("<IQ", kind, offset)
    )


ARRAY = text(b"key") + struct.pack("<II", 9, 8)
HOSTILE = {
    "no magic": (b"GGML" + bytes(60), "not a GGUF file"),
    "empty": (b"", "cut off"),
    "old": (header(version=1), "version 1"),
    "big-endian": (b"GGUF" + struct.pack(">IQQ", 3, 0, 0), "version 50331648"),
    "2^60 tensors": (header(tensors=2**60), "1152921504606846976 tensors"),
    "2^60 fields": (header(fields=2**60), "fields of metadata"),
    "2^60 texts": (header(0, 1, ARRAY + struct.pack("<Q", 2**60)), "values in 'key'"),
    "2^25 texts": (header(0, 1, ARRAY + struct.pack("<Q", 2**25)), "texts in arrays"),
    "2^26 numbers": (
        header(0, 1, text(b"key") + struct.pack("<IIQ", 9, 12, 2**26)),
        "cut off",
    ),
    "2^63 bytes": (header(0, 1, struct.pack("<Q", 2**63)), "bytes in one text"),
    "no UTF-8": (header(0, 1, text(b"\xff\xfe")), "not UTF-8"),
    "unknown field": (header(0, 1, text(b"key") + struct.pack("<I", 99)), "unknown type 99"),
    "nested arrays": (
        header(0, 1, text(b"key") + struct.pack("<IIQ", 9, 9, 1)),
        "array of the unknown type 9",
    ),
    "field twice": (
        header(0, 2, 2 * (text(b"key") + struct.pack("<IB", 0, 1))),
        "'key' twice",
    ),
    "alignment": (
        header(0, 1, text(b"general.alignment") + struct.pack("<II", 4, 24)),
        "alignment is 24",
    ),
    "tensor twice": (
        header(2, 0, tensor(b"a", (4,)) + tensor(b"a", (4,), offset=32)) + bytes(128),
        "the tensor 'a' twice",
    ),
    "overlap": (
        header(2, 0, tensor(b"a", (64,)) + tensor(b"b", (4,), offset=32)) + bytes(512),
        "lies across",
    ),
    "beyond the end": (
        header(1, 0, tensor(b"a", (4,), offset=2**62)) + bytes(64),
        "ends beyond it",
    ),
    "crooked": (header(1, 0, tensor(b"a", (4,), offset=4)) + bytes(64), "lies across"),
    "five dimensions": (header(1, 0, tensor(b"a", (1,) * 5)) + bytes(64), "5 dimensions"),
    "no dimension": (header(1, 0, tensor(b"a", ())) + bytes(64), "is empty"),
    "a dimension of 0": (header(1, 0, tensor(b"a", (0, 4))) + bytes(64), "is empty"),
    "huge": (header(1, 0, tensor(b"a", (2**63, 2**63))) + bytes(64), "impossibly large"),
    "unknown format": (header(1, 0, tensor(b"a", (4,), 77)) + bytes(64), "unknown type 77"),
    "no format to unpack": (header(1, 0, tensor(b"a", (256,), 15)) + bytes(512), "Q8_K"),
    "half a block": (header(1, 0, tensor(b"a", (40,), 8)) + bytes(64), "no whole blocks of Q8_0"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_file_gets_a_sentence(name: str, tmp_path: Path) -> None:
    """Bug prevented: a count in a file is believed, and memory or hours are spent on it."""
    data, sentence = HOSTILE[name]
    path = tmp_path / "model.gguf"
    path.write_bytes(data)
    tracemalloc.start()
    try:
        with pytest.raises(CheckpointError, match=sentence) as refused:
            Checkpoint(path)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 2**24
    assert len(str(refused.value)) < 300


def test_a_file_that_is_cut_off(tmp_path: Path) -> None:
    """Bug prevented: half a download is served, or ends a node with a bus error."""
    path, _ = made(tmp_path, "llama-2", Kind.Q8_0, fields=byte_vocabulary(_SPECIALS))
    whole = path.read_bytes()
    store = Checkpoint(path)
    for end in range(0, len(whole), len(whole) // 40):
        path.write_bytes(whole[:end])
        for use in (Checkpoint, load_tokenizer):
            with pytest.raises(CheckpointError, match=r"llama-2\.gguf is cut off|it is cut off"):
                use(path)
    with pytest.raises(CheckpointError, match="shorter than it was"):
        store.read(["lm_head.weight"], torch.float32)


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"llama.block_count": 900}, "claims 900 blocks and lacks the last"),
        ({"llama.block_count": 2**31}, "no number from 1 to 1024"),
        ({"llama.embedding_length": 2**24}, "another width"),
        ({"llama.attention.head_count": 0}, "attention.head_count is 0"),
        ({"llama.attention.head_count": "x" * 9999}, r"head_count is 'xx.*\.\.\."),
        ({"llama.attention.head_count_kv": [2, 4, 2, 4]}, r"head_count_kv is \[2, 4, 2, 4\]"),
        ({"llama.attention.head_count": 3}, "."),
        ({"llama.feed_forward_length": 77}, "has shape"),
        ({"llama.attention.key_length": 8}, "has shape"),
        ({"llama.context_length": None}, "context_length is None"),
        ({"general.architecture": "\x1b[31m"}, "architecture"),
        ({"general.architecture": "rwkv"}, "'rwkv' cannot be served"),
        ({"llama.expert_count": 8}, "mixture of experts"),
        ({"llama.rope.scaling.type": "made tomorrow"}, "not known here"),
        ({"llama.rope.scaling.type": "linear"}, "not known here"),
        ({"split.count": 3}, "not the part of a split model"),
        ({"split.tensors.count": 3}, "claims 3 tensors"),
        ({"split.no": "x"}, "split.no is not a whole number"),
    ],
)
def test_metadata_that_cannot_be(fields: dict[str, Any], sentence: str, tmp_path: Path) -> None:
    """Bug prevented: a model is made by what the metadata says, and fails, or hangs, or computes
    nonsense when its weights turn out to be those of another."""
    path, _ = made(tmp_path, "llama-2", fields=fields)

    def load() -> None:
        BlockStack(Checkpoint(path), Span(0, 1), torch.device("cpu"), torch.float32).load()

    with pytest.raises(CheckpointError, match=sentence) as refused:
        load()
    assert len(str(refused.value)) < 400
    assert str(refused.value).isprintable()


@pytest.mark.parametrize(
    "extra",
    [
        {"blk.0.attn_q_norm.weight": np.ones(16, np.float32)},
        {"rope_freqs.weight": np.linspace(1, 99, 8, dtype=np.float32)},
        {"rope_freqs.weight": np.zeros(8, np.float32)},
        {"rope_factors_long.weight": np.ones(8, np.float32)},
    ],
)
def test_what_would_be_ignored_is_refused(extra: dict[str, Any], tmp_path: Path) -> None:
    """Bug prevented: a tensor that the model needs is left out, and replies are a little worse."""
    path, _ = made(tmp_path, "llama-2", extra=extra)
    with pytest.raises(UnsupportedModel):
        assert Checkpoint(path).names("model.")


def test_opening_is_quick(tmp_path: Path) -> None:
    """Bug prevented: a node makes an object of each of a vocabulary's 200,000 entries."""
    count = 40_000
    tokens = [f"token {n}" for n in range(count)]
    fields = {
        "tokenizer.ggml.tokens": tokens,
        "tokenizer.ggml.scores": [0.0] * count,
    }
    path, _ = made(tmp_path, "llama-2", fields=fields)
    size = path.stat().st_size
    tracemalloc.start()
    try:
        found = read_header(path.name, lambda n: path.read_bytes()[:n], size)
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert found.lengths["tokenizer.ggml.tokens"] == count
    assert held < 100_000  # bytes


# --- The public names -----------------------------------------------------------------------------


async def test_serve_on_the_hub_and_generate(hub: Hub, tmp_path: Path) -> None:
    """Bug prevented: a node and a client of one file do not find one another."""
    path, model = made(tmp_path, "llama-3", Kind.Q8_0)
    hub.add("someone/models", tmp_path)
    net = InProcessSwarm()
    config = NodeConfig(checkpoint="someone/models:llama-3.gguf", span=Span(0, 4), **PATIENT_NODE)
    prompt = prompt_of("llama-3")
    async with FarNode(config, network=lambda: net.network("a")) as node:
        assert node.prefix == "llama-3-hf"
        client = FarMeshClient(ClientConfig(checkpoint=path, **PATIENT_CLIENT), network=net.network)
        async with client, client.session() as session:
            reply = await generate(session, prompt, greedy(REPLY))
    assert reply.tokens == expected(model, prompt, REPLY)[0]


REAL = os.environ.get("FARMESH_GGUF", "")  # a file of a real model, of at least two blocks


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.skipif(not REAL, reason="FARMESH_GGUF names no file of a real model")
async def test_a_real_model_is_exact() -> None:
    """Bug prevented: what holds for tiny files does not hold for a file that people have."""
    path = Path(REAL)
    messages = [{"role": "user", "content": "What is the capital of France? Answer in 2 words."}]
    ours = load_tokenizer(path)
    theirs = AutoTokenizer.from_pretrained(path.parent, gguf_file=path.name)
    written = ours.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)
    prompt = ours.encode(written, add_special_tokens=False)
    assert prompt == theirs.encode(written, add_special_tokens=False)
    model = AutoModelForCausalLM.from_pretrained(
        path.parent, gguf_file=path.name, dtype=torch.float32
    ).eval()
    tokens, logits = expected(model, prompt, 24)
    blocks = Checkpoint(path).num_blocks
    layout = f"a=0:{blocks // 2} b={blocks // 2}:{blocks}"
    async with swarm_of(path, layout) as swarm:
        client = await swarm.client(**PATIENT)
        assert client.eos_token_ids & set(tokens), "the reply ends within 24 tokens"
        seen = spy_on_logits(client)
        reply = await generate(client.session(), prompt, greedy(24))
    assert reply.tokens == tokens
    assert (torch.cat(seen) - logits).abs().max() < LOGITS
