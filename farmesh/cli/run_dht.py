"""``python -m farmesh.cli.run_dht``: upstream's command to start a bootstrap peer."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from farmesh.cli.main import main as run
from farmesh.cli.upstream import add_network, add_without_effect, network_flags, say_without_effect


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m farmesh.cli.run_dht", description=__doc__)
    add_network(parser)
    parser.add_argument("--no_relay", action="store_true", help="carry no traffic for others")
    parser.add_argument("--use_relay", action="store_true", help="the default: relay for others")
    add_without_effect(parser, ["--refresh_period"], ["--use_ipfs"])
    return parser


def translate(argv: Sequence[str]) -> list[str]:
    """Upstream's arguments as those of ``python -m farmesh bootstrap``."""
    arguments = parser().parse_args(argv)
    say_without_effect(arguments)
    relay = ["--no-relay"] if arguments.no_relay else []
    return ["bootstrap", *relay, *network_flags(arguments, public=False)]


def main(argv: Sequence[str] | None = None) -> int:
    return run(translate(sys.argv[1:] if argv is None else argv))


if __name__ == "__main__":
    sys.exit(main())
