"""What one app and its embedded swarm hold in memory, process by process.

``python -m benchmarks.memory [MODEL.gguf]`` starts the app with two nodes, asks it something, and
prints each process's proportional set size (PSS: its own pages, and its share of those that several
processes have) from ``/proc/PID/smaps_rollup``. Linux only.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import httpx

from benchmarks.processes import process_tree, pss, role

PROJECT = Path(__file__).resolve().parent.parent
START_SECONDS = 300.0
END_SECONDS = 20.0
TARGET_MIB = 1229  # 1.2 GiB
_QUESTIONS = ("Write a haiku about the sea.", "What is the capital of France?")


@contextlib.contextmanager
def running(model: Path | None, nodes: int) -> Iterator[tuple[int, str]]:
    """The app with its swarm; its process id and its address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        flags = []
        if model is not None:
            catalogue, settings = folder / "models.toml", folder / "chat.toml"
            catalogue.write_text(
                f'[real]\nname = "{model.stem}"\nlicence = "its own"\n'
                f'checkpoint = "{model.resolve()}"\ncontext = 4096\n'
            )
            settings.write_text(f'[models]\ncatalogue = "{catalogue}"\ndefault = "real"\n')
            flags = ["--config", str(settings)]
        environment = {
            "FARMESH_CHAT_SWARM_STATE_DIR": str(folder / "state"),
            "FARMESH_CHAT_SWARM_NODES": str(nodes),
        }
        with (folder / "log").open("w+") as log:
            process = subprocess.Popen(
                [sys.executable, "app.py", "--port", str(port), "--no-browser", *flags],
                cwd=PROJECT,
                env={**os.environ, **environment},
                stdout=log,
                stderr=subprocess.STDOUT,
            )
            try:
                wait_ready(process, f"http://127.0.0.1:{port}", folder / "log")
                yield process.pid, f"http://127.0.0.1:{port}"
            finally:
                process.send_signal(signal.SIGTERM)
                process.wait(END_SECONDS)


def wait_ready(process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            break
        with contextlib.suppress(httpx.HTTPError):
            if httpx.get(f"{url}/readyz", timeout=2).status_code == 200:
                return
        time.sleep(0.2)
    raise SystemExit(f"The app did not start:\n{log.read_text()}")


def ask(url: str, model: str, question: str) -> None:
    message = {"role": "user", "content": question}
    body = {"model": model, "messages": [message], "max_tokens": 60, "temperature": 0}
    httpx.post(f"{url}/v1/chat/completions", json=body, timeout=120).raise_for_status()


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.memory", description=__doc__)
    parser.add_argument("model", nargs="?", type=Path, help="a GGUF file; default: the app's own")
    parser.add_argument("--nodes", type=int, default=2)
    arguments = parser.parse_args()
    with running(arguments.model, arguments.nodes) as (pid, url):
        model = httpx.get(f"{url}/v1/models", timeout=10).json()["data"][0]["id"]
        for question in _QUESTIONS:
            ask(url, model, question)
        sizes = [(role(each), pss(each)) for each in process_tree(pid)]
    print(f"{'process':<16}{'PSS':>8}{'own':>8}{'files':>8}  MiB")
    for name, size in sizes:
        print(f"{name:<16}{size['Pss']:8.0f}{size['Pss_Anon']:8.0f}{size['Pss_File']:8.0f}")
    daemons = sum(size["Pss"] for name, size in sizes if name == "p2pd")
    total = sum(size["Pss"] for _, size in sizes)
    print(f"{'together':<16}{total:8.0f}  of which {daemons:.0f} are libp2p's daemons")
    print(f"{'without these':<16}{total - daemons:8.0f}  of at most {TARGET_MIB}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
