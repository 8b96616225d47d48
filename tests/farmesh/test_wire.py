"""The wire: round trips, every refusal, and bytes that nobody meant to send."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from hivemind.compression import serialize_torch_tensor
from hivemind.proto import runtime_pb2
from hypothesis import example, given, settings
from hypothesis import strategies as st

from farmesh.core import Span
from farmesh.errors import ProtocolError
from farmesh.hivemind import pack
from farmesh.wire import failures, messages, uids
from farmesh.wire.messages import Step, StepReply
from farmesh.wire.metadata import (
    MAX_METADATA_BYTES,
    NextServer,
    StepMetadata,
    unpack_map,
)
from farmesh.wire.tensors import decode_tensor, encode_tensor, is_dummy

LIMIT = 4096
DTYPES = [torch.float32, torch.float16, torch.bfloat16]


def round_trip(tensor: torch.Tensor) -> torch.Tensor:
    message = runtime_pb2.Tensor.FromString(encode_tensor(tensor).SerializeToString())
    return decode_tensor(message, max_elements=LIMIT)


# --- Tensors ----------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [*DTYPES, torch.int64])
@pytest.mark.parametrize("shape", [(1, 3, 4), (1, 0, 4), (0,), (2, 2, 2, 2), ()])
def test_tensors_come_back_bit_for_bit(dtype: torch.dtype, shape: tuple[int, ...]) -> None:
    """Prevents activations that change on the wire, and empty tensors that lose their shape."""
    tensor = (torch.randn(shape) * 100).to(dtype)
    back = round_trip(tensor)
    assert back.dtype == dtype
    assert back.shape == tensor.shape
    assert torch.equal(back, tensor)


def test_a_view_is_sent_as_what_it_shows() -> None:
    """Prevents sending the memory under a slice or a transpose instead of its values."""
    whole = torch.arange(24.0).reshape(2, 3, 4)
    for view in (whole[:, 1:], whole.transpose(0, 2), whole[:, ::2]):
        assert torch.equal(round_trip(view), view)


def test_a_decoded_tensor_can_be_written_to() -> None:
    """Prevents torch's warning about read-only memory, an error in this test suite."""
    back = round_trip(torch.ones(1, 1, 2))
    back += 1
    assert back.tolist() == [[[2.0, 2.0]]]


def test_modern_bfloat16_takes_two_bytes_and_legacy_four() -> None:
    """Prevents refusing upstream's float32 payload labelled bfloat16 (PROTOCOL 2.3)."""
    tensor = torch.randn(1, 2, 8).bfloat16()
    assert len(encode_tensor(tensor).buffer) == 32
    legacy = runtime_pb2.Tensor(
        buffer=tensor.float().numpy().tobytes(), size=tensor.shape, dtype="bfloat16"
    )
    assert torch.equal(decode_tensor(legacy, max_elements=LIMIT), tensor)


@pytest.mark.parametrize("dtype", DTYPES)
def test_hivemind_reads_our_tensors_and_we_read_theirs(dtype: torch.dtype) -> None:
    """Prevents a dialect that only this engine speaks."""
    from hivemind.compression import deserialize_torch_tensor

    tensor = torch.randn(1, 3, 8).to(dtype)
    assert torch.equal(deserialize_torch_tensor(encode_tensor(tensor)), tensor)
    theirs = serialize_torch_tensor(tensor, runtime_pb2.CompressionType.NONE)
    assert torch.equal(decode_tensor(theirs, max_elements=LIMIT), tensor)


@pytest.mark.parametrize(
    "compression", [runtime_pb2.CompressionType.FLOAT16, runtime_pb2.CompressionType.MEANSTD_16BIT]
)
def test_compressed_tensors_are_read(compression: int) -> None:
    """Prevents refusing servers that were started with --compression."""
    tensor = torch.randn(1, 3, 8)
    message = serialize_torch_tensor(tensor, compression)
    assert torch.allclose(decode_tensor(message, max_elements=LIMIT), tensor, atol=1e-2)


def tensor_message(**fields: Any) -> runtime_pb2.Tensor:
    defaults: dict[str, Any] = {"buffer": b"\0" * 16, "size": (1, 4), "dtype": "float32"}
    return runtime_pb2.Tensor(**{**defaults, **fields})


@pytest.mark.parametrize(
    "fields",
    [
        {"dtype": "float64"},
        {"dtype": ""},
        {"dtype": "bool"},
        {"dtype": "x" * 10_000},
        {"size": (1, 5)},
        {"size": (1, 3)},
        {"size": ()},
        {"size": (1, 1, 1, 1, 4)},
        {"buffer": b""},
        {"buffer": b"\0" * 15},
        {"size": (2**32 - 1, 2**32 - 1)},
        {"size": (LIMIT + 1,), "buffer": b"\0" * 4 * (LIMIT + 1)},
        {"size": (0, 2**32 - 1, 2**32 - 1, 2**32 - 1), "buffer": b""},
        {"compression": runtime_pb2.CompressionType.BLOCKWISE_8BIT},
        {"compression": runtime_pb2.CompressionType.QUANTILE_8BIT},
        {"compression": runtime_pb2.CompressionType.MEANSTD_16BIT, "buffer": b"\0"},
        {"compression": runtime_pb2.CompressionType.FLOAT16, "buffer": b"\0"},
    ],
)
def test_a_tensor_that_does_not_fit_is_refused(fields: dict[str, Any]) -> None:
    """Prevents a peer from making this one allocate, crash or read past a buffer."""
    with pytest.raises(ProtocolError):
        decode_tensor(tensor_message(**fields), max_elements=LIMIT)


@settings(max_examples=300, deadline=None)
@given(
    size=st.lists(st.integers(0, 2**32 - 1) | st.integers(0, 8), max_size=6),
    dtype=st.sampled_from(["float32", "float16", "bfloat16", "int64", "uint8", "complex64"]),
    compression=st.integers(0, 5),
    buffer=st.binary(max_size=200),
)
@example(size=[0, 2**32 - 1, 2**32 - 1], dtype="float32", compression=0, buffer=b"")
def test_any_tensor_message_is_a_bounded_tensor_or_refused(
    size: list[int], dtype: str, compression: int, buffer: bytes
) -> None:
    """Prevents sizes off the wire from becoming memory: only what the buffer backs is allocated."""
    message = runtime_pb2.Tensor(size=size, dtype=dtype, compression=compression, buffer=buffer)
    try:
        tensor = decode_tensor(message, max_elements=LIMIT)
    except ProtocolError:
        return
    assert tensor.numel() <= LIMIT
    assert tensor.numel() == math.prod(size)


# --- Metadata ---------------------------------------------------------------------------------

texts = st.none() | st.text(max_size=20)
numbers = st.none() | st.integers(0, 2**31 - 1)
metadata = st.builds(
    StepMetadata,
    session_id=texts,
    step_id=texts,
    max_length=numbers,
    start_from_position=numbers,
    next_servers=st.lists(
        st.builds(
            NextServer,
            st.text(max_size=10),
            st.text(max_size=10),
            st.builds(lambda start, width: Span(start, start + width), *[st.integers(1, 99)] * 2),
        ),
        max_size=3,
    ).map(tuple),
    pushed=st.booleans(),
    active_adapter=st.none() | st.text(min_size=1, max_size=9),
    alloc_timeout=st.none() | st.floats(0, 1e9),
    resume=st.booleans(),
    epoch=numbers,
    push_ack=st.booleans(),
)


@given(metadata)
def test_metadata_comes_back_as_it_was(original: StepMetadata) -> None:
    """Prevents a key that is written under one name or type and read under another."""
    assert StepMetadata.from_map(unpack_map(pack(original.to_map()))) == original


def test_neutral_values_are_not_sent_and_points_never_none() -> None:
    """Prevents ``points: None``, which upstream refuses, and bytes in every decode step."""
    assert StepMetadata(session_id="s").to_map() == {"session_id": "s"}
    first = StepMetadata(max_length=5).to_map()
    assert first["points"] == 0.0
    assert isinstance(first["points"], float)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("session_id", 5),
        ("session_id", "x" * 129),
        ("session_id", b"x"),
        ("step_id", ["x"]),
        ("max_length", -1),
        ("max_length", 2**31),
        ("max_length", 5.0),
        ("max_length", True),
        ("max_length", "5"),
        ("start_from_position", -1),
        ("start_from_position", 1.5),
        ("epoch", -3),
        ("alloc_timeout", float("nan")),
        ("alloc_timeout", float("inf")),
        ("alloc_timeout", -1),
        ("alloc_timeout", "soon"),
        ("alloc_timeout", True),
        ("active_adapter", 7),
        ("active_adapter", "x" * 600),
        ("next_servers", "abc"),
        ("next_servers", {"a": 1}),
        ("next_servers", [1]),
        ("next_servers", [("a", "b", 1)]),
        ("next_servers", [("a", "b", 2, 2)]),
        ("next_servers", [("a", "b", 3, 2)]),
        ("next_servers", [("a", "b", -1, 2)]),
        ("next_servers", [("a", "b", 1, 2**40)]),
        ("next_servers", [("a" * 200, "b", 1, 2)]),
        ("next_servers", [("a", "b", 0, 1)] * 1025),
    ],
)
def test_a_known_key_of_the_wrong_type_is_refused(key: str, value: Any) -> None:
    """Prevents a peer's value from being used as a position, a length or a time unchecked."""
    with pytest.raises(ProtocolError):
        StepMetadata.from_map({key: value})


def test_unknown_keys_are_ignored_and_flags_are_true_only_when_true() -> None:
    """Prevents a newer peer's keys from ending a session, and ``1`` from switching a flag on."""
    assert StepMetadata.from_map({"future": {"a": 1}, "points": None}) == StepMetadata()
    read = StepMetadata.from_map({"pushed": 1, "resume": "yes", "push_ack": None})
    assert (read.pushed, read.resume, read.push_ack) == (False, False, False)


@pytest.mark.parametrize(
    "data",
    [
        b"\xc1",
        b"\x93\x01",
        pack([1, 2]),
        pack(5),
        pack("text"),
        b"\x81\x01\x02",
        b"\xc7\xff\x40",
        b"\x00" * (MAX_METADATA_BYTES + 1),
    ],
)
def test_metadata_that_is_no_map_with_text_keys_is_refused(data: bytes) -> None:
    """Prevents ``KeyError`` and worse when a peer sends anything but a map."""
    with pytest.raises(ProtocolError):
        unpack_map(data)


def test_no_metadata_is_an_empty_map() -> None:
    """Prevents refusing replies of upstream, whose metadata is never filled."""
    assert unpack_map(b"") == {}


def nested(levels: int, prefix: bytes) -> bytes:
    return b"\x81\xa1a" + prefix * levels + b"\xc0"


@pytest.mark.parametrize("prefix", [b"\x91", b"\x81\xa1a"])
def test_deep_nesting_is_refused(prefix: bytes) -> None:
    """Prevents a recursion bomb in metadata."""
    with pytest.raises(ProtocolError):
        unpack_map(nested(20_000, prefix))


def test_nested_tuples_are_refused_before_the_stack_ends() -> None:
    """Prevents a recursion bomb through the extension type of tuples, whose hook recurses."""
    data = b"\x90"
    while len(data) < MAX_METADATA_BYTES - 64:
        size = len(data)
        head = b"\xc8" + size.to_bytes(2, "big") if size > 255 else b"\xc7" + bytes([size])
        data = b"\x91" + head + b"\x40" + data
    with pytest.raises(ProtocolError):
        unpack_map(b"\x81\xa1a" + data[1:])


@settings(max_examples=500, deadline=None)
@given(st.binary(max_size=300))
def test_any_bytes_are_a_map_or_refused(data: bytes) -> None:
    """Prevents any exception but ProtocolError from a peer's metadata."""
    try:
        value = unpack_map(data)
        StepMetadata.from_map(value)
    except ProtocolError:
        return
    assert all(isinstance(key, str) for key in value)


# --- Steps and replies ------------------------------------------------------------------------


def test_a_step_comes_back_as_it_was() -> None:
    """Prevents a step whose optional tensors trade places."""
    step = Step(
        torch.randn(2, 3, 4),
        StepMetadata(session_id="s", step_id="1", start_from_position=7),
        uid="m-hf.0 m-hf.1",
        prompts=torch.empty(0),
        hypo_ids=torch.tensor([1, 0]),
    )
    back = messages.decode_step(messages.encode_step(step), max_elements=LIMIT)
    assert back is not None
    assert torch.equal(back.hidden_states, step.hidden_states)
    assert (back.metadata, back.uid) == (step.metadata, step.uid)
    assert back.hypo_ids.tolist() == [1, 0]
    assert is_dummy(back.prompts)
    assert back.tokens == 3


def test_the_empty_request_means_close() -> None:
    """Prevents upstream's end of a session from being an error."""
    assert messages.decode_step(runtime_pb2.ExpertRequest(), max_elements=LIMIT) is None


def request(*tensors: torch.Tensor, **fields: Any) -> runtime_pb2.ExpertRequest:
    return runtime_pb2.ExpertRequest(
        uid="m-hf.0", tensors=[encode_tensor(tensor) for tensor in tensors], **fields
    )


HIDDEN = torch.zeros(1, 1, 4)
NOTHING, NO_IDS = torch.empty(0), torch.empty(0, dtype=torch.int64)


@pytest.mark.parametrize(
    "message",
    [
        request(),
        request(*[HIDDEN] * (messages.MAX_TENSORS + 1)),
        request(torch.zeros(1, 4), NOTHING, NO_IDS),
        request(torch.zeros(1, 1, 4, dtype=torch.int64), NOTHING, NO_IDS),
        request(HIDDEN, NOTHING, torch.empty(0)),
        request(HIDDEN, NOTHING, NO_IDS, metadata=b"\xc1"),
        request(HIDDEN, NOTHING, NO_IDS, metadata=pack({"max_length": "long"})),
    ],
)
def test_a_malformed_step_is_refused(message: runtime_pb2.ExpertRequest) -> None:
    """Prevents a peer's message from reaching the blocks in a shape that they cannot take."""
    with pytest.raises(ProtocolError):
        messages.decode_step(message, max_elements=LIMIT)


def test_a_step_may_leave_optional_tensors_out() -> None:
    """Prevents an IndexError for peers that send hidden states only."""
    step = messages.decode_step(request(HIDDEN), max_elements=LIMIT)
    assert step is not None
    assert is_dummy(step.hypo_ids)
    assert is_dummy(step.prompts)


def test_a_reply_comes_back_as_it_was() -> None:
    """Prevents a reply that is matched to the wrong step or position."""
    reply = StepReply(torch.randn(1, 2, 4), "abc", 17, True, 0.25, 1000)
    back = messages.decode_reply(messages.encode_reply(reply), max_elements=LIMIT)
    assert torch.equal(back.hidden_states, reply.hidden_states)
    assert (back.step_id, back.position, back.pushed) == ("abc", 17, True)
    assert (back.compute_seconds, back.cache_tokens_left) == (0.25, 1000)


def test_a_reply_without_metadata_is_upstreams() -> None:
    """Prevents refusing every reply of a Petals node."""
    response = runtime_pb2.ExpertResponse(tensors=[encode_tensor(HIDDEN)])
    reply = messages.decode_reply(response, max_elements=LIMIT)
    assert (reply.step_id, reply.position, reply.pushed) == (None, None, False)


@pytest.mark.parametrize(
    "response",
    [
        runtime_pb2.ExpertResponse(),
        runtime_pb2.ExpertResponse(tensors=[encode_tensor(HIDDEN)] * 2),
        runtime_pb2.ExpertResponse(tensors=[encode_tensor(torch.zeros(4))]),
        runtime_pb2.ExpertResponse(tensors=[encode_tensor(NO_IDS)]),
        runtime_pb2.ExpertResponse(tensors=[encode_tensor(HIDDEN)], metadata=b"\xc1"),
        runtime_pb2.ExpertResponse(
            tensors=[encode_tensor(HIDDEN)], metadata=pack({"position": -1})
        ),
        runtime_pb2.ExpertResponse(
            tensors=[encode_tensor(HIDDEN)],
            metadata=pack({"compute_seconds": float("inf")}),
        ),
    ],
)
def test_a_malformed_reply_is_refused(response: runtime_pb2.ExpertResponse) -> None:
    """Prevents a node's nonsense from becoming a token."""
    with pytest.raises(ProtocolError):
        messages.decode_reply(response, max_elements=LIMIT)


def mutate(data: bytes, edits: list[tuple[int, int]]) -> bytes:
    changed = bytearray(data)
    for index, value in edits:
        changed[index % len(changed)] = value
    return bytes(changed)


STEP_BYTES = messages.encode_step(
    Step(
        torch.ones(1, 2, 4),
        StepMetadata(
            session_id="s" * 8,
            step_id="t" * 8,
            max_length=100,
            start_from_position=3,
            next_servers=(NextServer("Qm", "n" * 8, Span(1, 2)),),
            args_structure=messages.THREE_TENSORS,
        ),
        uid="m-hf.0",
    )
).SerializeToString()
REPLY_BYTES = messages.encode_reply(
    StepReply(torch.ones(1, 2, 4), "t" * 8, 5, False, 0.1, 10)
).SerializeToString()
edits = st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 255)), min_size=1, max_size=6)


@settings(max_examples=500, deadline=None)
@given(edits)
def test_a_damaged_step_is_read_or_refused(changes: list[tuple[int, int]]) -> None:
    """Prevents any exception but ProtocolError from a step off the wire."""
    from google.protobuf.message import DecodeError

    try:
        message = runtime_pb2.ExpertRequest.FromString(mutate(STEP_BYTES, changes))
    except DecodeError:
        return  # the transport's own refusal
    try:
        step = messages.decode_step(message, max_elements=LIMIT)
    except ProtocolError:
        return
    assert step is None or step.hidden_states.numel() <= LIMIT


@settings(max_examples=500, deadline=None)
@given(edits)
def test_a_damaged_reply_is_read_or_refused(changes: list[tuple[int, int]]) -> None:
    """Prevents any exception but ProtocolError from a reply off the wire."""
    from google.protobuf.message import DecodeError

    try:
        message = runtime_pb2.ExpertResponse.FromString(mutate(REPLY_BYTES, changes))
    except DecodeError:
        return
    try:
        reply = messages.decode_reply(message, max_elements=LIMIT)
    except ProtocolError:
        return
    assert reply.hidden_states.numel() <= LIMIT


# --- UIDs -------------------------------------------------------------------------------------


@given(st.text("abcXYZ-_/.", min_size=1, max_size=20), st.integers(0, 999), st.integers(1, 30))
def test_a_chain_names_its_span(prefix: str, start: int, width: int) -> None:
    """Prevents a prefix with dots or slashes from being cut in the wrong place."""
    span = Span(start, start + width)
    assert uids.parse_chain(uids.chain_uid(prefix, span), prefix) == span


@pytest.mark.parametrize(
    "uid",
    [
        "",
        "m",
        "m.",
        "m.x",
        "m.-1",
        "m.1.5",
        "other.0",
        "m.0  m.1",
        "m.0 ",
        "m.0 m.2",
        "m.1 m.0",
        "m.0 m.0",
        "m.٣",
        "m.²",
        "m.9999999",
        "m.0 " * 40_000,
    ],
)
def test_a_chain_that_cannot_be_served_is_refused(uid: str) -> None:
    """Prevents blocks that run in another order than the caller asked for."""
    with pytest.raises(ProtocolError):
        uids.parse_chain(uid, "m")


@settings(max_examples=300)
@given(st.text("m.0123 x²", max_size=60))
def test_any_chain_is_a_span_or_refused(uid: str) -> None:
    """Prevents any exception but ProtocolError from a peer's uid."""
    try:
        span = uids.parse_chain(uid, "m")
    except ProtocolError:
        return
    assert len(span) >= 1


# --- Errors and sizes -------------------------------------------------------------------------


def test_errors_keep_their_code_through_upstreams_wrapping() -> None:
    """Prevents a refusal from looking like a crash because hivemind wrapped its text."""
    text = failures.error_text(failures.CODE_BUSY, "the node's cache is full: try again later")
    wrapped = f"Failed to call handler `X.rpc` at QmAbc: {text}"
    assert failures.parse_error(wrapped) == ("busy", "the node's cache is full: try again later")
    assert failures.parse_error("KeyError('x')") == ("unknown", "KeyError('x')")


@pytest.mark.parametrize(
    "text",
    [
        "Could not allocate 131072 bytes immediately: out of memory",
        "Could not allocate 131072 within 5.0 seconds",
        "Could not allocate 131072 (timeout=5.0)",
        "Server's attention cache is full, failed to allocate 131072 bytes in 5.0 seconds",
    ],
)
def test_a_full_node_of_upstream_is_busy_not_lost(text: str) -> None:
    """Prevents Petals nodes from being banned for minutes because others hold their cache."""
    assert failures.parse_error(text) == (failures.CODE_BUSY, text)


def test_a_node_of_upstream_that_can_never_hold_a_session_is_not_waited_for() -> None:
    """Prevents waiting for cache that a Petals node does not have at all."""
    text = "Could not allocate 131072 bytes, max cache size = 65536 bytes"
    assert failures.parse_error(text) == ("unknown", text)


@given(st.text())
def test_any_error_text_is_cut_to_a_bounded_code_and_sentence(text: str) -> None:
    """Prevents a peer's megabyte of error text from reaching a page."""
    for sent in (text, f"farmesh:{text}"):
        code, sentence = failures.parse_error(sent)
        assert len(code) <= 32
        assert len(sentence) <= 500


@pytest.mark.parametrize("hidden", [64, 4096, 16384, 2**21])
def test_a_prefill_message_fits_where_pushes_go(hidden: int) -> None:
    """Prevents pushes that the daemon refuses for their size (4 MiB, PROTOCOL 2.1)."""
    tokens = messages.tokens_per_message(hidden, torch.float32, 512)
    assert 1 <= tokens <= 512
    assert tokens == 1 or tokens * hidden * 4 <= messages.PUSH_BYTES < messages.MAX_UNARY_BYTES


def test_protocol_example_of_a_dht_record_is_reproduced() -> None:
    """Prevents a msgpack dialect: bytes of PROTOCOL section 9, captured from upstream."""
    value = (2, 1.5, {"start_block": 0, "adapters": ()})
    captured = "c725409302cb3ff800000000000082ab73746172745f626c6f636b00a86164617074657273d44090"
    assert pack(value).hex() == captured


def test_args_structure_is_sent_as_upstream_does() -> None:
    """Prevents lists where reference servers expect tuples (PROTOCOL 2.4)."""
    captured = "c7184092c7134093c4045f5f5430c4045f5f5431c4045f5f543280"
    assert pack(messages.THREE_TENSORS).hex() == captured
