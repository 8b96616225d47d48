"""Upstream's commands and its quickstart, as their documentation has them, in real processes."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from tests.support.processes import Command, wait_until_gone

pytestmark = [pytest.mark.swarm, pytest.mark.timeout(240)]

PREFIX = "_upstream"
ASKED = "A cat sat"
# Upstream's README, with its name replaced and the peers of this swarm.
QUICKSTART = """
import sys
from transformers import AutoTokenizer
from farmesh import AutoDistributedModelForCausalLM

model_name, peer = sys.argv[1:]
tokenizer = AutoTokenizer.from_pretrained(model_name)
model = AutoDistributedModelForCausalLM.from_pretrained(
    model_name, initial_peers=[peer], dht_prefix="_upstream"
)
inputs = tokenizer("A cat sat", return_tensors="pt")["input_ids"]
outputs = model.generate(inputs, max_new_tokens=5)
print("said", outputs[0].tolist())
"""


def test_a_swarm_by_upstreams_commands(guide: Path, tmp_path: Path) -> None:
    """Bug prevented: the commands translate and do not start; a script that does not close its
    model hangs at its end, or leaves a daemon behind."""

    def start(*command: str) -> Command:
        started = Command(sys.executable, *command, OMP_NUM_THREADS="1")
        scope.callback(started.end)
        return started

    listen = "/ip4/127.0.0.1/tcp/0"
    with contextlib.ExitStack() as scope:
        identity = str(tmp_path / "bootstrap.id")
        dht = start(
            *("-m", "farmesh.cli.run_dht", "--host_maddrs", listen, "--identity_path", identity)
        )
        peer = dht.wait_for(r"^/ip\S+$")
        server = start(
            *("-m", "farmesh.cli.run_server", str(guide), "--initial_peers", peer),
            *("--dht_prefix", PREFIX, "--host_maddrs", listen, "--block_indices", "0:8"),
            *("--device", "cpu", "--torch_dtype", "float32", "--throughput", "1000"),
            *("--inference_max_length", "256", "--num_handlers", "2"),
        )
        server.wait_for(r"^--num_handlers has no effect here\.$")
        server.wait_for(r"^/ip\S+$")
        status = start(
            *("-m", "farmesh", "status", "--peers", peer),
            *("--prefix", PREFIX, "--num-blocks", "8"),
        )
        row = status.wait_for(r"^unnamed …\w+ .*$").split()
        assert row[2:5] == ["0:8", "████████", "online"]
        assert row[6:9] == ["ms", "directly", "1000"]
        script = start("-c", QUICKSTART, str(guide), peer)
        said = script.wait_for(r"^said \[(.*)\]$")
        assert script.process.wait(30) == 0
        assert not wait_until_gone(script.session_id)
    tokenizer = AutoTokenizer.from_pretrained(guide)
    judge = AutoModelForCausalLM.from_pretrained(guide, dtype=torch.float32)
    ids = tokenizer(ASKED, return_tensors="pt")["input_ids"]
    wanted = judge.generate(ids, max_new_tokens=5, do_sample=False)
    assert [int(token) for token in said.split(",")] == wanted[0].tolist()
