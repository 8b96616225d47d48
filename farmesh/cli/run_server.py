"""``python -m farmesh.cli.run_server``: upstream's command to serve blocks, and its flags."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from farmesh.cli.main import main as run
from farmesh.cli.upstream import add_network, add_without_effect, network_flags, say_without_effect

_MEASURED = ("auto", "eval")  # of --throughput; here it is measured at every start

_WITHOUT_EFFECT = [
    "--compression",
    "--custom_module_path",
    "--expiration",
    "--increase_file_limit",
    "--link_bandwidth",
    "--max_alloc_timeout",
    "--max_batch_size",
    "--max_chunk_size_bytes",
    "--max_disk_space",
    "--min_batch_size",
    "--network_speed",
    "--num_handlers",
    "--prefetch_batches",
    "--request_timeout",
    "--sender_threads",
    "--session_timeout",
    "--stats_report_interval",
    "--step_timeout",
    "--tensor_parallel_devices",
]
# What these ask for is so anyway: relays are used where needed, no health service is asked.
_SO_ANYWAY = ["--skip_reachability_check", "--use_auto_relay", "--use_relay"]


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m farmesh.cli.run_server", description=__doc__)
    parser.add_argument("checkpoint", nargs="?", metavar="converted_model_name_or_path")
    parser.add_argument("--converted_model_name_or_path", dest="checkpoint_flag", metavar="PATH")
    parser.add_argument("--public_name", help="shown to others beside the node")
    parser.add_argument("--num_blocks", type=int, help="how many blocks to serve")
    parser.add_argument("--block_indices", help="which blocks to serve, e.g. 0:18")
    parser.add_argument("--dht_prefix", help="key of the model in the DHT")
    parser.add_argument("--attn_cache_tokens", type=int, help="tokens of context held per block")
    parser.add_argument("--device", help="cpu, cuda or cuda:N")
    parser.add_argument("--torch_dtype", default="auto", help="auto, float32, bfloat16, float16")
    parser.add_argument("--quant_type", choices=["none", "int8", "nf4"])
    parser.add_argument("--adapters", nargs="*", default=[], help="LoRA adapters to serve too")
    parser.add_argument("--revision", help="branch, tag or commit on the hub")
    parser.add_argument("--cache_dir", help="where files from the hub are kept")
    parser.add_argument("--token", "--use_auth_token", help="token for the hub, as HF_TOKEN")
    parser.add_argument("--update_period", type=float, help="seconds between announcements")
    parser.add_argument(
        "--inference_max_length", type=int, help="longest session accepted, in tokens"
    )
    parser.add_argument(
        "--throughput", default="auto", help="to announce; auto or eval: as measured at start"
    )
    parser.add_argument("--balance_quality", help="how uneven the swarm may be before this moves")
    parser.add_argument("--mean_balance_check_period", help="seconds between thoughts of moving")
    for flag in ("--no_auto_relay", "--no_relay"):
        parser.add_argument(flag, dest="no_relay", action="store_true", help="take no relay")
    add_network(parser)
    for switch in _SO_ANYWAY:
        parser.add_argument(switch, action="store_true", help=argparse.SUPPRESS)
    add_without_effect(parser, _WITHOUT_EFFECT, ["--dht_client_mode"])
    return parser


def translate(argv: Sequence[str]) -> list[str]:
    """Upstream's arguments as those of ``python -m farmesh serve``."""
    arguments = parser().parse_args(argv)
    say_without_effect(arguments)
    checkpoint = arguments.checkpoint or arguments.checkpoint_flag
    if checkpoint is None:
        sys.exit("Name the model to serve: python -m farmesh.cli.run_server PATH …")
    flags = ["serve", checkpoint]
    for flag, value in (
        ("--blocks", arguments.block_indices),
        ("--num-blocks", arguments.num_blocks),
        ("--prefix", arguments.dht_prefix),
        ("--name", arguments.public_name),
        ("--revision", arguments.revision),
        ("--cache-dir", arguments.cache_dir),
        ("--quantize", arguments.quant_type),
        ("--cache-tokens", arguments.attn_cache_tokens),
        ("--device", arguments.device),
        ("--dtype", arguments.torch_dtype.removeprefix("torch.")),
        ("--relay", "never" if arguments.no_relay else None),
        ("--max-session-tokens", arguments.inference_max_length),
        ("--throughput", None if arguments.throughput in _MEASURED else arguments.throughput),
        ("--balance-quality", arguments.balance_quality),
        ("--rebalance-period", arguments.mean_balance_check_period),
        ("--update-period", arguments.update_period and max(1, round(arguments.update_period))),
    ):
        if value is not None:
            flags += [flag, str(value)]
    for adapter in arguments.adapters:
        flags += ["--adapters", adapter]
    if arguments.token:  # not as a flag: other users of this machine can read those
        os.environ["HF_TOKEN"] = arguments.token
    return flags + network_flags(arguments, public=True)


def main(argv: Sequence[str] | None = None) -> int:
    return run(translate(sys.argv[1:] if argv is None else argv))


if __name__ == "__main__":
    sys.exit(main())
