"""The embedded swarm's supervisor, against a stand-in for ``python -m farmesh``.

The stand-in starts in a tenth of a second and does what the real command promises: it says its
address when ready, and ends on SIGTERM and when its stdin closes. The last test has the real one.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable
from multiprocessing import forkserver
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from gguf import GGMLQuantizationType

from chat.models.embedded import child as child_module
from chat.models.embedded import plan
from chat.models.embedded.child import ChildState, how_it_ended
from chat.models.embedded.plan import pause_before_restart, split_blocks, threads_per_node
from chat.models.embedded.swarm import EmbeddedSnapshot, EmbeddedSwarm
from chat.settings.catalogue import ModelEntry
from chat.settings.schema import PROJECT, SwarmSettings
from farmesh import nursery
from farmesh.core import Span
from farmesh.cores import usable_cores
from farmesh.errors import CheckpointError, ConfigError, SwarmUnreachable
from tests.support.gguf import write
from tests.support.hub import Hub
from tests.support.processes import alive
from tests.support.waiting import PATIENCE, until, wait_until

STAND_IN = """
import os, signal, subprocess, sys, time
command, arguments = sys.argv[1], sys.argv[2:]
port = arguments[arguments.index("--port") + 1]
identity = os.path.basename(arguments[arguments.index("--identity") + 1]).replace(".", "")
print("starting with", os.environ["OMP_NUM_THREADS"], "threads", file=sys.stderr)
{before}
print(f"/ip4/127.0.0.1/tcp/{{port}}/p2p/Qm{{identity}}".replace("-", ""))
{after}
while os.read(0, 100):
    pass
"""


@pytest.fixture
def model() -> ModelEntry:
    return ModelEntry(
        id="guide", name="Guide", licence="MIT", checkpoint="models/guide", context=1024
    )


@pytest.fixture
def swarm(tmp_path: Path, model: ModelEntry, monkeypatch) -> Callable[..., EmbeddedSwarm]:
    monkeypatch.setattr(plan, "FIRST_PAUSE", 0.05)

    default = model

    def swarm(before: str = "", after: str = "", model=default, **settings) -> EmbeddedSwarm:
        script = tmp_path / "stand_in.py"
        script.write_text(STAND_IN.format(before=before, after=after))
        settings.setdefault("state_dir", tmp_path / "state")
        return EmbeddedSwarm(
            SwarmSettings(**settings), model, program=(sys.executable, str(script))
        )

    return swarm


async def comes_to(
    swarm: EmbeddedSwarm, wanted: Callable[[EmbeddedSnapshot], object], seconds: float = PATIENCE
) -> EmbeddedSnapshot:
    await until(lambda: wanted(swarm.snapshot()), seconds)
    return swarm.snapshot()


# --- Decisions --------------------------------------------------------------------------------


@pytest.mark.parametrize("nodes", [1, 2, 3, 5, 8])
def test_spans_cover_the_model_without_gap_or_overlap(nodes: int) -> None:
    """Bug prevented: a rounding error leaves the last block to nobody."""
    spans = split_blocks(8, nodes)
    assert [block for span in spans for block in span] == list(range(8))
    assert max(map(len, spans)) - min(map(len, spans)) <= 1


def test_pauses_grow_and_stay_bounded() -> None:
    """Bug prevented: a child that cannot start keeps a core busy, or is never tried again."""
    pauses = [pause_before_restart(failures) for failures in (*range(1, 12), 10_000)]
    assert pauses[:3] == [0.5, 1.0, 2.0]
    assert pauses == sorted(pauses)
    assert pauses[-1] == plan.LONGEST_PAUSE


def test_threads_of_a_node() -> None:
    """Bug prevented: a chat, which one node after the other computes, gets half of the cores."""
    assert threads_per_node(0, cores=2) == 2
    assert threads_per_node(0, cores=16) == 16
    assert threads_per_node(3, cores=2) == 3
    assert usable_cores() >= 1


def test_an_end_is_told_in_one_sentence() -> None:
    """Bug prevented: the page shows "-9" where a person needs a reason."""
    assert how_it_ended(2, "Port 7 cannot be used.") == "Port 7 cannot be used."
    assert how_it_ended(-9, "x") == "It was ended by SIGKILL."
    assert how_it_ended(1, "Oops") == "It ended with exit code 1: Oops"


def test_more_nodes_than_blocks_are_refused(model: ModelEntry) -> None:
    """Bug prevented: a node with an empty span, which ends at once, again and again."""
    with pytest.raises(ConfigError, match=r"swarm.nodes is 9, but Guide has only 8 blocks"):
        EmbeddedSwarm(SwarmSettings(nodes=9), model)


def test_a_missing_checkpoint_is_named(model: ModelEntry, tmp_path: Path) -> None:
    """Bug prevented: a wrong path in the catalogue shows only as nodes that keep dying."""
    absent = model.model_copy(update={"checkpoint": "./absent"})
    with pytest.raises(CheckpointError, match=r"no checkpoint at \./absent"):
        EmbeddedSwarm(SwarmSettings(), absent)


@pytest.mark.parametrize(
    ("config", "sentence"),
    [
        ('{"num_hidden_layers": 8}', r"no \*\.safetensors files in .*: put them there, or choose"),
        ('{"hidden_size": 8}', "does not say how many layers"),
        ("not JSON", "does not say how many layers"),
    ],
)
def test_a_checkpoint_that_no_node_could_serve_is_refused(
    model: ModelEntry, tmp_path: Path, config: str, sentence: str
) -> None:
    """Bug prevented: the page opens, and its nodes die one by one for the same reason."""
    (tmp_path / "config.json").write_text(config)
    useless = model.model_copy(update={"checkpoint": str(tmp_path)})
    with pytest.raises(CheckpointError, match=sentence):
        EmbeddedSwarm(SwarmSettings(), useless)


def test_blocks_of_a_gguf_file_are_shared_out(model: ModelEntry, tmp_path: Path) -> None:
    """Bug prevented: a GGUF file has no config.json, so the page ends before it opens."""
    path = tmp_path / "five.gguf"
    tensors = {f"blk.{block}.attn_norm.weight": np.ones(4, np.float32) for block in range(5)}
    kinds = dict.fromkeys(tensors, GGMLQuantizationType.F32)
    write(path, "llama", {"llama.block_count": 5}, tensors, kinds)
    for checkpoint in (path, tmp_path):
        entry = model.model_copy(update={"checkpoint": str(checkpoint)})
        assert EmbeddedSwarm(SwarmSettings(), entry)._spans == (Span(0, 2), Span(2, 5))
    entry = model.model_copy(update={"checkpoint": str(tmp_path / "absent.gguf")})
    with pytest.raises(CheckpointError, match="There is no GGUF file"):
        EmbeddedSwarm(SwarmSettings(), entry)


async def test_a_model_of_the_hub_says_how_far_it_has_come(
    swarm, model: ModelEntry, hub: Hub, guide: Path, tmp_path: Path
) -> None:
    """Bug prevented: the app waits for the hub before its page is there, shows nothing while nodes
    fetch gigabytes, or lets them serve another revision, without the adapter."""
    hub.add("someone/guide", guide).revisions["v2"] = guide
    gate, seen = tmp_path / "gate", tmp_path / "seen"
    chosen = {"checkpoint": "someone/guide", "revision": "v2", "adapter": "someone/pirate"}
    await_gate = f"""
if command == "serve":
    print("Fetching: 42 % (1 of 2 MB)", flush=True)
    open({str(seen)!r}, "a").write(" ".join(arguments) + "\\n")
    while not os.path.exists({str(gate)!r}):
        time.sleep(0.02)
"""
    of_the_hub = swarm(await_gate, model=model.model_copy(update=chosen))
    assert not hub.asked
    async with of_the_hub as running:
        snapshot = await comes_to(running, lambda s: s.fetched > 0.4)
        assert snapshot.fetched == 0.42
        assert [child.span for child in snapshot.children[1:]] == [Span(0, 4), Span(4, 8)]
        gate.touch()
        assert (await comes_to(running, lambda s: s.is_up)).fetched == 1.0
    assert hub.fetched == {"config.json"}
    for line in seen.read_text().splitlines():
        assert line.startswith("someone/guide --blocks")
        assert "--revision v2 --adapters someone/pirate" in line


async def test_nodes_are_told_where_and_with_what_to_compute(
    swarm, model: ModelEntry, tmp_path: Path
) -> None:
    """Bug prevented: a GPU, or a model that fits in 4 bits only, that the app's own nodes cannot
    be told of; a model's own words that count less than the app's."""
    seen = tmp_path / "seen"
    tell = f'open({str(seen)!r}, "a").write(" ".join(arguments) + "\\n")'
    chosen = model.model_copy(update={"quantize": "int8", "dtype": "bfloat16"})
    nodes = swarm(tell, model=chosen, device="cpu", dtype="float16")
    async with nodes as running:
        await comes_to(running, lambda s: s.is_up)
    serving = [line for line in seen.read_text().splitlines() if "--blocks" in line]
    assert len(serving) == 2
    assert all("--device cpu --dtype bfloat16 --quantize int8" in line for line in serving)


# --- Processes --------------------------------------------------------------------------------


async def test_children_come_up_and_end_with_the_scope(swarm) -> None:
    """Bug prevented: nodes outlive the app."""
    async with swarm() as running:
        assert [child.state for child in running.snapshot().children] == ["starting"] * 3
        addresses = await running.addresses()
        snapshot = await comes_to(running, lambda s: s.is_up)
        pids = [child.pid for child in snapshot.children]
        assert all(map(alive, pids))
        assert addresses[0].endswith("/p2p/Qmbootstrapid")
        names = [(child.name, child.span) for child in snapshot.children]
        assert names == [("bootstrap", None), ("node-1", Span(0, 4)), ("node-2", Span(4, 8))]
    assert not any(map(alive, pids))
    assert {child.state for child in running.snapshot().children} == {ChildState.STOPPED}


async def test_a_killed_child_is_started_again_at_the_same_address(swarm, tmp_path: Path) -> None:
    """Bug prevented: after a crash the bootstrap peer is where nobody looks for it."""
    async with swarm(nodes=1) as running:
        before = await running.addresses()
        snapshot = await comes_to(running, lambda s: s.is_up)
        victim = snapshot.children[0]
        os.kill(victim.pid, signal.SIGKILL)
        gone = await comes_to(running, lambda s: s.children[0].state is ChildState.RESTARTING)
        assert gone.children[0].detail == "It was ended by SIGKILL."
        healed = await comes_to(running, lambda s: s.is_up)
        assert healed.children[0].pid != victim.pid
        assert healed.children[0].restarts == 1
        assert healed.children[0].detail == ""
        assert healed.children[1] == snapshot.children[1]
        assert await running.addresses() == before


async def test_a_child_that_never_starts_is_given_up_with_its_own_words(swarm, monkeypatch) -> None:
    """Bug prevented: a wrong checkpoint is retried for ever and the page says "starting"."""
    monkeypatch.setattr(child_module, "DRAIN_SECONDS", PATIENCE)  # to read its last words
    monkeypatch.setattr(child_module, "MAX_FAILURES", 2)
    broken = swarm(
        "if command == 'serve': print('The folder has no *.safetensors files.'); exit(2)"
    )
    async with broken as running:
        snapshot = await comes_to(running, lambda s: len(s.failed) == 2)
        assert {child.detail for child in snapshot.failed} == {
            "The folder has no *.safetensors files."
        }
        assert snapshot.children[0].state is ChildState.UP
        assert not snapshot.is_up


async def test_a_child_that_was_up_is_never_given_up(swarm, monkeypatch) -> None:
    """Bug prevented: six kills within minutes, and the app is without its node until a restart."""
    monkeypatch.setattr(child_module, "MAX_FAILURES", 1)
    async with swarm(nodes=1) as running:
        for restarts in (1, 2, 3):
            snapshot = await comes_to(running, lambda s: s.is_up)
            os.kill(snapshot.children[1].pid, signal.SIGKILL)
            await comes_to(running, lambda s, n=restarts: s.children[1].restarts == n)
        await comes_to(running, lambda s: s.is_up)


async def test_waiting_for_the_address_of_a_failed_swarm_ends(swarm, monkeypatch) -> None:
    """Bug prevented: the app waits for ever to join a bootstrap peer that cannot start."""
    monkeypatch.setattr(child_module, "DRAIN_SECONDS", PATIENCE)  # to read its last words
    monkeypatch.setattr(child_module, "MAX_FAILURES", 1)
    async with swarm("print('No room.'); exit(2)") as running:
        with pytest.raises(SwarmUnreachable, match=r"did not start: No room\."):
            await running.addresses()
        await comes_to(running, lambda s: len(s.failed) == 3)


async def test_a_child_that_ignores_sigterm_is_killed(swarm, monkeypatch) -> None:
    """Bug prevented: Ctrl-C of the app hangs on a node that is stuck."""
    monkeypatch.setattr(child_module, "TERMINATE_SECONDS", 0.3)
    stuck = swarm("signal.signal(signal.SIGTERM, signal.SIG_IGN)")
    async with asyncio.timeout(PATIENCE), stuck as running:
        pids = [child.pid for child in (await comes_to(running, lambda s: s.is_up)).children]
    assert not any(map(alive, pids))


async def test_helpers_of_a_killed_child_go_with_it(swarm, tmp_path: Path) -> None:
    """Bug prevented: the p2p daemon of a killed node keeps the port, so no restart succeeds."""
    note = tmp_path / "helper.pid"
    helper = f"""
if command == "bootstrap" and not os.path.exists({str(note)!r}):
    sleeper = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    open({str(note)!r}, "w").write(str(sleeper.pid))
"""
    async with swarm(helper, nodes=1) as running:
        snapshot = await comes_to(running, lambda s: s.is_up)
        assert alive(int(note.read_text()))
        os.kill(snapshot.children[0].pid, signal.SIGKILL)
        await comes_to(running, lambda s: s.children[0].restarts == 1 and s.is_up)
        assert not alive(int(note.read_text()))


async def test_two_apps_do_not_share_identities(swarm, tmp_path: Path) -> None:
    """Bug prevented: two apps of one checkout are one peer in two places."""
    async with swarm(nodes=1) as first, swarm(nodes=1) as second:
        await comes_to(first, lambda s: s.is_up)
        await comes_to(second, lambda s: s.is_up)
        assert {path.name for path in (tmp_path / "state").iterdir()} == {"swarm-1", "swarm-2"}
    async with swarm(nodes=1):
        assert (tmp_path / "state/swarm-1").stat().st_mode & 0o777 == 0o700
        assert not (tmp_path / "state/swarm-3").exists()


async def test_output_is_logged_and_a_long_line_does_no_harm(swarm, tmp_path: Path) -> None:
    """Bug prevented: a child that writes a megabyte without a newline stops being read."""
    async with swarm("print('x' * 1_000_000)", nodes=1) as running:
        await comes_to(running, lambda s: s.is_up)
    log = (tmp_path / "state/swarm-1/node-1.log").read_text()
    assert log.splitlines()[0].endswith("threads")
    assert "/ip4/127.0.0.1" in log


def test_children_notice_when_the_app_is_killed(tmp_path: Path) -> None:
    """Bug prevented: SIGKILL of the app leaves its nodes running for ever."""
    (tmp_path / "stand_in.py").write_text(STAND_IN.format(before="", after=""))
    app = textwrap.dedent(f"""
        import asyncio, sys
        from pathlib import Path
        from chat.models.embedded.swarm import EmbeddedSwarm
        from chat.settings.catalogue import ModelEntry
        from chat.settings.schema import SwarmSettings

        async def main():
            model = ModelEntry(
                id="g", name="G", licence="MIT", checkpoint="models/guide", context=64
            )
            settings = SwarmSettings(state_dir=Path({str(tmp_path)!r}) / "state")
            program = (sys.executable, {str(tmp_path / "stand_in.py")!r})
            async with EmbeddedSwarm(settings, model, program=program) as swarm:
                async for snapshot in swarm.changes():
                    if snapshot.is_up:
                        print(*(child.pid for child in snapshot.children), flush=True)

        asyncio.run(main())
    """)
    with subprocess.Popen(
        [sys.executable, "-c", app], cwd=PROJECT, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        pids = [int(pid) for pid in process.stdout.readline().split()]
        process.kill()
    assert len(pids) == 3
    wait_until(lambda: not any(map(alive, pids)))


# --- The real thing ---------------------------------------------------------------------------


@pytest.mark.swarm
@pytest.mark.timeout(420)
async def test_a_killed_node_is_healed_and_the_next_message_works(
    model: ModelEntry, tmp_path: Path
) -> None:
    """Bugs prevented: after a node's crash the page is there and every message fails; without the
    process that nodes are forked from none comes back; a forked one outlives its swarm."""
    from farmesh import ClientConfig, FarMeshClient, InferenceSession, SamplingParams
    from farmesh.events import TokenGenerated

    async def reply(session: InferenceSession, token_ids: list[int]) -> list[int]:
        sampling = SamplingParams(temperature=0, max_new_tokens=12, ignore_eos=True)
        events = [event async for event in session.generate(token_ids, sampling)]
        return [event.token_id for event in events if isinstance(event, TokenGenerated)]

    await asyncio.to_thread(nursery.open_nursery)
    settings = SwarmSettings(state_dir=tmp_path)
    async with EmbeddedSwarm(settings, model, forked=nursery.POSSIBLE) as swarm:
        config = ClientConfig(
            checkpoint=model.checkpoint_path, initial_peers=await swarm.addresses()
        )
        async with FarMeshClient(config) as client, client.session() as session:
            snapshot = await comes_to(swarm, lambda s: s.is_up, seconds=150)
            prompt = list(range(10, 40))
            prompt += await reply(session, prompt)
            os.kill(snapshot.children[1].pid, signal.SIGKILL)
            await comes_to(swarm, lambda s: s.children[1].restarts == 1 and s.is_up, seconds=150)
            after = await reply(session, [*prompt, 50, 51])
            async with client.session() as fresh:
                assert after == await reply(fresh, [*prompt, 50, 51])
            assert len(after) == 12

            server = cast(Any, forkserver)._forkserver
            os.kill(server._forkserver_pid, signal.SIGKILL)
            os.kill(snapshot.children[2].pid, signal.SIGKILL)
            whole = await comes_to(
                swarm, lambda s: s.children[2].restarts == 1 and s.is_up, seconds=150
            )
            assert whole.children[1].restarts == 1, "it lives on without the nursery"
            async with client.session() as fresh:
                assert after == await reply(fresh, [*prompt, 50, 51])
    wait_until(lambda: not any(alive(child.pid) for child in whole.children))
