"""``status``: who serves which blocks of a model, as a table or as JSON."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from typing import Any

from farmesh.cli.process import EXIT_GAPS, Running
from farmesh.core import NodeInfo, NodeState, PeerId, Span, SwarmSnapshot
from farmesh.errors import ConfigError, FarMeshError

_JOIN_SECONDS = 10.0
_CLOCK_SECONDS = 1.0  # of difference are worth a warning
_MAP_COLUMNS = 48  # of the picture of a model's blocks


def start(arguments: argparse.Namespace) -> Running:
    prefix, num_blocks = _model_to_look_up(arguments)

    async def run() -> int:
        seen = await _look_up(tuple(arguments.initial_peers), prefix, num_blocks)
        if arguments.json:
            print(json.dumps(status_json(seen), indent=2, ensure_ascii=False, allow_nan=False))
        else:
            print(draw_status(seen))
        return 0 if seen.snapshot.is_complete else EXIT_GAPS

    return run()


@dataclass(frozen=True, slots=True)
class Seen:
    """What ``status`` found out about a swarm."""

    snapshot: SwarmSnapshot
    clocks: Mapping[PeerId, float] = field(default_factory=dict)  # seconds that ours is ahead
    bootstrap_peers: Mapping[PeerId, float | None] = field(default_factory=dict)  # their round trip


def _model_to_look_up(arguments: argparse.Namespace) -> tuple[str, int]:
    if arguments.checkpoint:
        from farmesh.checkpoint.reader import Checkpoint

        checkpoint = Checkpoint(
            arguments.checkpoint, revision=arguments.revision, cache_dir=arguments.cache_dir
        )
        return arguments.dht_prefix or checkpoint.default_prefix, checkpoint.num_blocks
    if not (arguments.dht_prefix and arguments.num_blocks):
        raise ConfigError(
            "Say which model: --checkpoint NAME, or --prefix NAME together with --num-blocks N."
        )
    return arguments.dht_prefix, arguments.num_blocks


async def _look_up(peers: tuple[str, ...], prefix: str, num_blocks: int) -> Seen:
    from farmesh.network.addresses import peer_id_of
    from farmesh.network.directory import DHTDirectory
    from farmesh.network.joining import joined
    from farmesh.network.libp2p import LibP2PTransport
    from farmesh.network.options import PeerOptions
    from farmesh.network.probing import Probe

    options = PeerOptions(initial_peers=peers, client_mode=True, join_timeout=_JOIN_SECONDS)
    async with joined(options) as peer:
        nodes = await DHTDirectory(peer.dht).lookup(prefix, num_blocks)
        transport = LibP2PTransport(peer)
        probes: dict[PeerId, Probe] = {}

        async def probe(peer_id: PeerId) -> None:
            with contextlib.suppress(FarMeshError):
                probes[peer_id] = await transport.probe(peer_id)

        first = [peer_id_of(address) for address in peers]
        await asyncio.gather(*map(probe, {*first, *(node.peer_id for node in nodes)}))
    rtts = {peer_id: probe.rtt for peer_id, probe in probes.items()}
    clocks = {peer_id: probe.clock_ahead for peer_id, probe in probes.items()}
    return Seen(
        SwarmSnapshot(prefix=prefix, num_blocks=num_blocks, nodes=nodes, rtts=rtts),
        clocks={peer_id: ahead for peer_id, ahead in clocks.items() if ahead is not None},
        bootstrap_peers={peer_id: rtts.get(peer_id) for peer_id in first},
    )


def draw_status(seen: Seen) -> str:
    """A table of nodes with a picture of the blocks each serves, then what is missing."""
    snapshot = seen.snapshot
    served = sum(1 for count in snapshot.replicas if count)
    nodes = len(snapshot.online)
    by = "1 node" if nodes == 1 else f"{nodes} nodes"
    lines = [f"{snapshot.prefix}: {served} of {snapshot.num_blocks} blocks served by {by}."]
    for peer_id, rtt in seen.bootstrap_peers.items():
        lines.append(f"Bootstrap peer …{peer_id[-6:]}: {_milliseconds(rtt)}.")
    if snapshot.nodes:
        head = ("node", "blocks", "", "state", "latency", "reached", "throughput", "version")
        rows = [_row(snapshot, node) for node in snapshot.nodes]
        lines += ["", *_table([(*head, "cache left"), *rows])]
    for gap in snapshot.gaps:
        which = f"block {gap.start}" if len(gap) == 1 else f"blocks {gap}"
        lines.append(
            f"\nNobody serves {which}. Start a node with: "
            f"python -m farmesh serve CHECKPOINT --peers ADDR --blocks {gap}"
        )
    return "\n".join([*lines, *_clock_warnings(seen)])


def _clock_warnings(seen: Seen) -> Iterator[str]:
    for peer_id, ahead in sorted(seen.clocks.items()):
        if abs(ahead) >= _CLOCK_SECONDS:
            where = "behind" if ahead > 0 else "ahead of"
            yield (
                f"\nThe clock of …{peer_id[-6:]} is {abs(ahead):.1f} seconds {where} this "
                "machine's; peers that differ by more than 3 drop one another."
            )


def _milliseconds(rtt: float | None) -> str:
    return "no answer" if rtt is None else f"{rtt * 1000:.1f} ms"


def _row(snapshot: SwarmSnapshot, node: NodeInfo) -> tuple[str, ...]:
    left = node.context_tokens_left
    return (
        f"{node.public_name or 'unnamed'} …{node.peer_id[-6:]}",
        str(node.span),
        _picture(node.span, snapshot.num_blocks),
        node.state.name.lower(),
        _milliseconds(snapshot.rtts.get(node.peer_id)),
        "via relay" if node.using_relay else "directly",
        f"{node.throughput:.0f}",
        node.version or "?",
        "?" if left is None else f"{left} tokens",
    )


def _picture(span: Span, num_blocks: int) -> str:
    """One column per block, or per several when they are many."""
    columns = min(num_blocks, _MAP_COLUMNS)
    edges = [column * num_blocks // columns for column in range(columns + 1)]
    return "".join(
        "█" if len(span.clip(Span(start, end))) else "·" for start, end in pairwise(edges)
    )


def _table(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        yield "  ".join(cells).rstrip()


def status_json(seen: Seen) -> dict[str, Any]:
    """The same facts for other programs."""
    snapshot = seen.snapshot
    return {
        "prefix": snapshot.prefix,
        "num_blocks": snapshot.num_blocks,
        "complete": snapshot.is_complete,
        "gaps": [[gap.start, gap.end] for gap in snapshot.gaps],
        "bootstrap_peers": [
            {"peer_id": peer_id, "rtt_seconds": rtt, "clock_ahead": seen.clocks.get(peer_id)}
            for peer_id, rtt in seen.bootstrap_peers.items()
        ],
        "nodes": [_node_json(seen, node) for node in snapshot.nodes],
    }


def _node_json(seen: Seen, node: NodeInfo) -> dict[str, Any]:
    fields = asdict(node)
    span = fields.pop("span")
    return {
        **fields,
        "start_block": span["start"],
        "end_block": span["end"],
        "state": NodeState(node.state).name.lower(),
        # A node that gets no answer from another says so with infinity, which JSON lacks.
        "next_pings": {
            peer_id: rtt if math.isfinite(rtt) else None for peer_id, rtt in node.next_pings.items()
        },
        "extensions": sorted(node.extensions),
        "rtt_seconds": seen.snapshot.rtts.get(node.peer_id),
        "clock_ahead": seen.clocks.get(node.peer_id),
    }
