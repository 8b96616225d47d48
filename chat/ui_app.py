"""Everything that answers over HTTP, put together: page, programs, control room, one Guard."""

from __future__ import annotations

import os
from urllib.parse import urlsplit

from fastapi import FastAPI
from markupsafe import Markup

from chat import api_mesh, api_signin, api_tokenizer, openai_api, state, ui, web, web_archive
from chat.access import Gate
from chat.ledger import Ledger
from chat.metrics import Metrics
from chat.openai_api import OpenModel
from chat.security import LOOPBACK, Guard, hosts_of
from chat.settings import ModelEntry, Settings, SwarmSettings
from chat.store import ChatStore


def application(
    store: ChatStore, settings: Settings, model: ModelEntry, ledger: Ledger, metrics: Metrics
) -> Guard:
    """The app as uvicorn serves it."""
    server = settings.server
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    gate = Gate(settings.access, server.proxies)
    api_signin.add_routes(app, gate, root_path=server.root_path)
    archive = state.archive(settings.chat) if gate.knows_people else None
    if archive is not None:
        web_archive.add_routes(app, archive)
    web.add_routes(app, store, lambda: archive.trouble if archive is not None else "")
    api_mesh.add_routes(app, store, model, ledger, metrics)
    open_model = OpenModel(model.id)
    api_tokenizer.add_routes(app, store, open_model)
    openai_api.add_routes(app, store, open_model)
    options = ui.PageOptions(
        model.name,
        model.description,
        privacy(settings.swarm),
        signed_in=gate.knows_people,
        kept_here=archive is not None,
    )
    ui.mount(app, store, options, root_path=server.root_path, mcp=server.mcp)
    return Guard(
        app,
        gate=gate,
        hosts=hosts_of(server),
        proxies=server.proxies > 0,
        embedded="SPACE_ID" in os.environ,
        root_path=server.root_path,
        head=web.HEAD,
        body=web.BODY,
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
