"""The simulation of swarms: small ones, in seconds."""

from __future__ import annotations

import random
import sys
from pathlib import Path

import pytest

from benchmarks import scaling
from benchmarks.synthetic import BLOCKS, Swarm, least_seconds, make_node, true_seconds
from farmesh.core import NodeState, Span
from farmesh.planning.placement import block_throughputs
from farmesh.planning.routing import RouteHints, RouteTable


def settled(size: int = 30) -> Swarm:
    swarm = Swarm(size, 3600.0, seed=3)
    list(swarm.run(1200))
    return swarm


def test_the_books_are_those_of_the_engine() -> None:
    """Prevents a simulation whose own sums drift from what placement would be told."""
    swarm = settled()
    infos = [node.info() for node in swarm.nodes.values()]
    assert swarm._announced == block_throughputs(infos, BLOCKS)
    online = [n for n in swarm.nodes.values() if n.alive and n.state is NodeState.ONLINE]
    counts = [sum(block in node.span for node in online) for block in range(BLOCKS)]
    assert list(swarm._serving) == counts


def test_no_route_beats_the_optimum_and_full_knowledge_reaches_it() -> None:
    """Prevents ratios below 1, and an optimum that is none."""
    nodes = scaling._complete(settled())
    rng = random.Random(5)
    client = make_node(0, rng)
    least = least_seconds(nodes, client)
    for node in nodes:  # everybody knows every way
        node.pings = {o.name: scaling.rtt(node, o) for o in nodes if o is not node}
    rtts = {node.name: scaling.rtt(client, node) for node in nodes}
    table = RouteTable(scaling._snapshot(nodes))
    by_name = {node.name: node for node in nodes}
    ratios = [
        true_seconds(table.find(Span(0, BLOCKS), RouteHints(rtts=rtts, salt=salt)), by_name, client)
        / least
        for salt in range(5)
    ]
    assert min(ratios) >= 1 - 1e-9
    assert max(ratios) < 1.1, "speeds differ by the jitter alone"


def test_the_command_prints_its_tables(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Prevents a command of the documents that ends in a traceback, and charts that are empty."""
    monkeypatch.setattr(sys, "argv", ["scaling", "--sizes", "10", "--write"])
    monkeypatch.setattr(scaling, "IMAGES", tmp_path)
    monkeypatch.setattr(scaling, "REPORT", tmp_path / "scaling.md")
    monkeypatch.setitem(scaling.MINUTES, 10, 30)
    monkeypatch.setattr(scaling, "CHATS", 50)
    scaling.REPORT.write_text("before\n<!-- measured -->\nold\n<!-- end -->\nafter\n")
    scaling.main()
    printed = capsys.readouterr().out
    written = scaling.REPORT.read_text()
    assert "| 10 |" in printed
    assert "old" not in written
    assert written.startswith("before\n")
    assert written.endswith("after\n")
    for chart in ("coverage", "quality", "time"):
        assert "<polyline" in (tmp_path / f"scaling-{chart}.svg").read_text()
