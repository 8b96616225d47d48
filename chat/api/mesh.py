"""The control room: what probes, Prometheus and a coordinator in front of several swarms ask for.

``/healthz`` and ``/readyz`` say nothing that a stranger should not know and are always open; the
rest is for those who may use the app.
"""

from __future__ import annotations

import time
import tomllib

from fastapi import FastAPI, Response

from chat.api.metrics import CONTENT_TYPE_LATEST, Metrics
from chat.live.store import ChatStore
from chat.models.backend import Backend
from chat.models.health import NAME_LENGTH, headline
from chat.models.ledger import Account, Ledger
from chat.protocol.events import Blocks
from chat.protocol.mesh import (
    Health,
    Load,
    MeshModel,
    MeshModels,
    MeshStatus,
    NodeStatus,
    Participation,
    Readiness,
    SessionStatus,
    SwarmStatus,
    Totals,
)
from chat.settings.catalogue import ModelEntry
from chat.settings.schema import PROJECT
from farmesh.core import NodeInfo, SwarmSnapshot


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
        found = headline(store.backend)
        response.status_code = 200 if found.ready else 503
        return Readiness(ready=found.ready, status=found.text)

    @app.get("/metrics", response_class=Response)
    async def scrape() -> Response:
        """Prometheus' text format."""
        return Response(metrics.text(), media_type=CONTENT_TYPE_LATEST)

    @app.get("/mesh/status")
    async def status(sessions: bool = True) -> MeshStatus:
        """Nodes, load, and sessions unless they are not wanted."""
        found = mesh_status(store, model.id, ledger)
        return found if sessions else found.model_copy(update={"sessions": []})

    @app.get("/mesh/models")
    async def models() -> MeshModels:
        """What can be asked for, and whether every block of it is served."""
        return MeshModels(models=_models(store, model))


def mesh_status(store: ChatStore, model_id: str, ledger: Ledger) -> MeshStatus:
    """Everything at this moment."""
    said = headline(store.backend)
    totals = ledger.totals
    return MeshStatus(
        version=VERSION,
        started=totals.opened,
        time=time.time(),
        model=model_id,
        ready=said.ready,
        status=said.text,
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
        missing=[Blocks.of(gap) for gap in snapshot.gaps],
        nodes=[_node(node, snapshot, ledger) for node in snapshot.nodes],
    )


def _node(node: NodeInfo, snapshot: SwarmSnapshot, ledger: Ledger) -> NodeStatus:
    rps = node.inference_rps
    return NodeStatus(
        peer_id=node.peer_id,
        name=(node.public_name or "")[:NAME_LENGTH],
        state=node.state.name.lower(),
        blocks=Blocks.of(node.span),
        version=node.version,
        throughput=node.throughput,
        decode_tokens_per_second=rps / len(node.span) if rps and len(node.span) else None,
        context_tokens_left=node.context_tokens_left,
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
            Participation(peer_id=peer_id, blocks=Blocks.of(share.span), tokens=share.tokens)
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
        description=model.description,
        licence=model.licence,
        context=engine.context if engine is not None else model.context,
        sampling=model.sampling,
        opened=backend is not None,
        ready=backend is not None and headline(backend).ready,
        prefix=snapshot.prefix if snapshot is not None else model.dht_prefix,
        num_blocks=snapshot.num_blocks if snapshot is not None else None,
        replicas=list(snapshot.replicas) if snapshot is not None else [],
    )


def _version() -> str:
    try:
        project = tomllib.loads((PROJECT / "pyproject.toml").read_text("utf-8"))["project"]
        return str(project["version"])
    except (OSError, KeyError, ValueError):
        return "unknown"


VERSION = _version()
