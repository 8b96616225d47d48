"""The soak's own people against canned replies: a soak that checks nothing finds nothing."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest

from benchmarks.soak import Run, Sample, Tab, verdict
from chat.access.callers import PERSON_COOKIE
from chat.ids import new_id
from farmesh.core import Span
from farmesh.errors import MissingBlocks
from tests.support.fakes import FakeClient, FakeTokenizer
from tests.support.served import Edge

# Gradio asks pandas for its own statistics in a way that pandas does not like any more.
pytestmark = pytest.mark.filterwarnings(
    "ignore:'future.no_silent_downcasting'", "ignore:The copy keyword is deprecated"
)


class CannedOracle:
    """Knows the replies that the fake swarm will give."""

    tokenizer = FakeTokenizer()

    def __init__(self, *replies: str) -> None:
        self.replies = list(replies)

    def reply(self, prompt: tuple[int, ...]) -> tuple[int, ...]:
        return tuple(self.replies.pop(0).encode())

    def text(self, ids: tuple[int, ...]) -> str:
        return FakeTokenizer().decode(ids)


@pytest.mark.asyncio(loop_scope="module")
async def test_a_person_of_the_soak(edge: Edge) -> None:
    """The page's protocol changed, and the soak's people sent into the void."""
    client: Any = edge.store.backend.engine.client  # type: ignore[union-attr]
    assert isinstance(client, FakeClient)
    client.enqueue("one", "two", "three", "wrong")
    oracle: Any = CannedOracle("one", "two", "three", "right")
    run = Run(str(edge.http.base_url), 0, oracle, random.Random(1))
    edge.http.cookies.set(PERSON_COOKIE, new_id())
    tab = Tab(run, edge.http, edge.config)
    for text in ("a", "b"):
        await tab.send(text)
        await tab.answered()
    await tab.edit("c")
    await tab.answered()
    assert not run.wrong
    assert [call.params.greedy for call in client.calls] == [True] * 3
    assert client.calls[-1].text.endswith("U:cA:")
    await tab.send("d")
    await tab.answered()
    assert len(run.wrong) == 1, "a wrong reply was not noticed"
    tab.path.pop(0)
    client.enqueue("four")
    oracle.replies.append("four")
    await tab.send("e")
    await tab.answered()
    assert "lost" in run.wrong[-1], "a lost conversation was not noticed"


@pytest.mark.asyncio(loop_scope="module")
async def test_a_person_of_the_soak_who_stops(edge: Edge, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stop took another way to the server, and half an hour of soak stopped nothing."""
    client: Any = edge.store.backend.engine.client  # type: ignore[union-attr]
    monkeypatch.setattr(client, "step", 0.2)
    client.enqueue(long := "a long reply" * 40)
    oracle: Any = CannedOracle(long)
    run = Run(str(edge.http.base_url), 0, oracle, random.Random(1))
    edge.http.cookies.set(PERSON_COOKIE, new_id())
    tab = Tab(run, edge.http, edge.config)
    await tab.send("a")
    await tab.stop_in_the_middle()
    assert not run.wrong
    assert client.calls[-1].ended
    assert client.calls[-1].produced < len(long)


@pytest.mark.asyncio(loop_scope="module")
async def test_a_person_who_is_told_that_nodes_are_away(edge: Edge) -> None:
    """A node that was not back in time counted as a lost conversation, and all after it, too."""
    client: Any = edge.store.backend.engine.client  # type: ignore[union-attr]
    client.enqueue(MissingBlocks(Span(0, 4)), "late")
    oracle: Any = CannedOracle("late")
    run = Run(str(edge.http.base_url), 0, oracle, random.Random(1))
    edge.http.cookies.set(PERSON_COOKIE, new_id())
    tab = Tab(run, edge.http, edge.config)
    await tab.send("a")
    assert await tab.answered()
    assert run.done["told to try again"] == 1
    run.done["messages"] = 19
    run.samples = []
    assert "not back in time" in verdict(run, Sample(99, 500, 60, 0, 0, 0))[0]
    run.done["messages"] = 20
    assert verdict(run, Sample(99, 500, 60, 0, 0, 0)) == []


@pytest.mark.asyncio(loop_scope="module")
async def test_an_edit_of_what_is_gone_is_a_sentence(
    edge: Edge, caplog: pytest.LogCaptureFixture
) -> None:
    """The soak's find: a page that knows more than the app got a traceback into the log."""
    run = Run(str(edge.http.base_url), 0, CannedOracle(), random.Random(1))  # type: ignore[arg-type]
    edge.http.cookies.set(PERSON_COOKIE, new_id())
    tab = Tab(run, edge.http, edge.config)
    tab._set("fm-asked", json.dumps({"chat": tab.chat_id, "node": 4, "text": "x"}))
    body = tab._body("fm-edit", "click")
    answer = await edge.http.post("/gradio_api/run/predict", json=body)
    assert "That message is gone" in answer.text
    assert not caplog.records


def test_the_verdict_sees_what_grows() -> None:
    """A leak that is slower than the tolerance of one sample."""
    run = Run("", 0, None, random.Random(1))  # type: ignore[arg-type]
    flat = [Sample(2.0 * i, 500, 60, 5, 900, i) for i in range(40)]
    gone = Sample(99, 500, 60, 0, 0, 40)
    run.samples = flat
    assert verdict(run, gone) == []
    run.samples = [Sample(s.at, s.memory + 10 * i, 60, 5, 0, 0) for i, s in enumerate(flat)]
    assert "memory grew" in verdict(run, gone)[0]
    run.samples = [Sample(s.at, 500, 60, 5, 900 + 300 * i, 0) for i, s in enumerate(flat)]
    assert "cached grew" in verdict(run, gone)[0]
    run.samples = flat
    assert "left on the nodes" in verdict(run, Sample(99, 500, 60, 1, 30, 40))[0]
