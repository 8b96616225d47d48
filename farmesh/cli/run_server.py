"""``python -m farmesh.cli.run_server``: upstream's command to serve blocks, and its flags."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from farmesh.__main__ import main as run
from farmesh.cli.upstream import add_network, ignore, network_flags

_VALUES = [
    "--balance_quality",
    "--compression",
    "--custom_module_path",
    "--expiration",
    "--inference_max_length",
    "--increase_file_limit",
    "--link_bandwidth",
    "--max_alloc_timeout",
    "--max_batch_size",
    "--max_chunk_size_bytes",
    "--max_disk_space",
    "--mean_balance_check_period",
    "--min_batch_size",
    "--num_handlers",
    "--prefetch_batches",
    "--request_timeout",
    "--sender_threads",
    "--session_timeout",
    "--stats_report_interval",
    "--step_timeout",
    "--tensor_parallel_devices",
    "--throughput",
]
_SWITCHES = [
    "--dht_client_mode",
    "--skip_reachability_check",
    "--use_auto_relay",
    "--use_relay",
]


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
    parser.add_argument("--quant_type", choices=["none", "int8", "nf4"], default="none")
    parser.add_argument("--adapters", nargs="*", default=[], help="LoRA adapters to serve too")
    parser.add_argument("--revision", help="branch, tag or commit on the hub")
    parser.add_argument("--cache_dir", help="where files from the hub are kept")
    parser.add_argument("--token", "--use_auth_token", help="token for the hub, as HF_TOKEN")
    parser.add_argument("--update_period", type=float, help="seconds between announcements")
    for flag in ("--no_auto_relay", "--no_relay"):
        parser.add_argument(flag, dest="no_relay", action="store_true", help="take no relay")
    add_network(parser)
    ignore(parser, _VALUES, _SWITCHES)
    return parser


def translate(argv: Sequence[str]) -> list[str]:
    """Upstream's arguments as those of ``python -m farmesh serve``."""
    arguments = parser().parse_args(argv)
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
