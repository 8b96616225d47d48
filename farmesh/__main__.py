"""The engine on the command line: ``python -m farmesh bootstrap | serve | status | generate``."""

import sys

from farmesh.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
