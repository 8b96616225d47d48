"""What the command line takes: one parser, a subparser for each command.

A flag of a setting stores it under the setting's own name: ``given`` finds it there.
"""

from __future__ import annotations

import argparse
import math
from dataclasses import fields
from pathlib import Path
from typing import Any, NoReturn, TypeVar

from farmesh.cli.process import EXIT_WRONG
from farmesh.config import BootstrapConfig, ClientConfig, NodeConfig, Relay
from farmesh.core import Span
from farmesh.params import KNOB, SamplingParams

COMMANDS = ("bootstrap", "serve", "status", "generate")

_EXAMPLE_ADDRESS = "/ip4/127.0.0.1/tcp/31337/p2p/Qm…"
_NODE = NodeConfig(checkpoint="")  # its values are what the flags default to
_REPLY = SamplingParams()

T = TypeVar("T", BootstrapConfig, ClientConfig, NodeConfig, SamplingParams)


def given(kind: type[T], arguments: argparse.Namespace, **others: Any) -> T:
    """A dataclass of what was given for its fields; ``others`` are the ones that differ."""
    values = {f.name: getattr(arguments, f.name) for f in fields(kind) if f.name in arguments}
    lists = {name: tuple(value) for name, value in values.items() if isinstance(value, list)}
    return kind(**(values | lists | others))


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
        dest="span",
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
        dest="allowed_peers",
        nargs="+",
        action="extend",
        default=[],
        metavar="PEER",
        help="serve only peers with these ids; default: everybody who reaches this node",
    )
    group.add_argument(
        "--name", dest="public_name", metavar="TEXT", help="shown to others beside this node"
    )
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
        choices=("auto", "none", "int8", "int4", "nf4"),
        default="auto",
        help="keep the weights in 8 or 4 bits: less memory, faster on CPUs, not quite the same "
        "replies; auto: as a GGUF file has them, where that is fast; none: in --dtype; nf4, and "
        "int8 of some families, need the extra quant (auto)",
    )
    group.add_argument(
        "--threads", type=_natural, default=0, metavar="N", help="torch threads; 0: as torch likes"
    )
    group.add_argument(
        "--cache-tokens",
        type=_positive,
        default=_NODE.cache_tokens,
        metavar="N",
        help="tokens of context held for all sessions together (%(default)s)",
    )
    group.add_argument(
        "--max-session-tokens",
        type=_positive,
        default=_NODE.max_session_tokens,
        metavar="N",
        help="longest session accepted, at most --cache-tokens (%(default)s)",
    )
    parser.add_argument(
        "--update-period",
        type=_positive,
        default=int(_NODE.update_period),
        metavar="SECONDS",
        help="between announcements; others forget a silent node after twice that (%(default)s)",
    )
    _add_process(parser)


def _add_place(parser: Any) -> None:
    """The node among others: what it says of itself, and when it moves."""
    group = parser.add_argument_group("its place in the swarm")
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
        default=_NODE.balance_quality,
        metavar="X",
        help="without --blocks: move when the swarm's weakest block has less than this part of the "
        "throughput that it would have then; 0: never (%(default)s)",
    )
    group.add_argument(
        "--rebalance-period",
        type=_rate,
        default=_NODE.rebalance_period,
        metavar="SECONDS",
        help="between thoughts of moving, on average; 0: never (%(default)s)",
    )


def _add_quotas(parser: Any) -> None:
    group = parser.add_argument_group("what one peer may take; a web app is one peer")
    for name, metavar, text in (
        ("max_sessions_per_peer", "N", "sessions open at once"),
        ("max_cache_tokens_per_peer", "N", "tokens held for it; 0: all that nobody else needs"),
        ("max_queued_sessions_per_peer", "N", "sessions that wait for room in the KV cache"),
        ("max_queued_bytes_per_peer", "BYTES", "activations that wait to be computed"),
    ):
        group.add_argument(
            f"--{name.replace('_', '-')}",
            type=_natural,
            default=getattr(_NODE, name),
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
        dest="active_adapter",
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
    group = parser.add_argument_group("sampling", "how each next token is chosen")
    for name in _SAMPLING:
        default = getattr(_REPLY, name)
        group.add_argument(
            f"--{name.replace('_', '-')}",
            type=type(default),
            default=default,
            metavar="N" if isinstance(default, int) else "X",
            help=f"{KNOB[name].help} (%(default)s)",
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


# The knobs that are flags here; what each does is said where it is defined.
_SAMPLING = ("max_new_tokens", "temperature", "top_p", "top_k", "min_p", "repetition_penalty")


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
        dest="initial_peers",
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
        dest="dht_prefix",
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
        dest="identity_path",
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
