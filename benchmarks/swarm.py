"""Swarms to measure: nodes as processes over libp2p, or in this process without sockets."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.processes import process_tree
from farmesh import ClientConfig, FarMeshClient, FarNode, InferenceSession, NodeConfig, Span
from farmesh.errors import FarMeshError
from farmesh.events import Rerouted, TokenGenerated
from farmesh.network.inprocess import Faults, InProcessSwarm
from farmesh.params import SamplingParams

_READY_SECONDS = 60.0


# --- Processes --------------------------------------------------------------------------------


class Peer:
    """One ``python -m farmesh`` process and its address."""

    def __init__(self, *arguments: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "farmesh", *arguments, "--exit-with-stdin"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.address = ""

    def wait_ready(self) -> str:
        """The address, once the process has said it.

        Raises:
            RuntimeError: it ended instead.
        """
        if self.process.stdout is None:
            raise RuntimeError("the process has no stdout")
        while not self.address:
            line = self.process.stdout.readline()
            if not line:
                raise RuntimeError(f"{self.process.args} ended before it was ready")
            if line.startswith("/"):
                self.address = line.strip()
        return self.address

    @property
    def peer_id(self) -> str:
        return self.address.rpartition("/")[2]

    def kill(self) -> None:
        """SIGKILL for the process and its daemon, at once."""
        for pid in list(process_tree(self.process.pid)):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def end(self) -> None:
        if self.process.stdin is not None:
            self.process.stdin.close()
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.kill()
            self.process.wait()
        if self.process.stdout is not None:
            self.process.stdout.close()


@dataclass(slots=True)
class Processes:
    """A bootstrap peer and nodes, ready."""

    bootstrap: Peer
    nodes: list[Peer]

    @property
    def pids(self) -> Iterator[int]:
        for peer in (self.bootstrap, *self.nodes):
            yield from process_tree(peer.process.pid)

    def node(self, peer_id: str) -> Peer:
        return next(node for node in self.nodes if node.peer_id == peer_id)


@contextlib.asynccontextmanager
async def processes(
    checkpoint: Path, spans: Sequence[Span], *, threads: int, cache_tokens: int = 32768
) -> AsyncIterator[Processes]:
    """A bootstrap peer and one node per span, as real processes on loopback."""
    peers = [Peer("bootstrap")]
    try:
        address = await asyncio.to_thread(peers[0].wait_ready)
        for span in spans:
            options = {
                "--peers": address,
                "--blocks": str(span),
                "--threads": str(threads),
                "--cache-tokens": str(cache_tokens),
            }
            flat = [word for option in options.items() for word in option]
            peers.append(Peer("serve", str(checkpoint), *flat))
        for peer in peers[1:]:
            await asyncio.to_thread(peer.wait_ready)
        yield Processes(peers[0], peers[1:])
    finally:
        for peer in reversed(peers):
            await asyncio.to_thread(peer.end)


@contextlib.asynccontextmanager
async def joined(
    checkpoint: Path, address: str, nodes: int, **settings: object
) -> AsyncIterator[FarMeshClient]:
    """A client over libp2p that sees all nodes."""
    config = ClientConfig(checkpoint=checkpoint, initial_peers=(address,), **settings)  # type: ignore[arg-type]
    async with FarMeshClient(config) as client:
        await _all_online(client, nodes)
        gc.collect()
        gc.freeze()  # as the app does
        yield client


async def _all_online(client: FarMeshClient, nodes: int) -> None:
    async with asyncio.timeout(_READY_SECONDS):
        while len(client.snapshot.online) < nodes or not client.snapshot.is_complete:
            with contextlib.suppress(FarMeshError):  # not joined yet
                await client.refresh()
            await asyncio.sleep(0.1)


# --- In-process -------------------------------------------------------------------------------


@contextlib.asynccontextmanager
async def in_process(
    checkpoint: Path,
    spans: Sequence[Span],
    *,
    threads: int,
    faults: Faults | None = None,
    seed: int = 0,
    cache_tokens: int = 32768,
    **settings: object,
) -> AsyncIterator[tuple[InProcessSwarm, FarMeshClient, list[FarNode]]]:
    """Nodes and client in this process, without sockets; ``settings`` are the client's."""
    swarm = InProcessSwarm(seed=seed, faults=faults)
    async with contextlib.AsyncExitStack() as scope:
        nodes = []
        for index, span in enumerate(spans):
            config = NodeConfig(
                checkpoint=checkpoint, span=span, threads=threads, cache_tokens=cache_tokens
            )
            node = FarNode(config, network=lambda name=f"node{index}": swarm.network(name))  # type: ignore[misc]
            nodes.append(await scope.enter_async_context(node))
        configured = ClientConfig(checkpoint=checkpoint, **settings)  # type: ignore[arg-type]
        client = FarMeshClient(configured, network=lambda: swarm.network("client"))
        await scope.enter_async_context(client)
        await _all_online(client, len(spans))
        yield swarm, client, nodes


# --- Chats ------------------------------------------------------------------------------------


@dataclass(eq=False, slots=True)
class ChatRun:
    """One reply: when it was asked for and when each token was there (monotonic seconds)."""

    started: float
    times: list[float] = field(default_factory=list)
    tokens: list[int] = field(default_factory=list)
    reroutes: int = 0
    _grown: asyncio.Event = field(default_factory=asyncio.Event)

    async def reaches(self, tokens: int) -> None:
        """Return when this many tokens are there."""
        while len(self.times) < tokens:
            self._grown.clear()
            await self._grown.wait()

    def add(self, token_id: int) -> None:
        self.times.append(time.perf_counter())
        self.tokens.append(token_id)
        self._grown.set()

    @property
    def ttft(self) -> float:
        return self.times[0] - self.started

    @property
    def tokens_per_second(self) -> float:
        """First token excluded."""
        return (len(self.times) - 1) / (self.times[-1] - self.times[0])


async def chat(
    session: InferenceSession, token_ids: list[int], new_tokens: int, run: ChatRun | None = None
) -> ChatRun:
    """One greedy reply of exactly ``new_tokens``; ``run`` can be watched meanwhile."""
    run = run or ChatRun(time.perf_counter())
    sampling = SamplingParams(max_new_tokens=new_tokens, temperature=0.0, ignore_eos=True)
    async for event in session.generate(token_ids, sampling):
        match event:
            case TokenGenerated():
                run.add(event.token_id)
            case Rerouted():
                run.reroutes += 1
    return run


async def new_chats(
    client: FarMeshClient, prompts: Sequence[list[int]], new_tokens: int
) -> list[ChatRun]:
    """Several chats at once, each in a new session that ends with it."""

    async def one(prompt: list[int]) -> ChatRun:
        run = ChatRun(time.perf_counter())
        async with client.session() as session:
            return await chat(session, prompt, new_tokens, run)

    return await asyncio.gather(*map(one, prompts))
