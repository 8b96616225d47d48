"""What farmesh.hivemind mends, and that hivemind still needs it; its private attributes."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys

import pytest

import farmesh.hivemind
from farmesh.hivemind import daemon_ended, harden, open_daemon
from tests.farmesh.hivemind_faults import BY_NAME, FAULTS, tuples_end_the_process


def look_for(*names: str) -> subprocess.CompletedProcess[str]:
    """Look for faults in a process whose hivemind is as it was installed."""
    command = [sys.executable, "-m", "tests.farmesh.hivemind_faults", *names]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


def test_every_patch_has_a_canary() -> None:
    """Bug prevented: a patch that nobody notices when upstream has mended what it is for."""
    assert [patch.__name__ for patch in farmesh.hivemind.PATCHES] == list(FAULTS)
    assert all(patch.__doc__ for patch in farmesh.hivemind.PATCHES)


def test_hivemind_still_has_these_faults() -> None:
    """Bug prevented: patches of a hivemind that needs none. When this fails, upstream has mended
    what the fault is named after: drop its patch."""
    names = BY_NAME.keys() - {tuples_end_the_process.__name__}
    ended = look_for(*names)
    assert ended.returncode == 0, ended.stderr
    assert json.loads(ended.stdout) == dict.fromkeys(names, True)


def test_nested_tuples_still_end_a_process() -> None:
    """Bug prevented: as above, for the fault after which nothing can be printed."""
    assert look_for(tuples_end_the_process.__name__).returncode == -signal.SIGSEGV


@pytest.mark.parametrize("name", BY_NAME)
async def test_the_patches_mend_them(name: str) -> None:
    """Bug prevented: a patch that a new hivemind no longer looks at, so that a stranger's bytes
    end this process, fill its memory or its log, hide a block, or stop all calls."""
    harden()
    assert not await BY_NAME[name]()


async def test_the_end_of_a_daemon_is_noticed() -> None:
    """Bug prevented: an app that waits for ever behind a daemon that was killed, because hivemind
    keeps the process elsewhere now."""
    daemon = await open_daemon(auto_nat=False, use_relay=False)
    try:
        ended = asyncio.create_task(daemon_ended(daemon))
        os.kill(daemon._child.pid, signal.SIGKILL)
        async with asyncio.timeout(30):
            await ended
    finally:
        await daemon.shutdown()
