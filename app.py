"""FarMesh Chat: settings → swarm → chats → page and API → server; closed in reverse order.

``python app.py --help`` lists the flags; the README has the rest.
"""

from __future__ import annotations

import asyncio
import gc
import os
import sys
from collections.abc import Sequence

from chat.serving import logs
from chat.settings.command_line import settings_from_command_line
from farmesh.errors import FarMeshError
from farmesh.lean import hollow


def main(argv: Sequence[str] | None = None) -> int:
    """Serve until SIGTERM or Ctrl-C; returns the exit code, 2 after one sentence on stderr."""
    settings, catalogue = settings_from_command_line(argv)
    logs.configure(settings.logging)
    os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")  # read when Gradio is imported
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")  # ... and when huggingface_hub is
    hollow("hivemind")  # of which this app uses a part
    try:
        # Here and not above: they take seconds, which --help and a wrong setting need not wait for.
        import uvloop  # comes with hivemind; less work per message

        from chat.serving.run import run

        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(run(settings, catalogue))
    except FarMeshError as error:
        print(error, file=sys.stderr)  # noqa: T201
        return 2
    except KeyboardInterrupt:  # during an import
        return 130
    return 0


if __name__ == "__main__":
    code = main()
    gc.freeze()  # all is closed: a last search for garbage takes a second and a half, for nothing
    sys.exit(code)
