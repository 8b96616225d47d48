"""The engine on the command line: ``python -m farmesh bootstrap | serve | status | …``.

Exit codes: 0 done, also after SIGTERM; 1 ``status`` found blocks that nobody serves, or a peer lost
its p2p daemon; 2 one sentence on stderr says what is wrong; 130 ended by Ctrl-C.

torch, transformers and hivemind are imported by the command that needs them, after the arguments
were read, so that ``--help`` and a mistyped flag answer at once.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable, Sequence

from farmesh.cli import bootstrap, families, generate, process, serve, status
from farmesh.cli.arguments import command_line
from farmesh.lean import hollow

_START: dict[str, Callable[..., process.Running]] = {
    "bootstrap": bootstrap.start,
    "serve": serve.start,
    "status": status.start,
    "generate": generate.start,
    "families": families.start,
}


def main(argv: Sequence[str] | None = None) -> int:
    arguments = command_line().parse_args(argv)
    if getattr(arguments, "exit_with_stdin", False):
        process.end_with_stdin()
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
    # Its training (averaging, experts, optimisers, and scipy for them) is not used: 20 MB.
    hollow("hivemind")
    return process.run(lambda: _START[arguments.command](arguments))
