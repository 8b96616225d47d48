"""The engine on the command line: ``python -m farmesh bootstrap | serve | status | …``."""

import multiprocessing.connection  # noqa: F401 - hivemind leaves that to torch
import sys

from farmesh.cli.main import main
from farmesh.lean import leave_out

if __name__ == "__main__":
    if sys.argv[1:2] == ["bootstrap"]:
        leave_out("torch")  # three quarters of its memory, for types that hivemind names
    sys.exit(main())
