"""What ``/mesh`` and the probes answer; a FarMesh Chat that uses another one reads it by this."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from chat.protocol.events import Blocks
from chat.settings.catalogue import SamplingDefaults

FileName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9._-]*$", max_length=100)]


class Health(BaseModel):
    """Whether the process answers."""

    status: str


class Readiness(BaseModel):
    """Whether a message would be answered."""

    ready: bool
    status: str = Field(description="one sentence")


class NodeStatus(BaseModel):
    """One node; everything but peer_id, rtt_seconds and tokens is its own claim."""

    model_config = ConfigDict(validate_by_name=True)

    peer_id: str
    name: str
    state: str
    blocks: Blocks
    version: str | None
    throughput: float = Field(description="blocks x tokens per second")
    decode_tokens_per_second: float | None = Field(description="through all of its blocks")
    # The key is called as in the DHT, where the unit is another one; other versions read it so.
    context_tokens_left: int | None = Field(
        alias="cache_tokens_left", description="of context, that still fit into its KV cache"
    )
    dtype: str | None
    quantisation: str | None
    adapters: list[str]
    rtt_seconds: float | None
    tokens: int = Field(description="that went through it for this app, since its start")


class SwarmStatus(BaseModel):
    """The nodes that serve one model."""

    model: str
    prefix: str
    num_blocks: int
    complete: bool
    missing: list[Blocks]
    nodes: list[NodeStatus]


class Load(BaseModel):
    """How busy the app is."""

    running: int
    running_limit: int
    waiting: int
    waiting_limit: int
    chats: int
    idle_api_sessions: int
    cached_tokens: int = Field(description="that the nodes hold for all sessions")


class Participation(BaseModel):
    """What one node did for one session."""

    peer_id: str
    blocks: Blocks
    tokens: int = Field(description="that went through its blocks")


class SessionStatus(BaseModel):
    """One inference session: numbers for accounting, and nobody's name."""

    session: str
    model: str
    state: str = Field(description="running, idle or closed")
    opened: float = Field(description="seconds since 1970")
    replies: int
    prompt_tokens: int
    cached_prompt_tokens: int
    generated_tokens: int
    held_tokens: int
    reroutes: int
    nodes: list[Participation]


class Totals(BaseModel):
    """Since the app was started."""

    replies: int
    prompt_tokens: int
    cached_prompt_tokens: int
    generated_tokens: int
    reroutes: int


class MeshStatus(BaseModel):
    """Everything at one moment."""

    version: str
    started: float = Field(description="seconds since 1970")
    time: float
    model: str = Field(description="the one that a new chat begins with")
    ready: bool
    status: str
    load: Load
    totals: Totals
    swarms: list[SwarmStatus] = Field(description="of every model that is open, the default first")
    sessions: list[SessionStatus] = Field(description="open ones, and the latest closed ones")


class MeshModel(BaseModel):
    """A model that can be asked for; it is opened when that happens first."""

    id: str
    name: str
    description: str = ""
    licence: str
    context: int
    sampling: SamplingDefaults = SamplingDefaults()
    opened: bool
    ready: bool
    prefix: str | None
    num_blocks: int | None
    replicas: list[int] = Field(description="how many nodes serve each block")


class MeshModels(BaseModel):
    """The models of this app."""

    models: list[MeshModel]


class TokenizerFiles(BaseModel):
    """What text is turned into tokens with, and what else one must know to ask for them."""

    files: dict[FileName, str] = Field(description="as transformers' save_pretrained writes them")
    chat_template: str | None = Field(description="to use instead of the tokenizer's own")
    end_of_sequence: list[int] = Field(description="tokens that end a reply")
    context: int = Field(ge=16, description="tokens that a session holds")
