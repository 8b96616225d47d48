"""A model and an adapter by their names on the hub, from the catalogue to the reply."""

from __future__ import annotations

import asyncio
import contextlib
import re
import sys
import time
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM

from chat.models.backend import Backend, Stage
from chat.models.embedded.swarm import EmbeddedSwarm
from chat.models.opening import opened
from chat.settings.catalogue import ModelEntry
from chat.settings.schema import Settings, SwarmSettings
from farmesh.events import TokenGenerated
from farmesh.params import SamplingParams
from tests.support.families import make_adapter
from tests.support.hub import Hub
from tests.support.processes import Command, Peer

pytestmark = [
    pytest.mark.swarm,
    pytest.mark.timeout(360),
    pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::UserWarning"),
]

PROMPT = "Hello, how are you?"


async def test_a_model_of_the_catalogue_with_an_adapter(
    hub: Hub, guide: Path, tmp_path: Path
) -> None:
    """Bug prevented: of a model on the hub the nodes, the tokenizer or the client finds nothing;
    the catalogue's adapter is ignored and replies come from the plain model."""
    judge = AutoModelForCausalLM.from_pretrained(guide, dtype=torch.float32)
    adapted = make_adapter(judge, tmp_path / "pirate", 1, target_modules=["q_proj", "v_proj"])
    hub.add("someone/guide", guide)
    hub.add("someone/pirate", tmp_path / "pirate")
    hub.drops["model.safetensors"] = [1_000_000]  # somebody's connection breaks, and goes on
    model = ModelEntry(
        id="guide",
        name="Guide",
        licence="MIT",
        checkpoint="someone/guide",
        adapter="someone/pirate",
        context=1024,
    )
    settings = Settings(swarm=SwarmSettings(state_dir=tmp_path))
    backend = Backend(model.name)
    shown: set[str] = set()
    async with opened(backend, settings, model, EmbeddedSwarm(settings.swarm, model)):
        deadline = time.monotonic() + 240
        while backend.status.stage is Stage.STARTING and time.monotonic() < deadline:
            shown.add(backend.status.text)
            await asyncio.sleep(0.01)
        assert backend.status.stage is Stage.READY, backend.status
        assert any(re.fullmatch(r"Fetching the model: \d+ of \d+ MB", said) for said in shown), (
            shown
        )
        engine = await backend.ready()
        assert "serve someone/guide --prefix guide-hf --adapters someone/pirate" in engine.join
        assert {node.adapters for node in engine.client.snapshot.nodes} == {("someone/pirate",)}
        ids = engine.tokenizer.encode(PROMPT)
        session = engine.client.session()
        sampling = SamplingParams(temperature=0, max_new_tokens=8, ignore_eos=True)
        events = [event async for event in session.generate(ids, sampling)]
        await session.close()
    tokens = [event.token_id for event in events if isinstance(event, TokenGenerated)]
    assert tokens == _greedy(adapted, ids, 8)
    with adapted.disable_adapter():
        assert tokens != _greedy(adapted, ids, 8), "this test could not fail"


@torch.no_grad()
def _greedy(model: torch.nn.Module, ids: list[int], count: int) -> list[int]:
    ids = list(ids)
    for _ in range(count):
        ids.append(int(model(torch.tensor([ids])).logits[0, -1].argmax()))
    return ids[-count:]


def test_the_command_line(hub: Hub, guide: Path) -> None:
    """Bug prevented: a person at a terminal sees nothing while gigabytes come; a refusal is a
    traceback; generate wants a folder."""
    hub.add("someone/guide", guide)
    hub.add("someone/closed", guide, token="hf_x", gated=True)
    with contextlib.ExitStack() as stack:
        refused = Peer("serve", "someone/closed", "--blocks", "0:4")
        stack.callback(refused.end)
        refused.wait_for(r"^someone/closed is gated: accept its terms at http")
        assert refused.process.wait(20) == 2
        node = Peer("serve", "someone/guide", "--prefix", "_hub", "--blocks", "0:8")
        stack.callback(node.end)
        node.wait_for(r"^Fetching: 100 % \(\d+ of \d+ MB\)$")
        reply = Command(
            *(sys.executable, "-m", "farmesh", "generate", "someone/guide", "--prefix", "_hub"),
            *("--peers", node.address(), "--prompt", "Hello"),
            *("--temperature", "0", "--max-new-tokens", "3"),
        )
        stack.callback(reply.end)
        reply.wait_for(r"3 tokens over 1 hops")
        assert reply.process.wait(20) == 0
