"""A few of today's model types through the public commands, as real processes."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tests.support.families import conversation, held
from tests.support.processes import processes
from tests.support.swarms import client_of
from tests.support.trials import random_model, tiny_config

pytestmark = [pytest.mark.swarm, pytest.mark.timeout(240)]


@pytest.mark.parametrize(
    "model_type",
    [
        "qwen3_5",
        *(pytest.param(name, marks=pytest.mark.slow) for name in ("gpt_oss", "deepseek_v3")),
    ],
)
async def test_a_type_through_processes(model_type: str, tmp_path: Path) -> None:
    """Bug prevented: a type is right inside one process, and its nodes announce, load or rewind
    something else than what their clients ask for. (qwen3_5 sees, and keeps recurrent states.)"""
    model = random_model(tiny_config(model_type))
    model.save_pretrained(tmp_path)
    turns = list(conversation(model, random.Random(model_type), 40))
    with processes(tmp_path) as swarm:
        for span in ("0:3", "2:4"):
            swarm.serve(span).address()
        async with client_of(swarm, 2) as client, client.session() as session:
            await held(session, turns)
