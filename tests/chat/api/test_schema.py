"""Our own routes against their own description, with requests that nobody thinks of."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
import uvicorn
from fastapi import FastAPI
from hypothesis import HealthCheck, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from chat.access.accounts import AccountFile, Key, hash_key, write
from chat.access.gate import Gate
from chat.access.guard import Guard
from chat.api import mesh
from chat.api.metrics import Metrics
from chat.api.offer import OpenModel
from chat.api.openai import routes
from chat.kept.archive import Archive
from chat.live.store import ChatStore
from chat.models.ledger import Ledger
from chat.page import kept_routes
from chat.page import routes as page_routes
from chat.settings.schema import AccessSettings, ChatSettings
from tests.support.fakes import FakeClient, ready_backend
from tests.support.served import MODEL
from tests.support.waiting import wait_until

KEY = "fm-for-a-test"


@pytest.fixture(scope="module")
def described(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """The routes on a server in a thread: schemathesis is not asynchronous."""
    folder = tmp_path_factory.mktemp("described")
    keys = {"robot": Key(sha256=hash_key(KEY))}
    write(folder / "access.json", AccountFile(secret="s" * 43, keys=keys))
    gate = Gate(AccessSettings(sign_in="password", file=folder / "access.json"))
    archive = Archive(folder / "chats.sqlite")
    backend = ready_backend(FakeClient())
    store = ChatStore(backend, ChatSettings(turns_per_minute=1_000_000))
    app = FastAPI(title="FarMesh Chat", openapi_url=None)
    metrics = Metrics()
    page_routes.add_routes(app, store)
    kept_routes.add_routes(app, archive)
    mesh.add_routes(app, store, MODEL, Ledger(metrics), metrics)
    routes.add_routes(app, store, OpenModel("guide"))
    config = uvicorn.Config(Guard(app, gate=gate), port=0, log_level="error", lifespan="off")
    running = uvicorn.Server(config)
    thread = threading.Thread(target=running.run, daemon=True)
    thread.start()
    wait_until(lambda: running.started)
    described = app.openapi()
    _shorten(described)
    schema = schemathesis.openapi.from_dict(described)
    port = running.servers[0].sockets[0].getsockname()[1]
    schema.config.update(base_url=f"http://127.0.0.1:{port}")
    yield schema
    running.should_exit = True
    thread.join(10)
    archive.close()


def _shorten(described: dict[str, Any]) -> None:
    """Lists in requests of at most two items: to make up nested ones of thousands takes minutes."""
    seen: set[str] = set()

    def walk(part: Any) -> None:
        if isinstance(part, list):
            for value in part:
                walk(value)
        elif isinstance(part, dict):
            if part.get("type") == "array":
                part["maxItems"] = max(2, part.get("minItems", 0))
            name = str(part.get("$ref", "")).rpartition("/")[2]
            if name and name not in seen:
                seen.add(name)
                walk(described["components"]["schemas"][name])
            for value in part.values():
                walk(value)

    for path in described["paths"].values():
        for operation in path.values():
            walk(operation.get("requestBody"))


HEADERS = {"host": "127.0.0.1", "authorization": f"Bearer {KEY}"}
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]


def test_every_route_keeps_its_word(described: Any) -> None:
    """A 500 for a body that nobody thought of, or an answer that its description does not know."""
    operations = [found.ok() for found in described.get_all_operations()]
    assert len(operations) >= 17
    for operation in operations:

        @settings(
            max_examples=24, deadline=None, derandomize=True, suppress_health_check=[*HealthCheck]
        )
        @given(case=operation.as_strategy())
        def keeps_its_word(case: Any) -> None:
            response = case.call(headers=HEADERS)
            if response.status_code != 503:  # what probes say of a swarm without nodes
                # Those of the page alone are described to nobody.
                public = not case.operation.path.startswith("/farmesh")
                case.validate_response(response, checks=CHECKS if public else CHECKS[:1])

        keeps_its_word()
