"""The RPC messages of the wire: metadata, tensors, errors; every length checked before use.

The facts are upstream's (hivemind 1.1.12 protobufs, Petals 2.2/2.3 metadata keys); they are kept
so that their nodes and clients and ours can share a swarm. What this engine adds rides in
metadata keys that upstream ignores, all of them named in :data:`EXTENSIONS`.

Tensor shapes: hidden_states are ``[batch, tokens, hidden]``.
"""

from __future__ import annotations

import math
import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import hivemind.compression.base as _compression
import torch
from hivemind.compression import deserialize_torch_tensor
from hivemind.proto import runtime_pb2
from hivemind.utils import MSGPackSerializer

from farmesh.core import PeerId, Span
from farmesh.errors import ProtocolError

# Senders' choice only: two bytes per bfloat16 element instead of four. All decoders accept both.
_compression.USE_LEGACY_BFLOAT16 = False

HANDLER_NAME = "TransformerConnectionHandler"  # libp2p protocol ids are HANDLER_NAME.method
UID_DELIMITER = "."
CHAIN_DELIMITER = " "
MAX_UNARY_BYTES = 4 * 2**20  # the p2p daemon refuses unary messages above this
PUSH_BYTES = 2 * 2**20  # activations of one prefill message, so that pushes always fit
MAX_STREAM_BYTES = 256 * 2**20  # upstream sends whole prompts in one message; ours never do
MAX_BESIDE_TENSORS = 2**20  # bytes of a message: uid, metadata, hypo_ids, protobuf's own
MAX_METADATA_BYTES = 64 * 2**10
MAX_UID_BYTES = 64 * 2**10
MAX_TENSORS = 8

# Abilities announced in the DHT and understood in metadata by nodes of this engine:
#   resume      a dropped stream can be re-attached by its session_id
#   epoch       steps of an older epoch are dropped: a rewind overtakes what is still in flight
#   push_ack    with next_servers, a hop answers "pushed" instead of repeating the activations
#   step_reply  replies name the step and the position they belong to
#   shared      many inference streams may travel on one (rpc_shared, see multiplex.py)
EXTENSIONS = frozenset({"resume", "epoch", "push_ack", "step_reply", "shared"})

_DTYPES: dict[str, torch.dtype] = {
    "float32": torch.float32,
    "float16": torch.float16,
    "bfloat16": torch.bfloat16,
    "int64": torch.int64,
}


# --- Errors that travel -----------------------------------------------------------------------

_ERROR_MARK = "farmesh:"
CODE_BUSY = "busy"  # the KV cache is full and the queue for it too, or the wait ran out
CODE_EVICTED = "evicted"  # an idle session's KV cache went to somebody else
CODE_CLOSING = "closing"  # the node is shutting down or moving to other blocks
CODE_INVALID = "invalid"  # the request cannot be served as it is
CODE_INTERNAL = "internal"

_LENGTH_LIMIT = re.compile(  # upstream's text, and this engine's
    r"(?:Cannot allocate KV cache for \d+ tokens, max = |max_length \d+ exceeds this node's )"
    r"([1-9]\d{0,8})\b"
)
# Not "... bytes, max cache size = ...": that much will never be free.
_UPSTREAM_IS_FULL = re.compile(
    r"Could not allocate \d+ (bytes immediately|within|\(timeout)|attention cache is full"
)


def error_text(code: str, sentence: str) -> str:
    """What a node sends to its peer when a call ends badly: a code and one sentence."""
    return f"{_ERROR_MARK}{code}: {sentence}"


def parse_error(text: str | bytes) -> tuple[str, str]:
    """Code and sentence of a peer's error text; peers that send no code get ``"unknown"``.

    Except for what upstream's nodes say while others hold their KV cache: that is ``"busy"``.
    Text that is not UTF-8 comes as bytes.
    """
    if isinstance(text, bytes):
        text = text.decode("utf-8", "replace")
    mark = text.find(_ERROR_MARK)
    if mark < 0:
        return CODE_BUSY if _UPSTREAM_IS_FULL.search(text) else "unknown", text[:500]
    code, _, sentence = text[mark + len(_ERROR_MARK) :].partition(": ")
    return code[:32], sentence[:500]


def length_limit(text: str) -> int | None:
    """The longest session, in tokens, of a node that refused a longer one."""
    found = _LENGTH_LIMIT.search(text)
    return int(found.group(1)) if found else None


# --- Metadata ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class NextServer:
    """Where a hop shall push its output: the next hop's peer, session and blocks."""

    peer_id: PeerId
    session_id: str
    span: Span


@dataclass(frozen=True, slots=True)
class StepMetadata:
    """The metadata map of one rpc_inference or rpc_push message, validated."""

    session_id: str | None = None
    step_id: str | None = None
    max_length: int | None = None  # tokens; required on a session's first message
    start_from_position: int | None = None  # tokens kept before this step is written
    next_servers: tuple[NextServer, ...] = ()
    pushed: bool = False
    active_adapter: str | None = None
    alloc_timeout: float | None = None  # seconds to wait for KV cache; None: the node's default
    resume: bool = False
    epoch: int | None = None
    push_ack: bool = False
    points: float = 0.0
    args_structure: Any = None

    def to_map(self) -> dict[str, Any]:
        """The msgpack map; keys at their neutral value are left out."""
        fields: dict[str, Any] = {
            "session_id": self.session_id,
            "step_id": self.step_id,
            "max_length": self.max_length,
            "start_from_position": self.start_from_position,
            "active_adapter": self.active_adapter,
            "alloc_timeout": self.alloc_timeout,
            "epoch": self.epoch,
            "args_structure": self.args_structure,
        }
        wire = {key: value for key, value in fields.items() if value is not None}
        for flag in ("pushed", "resume", "push_ack"):
            if getattr(self, flag):
                wire[flag] = True
        if self.max_length is not None:
            wire["points"] = float(self.points)
        if self.next_servers:
            wire["next_servers"] = [
                (hop.peer_id, hop.session_id, hop.span.start, hop.span.end)
                for hop in self.next_servers
            ]
        return wire

    @classmethod
    def from_map(cls, wire: Mapping[str, Any]) -> StepMetadata:
        """Check types and bounds of what a peer sent; unknown keys are ignored.

        Raises:
            ProtocolError: a known key has a value of the wrong type or out of bounds.
        """
        return cls(
            session_id=_text(wire, "session_id", 128),
            step_id=_text(wire, "step_id", 128),
            max_length=_integer(wire, "max_length"),
            start_from_position=_integer(wire, "start_from_position"),
            next_servers=_next_servers(wire.get("next_servers")),
            pushed=_flag(wire, "pushed"),
            active_adapter=_text(wire, "active_adapter", 512) or None,
            alloc_timeout=_seconds(wire, "alloc_timeout"),
            resume=_flag(wire, "resume"),
            epoch=_integer(wire, "epoch"),
            push_ack=_flag(wire, "push_ack"),
        )


def _text(wire: Mapping[str, Any], key: str, limit: int) -> str | None:
    value = wire.get(key)
    if value is None:
        return None
    if not isinstance(value, str) or len(value) > limit:
        raise ProtocolError(f"{key} must be text of at most {limit} characters")
    return value


def _integer(wire: Mapping[str, Any], key: str) -> int | None:
    value = wire.get(key)
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 2**31:
        raise ProtocolError(f"{key} must be a whole number from 0 to 2^31 - 1")
    return value


def _seconds(wire: Mapping[str, Any], key: str) -> float | None:
    value = wire.get(key)
    if value is None:
        return None
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value < math.inf:
        raise ProtocolError(f"{key} must be a finite number of seconds, at least 0")
    return float(value)


def _flag(wire: Mapping[str, Any], key: str) -> bool:
    return wire.get(key) is True


def _next_servers(value: Any) -> tuple[NextServer, ...]:
    if value is None:
        return ()
    if not isinstance(value, list | tuple) or len(value) > 1024:
        raise ProtocolError("next_servers must be a list")
    hops = []
    for entry in value:
        match entry:
            case (str(peer_id), str(session_id), int(start), int(end)) if (
                len(peer_id) <= 128 and len(session_id) <= 128 and 0 <= start < end < 2**20
            ):
                hops.append(NextServer(peer_id, session_id, Span(start, end)))
            case _:
                raise ProtocolError("an entry of next_servers is malformed")
    return tuple(hops)


# hivemind decodes a tuple inside a tuple by calling itself from C, each time with tens of kilobytes
# of stack: some hundred levels, which fit into a kilobyte of metadata or of a DHT record, would end
# the process. So its hook counts.
_MAX_NESTED = 16
_nesting = threading.local()
_hivemind_hook = MSGPackSerializer._decode_ext_types


_KNOWN_TYPES = frozenset({0x40, 0x50, 0x51})  # hivemind's tuple, dictionary, descriptor


def _bounded_hook(code: int, data: bytes) -> Any:
    if (
        code not in _KNOWN_TYPES
    ):  # hivemind would write a warning for each, as often as a peer likes
        raise ProtocolError("a value of an unknown type")
    depth = getattr(_nesting, "depth", 0)
    if depth >= _MAX_NESTED:
        raise ProtocolError("values are nested too deeply")
    _nesting.depth = depth + 1
    try:
        return _hivemind_hook(code, data)
    finally:
        _nesting.depth = depth


MSGPackSerializer._decode_ext_types = _bounded_hook


def pack(value: Any) -> bytes:
    """msgpack with hivemind's extension types; only plain Python values can be packed."""
    packed: bytes = MSGPackSerializer.dumps(value)
    return packed


def unpack_map(data: bytes) -> dict[str, Any]:
    """A msgpack map with text keys.

    Raises:
        ProtocolError: the bytes are too many, not msgpack, or not such a map.
    """
    if len(data) > MAX_METADATA_BYTES:
        raise ProtocolError(f"metadata of {len(data)} bytes exceeds {MAX_METADATA_BYTES}")
    if not data:
        return {}
    try:
        value = MSGPackSerializer.loads(data)
    except Exception as error:  # msgpack and its extension hooks raise many types on bad bytes
        raise ProtocolError("metadata is not msgpack") from error
    if not isinstance(value, dict) or not all(isinstance(key, str) for key in value):
        raise ProtocolError("metadata is not a map with text keys")
    return value


# --- UIDs -------------------------------------------------------------------------------------


def block_uid(prefix: str, block: int) -> str:
    return f"{prefix}{UID_DELIMITER}{block}"


def chain_uid(prefix: str, span: Span) -> str:
    """The uid of a chain of blocks: block uids joined by single spaces."""
    return CHAIN_DELIMITER.join(block_uid(prefix, block) for block in span)


def parse_chain(uid: str, prefix: str) -> Span:
    """The span that a chain uid names.

    Raises:
        ProtocolError: another prefix, not a number, or blocks that do not follow one another.
    """
    if not uid or len(uid) > MAX_UID_BYTES:
        raise ProtocolError("a chain of blocks is missing or too long")
    blocks = []
    for part in uid.split(CHAIN_DELIMITER):
        head, _, index = part.rpartition(UID_DELIMITER)
        if head != prefix or not index.isascii() or not index.isdigit() or len(index) > 6:
            raise ProtocolError("a block of the chain is not served here")
        blocks.append(int(index))
    if blocks != list(range(blocks[0], blocks[0] + len(blocks))):
        raise ProtocolError("the blocks of a chain must follow one another")
    return Span(blocks[0], blocks[-1] + 1)


# --- Tensors ----------------------------------------------------------------------------------


def encode_tensor(tensor: torch.Tensor) -> runtime_pb2.Tensor:
    """Raw little-endian bytes, compression NONE (what upstream uses in practice)."""
    if tensor is _NO_PROMPTS or tensor is _NO_HYPO_IDS:  # two of three slots, nearly always
        return _ENCODED_DUMMIES[id(tensor)]
    data = tensor.detach().cpu().contiguous()
    raw = data.view(torch.int16) if data.dtype == torch.bfloat16 else data
    return runtime_pb2.Tensor(
        compression=runtime_pb2.CompressionType.NONE,
        buffer=raw.numpy().tobytes(),
        size=tuple(data.shape),
        dtype=str(data.dtype).removeprefix("torch."),
    )


def decode_tensor(message: runtime_pb2.Tensor, *, max_elements: int) -> torch.Tensor:
    """The tensor of a message, checked before memory is taken for it.

    Raises:
        ProtocolError: unknown dtype, more than 4 dimensions or ``max_elements``, or a buffer
            whose length does not fit the shape.
    """
    if message.dtype not in _DTYPES:
        raise ProtocolError(f"tensors of dtype {message.dtype[:32]!r} are not accepted")
    if len(message.size) > 4:
        raise ProtocolError("a tensor with more than 4 dimensions")
    elements = math.prod(message.size)
    if elements > max_elements or max(message.size, default=0) > max_elements:
        raise ProtocolError(f"a tensor of {elements} elements exceeds {max_elements}")
    if message.compression in _COMPRESSED_BYTES:
        return _decompress(message, elements)
    if message.compression != runtime_pb2.CompressionType.NONE:
        raise ProtocolError("tensors compressed in that way are not accepted")
    dtype = _DTYPES[message.dtype]
    legacy = dtype is torch.bfloat16 and len(message.buffer) == 4 * elements
    item = 4 if legacy else dtype.itemsize
    if len(message.buffer) != elements * item:
        raise ProtocolError("a tensor's buffer does not fit its shape")
    if elements == 0:
        return torch.empty(tuple(message.size), dtype=dtype)
    buffer = bytearray(message.buffer)  # torch wants writable memory
    flat = torch.frombuffer(buffer, dtype=torch.float32 if legacy else dtype)
    return flat.to(dtype).reshape(tuple(message.size))


# What hivemind's codecs write beside two bytes per element: per row (mean, deviation) in float32.
_COMPRESSED_BYTES = {
    runtime_pb2.CompressionType.FLOAT16: 0,
    runtime_pb2.CompressionType.MEANSTD_16BIT: 8,
}


def _decompress(message: runtime_pb2.Tensor, elements: int) -> torch.Tensor:
    if message.dtype not in ("float32", "float16"):  # the codecs write no others
        raise ProtocolError(f"compressed tensors of dtype {message.dtype} are not accepted")
    rows = math.prod(message.size[:-1])
    if len(message.buffer) != 2 * elements + rows * _COMPRESSED_BYTES[message.compression]:
        raise ProtocolError("a compressed tensor does not fit its shape")
    try:
        tensor = deserialize_torch_tensor(message)
    except Exception as error:  # codecs raise many types on bad bytes
        raise ProtocolError("a compressed tensor cannot be read") from error
    if not isinstance(tensor, torch.Tensor) or tensor.numel() != elements:
        raise ProtocolError("a compressed tensor does not fit its shape")
    return tensor.detach()  # a peer may have asked for gradients


# --- Inference steps --------------------------------------------------------------------------

_NO_PROMPTS = torch.empty(0)
_NO_HYPO_IDS = torch.empty(0, dtype=torch.int64)
_ENCODED_DUMMIES = {
    id(dummy): runtime_pb2.Tensor(
        compression=runtime_pb2.CompressionType.NONE,
        size=(0,),
        dtype=str(dummy.dtype).removeprefix("torch."),
    )
    for dummy in (_NO_PROMPTS, _NO_HYPO_IDS)
}
# The (args, kwargs) skeleton of three positional tensors that reference clients send.
THREE_TENSORS: Any = ((b"__T0", b"__T1", b"__T2"), {})


@dataclass(frozen=True, slots=True)
class Step:
    """One message of an inference session: activations to run, at most at one position.

    ``hidden_states`` is ``[batch, tokens, hidden]``; ``[batch, 0, hidden]`` opens or rewinds a
    session without computing anything.
    """

    hidden_states: torch.Tensor
    metadata: StepMetadata
    uid: str = ""  # the chain of blocks; required on the first message
    prompts: torch.Tensor = field(default_factory=lambda: _NO_PROMPTS)
    hypo_ids: torch.Tensor = field(default_factory=lambda: _NO_HYPO_IDS)

    @property
    def tokens(self) -> int:
        return int(self.hidden_states.shape[1])


@dataclass(frozen=True, slots=True)
class StepReply:
    """A hop's answer to one step.

    ``hidden_states`` is ``[batch, tokens, hidden]``, or empty when the hop pushed them on
    (``pushed``). ``step_id`` and ``position`` are None from nodes without ``step_reply``.
    """

    hidden_states: torch.Tensor
    step_id: str | None = None
    position: int | None = None  # tokens in the hop's KV cache after this step
    pushed: bool = False
    compute_seconds: float | None = None  # queueing and computing on the node
    cache_tokens_left: int | None = None


def encode_step(step: Step) -> runtime_pb2.ExpertRequest:
    return runtime_pb2.ExpertRequest(
        uid=step.uid,
        tensors=[
            encode_tensor(step.hidden_states),
            encode_tensor(step.prompts),
            encode_tensor(step.hypo_ids),
        ],
        metadata=pack(step.metadata.to_map()),
    )


def decode_step(request: runtime_pb2.ExpertRequest, *, max_elements: int) -> Step | None:
    """A step, or None for the empty message that closes a session.

    Raises:
        ProtocolError: anything malformed or out of bounds.
    """
    if not request.uid and not request.tensors:
        return None
    metadata_map = unpack_map(request.metadata)
    if not 1 <= len(request.tensors) <= MAX_TENSORS:
        raise ProtocolError(f"a step takes 1 to {MAX_TENSORS} tensors")
    # Prompts and hypo_ids are left empty in nearly every message: nothing to decode then.
    prompts, hypo_ids = _NO_PROMPTS, _NO_HYPO_IDS
    hidden_states = decode_tensor(request.tensors[0], max_elements=max_elements)
    if len(request.tensors) > 1 and not _is_empty(request.tensors[1]):
        prompts = decode_tensor(request.tensors[1], max_elements=max_elements)
    if len(request.tensors) > 2:
        if request.tensors[2].dtype != "int64":
            raise ProtocolError("hypo_ids must be int64")
        if not _is_empty(request.tensors[2]):
            hypo_ids = decode_tensor(request.tensors[2], max_elements=max_elements)
    if hidden_states.dim() != 3 or not hidden_states.is_floating_point():
        raise ProtocolError("hidden_states must be [batch, tokens, hidden] of a float type")
    return Step(
        hidden_states=hidden_states,
        metadata=StepMetadata.from_map(metadata_map),
        uid=request.uid,
        prompts=prompts,
        hypo_ids=hypo_ids,
    )


def _is_empty(message: runtime_pb2.Tensor) -> bool:
    return not message.buffer and tuple(message.size) == (0,)


def encode_reply(reply: StepReply) -> runtime_pb2.ExpertResponse:
    metadata: dict[str, Any] = {"step_id": reply.step_id, "position": reply.position}
    if reply.pushed:
        metadata["pushed"] = True
    if reply.compute_seconds is not None:
        metadata["compute_seconds"] = float(reply.compute_seconds)
    if reply.cache_tokens_left is not None:
        metadata["cache_tokens_left"] = int(reply.cache_tokens_left)
    return runtime_pb2.ExpertResponse(
        tensors=[encode_tensor(reply.hidden_states)], metadata=pack(metadata)
    )


def decode_reply(response: runtime_pb2.ExpertResponse, *, max_elements: int) -> StepReply:
    """A hop's answer; metadata that upstream never fills may be absent.

    Raises:
        ProtocolError: anything malformed or out of bounds.
    """
    if len(response.tensors) != 1:
        raise ProtocolError("a reply must hold one tensor")
    hidden_states = decode_tensor(response.tensors[0], max_elements=max_elements)
    if hidden_states.dim() != 3 or not hidden_states.is_floating_point():
        raise ProtocolError("a reply must be [batch, tokens, hidden] of a float type")
    metadata = unpack_map(response.metadata)
    return StepReply(
        hidden_states=hidden_states,
        step_id=_text(metadata, "step_id", 128),
        position=_integer(metadata, "position"),
        pushed=_flag(metadata, "pushed"),
        compute_seconds=_seconds(metadata, "compute_seconds"),
        cache_tokens_left=_integer(metadata, "cache_tokens_left"),
    )


def max_message_bytes(max_elements: int) -> int:
    """The longest message that can hold a tensor of so many elements, and what goes with it."""
    return min(MAX_STREAM_BYTES, 4 * max_elements + MAX_BESIDE_TENSORS)


def is_dummy(tensor: torch.Tensor) -> bool:
    """Whether an optional tensor slot is left empty."""
    return tensor.numel() == 0


def tokens_per_message(hidden_size: int, dtype: torch.dtype, wanted: int) -> int:
    """How many tokens of activations fit into one message that can be pushed."""
    return max(1, min(wanted, PUSH_BYTES // (hidden_size * dtype.itemsize)))
