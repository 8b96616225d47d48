"""The control room: what probes, Prometheus and a coordinator in front of several swarms ask for.

``/healthz`` and ``/readyz`` say nothing that a stranger should not know and are always open; the
rest is for those who may use the app.
"""

from __future__ import annotations

import time
import tomllib

from fastapi import FastAPI, Response
from pydantic import BaseModel, Field

from chat.backend import Backend
from chat.ledger import Account, Ledger
from chat.metrics import CONTENT_TYPE_LATEST, Metrics
from chat.settings import PROJECT, ModelEntry
from chat.store import ChatStore
from chat.swarm_view import NAME_LENGTH, headline
from farmesh.core import NodeInfo, Span, SwarmSnapshot


class Health(BaseModel):
    """Whether the process answers."""

    status: str


class Readiness(BaseModel):
    """Whether a message would be answered."""

    ready: bool
    status: str = Field(description="one sentence")


class Blocks(BaseModel):
    """A half-open range of blocks."""

    start: int
    end: int


class NodeStatus(BaseModel):
    """One node; everything but peer_id, rtt_seconds and tokens is its own claim."""

    peer_id: str
    name: str
    state: str
    blocks: Blocks
    version: str | None
    throughput: float = Field(description="blocks x tokens per second")
    decode_tokens_per_second: float | None = Field(description="through all of its blocks")
    cache_tokens_left: int | None
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
    licence: str
    context: int
    opened: bool
    ready: bool
    prefix: str | None
    num_blocks: int | None
    replicas: list[int] = Field(description="how many nodes serve each block")


class MeshModels(BaseModel):
    """The models of this app."""

    models: list[MeshModel]


def add_routes(
    app: FastAPI, store: ChatStore, model: ModelEntry, ledger: Ledger, metrics: Metrics
) -> None:
    """Add ``/healthz``, ``/readyz``, ``/metrics``, ``/mesh/status`` and ``/mesh/models``."""
    metrics.read(store, ledger)

    @app.get("/health", include_in_schema=False)  # by which load generators find a server
    @app.get("/healthz")
    async def health() -> Health:
        """200 as long as the process answers: restarting it would mend nothing."""
        return Health(status="ok")

    @app.get("/readyz", responses={503: {"model": Readiness}})
    async def readiness(response: Response) -> Readiness:
        """200 when a message would be answered, 503 with the reason when not yet."""
        text, tone = headline(store.backend)
        response.status_code = 200 if tone == "good" else 503
        return Readiness(ready=tone == "good", status=text)

    @app.get("/metrics", response_class=Response)
    async def scrape() -> Response:
        """Prometheus' text format."""
        return Response(metrics.text(), media_type=CONTENT_TYPE_LATEST)

    @app.get("/mesh/status")
    async def status() -> MeshStatus:
        """Nodes, load and sessions."""
        return mesh_status(store, model.id, ledger)

    @app.get("/mesh/models")
    async def models() -> MeshModels:
        """What can be asked for, and whether every block of it is served."""
        return MeshModels(models=_models(store, model))


def mesh_status(store: ChatStore, model_id: str, ledger: Ledger) -> MeshStatus:
    """Everything at this moment."""
    text, tone = headline(store.backend)
    totals = ledger.totals
    return MeshStatus(
        version=VERSION,
        started=totals.opened,
        time=time.time(),
        model=model_id,
        ready=tone == "good",
        status=text,
        load=_load(store, ledger),
        totals=Totals(
            replies=totals.replies,
            prompt_tokens=totals.prompt_tokens,
            cached_prompt_tokens=totals.cached_tokens,
            generated_tokens=totals.generated_tokens,
            reroutes=totals.reroutes,
        ),
        swarms=[
            _swarm(backend.id or model_id, snapshot, ledger)
            for backend in store.backends
            if (snapshot := backend.snapshot) is not None
        ],
        sessions=[
            *(
                _session(account, "running" if account.running else "idle", session.position)
                for account, session in ledger.open_accounts
            ),
            *(_session(account, "closed", 0) for account in ledger.closed_accounts),
        ],
    )


def _load(store: ChatStore, ledger: Ledger) -> Load:
    return Load(
        running=store.line.running,
        running_limit=store.settings.running_turns,
        waiting=store.line.waiting,
        waiting_limit=store.settings.waiting_turns,
        chats=len(store),
        idle_api_sessions=len(store.pool),
        cached_tokens=ledger.cached_tokens,
    )


def _swarm(model_id: str, snapshot: SwarmSnapshot, ledger: Ledger) -> SwarmStatus:
    return SwarmStatus(
        model=model_id,
        prefix=snapshot.prefix,
        num_blocks=snapshot.num_blocks,
        complete=snapshot.is_complete,
        missing=[_blocks(gap) for gap in snapshot.gaps],
        nodes=[_node(node, snapshot, ledger) for node in snapshot.nodes],
    )


def _node(node: NodeInfo, snapshot: SwarmSnapshot, ledger: Ledger) -> NodeStatus:
    rps = node.inference_rps
    return NodeStatus(
        peer_id=node.peer_id,
        name=(node.public_name or "")[:NAME_LENGTH],
        state=node.state.name.lower(),
        blocks=_blocks(node.span),
        version=node.version,
        throughput=node.throughput,
        decode_tokens_per_second=rps / len(node.span) if rps and len(node.span) else None,
        cache_tokens_left=node.cached_tokens_left,
        dtype=node.torch_dtype,
        quantisation=node.quant_type,
        adapters=list(node.adapters),
        rtt_seconds=snapshot.rtts.get(node.peer_id),
        tokens=ledger.node_tokens.get(node.peer_id, 0),
    )


def _session(account: Account, state: str, held: int) -> SessionStatus:
    return SessionStatus(
        session=account.number,
        model=account.model,
        state=state,
        opened=account.opened,
        replies=account.replies,
        prompt_tokens=account.prompt_tokens,
        cached_prompt_tokens=account.cached_tokens,
        generated_tokens=account.generated_tokens,
        held_tokens=held,
        reroutes=account.reroutes,
        nodes=[
            Participation(peer_id=peer_id, blocks=_blocks(share.span), tokens=share.tokens)
            for peer_id, share in account.shares.items()
        ],
    )


def _models(store: ChatStore, default: ModelEntry) -> list[MeshModel]:
    """All of the catalogue, the default one first."""
    opened = {backend.id or default.id: backend for backend in store.backends}
    entries = store.models.entries if store.models is not None else ()
    others = [entry for entry in entries if entry.id != default.id]
    return [_model(entry, opened.get(entry.id)) for entry in (default, *others)]


def _model(model: ModelEntry, backend: Backend | None) -> MeshModel:
    snapshot = backend.snapshot if backend is not None else None
    engine = backend.engine if backend is not None else None
    return MeshModel(
        id=model.id,
        name=model.name,
        licence=model.licence,
        context=engine.context if engine is not None else model.context,
        opened=backend is not None,
        ready=backend is not None and headline(backend)[1] == "good",
        prefix=snapshot.prefix if snapshot is not None else model.dht_prefix,
        num_blocks=snapshot.num_blocks if snapshot is not None else None,
        replicas=list(snapshot.replicas) if snapshot is not None else [],
    )


def _blocks(span: Span) -> Blocks:
    return Blocks(start=span.start, end=span.end)


def _version() -> str:
    try:
        project = tomllib.loads((PROJECT / "pyproject.toml").read_text("utf-8"))["project"]
        return str(project["version"])
    except (OSError, KeyError, ValueError):
        return "unknown"


VERSION = _version()
