"""Checkpoints by their name on the hub, against a small hub of our own."""

from __future__ import annotations

import asyncio
import json
import shutil
import sys
from pathlib import Path

import pytest
import torch
from huggingface_hub import constants

from farmesh import AutoDistributedModelForCausalLM
from farmesh.checkpoint.reader import Checkpoint
from farmesh.client.client import FarMeshClient
from farmesh.config import ClientConfig, NodeConfig
from farmesh.core import NodeState, Span
from farmesh.errors import CheckpointError, CheckpointGated, CheckpointNotFound, HubUnreachable
from farmesh.hub.progress import FetchBar
from farmesh.hub.source import fetch_tokenizer, is_remote, open_source
from farmesh.network.inprocess import InProcessSwarm
from farmesh.node import FarNode, Machine
from farmesh.upstream.loop import LoopThread
from tests.support.harness import PATIENT_CLIENT, PATIENT_NODE, generate, greedy
from tests.support.hub import Hub
from tests.support.models import Oracle
from tests.support.waiting import PATIENCE, until, wait_until

NAME = "someone/tiny"
PROMPT = [5, 17, 99, 3]
SLACK = 16 * 1024  # bytes of a file that a buffer may hold back


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory, oracle: Oracle) -> Path:
    """The tiny checkpoint in several files, with its index."""
    folder = tmp_path_factory.mktemp("hub") / "tiny"
    oracle.model.save_pretrained(folder, max_shard_size="100KB")
    return folder


def files_of(folder: Path, *prefixes: str) -> set[str]:
    """The files that hold tensors whose names begin so."""
    names = json.loads((folder / "model.safetensors.index.json").read_text())["weight_map"]
    return {file for name, file in names.items() if name.startswith(prefixes)}


async def test_everybody_fetches_what_they_need(hub: Hub, shards: Path, oracle: Oracle) -> None:
    """Bug prevented: a node of one block, or a client, downloads the whole model."""
    hub.add(NAME, shards)
    net = InProcessSwarm()
    small = {"config.json", "model.safetensors.index.json"}
    told: list[tuple[int, int]] = []
    config = NodeConfig(checkpoint=NAME, span=Span(0, 1), **PATIENT_NODE)
    async with FarNode(
        config, network=lambda: net.network("a"), progress=lambda *at: told.append(at)
    ) as node:
        assert node.prefix == "tiny-hf"
        needed = files_of(shards, "model.layers.0.")
        assert hub.fetched == small | needed
        assert told == sorted(told)
        total = sum((shards / name).stat().st_size for name in needed)
        assert told[-1] == (total, total)
        hub.asked.clear()
        rest = NodeConfig(checkpoint=NAME, span=Span(1, 4), **PATIENT_NODE)
        async with FarNode(rest, network=lambda: net.network("b")):
            client = FarMeshClient(
                ClientConfig(checkpoint=NAME, **PATIENT_CLIENT), network=net.network
            )
            async with client, client.session() as session:
                reply = await generate(session, PROMPT, greedy(6))
    assert reply.tokens == oracle.greedy(PROMPT, 6)
    stem = files_of(shards, "model.embed_tokens", "model.norm", "lm_head")
    others = files_of(shards, *(f"model.layers.{block}." for block in (1, 2, 3)))
    assert hub.fetched == (others | stem | {"generation_config.json"}) - needed


def test_upstreams_quickstart_by_name(
    hub: Hub, shards: Path, oracle: Oracle, tmp_path: Path
) -> None:
    """Bug prevented: with a name on the hub, from_pretrained looks for the swarm under another
    prefix than the nodes, sends no token, or downloads the blocks that the nodes have."""
    hub.add("someone/tiny.v1", shards, token="hf_secret")
    config = NodeConfig(checkpoint=shards, span=Span(0, 4), dht_prefix="tiny-v1-hf", threads=1)
    node = FarNode(config)
    loop = LoopThread()
    loop.run(node.__aenter__())
    try:
        with pytest.raises(CheckpointNotFound, match="a private one needs HF_TOKEN"):
            AutoDistributedModelForCausalLM.from_pretrained("someone/tiny.v1")
        model = AutoDistributedModelForCausalLM.from_pretrained(
            "someone/tiny.v1",
            initial_peers=node.addresses,
            torch_dtype=torch.float32,
            cache_dir=tmp_path / "elsewhere",
            use_auth_token="hf_secret",
        )
        outputs = model.generate(torch.tensor([PROMPT]), max_new_tokens=5)
        model.close()
    finally:
        loop.run(node.__aexit__(None, None, None))
        loop.close()
    assert outputs.tolist() == [PROMPT + oracle.greedy(PROMPT, 5)]
    small = {"config.json", "generation_config.json", "model.safetensors.index.json"}
    stem = files_of(shards, "model.embed_tokens", "model.norm", "lm_head")
    assert hub.fetched == small | stem
    assert stem < files_of(shards, ""), "or this test could not fail"
    assert list((tmp_path / "elsewhere").rglob("config.json"))


async def test_a_node_that_fetches_stays_announced(hub: Hub, checkpoint: Path) -> None:
    """Bug prevented: the record of a node that fetches for minutes expires, and others take its
    blocks as if nobody were to serve them."""
    hub.add(NAME, checkpoint)
    hub.gate.clear()
    net = InProcessSwarm()
    config = NodeConfig(checkpoint=NAME, span=Span(0, 4), **{**PATIENT_NODE, "update_period": 0.1})
    machine = Machine(shortest_record=PATIENCE)
    node = FarNode(config, network=lambda: net.network("a"), machine=machine)
    entering = asyncio.create_task(node.__aenter__())
    try:
        await until(lambda: net.records("tiny-hf"))
        first = net._records["tiny-hf", "a"][1]
        await until(lambda: net._records["tiny-hf", "a"][1] > first)
        assert net.records("tiny-hf")[0].state is NodeState.JOINING
        assert not entering.done()
    finally:
        hub.gate.set()
        await entering
        await node.__aexit__(None, None, None)


def test_a_client_alone_leaves_the_blocks_there(hub: Hub, shards: Path) -> None:
    hub.add(NAME, shards)
    checkpoint = Checkpoint(NAME)
    checkpoint.fetch(["model.embed_tokens.", "model.norm.", "lm_head."])
    stem = files_of(shards, "model.embed_tokens", "model.norm", "lm_head")
    assert hub.fetched == {"config.json", "model.safetensors.index.json"} | stem
    assert stem < files_of(shards, "")  # or this test could not fail
    assert repr(checkpoint) == "<Checkpoint someone/tiny llama 4 blocks>"


def half_fetched(tmp_path: Path) -> int:
    """Bytes in the cache of files that are not whole."""
    return sum(path.stat().st_size for path in tmp_path.rglob("*.incomplete"))


def wait_for_bytes(tmp_path: Path, count: int) -> None:
    """Until so many are in the cache, but for what a buffer holds back."""
    wait_until(lambda: half_fetched(tmp_path) >= count - SLACK)


@pytest.mark.parametrize("reset", [False, True])
def test_a_dropped_connection_is_no_end(
    hub: Hub, checkpoint: Path, tmp_path: Path, reset: bool
) -> None:
    """Bug prevented: gigabytes are lost to one bad moment of a network; huggingface_hub by itself
    begins anew after a reset."""
    hub.add(NAME, checkpoint)
    file = "model.safetensors"
    hub.drops[file] = list(range(100_000, 500_000, 50_000))  # more often than a try is repeated
    hub.reset = reset
    hub.before_drop = lambda end: wait_for_bytes(tmp_path, end)
    found = Checkpoint(NAME)
    found.fetch(["model."])
    data = (checkpoint / file).read_bytes()
    assert (found.path / file).read_bytes() == data
    assert len([one for one in hub.asked if one.method == "GET" and one.file == file]) == 9
    assert hub.sent < len(data) + 9 * SLACK
    assert not half_fetched(tmp_path)


@pytest.mark.parametrize("damaged", [False, True])
def test_a_process_that_ended_is_no_end(
    hub: Hub, checkpoint: Path, tmp_path: Path, damaged: bool
) -> None:
    """Bug prevented: after Ctrl-C or a crash a file of gigabytes is fetched from its beginning; a
    part that the disk lost meanwhile ends up in the weights."""
    hub.add(NAME, checkpoint)
    data = (checkpoint / "model.safetensors").read_bytes()

    def interrupt(here: int, wanted: int) -> None:
        if here > 300_000:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Checkpoint(NAME).fetch(["model."], interrupt)
    (part,) = tmp_path.rglob("*.incomplete")
    assert 300_000 - SLACK < part.stat().st_size < len(data)
    if damaged:
        part.write_bytes(bytes(part.stat().st_size))
    hub.sent = 0
    told: list[tuple[int, int]] = []
    again = Checkpoint(NAME)
    again.fetch(["model."], lambda *at: told.append(at))
    assert (again.path / "model.safetensors").read_bytes() == data
    assert told[0][0] > 300_000 - SLACK, "progress begins where it was"
    assert told[-1] == (len(data), len(data))
    if not damaged:
        assert hub.sent < len(data) - 300_000 + SLACK


def test_what_is_in_the_cache_needs_no_network(
    hub: Hub, shards: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bug prevented: a machine that has everything cannot start while the hub is away."""
    hub.add(NAME, shards)
    Checkpoint(NAME).fetch(["model.layers.0."])
    hub.asked.clear()
    Checkpoint(NAME).fetch(["model.layers.0."])
    assert not hub.fetched, "fetched twice"
    for offline in (True, False):  # told so, or the hub does not answer
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", offline)
        monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
        template = "http://127.0.0.1:9/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        cached = Checkpoint(NAME)
        assert cached.num_blocks == 4
        name = "model.layers.0.self_attn.q_proj.weight"
        assert cached.read([name], torch.float32)[name].shape == (64, 64)
        with pytest.raises(HubUnreachable, match=r"its cache on this machine has no model-000"):
            cached.fetch(["model.layers.3."])


def test_a_revision_is_one_commit(hub: Hub, shards: Path, grouped_checkpoint: Path) -> None:
    """Bug prevented: files of two commits are mixed, or the main branch is taken regardless."""
    hub.add(NAME, shards).revisions["old"] = grouped_checkpoint
    assert Checkpoint(NAME).num_blocks == 4
    old = Checkpoint(NAME, revision="old")
    assert old.num_blocks == 6
    old.fetch(["model.norm."])
    assert Checkpoint(NAME, revision=old.path.name).num_blocks == 6  # the commit itself
    with pytest.raises(CheckpointNotFound, match="no such revision"):
        Checkpoint(NAME, revision="never")


def test_private_and_gated_models(hub: Hub, shards: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bug prevented: HF_TOKEN is not used, or a refusal is a traceback."""
    hub.add("someone/private", shards, token="hf_secret")
    hub.add("someone/gated", shards, token="hf_secret", gated=True)
    with pytest.raises(CheckpointNotFound, match="a private one needs HF_TOKEN"):
        Checkpoint("someone/private")
    with pytest.raises(CheckpointGated, match=r"accept its terms at http.*/someone/gated"):
        Checkpoint("someone/gated")
    assert Checkpoint("someone/private", token="hf_secret").num_blocks == 4
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    assert Checkpoint("someone/gated").num_blocks == 4


def test_weights_as_pickles_are_refused(hub: Hub, checkpoint: Path, tmp_path: Path) -> None:
    """Bug prevented: gigabytes of pickles are fetched, and perhaps loaded."""
    folder = tmp_path / "pickled"
    folder.mkdir()
    shutil.copy(checkpoint / "config.json", folder)
    (folder / "pytorch_model.bin").write_bytes(b"x")
    hub.add("someone/pickled", folder)
    with pytest.raises(CheckpointError, match=r"no \*\.safetensors files.*pickle format"):
        Checkpoint("someone/pickled")
    assert hub.fetched == {"config.json"}


def test_what_is_nowhere(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bug prevented: a mistyped folder is a traceback of an HTTP library."""
    with pytest.raises(CheckpointNotFound, match="no folder 'nobody/nothing' here, and no such"):
        Checkpoint("nobody/nothing")
    for impossible in ("./nothing", "/nothing", "a/b/c", "a b", Path("nothing")):
        with pytest.raises(CheckpointNotFound, match="no checkpoint folder"):
            Checkpoint(impossible)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(HubUnreachable, match="no folder 'nobody/nothing' here, HF_HUB_OFFLINE"):
        Checkpoint("nobody/nothing")


def test_no_network_and_no_cache(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bug prevented: an error of many lines, none of which says what to do."""
    template = "http://127.0.0.1:9/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    with pytest.raises(HubUnreachable, match=r"the hub \(http.*\) does not answer"):
        Checkpoint(NAME)


def test_a_tokenizer_comes_without_the_model(hub: Hub, guide: Path) -> None:
    """Bug prevented: the chat app fetches weights to write a prompt."""
    hub.add("someone/guide", guide)
    folder = fetch_tokenizer(open_source("someone/guide"))
    from transformers import AutoTokenizer

    ours, theirs = (AutoTokenizer.from_pretrained(path) for path in (folder, guide))
    assert ours.encode("Hello, node.") == theirs.encode("Hello, node.")
    assert ours.chat_template == theirs.chat_template
    assert not any(name.endswith(".safetensors") for name in hub.fetched)


def test_folders_come_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bug prevented: a folder that is called like a repository is ignored."""
    monkeypatch.chdir(tmp_path)
    assert is_remote("someone/tiny")
    Path("someone/tiny").mkdir(parents=True)
    assert not is_remote("someone/tiny")
    assert not is_remote("./elsewhere")
    with pytest.raises(CheckpointNotFound, match=r"has no config\.json"):
        Checkpoint("someone/tiny")


def test_the_bar(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Bug prevented: a log of a thousand lines, or none at all; the chat app reads this line."""
    bar = FetchBar()
    for done in range(0, 10_000_001, 1000):
        bar(done, 10_000_000)
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "Fetching: 0 % (0 of 10 MB)"
    assert lines[-1] == "Fetching: 100 % (10 of 10 MB)"
    assert len(lines) < 20
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    FetchBar()(10_000_000, 10_000_000)
    assert capsys.readouterr().err == f"\rFetching {'█' * 30} 10 of 10 MB \n"
