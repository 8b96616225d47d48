"""How near this engine comes to llama.cpp on the same file and the same cores.

``python -m benchmarks.ceiling [MODEL.gguf]`` measures in turn, round by round: ``llama-bench``
alone and over two ``ggml-rpc-server``, ``node-llama-cpp``, and two nodes of ours with a
client over libp2p. What it needs of llama.cpp is built or installed into ``benchmarks/.cache`` at
the first run: from the source in ``llama-cpp-python`` (some minutes), and from npm.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import random
import socket
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

os.environ.setdefault("HIVEMIND_LOGLEVEL", "WARNING")  # read when hivemind is imported
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # read when torch is imported; see notes.md

import uvloop

from benchmarks.machine import OthersLoad, describe, own_cpu
from benchmarks.processes import ask
from benchmarks.swarm import joined, new_chats, processes
from farmesh import FarMeshClient, Span
from farmesh.checkpoint.reader import Checkpoint

CACHE = Path(__file__).parent / ".cache"
SOURCE = "llama-cpp-python==0.3.36"  # carries llama.cpp's source
NODE = "node-llama-cpp@3"
THREADS = 2
CHATS = 8
PROMPT, LONG = 16, 512  # tokens
REPLY, SHORT = 128, 64  # tokens of a reply: of one chat, of each of eight
_CMAKE = (
    *("-DGGML_NATIVE=ON", "-DGGML_RPC=ON", "-DCMAKE_BUILD_TYPE=Release"),
    *("-DLLAMA_BUILD_TESTS=OFF", "-DLLAMA_BUILD_SERVER=OFF", "-DLLAMA_BUILD_APP=OFF"),
    *("-DLLAMA_CURL=OFF", "-DLLAMA_OPENSSL=OFF"),
)
_TOOLS = ("llama-bench", "ggml-rpc-server")


@dataclass(frozen=True, slots=True)
class Row:
    """A ratio of two figures of a round, and what it should be."""

    name: str
    ours: str
    theirs: str
    target: float
    at_most: bool = False


ROWS = (
    Row("one chat / llama-bench tg128", "one", "bench one", 0.6),
    Row("one chat / llama.cpp over RPC, two servers", "one", "rpc one", 1.5),
    Row("one chat / node-llama-cpp", "one", "node one", 1.0),
    Row("eight chats / node-llama-cpp, eight sequences", "eight", "node eight", 2.0),
    Row("TTFT of 512 tokens / llama-bench pp512", "ttft", "bench ttft", 1.2, at_most=True),
    Row("TTFT of 512 tokens / node-llama-cpp", "ttft", "node ttft", 1.0, at_most=True),
)


# --- llama.cpp, built and installed -----------------------------------------------------------


def build_tools(folder: Path, *tools: str) -> Path:
    """The folder of these programs of llama.cpp, built if they are not there."""
    build = folder / "build"
    found = build / "bin"
    if all((found / tool).is_file() for tool in tools):
        return found
    folder.mkdir(parents=True, exist_ok=True)
    _run(
        *(sys.executable, "-m", "pip", "download", "-q", "--no-deps"),
        *("--no-binary", "llama-cpp-python", "-d", str(folder), SOURCE),
    )
    with tarfile.open(next(folder.glob("llama_cpp_python-*.tar.gz"))) as archive:
        archive.extractall(folder, filter="data")
    source = next(folder.glob("llama_cpp_python-*/vendor/llama.cpp"))
    _run("cmake", "-S", str(source), "-B", str(build), *_CMAKE)
    _run("cmake", "--build", str(build), "-j", str(THREADS), "--target", *tools)
    return found


def install_node(folder: Path) -> Path:
    """A folder with node-llama-cpp, whose prebuilt llama.cpp needs no install script."""
    if not (folder / "node_modules" / "node-llama-cpp").is_dir():
        folder.mkdir(parents=True, exist_ok=True)
        _run("npm", "install", "--ignore-scripts", "--no-audit", "--no-fund", NODE, cwd=folder)
    script = Path(__file__).with_name("node_llama.mjs")
    (folder / script.name).write_text(script.read_text("utf-8"), "utf-8")
    return folder


def _run(*command: str, cwd: Path | None = None) -> None:
    subprocess.run(command, check=True, stdout=sys.stderr, cwd=cwd)


# --- The sides, each measured once a round ----------------------------------------------------


def llama_bench(tools: Path, model: Path, *options: str) -> dict[str, float]:
    """Tokens per second of one chat, and seconds for a prompt."""
    command = [str(tools / "llama-bench"), "-m", str(model), "-t", str(THREADS), "-r", "1"]
    done = subprocess.run(
        [*command, "-p", str(LONG), "-n", str(REPLY), "-o", "json", *options],
        check=True,
        capture_output=True,
        text=True,
    )
    prompt, reply = sorted(json.loads(done.stdout), key=lambda test: int(test["n_gen"]))
    return {"one": reply["avg_ts"], "ttft": LONG / prompt["avg_ts"]}


@contextlib.contextmanager
def rpc_servers(tools: Path) -> Iterator[str]:
    """Two servers; their addresses as llama-bench wants them."""
    ports = [_free_port(), _free_port()]
    servers = [
        subprocess.Popen(
            [str(tools / "ggml-rpc-server"), "-H", "127.0.0.1", "-p", str(port)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for port in ports
    ]
    try:
        for port in ports:
            _wait_for(port)
        yield ",".join(f"127.0.0.1:{port}" for port in ports)
    finally:
        for server in servers:
            server.terminate()
            server.wait()


class NodeLlama:
    """node-llama-cpp in a process of its own; a ``with`` scope."""

    def __init__(self, folder: Path, model: Path) -> None:
        self._process = subprocess.Popen(
            ["node", "node_llama.mjs", str(model), str(THREADS)],
            cwd=folder,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> NodeLlama:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate(timeout=30)  # it ends with its input

    def times(self, prompts: Sequence[list[int]], count: int) -> list[list[float]]:
        """When each token of each chat was there, seconds from the request."""
        request = {"prompts": prompts, "count": count}
        found: list[list[float]] = ask(self._process, request)
        return found


def figures(times: Sequence[Sequence[float]]) -> float:
    """Tokens per second of all chats together, from when all decode to the first one's end."""
    begin, end = max(chat[0] for chat in times), min(chat[-1] for chat in times)
    return sum(1 for chat in times for moment in chat if begin < moment <= end) / (end - begin)


class Prompts:
    """Random ids by a fixed seed, the same for all sides."""

    def __init__(self, vocabulary: int) -> None:
        self._draw, self._vocabulary = random.Random(0), vocabulary

    def some(self, chats: int, tokens: int) -> list[list[int]]:
        return [
            [self._draw.randrange(100, self._vocabulary) for _ in range(tokens)]
            for _ in range(chats)
        ]


async def ours(client: FarMeshClient, prompts: Prompts) -> dict[str, float]:
    async def times(chats: int, tokens: int, count: int) -> list[list[float]]:
        runs = await new_chats(client, prompts.some(chats, tokens), count)
        return [[moment - run.started for moment in run.times] for run in runs]

    before = own_cpu()
    one = figures(await times(1, PROMPT, REPLY))
    cpu = (own_cpu() - before) / REPLY
    eight = figures(await times(CHATS, PROMPT, SHORT))
    ttft = (await times(1, LONG, 1))[0][0]
    return {"one": one, "eight": eight, "ttft": ttft, "cpu": cpu}


def node_figures(node: NodeLlama, prompts: Prompts) -> dict[str, float]:
    return {
        "one": figures(node.times(prompts.some(1, PROMPT), REPLY)),
        "eight": figures(node.times(prompts.some(CHATS, PROMPT), SHORT)),
        "ttft": node.times(prompts.some(1, LONG), 1)[0][0],
    }


# --- Rounds and the table ---------------------------------------------------------------------


async def measure(model: Path, rounds: int, without: Sequence[str]) -> list[dict[str, float]]:
    """One dictionary of figures per round, after one that is not counted."""
    checkpoint = Checkpoint(model)
    blocks, vocabulary = checkpoint.num_blocks, int(checkpoint.config.vocab_size)
    spans = [Span(0, blocks // 2), Span(blocks // 2, blocks)]
    found: list[dict[str, float]] = []
    async with contextlib.AsyncExitStack() as scope:
        tools = None if "bench" in without else build_tools(CACHE / "llama.cpp", *_TOOLS)
        node = None
        if "node" not in without:
            node = scope.enter_context(NodeLlama(install_node(CACHE / "node"), model))
        swarm = await scope.enter_async_context(processes(model, spans, threads=THREADS))
        client = await scope.enter_async_context(joined(model, swarm.bootstrap.address, 2))
        for number in range(rounds + 1):
            prompts, figures_of = Prompts(vocabulary), {}
            with OthersLoad() as load:
                figures_of |= _named("", await ours(client, prompts))
                if tools is not None:
                    figures_of |= _named("bench ", await _aside(llama_bench, tools, model))
                    with rpc_servers(tools) as servers:
                        rpc = await _aside(llama_bench, tools, model, "--rpc", servers)
                    figures_of |= _named("rpc ", rpc)
                if node is not None:
                    figures_of |= _named("node ", await _aside(node_figures, node, prompts))
            figures_of["others"] = load.normal
            print(json.dumps({key: round(value, 3) for key, value in figures_of.items()}))
            if number:  # the first one warms up
                found.append(figures_of)
    return found


async def _aside(call: object, *arguments: object) -> dict[str, float]:
    """In a thread: the client goes on answering its swarm."""
    return await asyncio.to_thread(call, *arguments)  # type: ignore[arg-type]


def _named(side: str, values: dict[str, float]) -> dict[str, float]:
    return {side + key: value for key, value in values.items()}


def table(rounds: Sequence[dict[str, float]]) -> str:
    lines = ["| | target | measured: median (lowest to highest) | | ours | theirs |"]
    lines.append("|---|---|---|---|---|---|")
    for row in ROWS:
        if row.theirs not in rounds[0]:
            continue
        ratios = sorted(each[row.ours] / each[row.theirs] for each in rounds)
        middle = median(ratios)
        reached = middle <= row.target if row.at_most else middle >= row.target
        target = f"{'≤' if row.at_most else '≥'} {row.target:g}"
        spread = f"{middle:.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f}, n = {len(ratios)})"
        mine, other = (median(each[key] for each in rounds) for key in (row.ours, row.theirs))
        unit = "s" if row.at_most else "tokens/s"
        lines.append(
            f"| {row.name} | {target} | {spread} | {'pass' if reached else '**miss**'} "
            f"| {mine:.3g} {unit} | {other:.3g} {unit} |"
        )
    return "\n".join(lines)


def _free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def _wait_for(port: int, seconds: float = 30.0) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1.0):
            return
        time.sleep(0.05)
    raise RuntimeError(f"nobody listens on port {port}")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.ceiling", description=__doc__)
    parser.add_argument("model", nargs="?", type=Path, help="a GGUF file (the catalogue's smollm2)")
    parser.add_argument("--rounds", type=int, default=5, help="(5)")
    parser.add_argument(
        "--without", nargs="*", default=[], choices=("bench", "node"), help="sides to leave out"
    )
    arguments = parser.parse_args()
    model = arguments.model or smollm2()
    rounds = uvloop.run(measure(model.resolve(), arguments.rounds, arguments.without))
    print(f"\n{describe()}; {model.name}; {THREADS} threads a process\n\n{table(rounds)}")
    return 0


def smollm2() -> Path:
    cache = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser()
    found = sorted(cache.glob("farmesh-chat/models/*/SmolLM2-135M-Instruct.Q4_1.gguf"))
    if not found:
        sys.exit("Start the app once, so that it fetches smollm2; or name a GGUF file.")
    return found[0]


if __name__ == "__main__":
    sys.exit(main())
