"""Everything that answers over HTTP, put together: page, programs, control room, one Guard."""

from __future__ import annotations

from urllib.parse import urlsplit

from fastapi import FastAPI
from markupsafe import Markup

from chat.access import signin
from chat.access.gate import Gate
from chat.access.guard import Guard
from chat.access.hosts import hosts_of
from chat.api import mesh, tokenizer
from chat.api.metrics import Metrics
from chat.api.offer import OpenModel
from chat.api.openai import routes
from chat.live.store import ChatStore
from chat.models.ledger import Ledger
from chat.page import kept_routes, layout, mounting
from chat.page import routes as page_routes
from chat.places import LOOPBACK, on_a_space
from chat.serving import state
from chat.settings.catalogue import ModelEntry
from chat.settings.schema import Settings, SwarmSettings


def application(
    store: ChatStore,
    settings: Settings,
    model: ModelEntry,
    ledger: Ledger,
    metrics: Metrics,
    note: str = "",
) -> Guard:
    """The app as uvicorn serves it; ``note`` is a sentence for everybody who opens the page."""
    server = settings.server
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    gate = Gate(settings.access, server.proxies)
    signin.add_routes(app, gate, root_path=server.root_path)
    archive = state.archive(settings.chat) if gate.knows_people else None
    if archive is not None:
        kept_routes.add_routes(app, archive)
    page_routes.add_routes(app, store, lambda: archive.trouble if archive is not None else "")
    mesh.add_routes(app, store, model, ledger, metrics)
    open_model = OpenModel(model.id)
    tokenizer.add_routes(app, store, open_model)
    routes.add_routes(app, store, open_model)
    options = layout.PageOptions(
        model.name,
        model.description,
        privacy(settings.swarm),
        note,
        signed_in=gate.knows_people,
        kept_here=archive is not None,
        examples=model.examples or layout.EXAMPLES,
    )
    mounting.mount(app, store, options, root_path=server.root_path, mcp=server.mcp)
    return Guard(
        app,
        gate=gate,
        hosts=hosts_of(server),
        proxies=server.proxies > 0,
        embedded=on_a_space(),
        root_path=server.root_path,
        head=mounting.head(),
        body=mounting.body(),
    )


def privacy(swarm: SwarmSettings) -> str:
    """One plain sentence on who can read what is written here, as HTML."""
    if swarm.mode == "gateway":
        return Markup(
            "What you write goes to the app at {} and through its nodes, which can read it."
        ).format(urlsplit(swarm.gateway_url).netloc)
    if swarm.mode == "embedded" and swarm.host in LOOPBACK:
        return "All nodes run on this machine: nothing you write leaves it."
    if swarm.mode == "embedded":
        return "Other machines may add nodes here; a node can read what passes through it."
    return (
        "The nodes of a swarm can read what passes through them. "
        "For anything private, run a swarm of your own."
    )
