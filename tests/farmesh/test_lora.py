"""LoRA adapters on nodes, token for token against peft in one process."""

from __future__ import annotations

import asyncio
import json
import random
from pathlib import Path
from typing import Any

import pytest
import torch

from farmesh.checkpoint.reader import Checkpoint
from farmesh.errors import CheckpointError, ConfigError, MissingBlocks, RemoteError
from farmesh.events import TokenGenerated
from farmesh.node.lora import open_adapters
from tests.farmesh.harness import Swarm, generate, generate_until, greedy, swarm_of
from tests.farmesh.test_families import CONFIGS, VOCABULARY, expected, make

peft = pytest.importorskip("peft", reason="needs the extra lora", exc_type=ImportError)
pytestmark = pytest.mark.filterwarnings(
    "ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning"
)

TARGETS = {
    "llama-3": ["q_proj", "v_proj", "down_proj"],
    "falcon-7b": ["query_key_value", "dense_4h_to_h"],
    "bloom": ["query_key_value"],
}


def make_adapter(model: Any, path: Path, seed: int, **options: Any) -> Any:
    """A LoRA that changes the text, saved to ``path``; the model with it."""
    options = {"r": 4, "lora_alpha": 16, "lora_dropout": 0.0, **options}
    adapted = peft.get_peft_model(model, peft.LoraConfig(task_type="CAUSAL_LM", **options))
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(seed)
        for name, parameter in adapted.named_parameters():
            if "lora_" in name:
                parameter.normal_(std=0.3)
    adapted.save_pretrained(path)
    return adapted.eval()


def adapters_of(name: str, folder: Path, count: int = 2, **options: Any) -> dict[str, Any]:
    """Models by the adapter that they have on: "" for none, then ``one`` and ``two``."""
    models: dict[str, Any] = {"": make(folder, name)}
    for seed, adapter in enumerate(("one", "two")[:count], start=1):
        fresh = make(folder, name)
        models[adapter] = make_adapter(
            fresh, folder / adapter, seed, target_modules=TARGETS[name], **options
        )
    return models


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    folder = tmp_path_factory.mktemp("lora")
    return folder, adapters_of("llama-3", folder)


def prompt_of(length: int, seed: int = 0) -> list[int]:
    draw = random.Random(seed)
    return [draw.randrange(VOCABULARY) for _ in range(length)]


async def session_of(swarm: Swarm, adapter: str) -> Any:
    client = await swarm.client(active_adapter=adapter or None, prefill_chunk=64)
    return client.session()


@pytest.mark.parametrize("name", TARGETS)
async def test_an_adapter_is_exact(name: str, tmp_path: Path) -> None:
    """Bug prevented: a scale, a layer or a block of the adapter is lost, and the text is nearly
    that of the plain model."""
    models = adapters_of(name, tmp_path, count=1, use_rslora=True)
    folder = str(tmp_path / "one")
    async with swarm_of(tmp_path, "a=0:3 b=2:4", adapters=(folder,)) as swarm:
        session = await session_of(swarm, folder)  # by its folder, or its name in the swarm
        prompt = prompt_of(90)
        tokens, _ = expected(models["one"], prompt, 6)
        assert tokens != expected(models[""], prompt, 6)[0], "this test could not fail"
        assert (await generate(session, prompt, greedy(6))).tokens == tokens
        prompt = [*prompt[:40], 7]  # a rewind
        tokens, _ = expected(models["one"], prompt, 4)
        assert (await generate(session, prompt, greedy(4))).tokens == tokens


async def test_sessions_with_and_without_adapters_are_packed(
    llama: tuple[Path, dict[str, Any]],
) -> None:
    """Bug prevented: in one forward, somebody's rows are changed by another's adapter."""
    folder, models = llama
    folders = tuple(str(folder / name) for name in ("one", "two"))
    async with swarm_of(folder, "a=0:2 b=2:4", adapters=folders, max_batch_tokens=96) as swarm:
        wanted, running = [], []
        for index in range(9):
            adapter = ("", "one", "two")[index % 3]
            prompt = prompt_of((3, 70, 25)[index // 3], index)
            wanted.append(expected(models[adapter], prompt, 8)[0])
            session = await session_of(swarm, adapter)
            running.append(generate(session, prompt, greedy(8)))
        ticks = {name: node.service.scheduler.ticks for name, node in swarm.nodes.items()}
        replies = await asyncio.gather(*running)
        assert [reply.tokens for reply in replies] == wanted
        for name, node in swarm.nodes.items():  # 72 decode steps: they were run together
            assert node.service.scheduler.ticks - ticks[name] < 60


async def test_routes_lead_over_nodes_that_have_the_adapter(
    llama: tuple[Path, dict[str, Any]],
) -> None:
    """Bug prevented: half of a reply comes from the plain model; a lost node is replaced by one
    without the adapter."""
    folder, models = llama
    one, prompt = str(folder / "one"), prompt_of(20)
    async with swarm_of(folder, "plain=0:4") as swarm:
        await swarm.serve("a", "0:4", adapters=(one,))
        assert swarm.nodes["a"].info.adapters == ("one",)
        client = await swarm.client(active_adapter="one", missing_blocks_timeout=0.3)
        assert [node.peer_id for node in client.snapshot.nodes] == ["a"]
        session = client.session()
        reply = await generate_until(session, prompt, greedy(6), TokenGenerated)
        assert reply.tokens == expected(models["one"], prompt, 1)[0]
        await swarm.kill("a")
        with pytest.raises(MissingBlocks):
            await generate(session, prompt, greedy(6))
        await swarm.serve("b", "0:4", adapters=(one,))
        await client.refresh()
        tokens = expected(models["one"], prompt, 6)[0]
        assert (await generate(client.session(), prompt, greedy(6))).tokens == tokens
        nobody = await swarm.client(active_adapter="two", missing_blocks_timeout=0.1)
        with pytest.raises(MissingBlocks, match=r"with the adapter 'two'.* --adapters two"):
            await generate(nobody.session(), prompt, greedy(1))


async def test_a_node_refuses_adapters_that_it_has_not(
    llama: tuple[Path, dict[str, Any]],
) -> None:
    """Bug prevented: a peer that asks for an adapter gets the plain model's answers."""
    folder, _ = llama
    async with swarm_of(folder, "a=0:4", adapters=(str(folder / "one"),)) as swarm:
        client = await swarm.client()
        route = client._lookout.find_route(_whole(client), 1, 0)
        link = client._dialler.make_link(route.hops[0], 16)
        link._adapter = "two"
        with pytest.raises(Exception, match="no adapter 'two' is loaded here") as refused:
            await client._dialler.open(link)
        assert isinstance(refused.value.__cause__, RemoteError)


def _whole(client: Any) -> Any:
    from farmesh.core import Span

    return Span(0, client.num_blocks)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"use_dora": True}, "more than a plain LoRA"),
        ({"bias": "all"}, "it trains biases"),
        ({"modules_to_save": ["lm_head"]}, "it replaces whole modules"),
        ({"target_modules": ["q_proj", "lm_head"]}, "changes lm_head, which nodes do not serve"),
        ({"target_modules": ["no_such_layer"]}, "does not fit"),
        ({"r": 8}, r"made for another model: .* has shape \(4, 64\), not \(8, 64\)"),
        ({"peft_type": "LOHA"}, "type .*LOHA, not LORA"),
    ],
)
def test_what_a_node_cannot_do_is_said(
    llama: tuple[Path, dict[str, Any]], tmp_path: Path, changes: dict[str, Any], sentence: str
) -> None:
    """Bug prevented: a part of an adapter is dropped, and the text is not its text."""
    folder, _ = llama
    adapter = tmp_path / "odd"
    adapter.mkdir()
    (adapter / "adapter_model.safetensors").symlink_to(folder / "one" / "adapter_model.safetensors")
    config = json.loads((folder / "one" / "adapter_config.json").read_text())
    (adapter / "adapter_config.json").write_text(json.dumps({**config, **changes}))
    with pytest.raises(CheckpointError, match=sentence):
        _attached(folder, adapter)


def _attached(folder: Path, adapter: Path) -> None:
    from farmesh.core import Span
    from farmesh.node.blocks import BlockStack

    checkpoint = Checkpoint(folder)
    loras = open_adapters(checkpoint, [str(adapter)])
    cpu = torch.device("cpu")
    BlockStack(checkpoint, Span(0, 1), cpu, torch.float32, adapters=loras).load()


def test_adapters_have_names_of_their_own(llama: tuple[Path, dict[str, Any]]) -> None:
    """Bug prevented: one of two adapters can never be asked for."""
    folder, _ = llama
    with pytest.raises(ConfigError, match="same name"):
        open_adapters(Checkpoint(folder), [str(folder / "one"), str(folder / "one")])


def test_families_of_these_tests_exist() -> None:
    assert set(TARGETS) <= set(CONFIGS)
