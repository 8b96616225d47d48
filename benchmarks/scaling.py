"""How routing, placement and the web tier grow: the engine's own code on synthetic swarms.

``python -m benchmarks.scaling`` prints tables; ``--write`` puts them into docs/scaling.md between
its ``<!-- measured -->`` marks and draws the charts. Sizes, seeds and lifetimes are fixed, so that
coverage and quality come out the same again; times are CPU time of this process.

* *uncovered*: share of the model's blocks that no living online node serves, every 10 seconds, from
  minute 15 on (the swarm begins empty and fills within 10 minutes).
* *quality*: what a decode step really takes on the route that ``RouteTable.find`` chose, over the
  least that any route could take (exact shortest path, all distances known); median and worst of
  the clients. *Naive*: the same when nodes and clients measure whom they find first in the list,
  and take all others for near.
* *time per decision*: of one search, of making the table (once per look at the DHT), of merging the
  records of a look, and of one thought about moving.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import random
import statistics
import time
import tracemalloc
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.machine import describe
from benchmarks.plots import line_chart
from benchmarks.synthetic import (
    BLOCKS,
    Coverage,
    Node,
    Swarm,
    least_seconds,
    make_node,
    measure_neighbours,
    rtt,
    true_seconds,
)
from farmesh.core import NodeState, Span, SwarmSnapshot
from farmesh.hivemind import pack
from farmesh.network.records import Entry, encode_record, merge_records
from farmesh.planning.pings import choose_pings
from farmesh.planning.placement import better_span, block_throughputs
from farmesh.planning.routing import DEFAULT_RTT, RouteHints, RouteTable

ROOT = Path(__file__).resolve().parents[1]
REPORT = ROOT / "docs" / "scaling.md"
IMAGES = ROOT / "docs" / "images"
SIZES = (10, 30, 100, 300, 1000, 3000, 10_000)
MINUTES = {10: 480, 30: 480, 100: 240, 300: 120, 1000: 90, 3000: 60, 10_000: 45}
SETTLED = 15  # minutes until a swarm has filled
LIFETIMES = (3600.0, 600.0)  # seconds, mean: an hour, and ten minutes
CLIENTS = 6
LOOKS = 20  # of a client at the DHT: five minutes
PING_LIMIT = 32  # as farmesh.client measures per look
CHATS = 2000
SHARED = RouteHints(tokens=1024)


@dataclass
class Result:
    """Everything found out about one size."""

    size: int
    coverage: dict[float, list[Coverage]] = field(default_factory=dict)  # by mean lifetime
    moves: dict[float, float] = field(default_factory=dict)  # per node and hour
    quality: list[float] = field(default_factory=list)
    before: list[float] = field(default_factory=list)  # quality, first of the list measured
    milliseconds: dict[str, float] = field(default_factory=dict)
    megabytes: float = 0.0  # of records that one look reads

    def uncovered(self, lifetime: float) -> list[float]:
        return [one.uncovered for one in self.coverage[lifetime] if one.minute >= SETTLED]


def measure(size: int, seed: int = 0) -> Result:
    result = Result(size)
    nodes: list[Node] = []
    for lifetime in LIFETIMES:
        swarm = Swarm(size, lifetime, seed)
        minutes = MINUTES[size]
        result.coverage[lifetime] = list(swarm.run(60 * minutes))
        result.moves[lifetime] = swarm.moves / size / (minutes / 60)
        if lifetime == LIFETIMES[0]:
            nodes = _complete(swarm)
    _measure_routes(result, nodes, random.Random(seed))
    _measure_times(result, nodes)
    return result


def _complete(swarm: Swarm) -> list[Node]:
    """The living online nodes at the next moment at which every block is served."""
    while next(swarm.run(10)).uncovered:
        pass
    return [n for n in swarm.nodes.values() if n.alive and n.state is NodeState.ONLINE]


def _measure_routes(result: Result, nodes: list[Node], rng: random.Random) -> None:
    clients = [make_node(number, rng) for number in range(CLIENTS)]
    least = [least_seconds(nodes, client) for client in clients]
    by_name = {node.name: node for node in nodes}
    for by_chance, qualities in ((False, result.before), (True, result.quality)):
        measure_neighbours(nodes, rng, by_chance=by_chance)
        table = RouteTable(_snapshot(nodes))
        if not by_chance:
            table.unmeasured = DEFAULT_RTT
        for client, best in zip(clients, least, strict=True):
            rtts = _client_rtts(client, nodes, rng, by_chance=by_chance)
            for salt in range(5):
                route = table.find(Span(0, BLOCKS), RouteHints(rtts=rtts, salt=salt))
                qualities.append(true_seconds(route, by_name, client) / best)


def _client_rtts(
    client: Node, nodes: list[Node], rng: random.Random, *, by_chance: bool
) -> dict[str, float]:
    """As FarMeshClient measures over its first looks."""
    ordered = sorted(nodes, key=lambda node: node.name)
    if not by_chance:
        return {node.name: rtt(client, node) for node in ordered[:PING_LIMIT]}
    ends = [n for n in ordered if {0, BLOCKS - 1} & {*n.span}]
    far = {node.name: rtt(client, node) for node in nodes}
    known: dict[str, float] = {}
    for _ in range(LOOKS):
        candidates = [n.name for n in (ends if len(nodes) > PING_LIMIT else ordered)]
        for name in choose_pings(candidates, known, PING_LIMIT, rng):
            known[name] = far[name]
    return known


def _snapshot(nodes: list[Node]) -> SwarmSnapshot:
    ordered = sorted(nodes, key=lambda node: node.name)
    return SwarmSnapshot("synthetic", BLOCKS, tuple(node.info() for node in ordered))


def _measure_times(result: Result, nodes: list[Node]) -> None:
    snapshot = _snapshot(nodes)
    records: dict[int, dict[str, Entry]] = {}
    size = 0
    for info in snapshot.nodes:
        value = encode_record(info)
        size += len(info.span) * (len(pack(value)) + len(info.peer_id))
        for block in info.span:
            records.setdefault(block, {})[info.peer_id] = Entry(value, 0.0)
    result.megabytes = size / 1e6
    table = RouteTable(snapshot)
    one = snapshot.nodes[0]
    others = block_throughputs(snapshot.nodes[1:], BLOCKS)
    result.milliseconds = {
        "route": _milliseconds(lambda: table.find(Span(0, BLOCKS), SHARED), 7),
        "table": _milliseconds(lambda: RouteTable(snapshot), 3),
        "merge": _milliseconds(lambda: merge_records(records, BLOCKS), 3),
        "move": _milliseconds(lambda: better_span(others, one.span, one.throughput), 7),
    }


def _milliseconds(act: Callable[[], object], times: int) -> float:
    """CPU time, the least of some: others' work on the machine only adds to it."""
    gc.collect()
    taken = []
    for _ in range(times):
        started = time.process_time()
        act()
        taken.append(time.process_time() - started)
    return 1000 * min(taken)


# --- the web tier -------------------------------------------------------------------------------


async def chat_kilobytes() -> float:
    """Memory of one idle chat in the real store: 20 messages of 300 characters."""
    from chat.conversation.data import from_data
    from chat.ids import new_id
    from chat.live.store import ChatStore
    from chat.models.backend import Backend
    from chat.settings.schema import ChatSettings

    async with ChatStore(Backend("none"), ChatSettings(max_chats=CHATS)) as store:
        tracemalloc.start()
        before = tracemalloc.get_traced_memory()[0]
        for _ in range(CHATS):
            roles = ("user", "assistant") * 10
            data = [{"role": role, "text": f"{new_id()} " * 7} for role in roles]
            store.open(new_id(), new_id()).restore(from_data({"messages": data}))
        taken = tracemalloc.get_traced_memory()[0] - before
        tracemalloc.stop()
    return taken / CHATS / 1000


# --- the report ---------------------------------------------------------------------------------


def report(results: list[Result], chat: float) -> str:
    hour, short = LIFETIMES
    titles = (
        *("nodes", "blocks uncovered, nodes stay 1 h: mean (worst moment)", "the same, 10 min"),
        *("moves per node and hour", "route over optimum: median (worst)"),
        "the same, naive",
    )
    lines = [f"**Machine:** {describe()}.", "", *_head(titles)]
    for one in results:
        shares = [
            f"{statistics.mean(values):.2%} ({max(values):.1%})"
            for values in (one.uncovered(hour), one.uncovered(short))
        ]
        quality, before = (
            f"{statistics.median(values):.2f} ({max(values):.2f})"
            for values in (one.quality, one.before)
        )
        moves = f"{one.moves[hour]:.2f}"
        lines.append(
            f"| {one.size:,} | {shares[0]} | {shares[1]} | {moves} | {quality} | {before} |"
        )
    titles = ("nodes", "a route", "its table", "merging a look", "a thought about moving")
    lines += ["", *_head((*titles, "records of a look"))]
    for one in results:
        times = " | ".join(f"{one.milliseconds[key]:.2f} ms" for key in one.milliseconds)
        lines.append(f"| {one.size:,} | {times} | {one.megabytes:.2f} MB |")
    lines += ["", f"An idle chat of 20 messages of 300 characters takes {chat:.1f} kB in the app."]
    return "\n".join(lines)


def _head(titles: Sequence[str]) -> list[str]:
    return [f"| {' | '.join(titles)} |", f"|{'---|' * len(titles)}"]


def draw(results: list[Result]) -> None:
    _, short = LIFETIMES
    shown = min(MINUTES.values())
    line_chart(
        IMAGES / "scaling-coverage.svg",
        "Blocks that nobody serves, while nodes stay for ten minutes on average",
        {
            f"{one.size:,} nodes": [
                (at.minute, 100 * at.uncovered) for at in one.coverage[short] if at.minute <= shown
            ]
            for one in results
            if one.size in (10, 30, 100, 10_000)
        },
        "minutes since the first node came",
        x_ticks=(0, 15, 30, shown),
        y_ticks=(0, 25, 50, 75, 100),
        unit=" %",
    )
    line_chart(
        IMAGES / "scaling-quality.svg",
        "Time of a decode step on the chosen route, over the least possible",
        {
            "as the engine does": [(one.size, statistics.median(one.quality)) for one in results],
            "naive": [(one.size, statistics.median(one.before)) for one in results],
        },
        "nodes",
        log_x=True,
        x_ticks=(10, 100, 1000, 10_000),
        y_ticks=(1, 2, 3, 4, 5, 6),
    )
    names = {"route": "a route", "table": "its table", "merge": "merging a look"}
    line_chart(
        IMAGES / "scaling-time.svg",
        "CPU time per decision, milliseconds",
        {
            name: [(one.size, one.milliseconds[key]) for one in results]
            for key, name in names.items()
        },
        "nodes",
        log_x=True,
        log_y=True,
        x_ticks=(10, 100, 1000, 10_000),
        y_ticks=(0.1, 1, 10, 100, 1000),
        unit=" ms",
    )


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scaling", description=__doc__)
    parser.add_argument("--write", action="store_true", help="write docs/scaling.md and its charts")
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES, choices=SIZES, metavar="N")
    arguments = parser.parse_args()
    results = []
    for size in arguments.sizes:
        started = time.process_time()
        results.append(measure(size))
        print(f"{size} nodes: {time.process_time() - started:.0f} s of CPU time", flush=True)
    text = report(results, asyncio.run(chat_kilobytes()))
    print(text)
    if arguments.write:
        draw(results)
        kept = REPORT.read_text(encoding="utf-8")
        head, _, rest = kept.partition("<!-- measured -->\n")
        _, end, tail = rest.partition("<!-- end -->")
        if not end:
            parser.error(f"{REPORT} has no <!-- measured --> ... <!-- end -->")
        REPORT.write_text(f"{head}<!-- measured -->\n{text}\n{end}{tail}", encoding="utf-8")


if __name__ == "__main__":
    main()
