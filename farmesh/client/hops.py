"""The hops of one session's route: what each is known to hold, and how all are brought forward."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import Awaitable, Callable

import torch

from farmesh.client.dialling import Dialler
from farmesh.client.link import HopLink
from farmesh.client.passage import Passage
from farmesh.client.patience import WATCH_SECONDS
from farmesh.core import Route
from farmesh.planning.chunks import Chunk, first_starts, plan_chunks
from farmesh.wire.messages import Step, tokens_per_message
from farmesh.wire.metadata import StepMetadata

Embed = Callable[[Chunk], Awaitable[torch.Tensor]]  # to [1, tokens, hidden]
Told = Callable[[int], Awaitable[None]]  # hears how many tokens are done

_CHUNKS_BETWEEN = 1  # prefill chunks on their way, beside one at each hop


class Hops:
    """The links of a route in order; empty before it is opened and after it was closed."""

    def __init__(self, dialler: Dialler, max_length: int, embed: Embed) -> None:
        """
        Args:
            max_length: tokens that the hops are asked to hold.
        """
        self.links: list[HopLink] = []
        self.relay_only = False  # no pushes: to find out which hop is slow or answers nonsense
        self._dialler = dialler
        self._asked_length = max_length
        self._embed = embed
        self._epoch = 0
        # Unique within the session, which is all that nodes ask; a syscall per token is not free.
        self._step_ids = map(str, itertools.count())
        self._entry = asyncio.Lock()  # chunks enter the first hop in order

    def __repr__(self) -> str:
        return f"<Hops {self.position} tokens | {self}>"

    def __str__(self) -> str:
        return " → ".join(str(link.hop) for link in self.links)

    def __len__(self) -> int:
        return len(self.links)

    @property
    def position(self) -> int:
        """Tokens held by every hop."""
        return min((link.position for link in self.links), default=0)

    @property
    def max_length(self) -> int:
        """Tokens that the hops can hold: what was asked for, within their nodes' limits."""
        return min((link.max_length for link in self.links), default=self._asked_length)

    @property
    def route(self) -> Route:
        return Route(tuple(link.hop for link in self.links))

    def held(self, upto: int) -> int:
        """Of the tokens wanted, how many no hop has to compute."""
        return min(self._positions(upto))

    def _positions(self, upto: int) -> list[int]:
        """How much of what is wanted each hop holds; the last token is always computed."""
        return [min(link.position, upto - 1) for link in self.links]

    @property
    def _reorders(self) -> bool:
        """Whether chunks that overtake one another between the hops are put in order there."""
        return all(link.has("epoch") for link in self.links)

    @property
    def _chunk_size(self) -> int:
        """Most tokens of a prefill message; fewer where the hops can work at several at once.

        A message must fit where pushes go.
        """
        config = self._dialler.config
        most = tokens_per_message(self._dialler.hidden_size, torch.float32, config.prefill_chunk)
        if len(self.links) == 1 or not self._reorders:
            return most
        return min(most, config.pipelined_chunk)

    # --- taking back ----------------------------------------------------------------------------

    async def open(self, route: Route) -> list[HopLink]:
        """Links over a route or a part of it, for :attr:`links`.

        Raises: HopLost, the first one that failed; the others are closed again.
        """
        return await self._dialler.open_route(route, self._asked_length)

    def rewind(self, position: int) -> None:
        """No hop counts as holding more; the next step tells them."""
        for link in self.links:
            link.position = min(link.position, position)

    def let_go(self) -> None:
        """Whatever is still on its way belongs to an older epoch now."""
        self._epoch += 1
        for link in self.links:
            link.forget_in_flight()

    async def stop_work(self) -> None:
        """Tell the hops to drop what is still queued for this session; no answer is awaited."""
        busy = [link for link in self.links if link.in_flight]
        self.let_go()
        with contextlib.suppress(TimeoutError):  # a hop that hangs holds up nobody
            async with asyncio.timeout(WATCH_SECONDS):
                await asyncio.gather(
                    *(link.send(self._empty_step(link)) for link in busy if link.has("epoch")),
                    return_exceptions=True,
                )

    def _empty_step(self, link: HopLink) -> Step:
        metadata = StepMetadata(
            session_id=link.session_id,
            step_id=next(self._step_ids),
            # A node with states would go back to a snapshot, and nobody would hear to which.
            start_from_position=None if link.has("snapshots") else link.position,
            epoch=self._epoch,
        )
        return Step(torch.empty(1, 0, self._dialler.hidden_size), metadata)

    async def close(self) -> None:
        """Free the nodes' caches."""
        links, self.links = self.links, []
        await asyncio.gather(*(link.close() for link in links))

    async def make_rewindable(self, upto: int) -> None:
        """Prepare hops that would have to be rewound, and cannot be at every token.

        Those with states go back to a snapshot, and are brought forward from there. On those that
        cannot go back at all (Petals 2.2) a new session is opened.

        Raises: HopLost.
        """
        while held := {
            link: start
            for link, start in self._rewound_links(upto).items()
            if link.has("snapshots")
        }:  # again, since a hop must also compute what one behind it lacks
            for link, start in held.items():
                link.position = min(link.position, start)
                await self._dialler.go_back(link, self._epoch, next(self._step_ids))
        if self._reorders:  # this engine's nodes: at every token
            return
        while stuck := [
            link
            for link in self._rewound_links(upto)
            if not await self._dialler.can_rewind(link.hop)
        ]:
            for link in stuck:
                fresh = self._dialler.make_link(link.hop, self._asked_length)
                self.links[self.links.index(link)] = fresh
                await link.close()
                await self._dialler.open(fresh)

    def _rewound_links(self, upto: int) -> dict[HopLink, int]:
        """Hops that may hold more than what the next step leaves them, and how much that is."""
        chunks = plan_chunks(self._positions(upto), upto, self._chunk_size)
        starts = first_starts(chunks, len(self.links))
        pairs = zip(self.links, starts, strict=True)
        return {link: start for link, start in pairs if link.reach > start}

    # --- forward --------------------------------------------------------------------------------

    async def advance(self, upto: int, told: Told) -> torch.Tensor:
        """Bring all hops to ``upto`` tokens; the last hop's ``[1, tokens, hidden]``, at least of
        the last token.

        Nothing is told when only one is missing.

        Raises: HopLost, Suspect.
        """
        positions = self._positions(upto)
        if min(positions) == upto - 1:  # a decode step
            return await self._run_chunk(Chunk(upto - 1, upto, len(self.links) - 1))
        return await self._prefill(plan_chunks(positions, upto, self._chunk_size), told)

    async def _prefill(self, chunks: list[Chunk], told: Told) -> torch.Tensor:
        """Several chunks at once, each at another hop, where that is safe."""
        await told(chunks[0].start)
        while True:
            # A hop that still holds more than is wanted would run a chunk that overtook the one
            # that rewinds it, on top of the old tokens: until then one chunk at a time.
            rewound = all(link.reach <= link.position for link in self.links)
            together = chunks if self._reorders and rewound else chunks[:1]
            output = await self._run_chunks(together, told)
            chunks = chunks[len(together) :]
            if not chunks:
                return output

    async def _run_chunks(self, chunks: list[Chunk], told: Told) -> torch.Tensor:
        """The last chunk's output; a failure or cancel stops them all."""
        window = asyncio.Semaphore(len(self.links) + _CHUNKS_BETWEEN)

        async def run(chunk: Chunk) -> torch.Tensor:
            async with window:
                return await self._run_chunk(chunk, alone=len(chunks) == 1)

        output = torch.empty(0)
        tasks = [asyncio.create_task(run(chunk)) for chunk in chunks]
        try:
            for chunk, task in zip(chunks, tasks, strict=True):
                output = await task
                await told(chunk.end)
        except BaseException:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            raise
        return output

    async def _run_chunk(self, chunk: Chunk, *, alone: bool = True) -> torch.Tensor:
        """One chunk through its hops; ``[1, tokens, hidden]`` from the last of them."""
        links = self.links[: chunk.last_hop + 1]
        step_id = next(self._step_ids)
        passage = Passage(self._dialler, links, chunk, step_id, self._epoch, self.relay_only)
        async with self._entry:
            await passage.enter(await self._embed(chunk))
        output = await passage.finish()
        for link in links:
            link.position = chunk.end
            link.reach = chunk.end if alone else max(link.reach, chunk.end)
        return output
