"""What real networks do to a swarm: bootstrap peers that go and come back, clocks that differ."""

from __future__ import annotations

import asyncio
import signal
import sys
from pathlib import Path

import pytest

from tests.support.harness import generate, greedy
from tests.support.models import Oracle
from tests.support.ports import free_port
from tests.support.processes import Command, processes
from tests.support.swarms import client_of, prompt_of
from tests.support.waiting import until

pytestmark = [pytest.mark.swarm, pytest.mark.timeout(240)]


async def test_a_bootstrap_peer_that_goes_and_comes_back(
    checkpoint: Path, oracle: Oracle, tmp_path: Path
) -> None:
    """Prevents a swarm that falls apart, or lets nobody in any more, when its entrance restarts."""
    options = ("--port", str(free_port()), "--identity", str(tmp_path / "bootstrap.id"))
    with processes(checkpoint, *options) as swarm:
        for span in ("0:2", "2:4"):
            swarm.serve(span, "--update-period", "1").address()
        async with client_of(swarm, 2) as client, client.session() as session:
            ids = prompt_of(40)
            first = await generate(session, ids, greedy(6))
            swarm.bootstrap.signal(signal.SIGKILL)
            swarm.bootstrap.end()
            ids = [*ids, *first.tokens, *prompt_of(5, 1)]
            reply = await generate(session, ids, greedy(6))  # the running chat does not notice
            assert reply.tokens == oracle.greedy(ids, 6)

            returned = swarm.start_bootstrap()
            assert await asyncio.to_thread(returned.address) == swarm.address
            swarm.serve("0:4", "--update-period", "1")  # joins through it ...
            await until(lambda: len(client.snapshot.online) == 3, seconds=60.0)  # ... and is seen
            async with client_of(swarm, 3) as newcomer, newcomer.session() as other:
                assert (await generate(other, ids, greedy(6))).tokens == reply.tokens


WRONG_CLOCK = """
import runpy, sys, time
right, ahead = time.time, float(sys.argv[1])
time.time = lambda: right() + ahead
sys.argv[:2] = ["farmesh"]
runpy.run_module("farmesh", run_name="__main__")
"""


@pytest.mark.parametrize(
    ("ahead", "sentence"),
    [(8, "clock is [78].. seconds behind"), (-8, "clock is 8.. seconds ahea")],
)
def test_a_wrong_clock_is_said(ahead: int, sentence: str) -> None:
    """Prevents a traceback, or "nobody serves these blocks", when a clock is seconds off."""
    command = (sys.executable, "-c", WRONG_CLOCK, str(ahead), "bootstrap", "--exit-with-stdin")
    bootstrap = Command(*command)
    try:
        address = bootstrap.wait_for(r"^/ip\S+$")
        flags = ("--peers", address, "--prefix", "_test", "--num-blocks", "2")
        status = Command(sys.executable, "-m", "farmesh", "status", *flags)
        assert status.wait_for(sentence)
        assert status.process.wait(10) == 2
        status.end()
    finally:
        bootstrap.end()
