"""Bytes that nobody meant, into every decoder: ``python -m scripts.fuzz``.

Valid messages are damaged (bits, lengths, pieces taken out, doubled and mixed), and msgpack values
and protobuf fields are made up. A decoder must answer with a value or with its typed error; any
other exception, an input that takes longer than a second, or memory beyond the limit is a finding:
it is printed with the input in hex, and the exit code is 1. The same seed gives the same inputs.

An input that makes a decoder say something new is kept and damaged further. ``--atheris`` lets
libFuzzer choose the inputs instead, by the lines of the engine that they reach.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import math
import random
import re
import resource
import sys
import tempfile
import time
import traceback
import zlib
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from gguf import GGML_QUANT_SIZES, GGMLQuantizationType, GGUFWriter, quantize
from google.protobuf.message import DecodeError
from hivemind.compression import serialize_torch_tensor
from hivemind.dht.protocol import DHTProtocol
from hivemind.dht.storage import DictionaryDHTValue
from hivemind.proto import dht_pb2, p2pd_pb2, runtime_pb2
from hivemind.utils import get_dht_time
from hivemind.utils.timed_storage import ValueWithExpiration

if "--atheris" in sys.argv:  # it counts the branches of what is imported under it
    import atheris

    with atheris.instrument_imports(include=["farmesh"]):
        from farmesh.network import libp2p  # noqa: F401

from farmesh.checkpoint.gguf import open_gguf_store
from farmesh.checkpoint.gguf_config import describe
from farmesh.checkpoint.gguf_model import open_gguf
from farmesh.core import NodeInfo, NodeState, Span
from farmesh.errors import CheckpointError, ProtocolError, RemoteError, StreamBroken
from farmesh.hivemind import pack, unpack
from farmesh.network.bounds import BoundedRecords
from farmesh.network.frames import OwnStream, parse_message
from farmesh.network.reachability import asked_about
from farmesh.network.records import decode_record, encode_record, entries_of, merge_records
from farmesh.network.shared import Channel, SharedConnection
from farmesh.wire.failures import error_text, length_limit, parse_error
from farmesh.wire.messages import (
    Step,
    StepReply,
    decode_reply,
    decode_step,
    encode_reply,
    encode_step,
)
from farmesh.wire.metadata import NextServer, StepMetadata, unpack_map
from farmesh.wire.tensors import decode_tensor, encode_tensor
from farmesh.wire.uids import chain_uid, parse_chain

MAX_ELEMENTS = 4096
SLOW_SECONDS = 1.0
MEMORY_BYTES = 2 * 2**30  # beyond what the process holds when the run starts
_MAX_INPUT = 4096
_KEPT = 400  # inputs per decoder that said something new
_PREFIX = "model-hf"


@dataclass
class Target:
    """One decoder, messages that it must take, and how to feed it."""

    name: str
    run: Callable[[bytes], object]
    seeds: list[bytes]
    message: type[Any] | None = None  # protobuf, whose fields can be changed one by one
    kept: list[bytes] = field(default_factory=list)
    outcomes: Counter[str] = field(default_factory=Counter)


# --- The decoders -----------------------------------------------------------------------------


def _step(data: bytes) -> object:
    step = decode_step(parse_message(runtime_pb2.ExpertRequest, data), max_elements=MAX_ELEMENTS)
    if step is not None:
        _bounded(step.hidden_states, step.prompts, step.hypo_ids)
        parse_chain(step.uid, _PREFIX)
    return step


def _reply(data: bytes) -> object:
    reply = decode_reply(parse_message(runtime_pb2.ExpertResponse, data), max_elements=MAX_ELEMENTS)
    _bounded(reply.hidden_states)
    return reply


def _tensor(data: bytes) -> object:
    tensor = decode_tensor(parse_message(runtime_pb2.Tensor, data), max_elements=MAX_ELEMENTS)
    _bounded(tensor)
    return tensor


def _bounded(*tensors: torch.Tensor) -> None:
    for tensor in tensors:
        if tensor.numel() > MAX_ELEMENTS or tensor.requires_grad:
            raise AssertionError(f"a tensor of {tensor.numel()} elements came through")


def _metadata(data: bytes) -> object:
    metadata = StepMetadata.from_map(unpack_map(data))
    pack(metadata.to_map())
    return metadata


def _info(data: bytes) -> object:
    return unpack_map(parse_message(runtime_pb2.ExpertInfo, data).serialized_info)


def _uid(data: bytes) -> object:
    return parse_chain(data.decode("utf-8", "replace"), _PREFIX)


def _error(data: bytes) -> object:
    code, sentence = parse_error(parse_message(p2pd_pb2.RPCError, data).message)
    if len(code) > 32 or len(sentence) > 500:
        raise AssertionError("a long error came through")
    return code, length_limit(sentence)


def _check(data: bytes) -> object:
    return asked_about(parse_message(dht_pb2.PingRequest, data)).to_base58()


def _record(data: bytes) -> object:
    """A record as another peer's DHT answers it, up to what a client believes."""
    value = unpack(data)
    if not isinstance(value, DictionaryDHTValue):
        return decode_record("QmPeer", 1, value)
    protocol = DHTProtocol(_initialized_with_create=True)
    protocol.record_validator = BoundedRecords()
    protocol._validate_dictionary(b"key", value)
    entries = {
        subkey: ValueWithExpiration(unpack(inner), expires)
        for subkey, (inner, expires) in value.items()
    }
    found = ValueWithExpiration(entries, value.latest_expiration_time)
    return merge_records({1: entries_of(found)}, 4)


def _shared(data: bytes) -> object:
    """Frames of a shared connection, in two reads."""
    opened: list[Channel] = []
    writer = SimpleNamespace(
        close=lambda: None,
        write=lambda _: None,
        transport=SimpleNamespace(get_write_buffer_size=lambda: 0),
    )
    connection = SharedConnection(None, writer, opened.append)  # type: ignore[arg-type]
    middle = len(data) // 2
    connection.feed(data[:middle])
    connection.feed(data[middle:])
    for channel in opened:
        while not channel.inbox.empty():
            _drive(channel.read())
    return len(opened)


def _frames(data: bytes) -> object:
    """Frames of a stream of its own."""
    reader = asyncio.StreamReader(loop=SimpleNamespace(get_debug=lambda: False))  # type: ignore[arg-type]
    reader.feed_data(data)
    reader.feed_eof()
    stream = OwnStream(reader, None, 1024)  # type: ignore[arg-type]
    for _ in range(64):
        _drive(stream.read())
    return None


@dataclass
class _OneFile:
    """A GGUF file in memory, as the source of a checkpoint."""

    data: bytes
    name: str = "model.gguf"
    gguf: str | None = "model.gguf"
    folder: Path = Path()
    repository: str | None = None
    files: tuple[str, ...] = ("model.gguf",)

    def fetch(self, names: object, progress: object = None) -> None: ...

    def size(self, name: str) -> int | None:
        return len(self.data)

    def read(self, name: str, start: int, count: int) -> bytes:
        return self.data[start : start + count]


def _gguf(data: bytes) -> object:
    """A file up to its numbers; one in a few also up to transformers' model."""
    source = _OneFile(data)
    if zlib.crc32(data) % 16 == 0:
        store = open_gguf_store(source)
        store.eos_token_ids()
        return store.read(store.names, torch.float32)
    model = open_gguf(source)
    describe(model)
    for name in model.tensors:
        model.numbers(name)
    return model


def _gguf_seed(kind: GGMLQuantizationType) -> bytes:
    """A Llama of one block, as small as the format allows."""
    width, _ = GGML_QUANT_SIZES[kind]
    width = max(width, 8)
    shapes = {
        **dict.fromkeys(("attn_q", "attn_k", "attn_v", "attn_output"), (width, width)),
        **dict.fromkeys(("ffn_gate", "ffn_up", "ffn_down"), (width, width)),
        **dict.fromkeys(("attn_norm", "ffn_norm"), (width,)),
    }
    tensors = {f"blk.0.{name}.weight": shape for name, shape in shapes.items()}
    tensors |= {"token_embd.weight": (4, width), "output_norm.weight": (width,)}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.gguf"
        writer = GGUFWriter(path, "llama")
        writer.add_block_count(1)
        writer.add_context_length(64)
        writer.add_embedding_length(width)
        writer.add_feed_forward_length(width)
        writer.add_head_count(2)
        writer.add_layer_norm_rms_eps(1e-5)
        writer.add_token_list(["a", "b", "<|im_end|>", "</s>"])
        writer.add_token_types([1, 1, 3, 3])
        writer.add_eos_token_id(3)
        for name, shape in tensors.items():
            numbers = np.linspace(-1, 1, math.prod(shape), dtype=np.float32).reshape(shape)
            used = kind if len(shape) > 1 else GGMLQuantizationType.F32
            writer.add_tensor(name, quantize(numbers, used), raw_dtype=used)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
        seed = path.read_bytes()
    _ = open_gguf_store(_OneFile(seed)).names  # imports for seconds when it is used first
    return seed


def _drive(coroutine: Any) -> Any:
    """Run what never has to wait."""
    try:
        coroutine.send(None)
    except StopIteration as done:
        return done.value
    coroutine.close()
    raise StreamBroken("it would wait")


ALLOWED = (CheckpointError, ProtocolError, RemoteError, StreamBroken)


# --- Valid messages ---------------------------------------------------------------------------


def _record_seed() -> bytes:
    info = NodeInfo(
        "QmPeer",
        Span(0, 4),
        NodeState.ONLINE,
        7.0,
        public_name="a node",
        version="2.3.0",
        inference_rps=3.0,
        adapters=("lora",),
        cache_tokens_left=1000,
        next_pings={"QmOther": 0.01},
        extensions=frozenset({"epoch"}),
    )
    return pack(encode_record(info))


def _dictionary_seed() -> bytes:
    dictionary = DictionaryDHTValue()
    for index in range(3):
        dictionary.store(f"Qm{index}", _record_seed(), get_dht_time() + 3600 + index)
    return pack(dictionary)


def targets() -> list[Target]:
    """Every decoder of what comes from another peer or in a file."""
    metadata = StepMetadata(
        session_id="session",
        step_id="step",
        max_length=64,
        active_adapter="lora",
        start_from_position=3,
        next_servers=(NextServer("QmNext", "their-session", Span(2, 4)),),
        alloc_timeout=5.0,
        epoch=2,
        push_ack=True,
    )
    hidden = torch.linspace(-1, 1, 24).reshape(1, 3, 8)
    step = Step(hidden, metadata, uid=chain_uid(_PREFIX, Span(0, 3)))
    beam = Step(hidden.repeat(2, 1, 1), metadata, uid=f"{_PREFIX}.0", hypo_ids=torch.tensor([1, 0]))
    reply = StepReply(hidden.bfloat16(), "step", 6, False, 0.5, 100)
    tensors = [
        encode_tensor(hidden),
        encode_tensor(hidden.half()),
        encode_tensor(torch.arange(5)),
        *(serialize_torch_tensor(hidden, kind) for kind in (1, 2)),
    ]
    frame = encode_step(step).SerializeToString()
    mixed = b"".join(
        number.to_bytes(4, "big") + bytes((kind,)) + len(part).to_bytes(4, "big") + part
        for number, kind, part in (
            *((1, 2, b"abc"), (1, 0, b"def"), (2, 0, frame)),
            *((1, 1, b""), (2, 3, b""), (3, 0, b""), (3, 4, b"")),
        )
    )
    own = b"".join(
        bytes((kind,)) + len(part).to_bytes(8, "big") + part
        for kind, part in ((0, frame[:500]), (0, b""), (1, b""))
    )
    info = {"version": "1", "forward_schema": ((1.0,), {}), "cache_tokens_available": 5}
    busy = p2pd_pb2.RPCError(message=error_text("busy", "max_length 9 exceeds this node's 8"))
    check = dht_pb2.PingRequest(peer=dht_pb2.NodeInfo(node_id=b"\x12\x20" + bytes(32)))
    return [
        Target(
            "step",
            _step,
            [frame, encode_step(beam).SerializeToString(), b""],
            runtime_pb2.ExpertRequest,
        ),
        Target(
            "reply",
            _reply,
            [encode_reply(reply).SerializeToString()],
            runtime_pb2.ExpertResponse,
        ),
        Target(
            "tensor",
            _tensor,
            [tensor.SerializeToString() for tensor in tensors],
            runtime_pb2.Tensor,
        ),
        Target("metadata", _metadata, [pack(metadata.to_map()), pack({})]),
        Target(
            "info",
            _info,
            [runtime_pb2.ExpertInfo(serialized_info=pack(info)).SerializeToString()],
            runtime_pb2.ExpertInfo,
        ),
        Target("uid", _uid, [chain_uid(_PREFIX, Span(0, 5)).encode()]),
        Target("record", _record, [_record_seed(), _dictionary_seed(), pack((2, 1.0))]),
        Target("shared", _shared, [mixed]),
        Target("frames", _frames, [own]),
        Target("error", _error, [busy.SerializeToString()], p2pd_pb2.RPCError),
        Target("gguf", _gguf, [_gguf_seed(GGMLQuantizationType.F16)]),
        Target("check", _check, [check.SerializeToString()], dht_pb2.PingRequest),
    ]


# --- Damage -----------------------------------------------------------------------------------

_NUMBERS = [0, 1, 2, 127, 128, 255, 2**15, 2**16 - 1, 2**31 - 1, 2**31, 2**32 - 1, 2**63, 2**64 - 1]
_PIECES = [
    b"",
    b"\xff" * 9,
    b"\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01",
    b"\xdf\xff\xff\xff\xff",  # msgpack: a map of 2^32 - 1
    b"\xdd\xff\xff\xff\xff",  # a list of 2^32 - 1
    b"\xc6\xff\xff\xff\xff",  # that many bytes
    b"\xc7\x08\x40\x93",  # hivemind's tuple
    b"\xc7\x08\x50\x93",  # its dictionary
    b"\xc7\x08\x51\x81",  # its descriptor of a tensor
    b"\xcb\x7f\xf8\x00\x00\x00\x00\x00\x00",  # NaN
    b"\xcb\x7f\xf0\x00\x00\x00\x00\x00\x00",  # infinity
    b"max_length",
    b"start_block",
    b"next_pings",
    b"float32",
    b"int64",
    b"\x09\x00\x00\x00\x08\x00\x00\x00" + b"\xff" * 7 + b"\x00",  # GGUF: an array of 2^56 texts
    b"blk.0.attn_q.weight",
    b"rope_freqs.weight",
    b"split.count",
    _PREFIX.encode() + b".",
    "\u0663\u00b2".encode(),
]


def damage(data: bytes, other: bytes, rng: random.Random) -> bytes:
    """One to four changes."""
    buffer = bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 2, 2, 3, 4))):
        _change(buffer, other, rng)
    return bytes(buffer[:_MAX_INPUT])


def _change(buffer: bytearray, other: bytes, rng: random.Random) -> None:
    at = rng.randrange(len(buffer) + 1)
    width = rng.choice((1, 2, 4, 8, 32))
    match rng.randrange(9):
        case 0 if buffer:
            buffer[at % len(buffer)] ^= 1 << rng.randrange(8)
        case 1 if buffer:
            buffer[at % len(buffer)] = rng.randrange(256)
        case 2:
            del buffer[at : at + width]
        case 3:
            buffer[at:at] = buffer[at : at + width]
        case 4:
            buffer[at:at] = rng.choice(_PIECES)
        case 5:
            size = rng.choice((1, 2, 4, 8))
            number = rng.choice(_NUMBERS) % 2 ** (8 * size)
            buffer[at : at + size] = number.to_bytes(size, rng.choice(("big", "little")))
        case 6 if other:
            start = rng.randrange(len(other))
            buffer[at : at + width] = other[start : start + rng.choice((1, 4, 16, 64))]
        case 7:
            del buffer[at:]
        case _:
            buffer[at:at] = rng.randbytes(rng.choice((1, 3, 16)))


def rework(message: Any, other: bytes, rng: random.Random) -> None:
    """Change one field of a protobuf message, or of a message within it."""
    fields = [f for f in message.DESCRIPTOR.fields if f.message_type or getattr(message, f.name)]
    field = rng.choice(fields or message.DESCRIPTOR.fields)
    value = getattr(message, field.name)
    if field.message_type is not None and not hasattr(value, "add"):  # there is one of it at most
        rework(value, other, rng)
    elif field.message_type is not None:
        if not value or rng.random() < 0.1:
            value.add()
        elif rng.random() < 0.1:
            del value[rng.randrange(len(value))]
        else:
            rework(rng.choice(value), other, rng)
    elif isinstance(value, bytes):
        made_up = rng.random() < 0.3
        changed = _packed(_value(rng, 0), rng) if made_up else damage(value, other, rng)
        setattr(message, field.name, changed)
    elif isinstance(value, str):
        text = damage(value.encode(), other, rng).decode("utf-8", "ignore")
        setattr(message, field.name, rng.choice((text, *_DTYPES)))
    elif isinstance(value, float):
        setattr(message, field.name, rng.choice((-1.0, 0.5, 1e300, math.inf, math.nan)))
    elif isinstance(value, int):
        setattr(message, field.name, rng.randrange(2 if field.name == "requires_grad" else 7))
    else:
        numbers = [rng.choice((number, *_SIZES)) for number in value]
        del value[:]
        value.extend(numbers[: rng.randrange(6)] + [1] * rng.choice((0, 0, 0, 1)))


_SIZES = (0, 1, 2, 3, 8, 2**16, 2**32 - 1)
_DTYPES = ("float32", "float16", "bfloat16", "int64", "float64", "object", "")


def invent(rng: random.Random) -> bytes:
    """A msgpack value or a protobuf tensor with plausible and implausible parts."""
    if rng.random() < 0.6:
        return _packed(_value(rng, 0), rng)
    return runtime_pb2.Tensor(
        buffer=rng.randbytes(rng.choice((0, 1, 4, 16, 64))),
        size=[rng.choice(_SIZES) for _ in range(rng.randrange(6))],
        requires_grad=rng.random() < 0.3,
        dtype=rng.choice(_DTYPES),
        compression=rng.randrange(7),
    ).SerializeToString()


_KEYS = [*StepMetadata(max_length=1).to_map(), "next_servers", "resume", "epoch"]
_KEYS += ["start_block", "end_block", "next_pings", "adapters", "throughput", "public_name"]


def _value(rng: random.Random, depth: int) -> Any:
    kind = rng.randrange(12 if depth < 5 else 7)
    match kind:
        case 0:
            return rng.choice((None, True, False, 2, 1.0, float("nan"), float("inf"), -1.0))
        case 1:
            return rng.choice(_NUMBERS) - rng.choice((0, 0, 0, 1, 2**62)) & 2**63 - 1
        case 2:
            return rng.choice((-1, 3, 1e308, get_dht_time() + 60))
        case 3 | 4:
            return rng.choice(("", "Qm", "\x1b[31m", "x" * 600, "lora"))
        case 5 | 6:
            return rng.randbytes(rng.choice((0, 1, 8)))
        case 7 | 8:
            return [_value(rng, depth + 1) for _ in range(rng.randrange(5))]
        case 9:
            return tuple(_value(rng, depth + 1) for _ in range(rng.randrange(5)))
        case _:
            return {rng.choice(_KEYS): _value(rng, depth + 1) for _ in range(rng.randrange(6))}


def _packed(value: Any, rng: random.Random) -> bytes:
    packed = pack(value)
    if rng.random() < 0.15:  # as the DHT's dictionaries are: [size, latest, [[key, value, time]]]
        entries = [[_value(rng, 4), pack(_value(rng, 3)), _value(rng, 4)] for _ in range(3)]
        body = pack([_value(rng, 4), _value(rng, 4), entries])
        return b"\xc9" + len(body).to_bytes(4, "big") + b"\x50" + body
    return packed


# --- Running ----------------------------------------------------------------------------------


class Finding(Exception):
    """A decoder did what it must not do."""


def feed(target: Target, data: bytes) -> bool:
    """Run one input; whether it made the decoder say something new.

    Raises: Finding.
    """
    started = time.perf_counter()
    try:
        outcome = type(target.run(data)).__name__
    except ALLOWED as error:
        outcome = f"{type(error).__name__}: {re.sub(r'[0-9]+', '#', str(error))[:80]}"
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt):
            raise
        raise Finding(f"{target.name}: {traceback.format_exc()}\ninput: {data.hex()}") from error
    seconds = time.perf_counter() - started
    if seconds > SLOW_SECONDS:
        raise Finding(f"{target.name}: took {seconds:.1f} s\ninput: {data.hex()}")
    target.outcomes[outcome] += 1
    return target.outcomes[outcome] == 1


def fuzz(inputs: int, seed: int) -> list[Target]:
    """Feed so many inputs, in turn to every decoder.

    Raises: Finding.
    """
    rng = random.Random(seed)
    every = targets()
    for target in every:
        for data in target.seeds:
            feed(target, data)
        target.kept = list(target.seeds)
    for number in range(inputs):
        target = every[number % len(every)]
        data = next_input(target, rng.choice(rng.choice(every).kept), rng)
        if feed(target, data) and len(target.kept) < _KEPT:
            target.kept.append(data)
    return every


def next_input(target: Target, other: bytes, rng: random.Random) -> bytes:
    if rng.random() < 0.1:
        return invent(rng)
    base = rng.choice(target.seeds if rng.random() < 0.5 else target.kept)
    if target.message is not None and rng.random() < 0.5:
        message = target.message()
        with contextlib.suppress(DecodeError):
            message.ParseFromString(base)
            for _ in range(rng.choice((1, 1, 2, 3))):
                rework(message, other, rng)
            return bytes(message.SerializeToString()[:_MAX_INPUT])
    return damage(base, other, rng)


def limit_memory() -> None:
    """What would fill the memory ends with MemoryError instead, which is a finding."""
    pages = int(Path("/proc/self/statm").read_text("ascii").split()[0])
    limit = pages * resource.getpagesize() + MEMORY_BYTES
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def fuzz_by_coverage(inputs: int, seed: int) -> None:
    """libFuzzer through atheris; it ends the process itself. The first byte picks the decoder."""
    import atheris

    every = targets()
    for target in every:
        target.kept = target.seeds

    def one(data: bytes) -> None:
        if data:
            feed(every[data[0] % len(every)], data[1:])

    def mutate(data: bytes, max_size: int, chosen: int) -> bytes:
        rng = random.Random(chosen)
        number = data[0] % len(every) if data and rng.random() < 0.9 else rng.randrange(len(every))
        target = every[number]
        if len(data) > 1 and rng.random() < 0.5:
            changed = damage(data[1:], rng.choice(target.seeds), rng)
        else:
            changed = next_input(target, rng.choice(target.seeds), rng)
        return (bytes((number,)) + changed)[:max_size]

    options = [f"-runs={inputs}", f"-seed={seed + 1}", f"-max_len={_MAX_INPUT}"]
    atheris.Setup([sys.argv[0], *options, "-rss_limit_mb=0"], one, custom_mutator=mutate)
    atheris.Fuzz()


def report(every: Sequence[Target], inputs: int, seed: int, seconds: float) -> None:
    print(f"{inputs} inputs, seed {seed}, {seconds:.0f} seconds, no finding.\n")
    print("| decoder | inputs | taken | refused | kinds of answer |")
    print("|---|---|---|---|---|")
    for target in every:
        refused = sum(n for what, n in target.outcomes.items() if ": " in what)
        fed = target.outcomes.total()
        print(f"| {target.name} | {fed} | {fed - refused} | {refused} | {len(target.outcomes)} |")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m scripts.fuzz", description=__doc__)
    parser.add_argument("--inputs", type=int, default=100_000, help="how many (%(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="same seed, same inputs (%(default)s)")
    parser.add_argument("--atheris", action="store_true", help="guided by coverage")
    arguments = parser.parse_args()
    limit_memory()
    if arguments.atheris:
        fuzz_by_coverage(arguments.inputs, arguments.seed)
        return 0
    started = time.monotonic()
    try:
        every = fuzz(arguments.inputs, arguments.seed)
    except Finding as finding:
        print(finding)
        return 1
    report(every, arguments.inputs, arguments.seed, time.monotonic() - started)
    return 0


if __name__ == "__main__":
    sys.exit(main())
