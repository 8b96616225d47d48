"""A chat through another FarMesh Chat: as a chat of its own, and every failure a sentence."""

from __future__ import annotations

import asyncio
import contextlib
from array import array
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some
from starlette.requests import Request as WebRequest
from starlette.responses import HTMLResponse, JSONResponse, Response, StreamingResponse

from chat.access.accounts import AccountFile, Key, hash_key, write
from chat.access.gate import Gate
from chat.api.openai.requests import CompletionRequest
from chat.errors import Forward, GatewayFailure
from chat.live.pool import SessionPool
from chat.live.prompts import Request
from chat.models import health
from chat.models.backend import Backend, Engine, Stage
from chat.models.gateway import opening
from chat.models.gateway.client import body_of, snapshot_of
from chat.models.ledger import Ledger
from chat.models.opening import opened
from chat.page import block_map
from chat.protocol import events as api_events
from chat.protocol.mesh import MeshStatus
from chat.settings.catalogue import Catalogue
from chat.settings.schema import AccessSettings, ModelSettings, Settings, SwarmSettings
from chat.words import explain
from farmesh.core import Hop, NodeInfo, NodeState, Route, Span, SwarmSnapshot
from farmesh.errors import ContextOverflow
from farmesh.events import (
    PrefillProgress,
    Rerouted,
    RouteFound,
    TokenGenerated,
    WaitingForBlocks,
    WaitingForCache,
)
from farmesh.params import Grammar, GrammarKind, SamplingParams
from tests.support.chats import open_chat, say, settle, texts
from tests.support.fakes import FakeClient, FakeTokenizer, ready_backend
from tests.support.harness import greedy
from tests.support.served import MODEL, Api, RealApi, api_over, served
from tests.support.waiting import PATIENCE, until

ASK = Request(SamplingParams(max_new_tokens=400))
LIVELY = Request(SamplingParams(max_new_tokens=20, temperature=1.1, top_p=0.9, seed=7))


def settings(url: str, key: str = "") -> Settings:
    swarm = SwarmSettings(mode="gateway", gateway_url=url, gateway_key=key)
    return Settings(swarm=swarm, models=ModelSettings(default="guide"))


@contextlib.asynccontextmanager
async def through(url: str, key: str = "") -> AsyncIterator[Backend]:
    """The model of the app at ``url``, opened as app.py opens it."""
    backend = Backend("Guide", model_id="guide")
    async with opened(backend, settings(url, key), MODEL, None):
        with contextlib.suppress(GatewayFailure):
            await backend.ready()
        yield backend


def url_of(api: Api) -> str:
    return str(api.http.base_url)


@contextlib.asynccontextmanager
async def over(api: Api) -> AsyncIterator[Backend]:
    """The fake model of ``api``: its tokenizer is none that transformers could save."""
    backend = Backend("Guide", model_id="guide")
    async with opening.http_of(settings(url_of(api)).swarm) as http:
        backend.opened(Engine(fake_client(http), FakeTokenizer(), 2000))
        yield backend


def fake_client(http: Any) -> Any:
    from chat.models.gateway.client import GatewayClient
    from chat.protocol.mesh import TokenizerFiles

    described = TokenizerFiles(files={}, chat_template=None, end_of_sequence=[256], context=2000)
    return GatewayClient(http, "guide", described, FakeTokenizer())


# --- the same as a chat of its own ----------------------------------------------------------------


async def test_people_see_the_same_as_with_a_swarm_of_their_own(real: RealApi) -> None:
    """A gateway that sends text drifts: other tokens, other replies, and all is computed anew."""

    async def talk(backend: Backend) -> Any:
        chat = open_chat(backend)
        for text in ("Hello", "What is a block? 👋", "What is a hop?"):
            await say(chat, text, LIVELY)
        await chat.edit(chat.view.entries[2].node_id, "What is a span?", LIVELY)  # in the middle
        await settle(chat)
        await chat.regenerate(replace(LIVELY, begin="Well,\t"))
        await settle(chat)
        await chat.continue_reply(LIVELY)
        await settle(chat)
        await chat.undo()
        await say(chat, "And a node?", replace(LIVELY, system="Be brief."))
        view = chat.view
        kept = [
            (m.text, m.token_ids, m.cut, m.stats and (m.stats.reused_tokens, m.stats.seed))
            for m in (entry.message for entry in view.entries)
        ]
        versions = [(entry.version, entry.versions) for entry in view.entries]
        await chat.close()
        return kept, versions, view.used, view.limit, view.dropped

    async with through(url_of(real)) as backend:
        assert backend.status.stage is Stage.READY, backend.status
        assert (await backend.ready()).where == f"through {real.http.base_url.netloc.decode()}"
        assert await talk(backend) == await talk(real.store.backend)


async def test_what_was_said_before_is_not_computed_again(real: RealApi) -> None:
    """Every turn through a gateway computed the whole conversation."""
    async with through(url_of(real)) as backend:
        chat = open_chat(backend)
        await say(chat, "Hello", LIVELY)
        before = sum(real.swarm.computed().values())
        view = await say(chat, "Go on", LIVELY)
        computed = (sum(real.swarm.computed().values()) - before) / 2  # by each of the two nodes
        stats = view.entries[-1].message.stats
        assert stats is not None
        assert computed == stats.prompt_tokens - stats.reused_tokens + stats.generated_tokens - 1
        assert stats.reused_tokens > stats.generated_tokens
        assert len(real.store.pool) == 1


async def test_a_reroute_over_there_goes_on_with_the_same_text(real: RealApi) -> None:
    """The page here said nothing of a lost node, or showed a reply twice."""
    await real.swarm.serve("spare", "4:8")
    await real.store.backend.engine.client._client.refresh()  # type: ignore[union-attr]
    async with through(url_of(real)) as backend:
        engine = await backend.ready()
        prompt = engine.tokenizer.encode("Hello")
        session, seen = engine.client.session(), list[Any]()
        async for event in session.generate(prompt, greedy(40)):
            seen.append(event)
            if isinstance(event, TokenGenerated) and event.index == 5:
                assert session.route is not None
                await real.swarm.kill(session.route.hops[-1].peer_id)
        (lost,) = (event for event in seen if isinstance(event, Rerouted))
        assert session.route == lost.route
        tokens = [event for event in seen if isinstance(event, TokenGenerated)]
        assert [token.index for token in tokens] == list(range(40))
        again = engine.client.session().generate(prompt, greedy(40))
        alone = [e.token_id async for e in again if isinstance(e, TokenGenerated)]
        assert [token.token_id for token in tokens] == alone
        assert seen[-1].stats.reroutes == 1


async def test_logprobs_come_through(real: RealApi) -> None:
    """Texts of tokens are not unique, so log-probabilities came back for other tokens."""
    params = greedy(5, logprobs=3)
    async with through(url_of(real)) as backend:
        told = []
        for engine in (await backend.ready(), await real.store.backend.ready()):
            prompt = engine.tokenizer.encode("What is")
            events = engine.client.session().generate(prompt, params)
            tokens = [e async for e in events if isinstance(e, TokenGenerated)]
            told.append(
                [(t.token_id, [i for i, _ in t.logprobs.likeliest]) for t in tokens if t.logprobs]
            )
        assert told[0] == told[1]
        assert len(told[0]) == 5


async def test_stop_ends_the_work_over_there(api: Api, client: FakeClient) -> None:
    """Stop that only hides the reply leaves another swarm computing for nobody."""
    client.step = 0.01
    client.enqueue("abcdefgh" * 40)
    async with over(api) as backend:
        chat = open_chat(backend)
        await chat.send("go", ASK)
        watching = asyncio.create_task(settle(chat))
        await until(lambda: client.calls and client.calls[0].produced > 3)
        await chat.stop()
        view = await watching
        assert view.entries[1].message.cut
        assert ("abcdefgh" * 40).startswith(view.entries[1].message.text)
        await until(lambda: client.calls[0].ended)


async def test_stop_strings_are_found_here(api: Api, client: FakeClient) -> None:
    """A stop string that the other app cut off as well loses the tokens before it."""
    client.enqueue("one two three")
    async with over(api) as backend:
        chat = open_chat(backend)
        view = await say(chat, "go", Request(SamplingParams(max_new_tokens=400, stop=("thr",))))
        assert texts(view)[1] == "one two "
        await until(lambda: client.calls[0].ended)


GRAMMARS = (
    Grammar(GrammarKind.JSON, '{"type": "integer"}'),
    Grammar(GrammarKind.REGEX, "a+"),
    Grammar(GrammarKind.CHOICE, '["a","ä"]'),
    Grammar(GrammarKind.GRAMMAR, 'start: "a"'),
)


@pytest.mark.parametrize("grammar", GRAMMARS, ids=lambda grammar: grammar.kind)
async def test_every_control_arrives(grammar: Grammar) -> None:
    """A control of the page that the gateway forgets is silently another model's default."""
    params = SamplingParams(
        max_new_tokens=9, temperature=0.4, top_p=0.8, top_k=7, min_p=0.1, typical_p=0.6,
        repetition_penalty=1.2, presence_penalty=0.3, frequency_penalty=0.2,
        no_repeat_ngram_size=3, seed=5, stop_token_ids=(9,), ignore_eos=True, logprobs=2,
        grammar=grammar,
    )  # fmt: skip
    neutral = SamplingParams()
    assert all(
        getattr(params, name) != getattr(neutral, name)
        for name in SamplingParams.__slots__
        if name != "stop"
    )
    read = CompletionRequest.model_validate(body_of("guide", [1, 2], params, 5, "salt"))
    assert read.params(replace(neutral, stop=("x",))) == params
    assert read.prompts == [[1, 2]]


async def test_an_app_that_knows_no_grammars_is_found_out(api: Api, client: FakeClient) -> None:
    """An older app ignores the field, and its free text was taken for what was asked for."""
    client.enqueue("aab", "aa")
    params = SamplingParams(max_new_tokens=400, grammar=Grammar(GrammarKind.REGEX, "a{2}"))
    async with over(api) as backend:
        chat = open_chat(backend)
        view = await say(chat, "go", Request(params))
        assert view.notice is not None
        assert "does not hold replies to a form" in view.notice.text
        view = await say(chat, "go", Request(params))
        assert texts(view)[-1] == "aa"


def test_one_conversations_session_fits_whatever_was_edited() -> None:
    """An edit near the beginning left the old session to fill the nodes until it idled out."""
    pool = SessionPool(4, 60)
    client = FakeClient()

    async def use(ids: list[int], key: str, *, own: bool) -> Any:
        async with pool.lease(client, key, ids, own=own) as lease:
            lease.token_ids = array("q", ids)
            return lease.session

    async def talk() -> None:
        first = await use([1, 2, 3, 4, 5, 6], "a salt", own=True)
        assert await use([1, 9], "a salt", own=True) is first
        assert await use([1, 9, 3], "another", own=True) is not first
        assert len(pool) == 2

    asyncio.run(talk())


# --- what goes wrong ------------------------------------------------------------------------------


async def ask(url: str, key: str = "") -> tuple[GatewayFailure, Backend]:
    """What a chat is told that asks through ``url``."""
    async with through(url, key) as backend:
        with pytest.raises(GatewayFailure) as caught:
            await backend.ready()
        return caught.value, backend


async def test_nobody_there(unused_tcp_port: int) -> None:
    """An endless "Starting", or a traceback, when the other app is down."""
    failure, backend = await ask(f"http://127.0.0.1:{unused_tcp_port}")
    notice = explain(failure)
    assert notice.text.startswith(f"The FarMesh Chat at 127.0.0.1:{unused_tcp_port} cannot be re")
    assert notice.forward is Forward.RETRY
    assert health.headline(backend).tone is health.Tone.BAD


async def test_keys_and_limits_of_the_other_app(tmp_path: Path) -> None:
    """A wrong secret or a full minute over there, and a page that says "something went wrong"."""
    file = tmp_path / "access.json"
    key = Key(sha256=hash_key("fm-right"), per_minute=1)
    write(file, AccountFile(secret="s" * 43, users={}, keys={"page": key}))
    gate = Gate(AccessSettings(api_keys=True, file=file))
    far = ready_backend(FakeClient())
    async with api_over(far, Ledger(), gate=gate) as api:
        failure, backend = await ask(url_of(api), "fm-wrong")
        assert "does not accept this app's key" in str(failure)
        assert health.headline(backend).text.endswith("refuses this app's key")
        swarm = settings(url_of(api), "fm-right").swarm
        async with opening.http_of(swarm) as http:
            session = fake_client(http).session()
            assert [event async for event in session.generate([65], SamplingParams())]
            with pytest.raises(GatewayFailure, match=r"try again in \d+ seconds"):
                await anext(session.generate([65], SamplingParams()))


def answering(make: Callable[[], Response]) -> Any:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await WebRequest(scope, receive).body()
        await make()(scope, receive, send)

    return app


def refused(status: int, message: str, code: str | None = None, **headers: str) -> Response:
    error = {"message": message, "type": "x", "param": None, "code": code}
    return JSONResponse({"error": error}, status, headers)


async def broken_off() -> AsyncIterator[bytes]:
    yield b'data: {"choices": [{"token_ids": [104, 105], "finish_reason": null}]}\n\n'


def stream(*lines: str) -> Response:
    async def parts() -> AsyncIterator[str]:
        for line in lines:
            yield f"data: {line}\n\n"

    return StreamingResponse(parts(), media_type="text/event-stream")


@pytest.mark.parametrize(
    ("make", "sentence", "forward"),
    [
        (lambda: refused(401, "no", "invalid_api_key"), "set swarm.gateway_key", Forward.WAIT),
        (lambda: refused(403, "not by that name"), "refused: not by that name", Forward.EDIT),
        (lambda: refused(404, "no guide", "model_not_found"), "offer this model", Forward.RETRY),
        (
            lambda: refused(429, "slow", "rate_limit_exceeded", **{"retry-after": "7"}),
            "try again in 7 seconds",
            Forward.RETRY,
        ),
        (lambda: refused(503, "Blocks 4 to 7 miss", "swarm"), "Blocks 4 to 7 miss", Forward.RETRY),
        (lambda: refused(400, "top_q is unknown"), "refused: top_q is", Forward.EDIT),
        (lambda: HTMLResponse("<h1>hi</h1>"), "broke off. What arrived", Forward.RETRY),
        (lambda: HTMLResponse("gone", 404), "is no FarMesh Chat that", Forward.WAIT),
        (lambda: HTMLResponse("bad gateway", 502), "cannot be reached", Forward.RETRY),
        (lambda: StreamingResponse(broken_off()), "broke off. What arrived", Forward.RETRY),
        (lambda: stream('{"error": {"message": "Node lost."}}'), "Node lost. Your", Forward.RETRY),
        (lambda: stream('{"choices": [{"text": "hi"}]}'), "may be older", Forward.WAIT),
        (lambda: stream('{"choices": [{"token_ids": [-1]}]}'), "no FarMesh", Forward.WAIT),
        (lambda: stream('{"choices": [{"token_ids": [999]}]}'), "no FarMesh", Forward.WAIT),
        (lambda: stream('{"choices": [], "farmesh": {}}'), "no FarMesh", Forward.WAIT),
        (lambda: stream("no json"), "no FarMesh", Forward.WAIT),
    ],
)
async def test_every_failure_is_a_sentence(
    make: Callable[[], Response], sentence: str, forward: Forward
) -> None:
    """A traceback, "Something went wrong", or words of another machine as if they were ours."""
    async with served(answering(make)) as url, opening.http_of(settings(url).swarm) as http:
        session = fake_client(http).session()
        with pytest.raises(GatewayFailure) as caught:
            async for _ in session.generate([1, 2, 3], SamplingParams()):
                pass
    notice = explain(caught.value)
    assert sentence in notice.text
    assert notice.forward is forward


async def test_a_context_that_is_smaller_over_there() -> None:
    """A sentence about tokens of the other app, where the page has one of its own."""
    app = answering(lambda: refused(400, "too long", "context_length_exceeded"))
    async with served(app) as url, opening.http_of(settings(url).swarm) as http:
        with pytest.raises(ContextOverflow):
            async for _ in fake_client(http).session().generate([1], SamplingParams()):
                pass


async def test_the_death_of_the_other_app_keeps_what_arrived(client: FakeClient) -> None:
    """A reply that was half there is lost with the app that made it."""
    arrived = asyncio.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        body = b'data: {"choices": [{"token_ids": [104, 105]}]}\n\n'
        await send({"type": "http.response.body", "body": body, "more_body": True})
        await arrived.wait()
        raise RuntimeError("dead")  # uvicorn cuts the connection

    async with served(app) as url, opening.http_of(settings(url).swarm) as http:
        backend = Backend("Guide")
        backend.opened(Engine(fake_client(http), FakeTokenizer(), 2000))
        chat = open_chat(backend)
        await chat.send("go", ASK)
        async for view in chat.watch(0.0):
            if view.live and view.live.text == "hi":
                arrived.set()
        assert texts(chat.view) == ["go", "hi"]
        assert chat.view.entries[1].message.cut
        assert chat.view.notice is not None
        assert "broke off. What arrived is kept" in chat.view.notice.text


async def test_a_model_that_is_being_opened_there_is_waited_for(api: Api) -> None:
    """The first message after a restart of the other app failed, although it had only to wait."""
    answers = [lambda: refused(503, "Starting", "model_opening", **{"retry-after": "0"})] * 2
    answers.append(lambda: stream('{"choices": [{"token_ids": [5], "finish_reason": "stop"}]}'))
    left = iter(answers)
    async with (
        served(answering(lambda: next(left)())) as url,
        opening.http_of(settings(url).swarm) as http,
    ):
        events = fake_client(http).session().generate([1], SamplingParams())
        assert [type(event).__name__ async for event in events] == [
            "TokenGenerated",
            "GenerationFinished",
        ]


# --- the swarm as it is drawn ---------------------------------------------------------------------


async def test_the_other_swarm_is_drawn_like_ones_own(real: RealApi) -> None:
    """Nodes of a gateway without their blocks, speed or room; or as markup of a stranger."""
    real.swarm.set_record("second", public_name="<img src=x onerror=alert(1)>")
    own = real.store.backend.engine
    assert own is not None
    async with asyncio.timeout(PATIENCE):
        while "onerror" not in repr(own.client.snapshot):  # a look may have begun before
            await own.client._client.refresh()  # type: ignore[attr-defined]
    async with through(url_of(real)) as backend:
        well = health.Headline("2 nodes, all blocks served", health.Tone.GOOD)
        assert health.headline(backend) == well
        snapshot = backend.snapshot
        assert snapshot is not None
        html = block_map.block_map(snapshot)
        status = MeshStatus.model_validate_json((await real.http.get("/mesh/status")).content)
        (swarm,) = status.swarms
        assert html == block_map.block_map(snapshot_of(swarm))
        assert "<img" not in html
        assert "blocks 4 to 7" in html
        assert html.count("<li") == 2
        client: Any = backend.engine and backend.engine.client
        await real.swarm.leave("second")
        async with asyncio.timeout(PATIENCE):
            lost = health.Headline("Nobody serves blocks 4 to 7", health.Tone.WAIT)
            while health.headline(backend) != lost:
                await own.client._client.refresh()  # type: ignore[attr-defined]
                await client.look()


def test_a_snapshot_survives_the_way() -> None:
    """A figure that is multiplied on one side and not divided on the other."""
    from chat.api.mesh import _swarm

    node = NodeInfo(
        "Qm1", Span(0, 4), NodeState.ONLINE, 100.0, "ada", "1.0", inference_rps=80.0,
        adapters=("x",), torch_dtype="float32", quant_type="none", cache_tokens_left=800,
    )  # fmt: skip
    told = SwarmSnapshot("guide", 8, (node,), {"Qm1": 0.02})
    status = _swarm("guide", told, Ledger())
    assert snapshot_of(status) == told
    (sent,) = status.model_dump(by_alias=True)["nodes"]
    assert sent["cache_tokens_left"] == 100, "tokens of context, as every version reads it"


async def test_the_other_apps_models_are_offered(real: RealApi, unused_tcp_port: int) -> None:
    """A page that offers models of its own catalogue, which nobody over there can serve."""
    own = Catalogue(settings("http://x").models.catalogue, (replace_id("llama"),))
    found, catalogue = await opening.offered(settings(url_of(real)), own)
    assert [entry.id for entry in catalogue.models] == ["guide"]
    assert catalogue["guide"].name == "Guide"
    assert found.models.default == "guide"

    wishing = settings(url_of(real))
    wishing = wishing.model_copy(
        update={"models": wishing.models.model_copy(update={"default": "llama"})}
    )
    found, _ = await opening.offered(wishing, own)
    assert found.models.default == "guide", "the other app's first"

    away = wishing.model_copy(
        update={"swarm": settings(f"http://127.0.0.1:{unused_tcp_port}").swarm}
    )
    found, catalogue = await opening.offered(away, own)
    assert catalogue.models == (replace_id("llama"),), "by what this side knows of it"
    found, catalogue = await opening.offered(away, replace(own, models=(MODEL,)))
    assert [entry.id for entry in catalogue.models] == ["llama"], "by its name alone"

    odd = {"id": "x", "name": "x", "licence": "x", "context": 3, "ready": True, "replicas": []}
    told = {"models": [odd | {"prefix": None, "num_blocks": None}]}
    async with served(answering(lambda: JSONResponse(told))) as url:
        found, catalogue = await opening.offered(settings(url), own)
    assert [entry.id for entry in catalogue.models] == ["guide"], "what cannot be is not offered"


def replace_id(model_id: str) -> Any:
    return MODEL.model_copy(update={"id": model_id})


# --- events as JSON -------------------------------------------------------------------------------

counts = some.integers(0, 2**31 - 1)
spans = some.tuples(counts, counts).map(lambda ends: Span(min(ends), max(ends)))
hops = some.builds(Hop, some.text(max_size=60), spans)
routes = some.lists(some.integers(1, 50), max_size=5).map(
    lambda lengths: Route(
        tuple(
            Hop(f"Qm{i}", Span(sum(lengths[:i]), sum(lengths[: i + 1])))
            for i in range(len(lengths))
        )
    )
)
seconds = some.floats(0, 1000)
events = some.one_of(
    some.builds(RouteFound, routes),
    some.builds(PrefillProgress, counts, counts, counts),
    some.builds(Rerouted, hops, some.text(max_size=200), routes),
    some.builds(WaitingForBlocks, spans, seconds),
    some.builds(WaitingForCache, some.text(max_size=60), seconds),
)


@given(events)
def test_events_survive_the_way(event: Any) -> None:
    """A reroute that arrives with another route than it had."""
    assert api_events.from_data(api_events.to_data(event)) == event


@pytest.mark.parametrize(
    "data",
    [
        None,
        {"type": "token"},
        {"type": "route", "hops": [{"peer_id": "x", "blocks": {"start": 5, "end": 1}}]},
        {"type": "route", "hops": [{"peer_id": "x" * 1000, "blocks": {"start": 0, "end": 1}}]},
        {"type": "prefill", "done": 10**30, "total": 1, "reused": 0},
    ],
)
def test_events_of_another_machine_are_checked(data: Any) -> None:
    """A gap in a route, or a number without end, reached the page."""
    with pytest.raises(ValueError):  # noqa: PT011 - pydantic's or the value's own
        api_events.from_data(data)
