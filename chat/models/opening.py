"""Opening a model: its swarm (an own one, or the one to join), its tokenizer, its client."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import importlib
import shlex
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from chat import places
from chat.models import doors
from chat.models.backend import Backend, Engine, Stage
from chat.models.embedded.child import ChildState, ChildStatus
from chat.models.embedded.plan import is_loopback
from chat.models.embedded.swarm import EmbeddedSwarm
from chat.models.gateway.opening import open_gateway
from chat.models.offered import Offered
from chat.models.sources import brought
from chat.settings.catalogue import ModelEntry
from chat.settings.schema import PROJECT, Settings
from farmesh import ClientConfig, load_tokenizer
from farmesh.errors import CheckpointError
from farmesh.hub.source import is_remote

# How far opening is, by what has been done; nodes load while the tokenizer does.
BROUGHT = 0.5  # a model that comes as one file, before anything else can begin
NODES_STARTING, TOKENIZER_LOADED, JOINING = 0.1, 0.5, 0.8
NODES_FETCHING = 0.85  # a model on the hub: the nodes are waited for, for minutes perhaps
STARTING_NODES = "Starting the nodes on this machine"
AGAIN_SECONDS = 5.0  # after which another app that could not be reached is asked again
FETCH_AGAIN_SECONDS = 30.0  # the same of places that have the model


@asynccontextmanager
async def opened(
    backend: Backend,
    settings: Settings,
    model: ModelEntry,
    swarm: EmbeddedSwarm | None,
    offered: Offered | None = None,
    *,
    forked: bool = False,
) -> AsyncIterator[None]:
    """Open the model in the background; leaving the scope closes everything in reverse order.

    Args:
        swarm: of the model, on this machine; one that is to be fetched first gets it then.
        offered: is told what else a swarm that is joined serves.
        forked: as :class:`EmbeddedSwarm` has it.
    """

    async def open_engine(backend: Backend, stack: AsyncExitStack) -> Engine:
        if settings.swarm.mode == "gateway":
            return await open_gateway(backend, settings.swarm, model, stack)
        if not model.sources:
            return await _open(backend, settings, model, swarm, stack, offered)
        came = await brought(model, settings, _fetching(backend, 0.0, BROUGHT))
        own = None
        if settings.swarm.mode == "embedded":
            own = await asyncio.to_thread(EmbeddedSwarm, settings.swarm, came, forked=forked)
        return await _open(backend, settings, came, own, stack, offered, came=True)

    opening = _keep_open(backend, open_engine, bool(model.sources))
    task = asyncio.create_task(opening, name="open model")
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def _keep_open(
    backend: Backend,
    open_engine: Callable[..., Awaitable[Engine]],
    fetches: bool,
) -> None:
    while True:
        async with AsyncExitStack() as stack:
            await backend.start(partial(open_engine, stack=stack))
            if backend.status.stage is Stage.READY:
                await asyncio.get_running_loop().create_future()  # until cancelled
        if backend.status.stage is not Stage.RETRYING:
            return  # whoever asks for this model again opens it anew, with nodes of its own
        # The other app, or a network, may be there later.
        await asyncio.sleep(FETCH_AGAIN_SECONDS if fetches else AGAIN_SECONDS)


async def _open(
    backend: Backend,
    settings: Settings,
    model: ModelEntry,
    swarm: EmbeddedSwarm | None,
    stack: AsyncExitStack,
    offered: Offered | None,
    *,
    came: bool = False,
) -> Engine:
    if swarm is not None:
        progress = max(backend.status.progress, NODES_STARTING)
        backend.doing(STARTING_NODES, progress)
        await stack.enter_async_context(swarm)
        reporter = asyncio.create_task(_report(backend, swarm), name="report nodes")
        stack.callback(reporter.cancel)
    # Both import torch or transformers, which takes seconds: never on the event loop. One after the
    # other: transformers' lazy imports fail when two threads make them for the first time.
    tokenizer = await asyncio.to_thread(_load_tokenizer, model)
    slow = came or is_remote(model.checkpoint_path)
    backend.doing(backend.status.text, TOKENIZER_LOADED)
    client_class = await asyncio.to_thread(_client_class)
    peers = await swarm.addresses() if swarm is not None else settings.swarm.peers
    backend.doing("Joining the swarm", JOINING)
    config = ClientConfig(
        checkpoint=model.checkpoint_path,
        revision=model.revision,
        active_adapter=str(model.adapter_path) if model.adapter_path else None,
        initial_peers=peers,
        dht_prefix=model.dht_prefix,
        quantize=model.quantize or settings.swarm.quantize,
    )
    if swarm is not None:  # an own node that was lost is being started again right now
        config = replace(config, ban_seconds=1.0, missing_blocks_timeout=60.0)
    fetching = _fetching(backend, JOINING, NODES_FETCHING)
    client = await asyncio.to_thread(client_class, config, progress=fetching, tokenizer=tokenizer)
    await stack.enter_async_context(client)
    if swarm is not None and slow:
        await _nodes_up(backend, swarm)
    if swarm is None and places.on_a_space():
        watching = asyncio.create_task(doors.watch_ports(backend, client), name="watch ports")
        stack.callback(watching.cancel)
    if swarm is None and offered is not None:
        looking = asyncio.create_task(offered.keep_looking(client), name="look for models")
        stack.callback(looking.cancel)
    announced = swarm.announced if swarm is not None else peers
    join = join_command(
        model.checkpoint, client.prefix, announced, revision=model.revision, adapter=model.adapter
    )
    where = "on this machine" if swarm is not None else "in the swarm that was joined"
    template = model.chat_template.read_text("utf-8") if model.chat_template else None
    await asyncio.to_thread(settle)
    context = min(model.context, client.max_context)
    return Engine(client, tokenizer, context, template, where, join, client.guides)


def _fetching(backend: Backend, start: float, end: float) -> Callable[[int, int], None]:
    """Shows in the page how much of a model, or of the app's own part of it, has come.

    Args:
        start, end: how far opening is before and after it.
    """

    def report(done: int, total: int) -> None:
        progress = start + (end - start) * done / max(1, total)
        backend.doing(f"Fetching the model: {done / 1e6:.0f} of {total / 1e6:.0f} MB", progress)

    return report


async def _nodes_up(backend: Backend, swarm: EmbeddedSwarm) -> None:
    """Wait for nodes that fetch or unpack their blocks, which takes longer than a route is sought.

    Raises:
        CheckpointError: a node was given up.
    """
    async for snapshot in swarm.changes():
        if snapshot.failed:
            child = snapshot.failed[0]
            raise CheckpointError(f"{child.name} could not be started: {child.detail}")
        if snapshot.is_up:
            return
        progress = NODES_FETCHING + (1.0 - NODES_FETCHING) * 0.99 * snapshot.fetched
        fetching = any(child.fetched is not None for child in snapshot.children)
        share = f"Fetching the model: {100 * snapshot.fetched:.0f} %"
        backend.doing(share if fetching else "The nodes load the model", progress)


async def _report(backend: Backend, swarm: EmbeddedSwarm) -> None:
    """Say in the page what is wrong with a node of our own."""
    async for snapshot in swarm.changes():
        said = filter(None, map(_trouble_of, snapshot.children))
        starting = any(child.state is ChildState.STARTING for child in snapshot.children)
        backend.warn(next(said, STARTING_NODES if starting else ""))


def _trouble_of(child: ChildStatus) -> str:
    """What to say of one of our own nodes; nothing while it is well or starts up."""
    match child.state:
        case ChildState.FAILED:
            return f"{child.name} could not be started: {child.detail}"
        case ChildState.RESTARTING:
            return f"{child.name} is being started again"
        case ChildState.STARTING if child.restarts:
            return f"{child.name} is being started again"
        case _:
            return ""


def settle() -> None:
    """Keep what is loaded for good out of garbage collections, each of which stalls all streams."""
    gc.unfreeze()  # of a model that was closed
    gc.collect()
    gc.freeze()


def _client_class() -> Any:
    return importlib.import_module("farmesh").FarMeshClient


def _load_tokenizer(model: ModelEntry) -> Any:
    """
    Raises:
        CheckpointError: the checkpoint has no usable tokenizer or chat template.
    """
    tokenizer = load_tokenizer(model.checkpoint_path, revision=model.revision)
    if not (model.chat_template or getattr(tokenizer, "chat_template", None)):
        raise CheckpointError(
            f"{model.name} has no chat template; name one with chat_template in the catalogue."
        )
    return tokenizer


def join_command(
    checkpoint: str,
    prefix: str,
    peers: Sequence[str],
    *,
    revision: str | None = None,
    adapter: str | None = None,
) -> str:
    """What to run in the project's folder to add a node, with all that the node must be told.

    The model's name in the swarm is always given: elsewhere its folder may be called differently.
    """
    words = [python(), "-m", "farmesh", "serve", checkpoint, "--prefix", prefix]
    words += ["--revision", revision] if revision else []
    words += ["--adapters", adapter] if adapter else []
    words += ["--peers", *peers]
    if not all(map(is_loopback, peers)):
        words += ["--host", "0.0.0.0"]  # others must reach the new node too
    return shlex.join(words)


def python() -> str:
    """How a person calls this Python from the project's folder."""
    ours = Path(sys.prefix)
    if not ours.is_relative_to(PROJECT):
        return "python"
    return str((ours / "bin" / "python").relative_to(PROJECT))
