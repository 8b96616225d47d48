"""``generate``: a reply of the swarm's model on stdout, token by token as it comes."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

from farmesh.cli.arguments import given
from farmesh.cli.process import Running, note
from farmesh.config import ClientConfig
from farmesh.errors import ConfigError
from farmesh.events import (
    Event,
    GenerationFinished,
    PrefillProgress,
    Rerouted,
    RouteFound,
    TokenGenerated,
    WaitingForBlocks,
    WaitingForCache,
)
from farmesh.params import SamplingParams


def start(arguments: argparse.Namespace) -> Running:
    sampling = given(SamplingParams, arguments)
    config = given(ClientConfig, arguments)
    from farmesh.checkpoint.tokenizer import load_tokenizer
    from farmesh.client.client import FarMeshClient
    from farmesh.hub.progress import FetchBar
    from farmesh.text import TextStream

    async def run() -> int:
        tokenizer = await asyncio.to_thread(
            load_tokenizer,
            config.checkpoint,
            revision=config.revision,
            cache_dir=config.cache_dir,
        )
        token_ids = _prompt_ids(tokenizer, arguments)
        text = TextStream(tokenizer, sampling.stop)
        found = await asyncio.to_thread(FarMeshClient, config, progress=FetchBar())
        async with found as client, client.session() as session:
            events = session.generate(token_ids, sampling)
            async with contextlib.aclosing(events):
                async for piece in _shown(events, text):
                    print(piece, end="", flush=True)
        return 0

    return run()


def _prompt_ids(tokenizer: Any, arguments: argparse.Namespace) -> list[int]:
    if arguments.raw:
        ids = tokenizer.encode(arguments.prompt)
    elif not tokenizer.chat_template:
        raise ConfigError(
            f"{arguments.checkpoint} has no chat template; use --raw to continue the prompt as it "
            "is."
        )
    else:
        messages = [{"role": "user", "content": arguments.prompt}]
        if arguments.system:
            messages.insert(0, {"role": "system", "content": arguments.system})
        text = tokenizer.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)
        ids = tokenizer.encode(text, add_special_tokens=False)
    if not ids:
        raise ConfigError("The prompt is empty.")
    return list(ids)


async def _shown(events: AsyncIterator[Event], text: Any) -> AsyncIterator[str]:
    """Text as it becomes safe to show; what happens beside it goes to stderr."""
    async for event in events:
        match event:
            case TokenGenerated(token_id=token_id):
                if piece := text.push(token_id):
                    yield piece
                if text.stopped:
                    yield "\n"
                    return
            case Rerouted(lost=lost, reason=reason):
                note(f"[node …{lost.peer_id[-4:]} was lost ({reason}); continuing]")
            case WaitingForBlocks(missing=missing, seconds_left=seconds):
                note(f"[nobody serves blocks {missing}; waiting {seconds:.0f} s more]")
            case WaitingForCache(peer_id=peer_id, seconds_left=seconds):
                note(f"[node …{peer_id[-4:]} is full; waiting {seconds:.0f} s more]")
            case GenerationFinished(stats=stats):
                yield f"{text.finish()}\n"
                speed = f"{stats.tokens_per_second:.1f} tokens/s, seed {stats.seed}"
                took = f"first after {stats.ttft:.2f} s, {speed}"
                note(f"[{stats.generated_tokens} tokens over {stats.hops} hops, {took}]")
            case RouteFound() | PrefillProgress():
                pass
