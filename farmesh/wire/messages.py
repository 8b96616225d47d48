"""The RPC messages of the wire: metadata, tensors, errors; every length checked before use.

The facts are upstream's (hivemind 1.1.12 protobufs, Petals 2.2/2.3 metadata keys); they are kept
so that their nodes and clients and ours can share a swarm. What this engine adds rides in
metadata keys that upstream ignores, all of them named in :data:`EXTENSIONS`.

Tensor shapes: hidden_states are ``[batch, tokens, hidden]``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from hivemind.proto import runtime_pb2

from farmesh.errors import ProtocolError
from farmesh.hivemind import pack
from farmesh.wire.metadata import (
    StepMetadata,
    flag_of,
    integer_of,
    seconds_of,
    text_of,
    unpack_map,
)
from farmesh.wire.tensors import NO_HYPO_IDS, NO_PROMPTS, decode_tensor, encode_tensor

HANDLER_NAME = "TransformerConnectionHandler"  # libp2p protocol ids are HANDLER_NAME.method
MAX_UNARY_BYTES = 4 * 2**20  # the p2p daemon refuses unary messages above this
PUSH_BYTES = 2 * 2**20  # activations of one prefill message, so that pushes always fit
MAX_STREAM_BYTES = 256 * 2**20  # upstream sends whole prompts in one message; ours never do
MAX_BESIDE_TENSORS = 2**20  # bytes of a message: uid, metadata, hypo_ids, protobuf's own
MAX_TENSORS = 8

# Abilities announced in the DHT and understood in metadata by nodes of this engine:
#   resume      a dropped stream can be re-attached by its session_id
#   epoch       steps of an older epoch are dropped: a rewind overtakes what is still in flight
#   push_ack    with next_servers, a hop answers "pushed" instead of repeating the activations
#   step_reply  replies name the step and the position they belong to
#   shared      many inference streams may travel on one (rpc_shared, see network/shared.py)
EXTENSIONS = frozenset({"resume", "epoch", "push_ack", "step_reply", "shared"})
# And one of nodes whose blocks keep states instead of keys:
#   snapshots   a session goes back to a snapshot only; a step without tokens asks, and its reply
#               says to which position
SNAPSHOTS = "snapshots"
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
    prompts: torch.Tensor = field(default_factory=lambda: NO_PROMPTS)
    hypo_ids: torch.Tensor = field(default_factory=lambda: NO_HYPO_IDS)

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
    prompts, hypo_ids = NO_PROMPTS, NO_HYPO_IDS
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
        step_id=text_of(metadata, "step_id", 128),
        position=integer_of(metadata, "position"),
        pushed=flag_of(metadata, "pushed"),
        compute_seconds=seconds_of(metadata, "compute_seconds"),
        cache_tokens_left=integer_of(metadata, "cache_tokens_left"),
    )


def max_message_bytes(max_elements: int) -> int:
    """The longest message that can hold a tensor of so many elements, and what goes with it."""
    return min(MAX_STREAM_BYTES, 4 * max_elements + MAX_BESIDE_TENSORS)


def tokens_per_message(hidden_size: int, dtype: torch.dtype, wanted: int) -> int:
    """How many tokens of activations fit into one message that can be pushed."""
    return max(1, min(wanted, PUSH_BYTES // (hidden_size * dtype.itemsize)))
