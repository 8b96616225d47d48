"""The control room: probes, metrics, accounts. Each test names the bug it prevents."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import re
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from chat.models.backend import Backend, Engine
from chat.protocol.mesh import MeshModels, MeshStatus
from chat.serving import logs
from chat.settings.schema import LoggingSettings
from tests.support.fakes import FakeClient, FakeTokenizer
from tests.support.served import MODEL, Api, RealApi
from tests.support.waiting import until


async def metrics(api: Api) -> dict[str, float]:
    """Every sample of /metrics that has no labels but a state, an outcome or a model."""
    answer = await api.http.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain")
    found = {}
    for family in text_string_to_metric_families(answer.text):
        for sample in family.samples:
            labels = {k: v for k, v in sample.labels.items() if k != "model"}
            if set(labels) <= {"state", "outcome"}:
                found["_".join([sample.name, *labels.values()])] = sample.value
    return found


async def test_alive_is_not_ready(api: Api) -> None:
    """A supervisor restarted the app because the swarm had a gap, and lost everybody's chats."""
    alive = await api.http.get("/healthz")
    assert (alive.status_code, alive.json()) == (200, {"status": "ok"})
    assert (await api.http.get("/health")).status_code == 200, "load generators ask there"
    ready = await api.http.get("/readyz")
    assert ready.status_code == 503
    assert ready.json() == {"ready": False, "status": "Looking for nodes"}


async def test_a_complete_swarm_is_ready(real: RealApi) -> None:
    """Traffic was sent to an app without nodes, or never to one with them."""
    assert (await real.http.get("/readyz")).status_code == 200
    await real.swarm.leave("second")
    await real.store.backend.engine.client._client.refresh()  # type: ignore[union-attr]
    answer = await real.http.get("/readyz")
    assert answer.status_code == 503
    assert "blocks 4 to 7" in answer.json()["status"]


async def test_metrics_count_what_happened(real: RealApi) -> None:
    """A dashboard that shows zeros, or that counts a reply twice."""
    await real.chat("What is a node?", max_tokens=6, ignore_eos=True)
    told = await metrics(real)
    assert told["farmesh_generated_tokens_total"] == 6
    assert told["farmesh_replies_total_finished"] == 1
    assert told["farmesh_time_to_first_token_seconds_count"] == 1
    assert told["farmesh_time_per_output_token_seconds_count"] == 5
    assert told["farmesh_turns_running"] == told["farmesh_turns_waiting"] == 0
    assert told["farmesh_sessions_idle"] == 1
    assert told["farmesh_ready"] == 1
    assert told["farmesh_blocks_missing"] == 0
    held = real.ledger.open_accounts[0][1].position
    assert told["farmesh_cached_tokens"] == held > 6
    text = (await real.http.get("/metrics")).text
    assert text.count('state="online"} 1.0') == 2
    assert 'farmesh_node_tokens_total{node="first"}' in text


async def test_a_stopped_reply_is_no_failure(real: RealApi) -> None:
    """An alarm on failures that rings whenever somebody presses Stop."""
    request = asyncio.create_task(real.chat("Hello", max_tokens=900, ignore_eos=True))
    await until(lambda: real.ledger.totals.generated_tokens > 2)
    assert (await metrics(real))["farmesh_turns_running"] == 1
    request.cancel()
    await asyncio.gather(request, return_exceptions=True)
    await until(lambda: real.ledger.outcomes.total() == 1)
    told = await metrics(real)
    assert told["farmesh_replies_total_stopped"] == 1
    assert told["farmesh_replies_total_failed"] == 0


async def test_status_is_for_coordinators(real: RealApi) -> None:
    """Accounts that name no nodes, that forget a closed session, or that tell what was said."""
    await real.chat("What is a secret?", max_tokens=6, ignore_eos=True)
    answer = await real.http.get("/mesh/status")
    assert "secret" not in answer.text
    status = MeshStatus.model_validate_json(answer.content)
    assert status.ready
    (swarm,) = status.swarms
    assert swarm.model == "guide"
    assert {node.peer_id for node in swarm.nodes} == {"first", "second"}
    (session,) = status.sessions
    assert (session.state, session.generated_tokens, session.replies) == ("idle", 6, 1)
    assert session.held_tokens > 0
    assert [(n.peer_id, n.blocks.start, n.blocks.end) for n in session.nodes] == [
        ("first", 0, 4),
        ("second", 4, 8),
    ]
    assert {node.tokens for node in session.nodes} == {session.prompt_tokens + 5}
    await real.store.pool.close()
    status = MeshStatus.model_validate_json((await real.http.get("/mesh/status")).content)
    assert [s.state for s in status.sessions] == ["closed"]
    models = MeshModels.model_validate_json((await real.http.get("/mesh/models")).content)
    assert models.models[0].replicas == [1] * 8


async def test_every_open_model_has_its_swarm(
    real: RealApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A coordinator saw the nodes of the first model only, and accounts of nobody knew which."""
    client = FakeClient()
    second = Backend("Second", watch=real.ledger.watch, model_id="second")

    async def open_engine(_: Backend) -> Engine:
        return Engine(client, FakeTokenizer(), client.max_context)

    await second.start(open_engine)

    class Three:
        entries = tuple(
            MODEL.model_copy(update={"id": name}) for name in ("guide", "second", "third")
        )
        backends = (real.store.backend, second)

        async def open(self, model_id: str) -> Backend:
            return second

    monkeypatch.setattr(real.store, "models", Three())
    client.enqueue("hi")
    await real.chat(model="second")
    status = MeshStatus.model_validate_json((await real.http.get("/mesh/status")).content)
    assert [swarm.model for swarm in status.swarms] == ["guide", "second"]
    assert [session.model for session in status.sessions] == ["second"]
    models = MeshModels.model_validate_json((await real.http.get("/mesh/models")).content).models
    assert [(model.id, model.opened) for model in models] == [
        ("guide", True),
        ("second", True),
        ("third", False),
    ]
    text = (await real.http.get("/metrics")).text
    assert 'farmesh_ready{model="second"}' in text


async def test_a_lost_node_is_counted_once(real: RealApi) -> None:
    """After a reroute the tokens of the lost node were counted for the new one, or twice."""
    await real.swarm.serve("spare", "4:8")
    await real.store.backend.engine.client._client.refresh()  # type: ignore[union-attr]
    request = asyncio.create_task(real.chat("Hello", max_tokens=60, ignore_eos=True, temperature=0))
    await until(lambda: real.ledger.totals.generated_tokens > 5)
    ((account, _),) = real.ledger.open_accounts
    (used,) = {"second", "spare"} & set(account.shares)
    await real.swarm.kill(used)
    answer = await request
    assert real.ledger.totals.reroutes == 1
    total = answer["usage"]["total_tokens"]
    other = ({"second", "spare"} - {used}).pop()
    assert account.shares["first"].tokens >= total - 1
    assert account.shares[other].tokens == total - 1, "all of it was replayed there"
    assert 0 < account.shares[used].tokens < total - 1


async def test_json_lines_say_what_happened_and_not_what_was_said(
    real: RealApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Prompts in logs; or lines that no program can read."""
    out = io.StringIO()
    handler = logging.StreamHandler(out)
    handler.setFormatter(logs.JsonLines())
    root = logging.getLogger()
    monkeypatch.setattr(root, "handlers", [handler])
    monkeypatch.setattr(root, "level", logging.DEBUG)
    await real.chat("What is xyzzy?", max_tokens=4, ignore_eos=True, user="plugh")
    lines = [json.loads(line) for line in out.getvalue().splitlines()]
    reply = next(line for line in lines if line["logger"] == "chat.models.ledger")
    assert reply["outcome"] == "finished"
    assert reply["generated_tokens"] == 4
    assert reply["nodes"] == ["first", "second"]
    assert reply["ttft"] > 0
    assert "xyzzy" not in out.getvalue()
    assert "plugh" not in out.getvalue()


def test_an_exception_stays_on_its_line(capsys: pytest.CaptureFixture[str]) -> None:
    """A traceback over several lines is several broken records for whoever collects them."""
    before = logging.getLogger().handlers[:]
    try:
        logs.configure(LoggingSettings(format="json"))
        try:
            raise ValueError("two\nlines")
        except ValueError:
            logging.getLogger("x").exception("it failed", extra={"size": Path("a")})
    finally:
        logging.getLogger().handlers[:] = before
    (line,) = capsys.readouterr().err.splitlines()
    record = json.loads(line)
    assert record["message"] == "it failed"
    assert "two\nlines" in record["exception"]
    assert record["size"] == "a"


async def test_the_dashboard_asks_for_what_is_there(real: RealApi, project: Path) -> None:
    """A metric was renamed, and its panel stayed empty without anybody noticing."""
    await real.chat("Hello", max_tokens=4, ignore_eos=True)
    text = (await real.http.get("/metrics")).text
    families = text_string_to_metric_families(text)
    known = {sample.name for family in families for sample in family.samples}
    dashboard = json.loads((project / "configs" / "grafana.json").read_text())
    asked = {
        name
        for panel in dashboard["panels"]
        for target in panel["targets"]
        for name in re.findall(r"\b(?:farmesh|process)_\w+", target["expr"])
    }
    assert len(asked) > 15
    assert asked <= known
