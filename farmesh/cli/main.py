"""The engine on the command line: ``python -m farmesh bootstrap | serve | status | generate``.

Exit codes: 0 done, also after SIGTERM; 1 ``status`` found blocks that nobody serves, or a peer lost
its p2p daemon; 2 one sentence on stderr says what is wrong; 130 ended by Ctrl-C.

torch, transformers and hivemind are imported by the command that needs them, after the arguments
were read, so that ``--help`` and a mistyped flag answer at once.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gc
import json
import logging
import math
import os
import signal
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any, NoReturn

from farmesh.config import BootstrapConfig, ClientConfig, NodeConfig, Relay
from farmesh.core import NodeInfo, NodeState, PeerId, Span, SwarmSnapshot
from farmesh.errors import ConfigError, FarMeshError
from farmesh.events import (
    Event,
    GenerationFinished,
    PrefillProgress,
    Rerouted,
    RouteFound,
    TokenGenerated,
    WaitingForBlocks,
    WaitingForCache,
)
from farmesh.params import SamplingParams

EXIT_GAPS, EXIT_LOST, EXIT_WRONG, EXIT_INTERRUPTED = 1, 1, 2, 130
COMMANDS = ("bootstrap", "serve", "status", "generate")

Running = Coroutine[Any, Any, int]  # a command under way; its result is the exit code

_SHUTDOWN_SECONDS = 5.0  # for a clean end; then the process ends regardless
_LOST_SECONDS = 1.0  # the same for a peer that nobody can reach any more
_STATUS_JOIN_SECONDS = 10.0
_CLOCK_SECONDS = 1.0  # of difference are worth a warning
_MAP_COLUMNS = 48  # of the picture of a model's blocks

_EXAMPLE_ADDRESS = "/ip4/127.0.0.1/tcp/31337/p2p/Qm…"


# --- Arguments --------------------------------------------------------------------------------


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one sentence, without the usage above it."""

    def error(self, message: str) -> NoReturn:
        self.exit(EXIT_WRONG, f"{message[:1].upper()}{message[1:]}. See {self.prog} --help.\n")


def command_line() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="python -m farmesh",
        description=(
            "Run a large language model on several machines: each node serves some of its layers "
            "(blocks), and a client sends its tokens through all of them."
        ),
        epilog=(
            "A swarm in three terminals: 'bootstrap' prints an address; 'serve models/guide "
            "--peers ADDRESS --blocks 0:4' and the same with '--blocks 4:8' serve the bundled "
            "model; 'generate models/guide --peers ADDRESS --prompt Hello' talks to it."
        ),
    )
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for add in (_add_bootstrap, _add_serve, _add_status, _add_generate):
        add(commands)
    return parser


def subparser(name: str) -> argparse.ArgumentParser:
    """The parser of one command, for the documentation."""
    actions = command_line()._subparsers._group_actions  # type: ignore[union-attr]
    return actions[0].choices[name]  # type: ignore[index]


def _add_bootstrap(commands: Any) -> None:
    parser = commands.add_parser(
        "bootstrap",
        help="start a peer that others join the swarm through",
        description=(
            "Start a peer that others join the swarm through. It serves no blocks and needs little "
            "memory; one per swarm is enough, a second one keeps the swarm reachable without it."
        ),
    )
    _add_listening(parser)
    _add_peers(parser, "other bootstrap peers of the swarm to join; none: found a new swarm")
    parser.add_argument(
        "--no-relay",
        action="store_const",
        const=Relay.NEVER,
        default=Relay.OFFER,
        dest="relay",
        help="do not carry traffic for nodes behind routers",
    )
    _add_process(parser)


def _add_serve(commands: Any) -> None:
    parser = commands.add_parser(
        "serve",
        help="serve some blocks of a model to the swarm",
        description=(
            "Serve some blocks of a model to the swarm. The node loads only those blocks, "
            "announces them, and computes for every client that asks. Ends on Ctrl-C or SIGTERM."
        ),
    )
    _add_checkpoint(parser)
    _add_peers(parser, "bootstrap addresses of the swarm to join; none: found a new swarm")
    group = parser.add_argument_group("what to serve, and to whom")
    group.add_argument(
        "--blocks",
        type=_span,
        metavar="FROM:TO",
        help="blocks to serve, e.g. 0:4 for the first four; default: those the swarm needs most",
    )
    group.add_argument(
        "--num-blocks",
        type=_positive,
        metavar="N",
        help="how many blocks to serve when --blocks is left out; default: as many as fit",
    )
    group.add_argument(
        "--adapters",
        nargs="+",
        action="extend",
        default=[],
        metavar="NAME",
        help="LoRA adapters to serve beside the plain model: folders, or names on the hub "
        "(needs the extra lora)",
    )
    _add_prefix(group)
    group.add_argument(
        "--allow",
        nargs="+",
        action="extend",
        default=[],
        metavar="PEER",
        help="serve only peers with these ids; default: everybody who reaches this node",
    )
    group.add_argument("--name", metavar="TEXT", help="shown to others beside this node")
    _add_place(parser)
    _add_quotas(parser)
    group = _add_listening(parser)
    group.add_argument(
        "--relay",
        choices=["auto", "always", "never"],
        default="auto",
        help="be reached through the bootstrap peers: always, from behind a router or a firewall; "
        "auto: when nobody gets in directly; never (%(default)s)",
    )
    group = parser.add_argument_group("how to compute")
    group.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N (auto)")
    group.add_argument(
        "--dtype",
        default="auto",
        help="auto, float32, bfloat16 or float16; auto: float32 on CPUs, bfloat16 on GPUs (auto)",
    )
    group.add_argument(
        "--quantize",
        choices=("none", "int8", "nf4"),
        default="none",
        help="keep the weights in 8 or 4 bits: less memory, not quite the same replies; needs the "
        "extra quant (none)",
    )
    group.add_argument(
        "--threads", type=_natural, default=0, metavar="N", help="torch threads; 0: as torch likes"
    )
    group.add_argument(
        "--cache-tokens",
        type=_positive,
        default=NodeConfig(checkpoint="").cache_tokens,
        metavar="N",
        help="tokens of context held for all sessions together (%(default)s)",
    )
    group.add_argument(
        "--max-session-tokens",
        type=_positive,
        default=NodeConfig(checkpoint="").max_session_tokens,
        metavar="N",
        help="longest session accepted, at most --cache-tokens (%(default)s)",
    )
    parser.add_argument(
        "--update-period",
        type=_positive,
        default=int(NodeConfig(checkpoint="").update_period),
        metavar="SECONDS",
        help="between announcements; others forget a silent node after twice that (%(default)s)",
    )
    _add_process(parser)


def _add_place(parser: Any) -> None:
    """The node among others: what it says of itself, and when it moves."""
    group = parser.add_argument_group("its place in the swarm")
    neutral = NodeConfig(checkpoint="")
    group.add_argument(
        "--throughput",
        type=_rate,
        metavar="X",
        help="blocks times tokens per second to announce instead of what is measured at start; "
        "nodes choose their blocks by it",
    )
    group.add_argument(
        "--balance-quality",
        type=_rate,
        default=neutral.balance_quality,
        metavar="X",
        help="without --blocks: move when the swarm's weakest block has less than this part of the "
        "throughput that it would have then; 0: never (%(default)s)",
    )
    group.add_argument(
        "--rebalance-period",
        type=_rate,
        default=neutral.rebalance_period,
        metavar="SECONDS",
        help="between thoughts of moving, on average; 0: never (%(default)s)",
    )


def _add_quotas(parser: Any) -> None:
    group = parser.add_argument_group("what one peer may take; a web app is one peer")
    neutral = NodeConfig(checkpoint="")
    for name, metavar, text in (
        ("max_sessions_per_peer", "N", "sessions open at once"),
        ("max_cache_tokens_per_peer", "N", "tokens held for it; 0: all that nobody else needs"),
        ("max_queued_sessions_per_peer", "N", "sessions that wait for room in the KV cache"),
        ("max_queued_bytes_per_peer", "BYTES", "activations that wait to be computed"),
    ):
        group.add_argument(
            f"--{name.replace('_', '-')}",
            type=_natural,
            default=getattr(neutral, name),
            metavar=metavar,
            help=f"{text} (%(default)s)",
        )


def _add_status(commands: Any) -> None:
    parser = commands.add_parser(
        "status",
        help="show who serves which blocks of a model",
        description=(
            "Show who serves which blocks of a model, what is missing, and how fast each node "
            "answers from here. Exit code 1 when nobody serves some block."
        ),
    )
    _add_peers(parser, "bootstrap addresses of the swarm to look at", required=True)
    model = parser.add_argument_group("which model", "either --checkpoint, or the other two")
    model.add_argument(
        "--checkpoint",
        metavar="NAME",
        help="folder or GGUF file of the model, or its name on the hub; only what describes it is "
        "read",
    )
    _add_hub(model)
    _add_prefix(model)
    model.add_argument("--num-blocks", type=_positive, metavar="N", help="how many blocks it has")
    parser.add_argument("--json", action="store_true", help="print JSON for other programs")
    _add_process(parser, stdin=False)


def _add_generate(commands: Any) -> None:
    parser = commands.add_parser(
        "generate",
        help="write a reply with the swarm's model",
        description=(
            "Write a reply with the swarm's model, token by token as it comes. The reply goes to "
            "stdout, everything else to stderr."
        ),
    )
    _add_checkpoint(parser)
    _add_peers(parser, "bootstrap addresses of the swarm that serves the model", required=True)
    _add_prefix(parser)
    parser.add_argument(
        "--adapter",
        metavar="NAME",
        help="LoRA that the nodes shall apply, by its name in the swarm",
    )
    parser.add_argument("--prompt", required=True, metavar="TEXT", help="what to say to the model")
    parser.add_argument("--system", metavar="TEXT", help="system prompt, before the prompt")
    parser.add_argument(
        "--raw",
        action="store_true",
        help="continue the prompt as it is, without the model's chat template",
    )
    neutral = SamplingParams()
    group = parser.add_argument_group("sampling", "how each next token is chosen")
    for name, text in _SAMPLING.items():
        default = getattr(neutral, name)
        group.add_argument(
            f"--{name.replace('_', '-')}",
            type=type(default),
            default=default,
            metavar="N" if isinstance(default, int) else "X",
            help=f"{text} (%(default)s)",
        )
    group.add_argument(
        "--seed", type=int, metavar="N", help="same seed, same reply; default: a fresh one"
    )
    group.add_argument(
        "--stop",
        nargs="+",
        action="extend",
        default=[],
        metavar="TEXT",
        help="end the reply before any of these",
    )
    _add_process(parser, stdin=False)


_SAMPLING = {
    "max_new_tokens": "longest reply, in tokens",
    "temperature": "0: always the likeliest token; higher: more variety",
    "top_p": "only the likeliest tokens that together have this probability; 1: off",
    "top_k": "only the N likeliest tokens; 0: off",
    "min_p": "only tokens at least this likely relative to the likeliest; 0: off",
    "repetition_penalty": "above 1: tokens that already occurred become less likely; 1: off",
}


def _add_checkpoint(parser: Any) -> None:
    parser.add_argument(
        "checkpoint",
        metavar="CHECKPOINT",
        help="folder with config.json and *.safetensors, e.g. models/guide; a GGUF file; or a name "
        "on the Hugging Face hub, owner/model or owner/model:file.gguf, of which only the files "
        "needed are fetched (HF_TOKEN for private ones)",
    )
    _add_hub(parser)


def _add_hub(parser: Any) -> None:
    parser.add_argument(
        "--revision", metavar="NAME", help="branch, tag or commit on the hub (its main branch)"
    )
    parser.add_argument(
        "--cache-dir",
        type=Path,
        metavar="FOLDER",
        help="where files from the hub are kept (HF_HOME, or ~/.cache/huggingface)",
    )


def _add_peers(parser: Any, help_text: str, *, required: bool = False) -> None:
    parser.add_argument(
        "--peers",
        nargs="+",
        action="extend",
        default=[],
        required=required,
        metavar="ADDR",
        help=f"{help_text}; an address looks like {_EXAMPLE_ADDRESS}",
    )


def _add_prefix(parser: Any) -> None:
    parser.add_argument(
        "--prefix",
        metavar="NAME",
        help="the model's name in the swarm; nodes and clients must say the same "
        "(made from the model's name)",
    )


def _add_listening(parser: Any) -> Any:
    group = parser.add_argument_group("where to listen")
    group.add_argument(
        "--host",
        default="127.0.0.1",
        metavar="ADDRESS",
        help="address to listen on; 0.0.0.0 lets other machines in (%(default)s)",
    )
    group.add_argument(
        "--port",
        type=_port,
        default=0,
        metavar="PORT",
        help="TCP port; 0: any free one (%(default)s)",
    )
    group.add_argument(
        "--announce",
        nargs="+",
        action="extend",
        default=[],
        metavar="ADDR",
        help="addresses to tell others instead, e.g. /ip4/203.0.113.7/tcp/31337 behind a router",
    )
    group.add_argument(
        "--identity",
        type=Path,
        metavar="FILE",
        help="file with this peer's private key, made when missing; keeps the address the same",
    )
    group.add_argument(
        "--address-file",
        type=Path,
        metavar="FILE",
        help="file to write this peer's addresses to, when it can be reached",
    )
    return group


def _add_process(parser: Any, *, stdin: bool = True) -> None:
    if stdin:
        parser.add_argument(
            "--exit-with-stdin",
            action="store_true",
            help="end when stdin is closed, so that this process cannot outlive its parent",
        )
    parser.add_argument("--verbose", action="store_true", help="show the engine's own log")


def _span(text: str) -> Span:
    try:
        return Span.parse(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _natural(text: str) -> int:
    if not text.isdigit():
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 0 up")
    return int(text)


def _rate(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 <= number < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 0 up")
    return number


def _port(text: str) -> int:
    if _natural(text) > 65535:
        raise argparse.ArgumentTypeError("a port is at most 65535")
    return int(text)


def _positive(text: str) -> int:
    if _natural(text) == 0:
        raise argparse.ArgumentTypeError("it must be at least 1")
    return int(text)


# --- bootstrap and serve ----------------------------------------------------------------------


def _bootstrap(arguments: argparse.Namespace) -> Running:
    config = BootstrapConfig(
        host=arguments.host,
        port=arguments.port,
        announce=tuple(arguments.announce),
        identity_path=arguments.identity,
        initial_peers=tuple(arguments.peers),
        relay=arguments.relay,
    )
    from farmesh.network.bootstrap import Bootstrap

    async def run() -> int:
        async with Bootstrap(config) as peer:
            _write_addresses(arguments.address_file, peer.addresses)
            _say_ready("Bootstrap peer ready", peer.addresses, "CHECKPOINT", peer.addresses)
            return await _until_lost(peer.lost)

    return run()


def node_config(arguments: argparse.Namespace) -> NodeConfig:
    """What ``serve`` was told. Raises: ConfigError."""
    return NodeConfig(
        checkpoint=arguments.checkpoint,
        revision=arguments.revision,
        cache_dir=arguments.cache_dir,
        initial_peers=tuple(arguments.peers),
        span=arguments.blocks,
        num_blocks=arguments.num_blocks,
        dht_prefix=arguments.prefix,
        host=arguments.host,
        port=arguments.port,
        announce=tuple(arguments.announce),
        identity_path=arguments.identity,
        relay=Relay(arguments.relay),
        public_name=arguments.name,
        device=arguments.device,
        dtype=arguments.dtype,
        quantize=arguments.quantize,
        adapters=tuple(arguments.adapters),
        threads=arguments.threads,
        cache_tokens=arguments.cache_tokens,
        max_session_tokens=arguments.max_session_tokens,
        throughput=arguments.throughput,
        balance_quality=arguments.balance_quality,
        rebalance_period=arguments.rebalance_period,
        update_period=float(arguments.update_period),
        max_sessions_per_peer=arguments.max_sessions_per_peer,
        max_cache_tokens_per_peer=arguments.max_cache_tokens_per_peer,
        max_queued_sessions_per_peer=arguments.max_queued_sessions_per_peer,
        max_queued_bytes_per_peer=arguments.max_queued_bytes_per_peer,
        allowed_peers=tuple(arguments.allow),
    )


def _serve(arguments: argparse.Namespace) -> Running:
    config = node_config(arguments)
    from farmesh.hub.progress import FetchBar
    from farmesh.network.transport import first_of
    from farmesh.node import FarNode

    model = arguments.checkpoint + (f" --prefix {arguments.prefix}" if arguments.prefix else "")

    async def run() -> int:
        while True:
            # It may ask the hub: in a thread, so that Ctrl-C is heard meanwhile.
            node = await asyncio.to_thread(FarNode, config, progress=FetchBar())
            async with node:
                what = f"Serving blocks {node.info.span} of {arguments.checkpoint}"
                _settle()
                _write_addresses(arguments.address_file, node.addresses)
                _say_ready(what, node.addresses, model, arguments.peers or node.addresses)
                await first_of(node.lost, node.cut_off)
                if node.lost.is_set():
                    return await _until_lost(node.lost)
            _note("No relay takes this node in any more; it joins the swarm anew.")

    return run()


def _settle() -> None:
    """Keep what is loaded for good out of garbage collections, each of which stalls all streams."""
    gc.collect()
    gc.freeze()


async def _until_lost(lost: asyncio.Event) -> int:
    """Serve until the p2p daemon dies; whoever supervises this process then starts it again."""
    await lost.wait()
    _note("Nobody can reach this peer any more: its p2p daemon ended.")
    threading.Thread(target=_end_late, args=(EXIT_LOST, _LOST_SECONDS), daemon=True).start()
    return EXIT_LOST


def _write_addresses(path: Path | None, addresses: Sequence[str]) -> None:
    """At once or not at all: whoever waits for the file must not read half of it."""
    if path is not None:
        half = path.with_name(f"{path.name}.new")
        half.write_text("\n".join(addresses) + "\n", encoding="utf-8")
        half.replace(path)


def _say_ready(what: str, addresses: Sequence[str], model: str, peers: Sequence[str]) -> None:
    """Tell a person and a supervising process: an address alone on a line means ready."""
    print(f"{what}. Its address:", *addresses, sep="\n")
    print(f"Add a node with:\n  python -m farmesh serve {model} --peers {' '.join(peers)}")
    print("Ctrl-C ends it.", flush=True)


# --- status -----------------------------------------------------------------------------------


def _status(arguments: argparse.Namespace) -> Running:
    prefix, num_blocks = _model_to_look_up(arguments)

    async def run() -> int:
        seen = await _look_up(tuple(arguments.peers), prefix, num_blocks)
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
        return arguments.prefix or checkpoint.default_prefix, checkpoint.num_blocks
    if not (arguments.prefix and arguments.num_blocks):
        raise ConfigError(
            "Say which model: --checkpoint NAME, or --prefix NAME together with --num-blocks N."
        )
    return arguments.prefix, arguments.num_blocks


async def _look_up(peers: tuple[str, ...], prefix: str, num_blocks: int) -> Seen:
    from farmesh.network.addresses import peer_id_of
    from farmesh.network.directory import DHTDirectory
    from farmesh.network.joining import joined
    from farmesh.network.libp2p import LibP2PTransport
    from farmesh.network.options import PeerOptions
    from farmesh.network.probing import Probe

    options = PeerOptions(initial_peers=peers, client_mode=True, join_timeout=_STATUS_JOIN_SECONDS)
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


# --- generate ---------------------------------------------------------------------------------


def _generate(arguments: argparse.Namespace) -> Running:
    sampling = SamplingParams(
        **{name: getattr(arguments, name) for name in _SAMPLING},
        seed=arguments.seed,
        stop=tuple(arguments.stop),
    )
    from farmesh.checkpoint.tokenizer import load_tokenizer
    from farmesh.client.client import FarMeshClient
    from farmesh.hub.progress import FetchBar
    from farmesh.text import TextStream

    config = ClientConfig(
        checkpoint=arguments.checkpoint,
        revision=arguments.revision,
        cache_dir=arguments.cache_dir,
        active_adapter=arguments.adapter,
        initial_peers=tuple(arguments.peers),
        dht_prefix=arguments.prefix,
    )

    async def run() -> int:
        tokenizer = await asyncio.to_thread(
            load_tokenizer,
            config.checkpoint,
            revision=config.revision,
            cache_dir=config.cache_dir,
        )
        token_ids = _prompt_ids(tokenizer, arguments)
        text = TextStream(tokenizer, sampling.stop)
        found = await asyncio.to_thread(FarMeshClient, config, progress=FetchBar())
        async with found as client, client.session() as session:
            events = session.generate(token_ids, sampling)
            async with contextlib.aclosing(events):
                async for piece in _shown(events, text):
                    print(piece, end="", flush=True)
        return 0

    return run()


def _prompt_ids(tokenizer: Any, arguments: argparse.Namespace) -> list[int]:
    if arguments.raw:
        ids = tokenizer.encode(arguments.prompt)
    elif not tokenizer.chat_template:
        raise ConfigError(
            f"{arguments.checkpoint} has no chat template; use --raw to continue the prompt as it "
            "is."
        )
    else:
        messages = [{"role": "user", "content": arguments.prompt}]
        if arguments.system:
            messages.insert(0, {"role": "system", "content": arguments.system})
        text = tokenizer.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)
        ids = tokenizer.encode(text, add_special_tokens=False)
    if not ids:
        raise ConfigError("The prompt is empty.")
    return list(ids)


async def _shown(events: AsyncIterator[Event], text: Any) -> AsyncIterator[str]:
    """Text as it becomes safe to show; what happens beside it goes to stderr."""
    async for event in events:
        match event:
            case TokenGenerated(token_id=token_id):
                if piece := text.push(token_id):
                    yield piece
                if text.stopped:
                    yield "\n"
                    return
            case Rerouted(lost=lost, reason=reason):
                _note(f"[node …{lost.peer_id[-4:]} was lost ({reason}); continuing]")
            case WaitingForBlocks(missing=missing, seconds_left=seconds):
                _note(f"[nobody serves blocks {missing}; waiting {seconds:.0f} s more]")
            case WaitingForCache(peer_id=peer_id, seconds_left=seconds):
                _note(f"[node …{peer_id[-4:]} is full; waiting {seconds:.0f} s more]")
            case GenerationFinished(stats=stats):
                yield f"{text.finish()}\n"
                speed = f"{stats.tokens_per_second:.1f} tokens/s, seed {stats.seed}"
                took = f"first after {stats.ttft:.2f} s, {speed}"
                _note(f"[{stats.generated_tokens} tokens over {stats.hops} hops, {took}]")
            case RouteFound() | PrefillProgress():
                pass


def _note(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


# --- Running ----------------------------------------------------------------------------------

# Reads the arguments and imports what the command needs, then returns what runs in the loop: a
# signal during an import, which takes seconds, need not wait for its end.
_RUN: dict[str, Callable[[argparse.Namespace], Running]] = {
    "bootstrap": _bootstrap,
    "serve": _serve,
    "status": _status,
    "generate": _generate,
}


def main(argv: Sequence[str] | None = None) -> int:
    arguments = command_line().parse_args(argv)
    if getattr(arguments, "exit_with_stdin", False):
        threading.Thread(target=_end_with_stdin, daemon=True).start()
    level = "INFO" if arguments.verbose else "WARNING"
    os.environ.setdefault("HIVEMIND_LOGLEVEL", level)  # read when hivemind is imported
    # Read when torch is imported. By default its idle threads spin for milliseconds, on cores
    # that the next hop or anybody else on this machine could use.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    logging.basicConfig(
        level=level,
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
        stream=sys.stderr,
    )
    try:
        import uvloop  # comes with hivemind; a third less work per message

        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(_until_ended(_RUN[arguments.command](arguments)))
    except FarMeshError as error:
        _note(str(error))
        return EXIT_WRONG
    except KeyboardInterrupt:  # during an import
        return EXIT_INTERRUPTED
    except BrokenPipeError:  # the reader of our output has gone, as `| head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_INTERRUPTED


async def _until_ended(command: Running) -> int:
    """Run a command; the first SIGTERM or Ctrl-C closes its scopes in order, a second ends it."""
    loop = asyncio.get_running_loop()
    task = asyncio.ensure_future(command)
    exit_codes: list[int] = []

    def end(exit_code: int) -> None:
        if exit_codes:
            os._exit(exit_code)
        exit_codes.append(exit_code)
        # What is to be closed may be dead already, and not answer.
        threading.Thread(target=_end_late, args=(exit_code, _SHUTDOWN_SECONDS), daemon=True).start()
        task.cancel()

    for number, exit_code in ((signal.SIGTERM, 0), (signal.SIGINT, EXIT_INTERRUPTED)):
        if signal.getsignal(number) is not signal.SIG_IGN:  # as of a shell script's job
            loop.add_signal_handler(number, end, exit_code)
    try:
        return await task
    except asyncio.CancelledError:
        return exit_codes[0]


def _end_late(exit_code: int, seconds: float) -> None:
    time.sleep(seconds)
    os._exit(exit_code)


def _end_with_stdin() -> None:
    """Wait for the parent to go, then end as SIGTERM would; never outlive it for long."""
    while os.read(0, 4096):
        pass
    os.kill(os.getpid(), signal.SIGTERM)
    _end_late(EXIT_WRONG, _SHUTDOWN_SECONDS)
