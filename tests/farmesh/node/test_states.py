"""Blocks that keep recurrent states: snapshots, going back, and what the client makes of it."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

import pytest
import torch

from farmesh.node.cache import KEPT, OutOfPages, PageAllocator
from farmesh.node.recurrent import _pieces
from farmesh.node.states import EVERY, BlockState, RowStates
from tests.support.families import PATIENT, conversation, held
from tests.support.harness import swarm_of
from tests.support.trials import random_model, tiny_config


@pytest.mark.parametrize("layout", ["a=0:4", "a=0:3 b=2:4", "a=0:1 b=1:3 c=3:4"])
@pytest.mark.parametrize("model_type", ["qwen3_5_text", "lfm2"])
async def test_a_hybrid_is_exact(model_type: str, layout: str, tmp_path: Path) -> None:
    """Bug prevented: after an edit or a stop a node goes on from a state that has seen what was
    taken back; the client does not learn how far a hop went back, or runs too little again."""
    model = random_model(tiny_config(model_type))
    model.save_pretrained(tmp_path)
    draw = random.Random(model_type)
    conversations = [list(conversation(model, draw, length)) for length in (1, 2, 40, 300)]
    async with swarm_of(tmp_path, layout, max_batch_tokens=96) as swarm:
        node = next(iter(swarm.nodes.values()))
        assert "snapshots" in node.info.extensions
        client = await swarm.client(prefill_chunk=64, **PATIENT)
        await asyncio.gather(*(held(client.session(), turns) for turns in conversations))


def test_a_row_goes_back_to_a_whole_snapshot() -> None:
    """Bug prevented: one block goes back and another does not, or a forward that was under way
    during a rewind writes over what was brought back."""
    row = RowStates()

    def step(block: int, position: int, value: float, version: int | None = None) -> None:
        def work(state: BlockState, kept: RowStates | None) -> None:
            state.update_recurrent_state(torch.full((1,), value), block)
            if kept is not None:
                kept.save(block, position)

        row.run(block, row.version if version is None else version, work)

    def now(block: int) -> torch.Tensor | None:
        found: torch.Tensor | None = row.run(
            block, row.version, lambda state, _: state.get_recurrent_state(block)
        )
        return found

    for position in (10, 20):
        step(0, position, float(position))
        step(1, position, float(position))
    step(0, 30, 30.0)  # the other block has not come so far
    before = row.version
    assert row.rewind(35) == 20
    assert now(0) == now(1) == 20.0
    step(0, 40, torch.nan, before)  # of the forward that the rewind overtook
    assert now(0) == 20.0
    assert row.rewind(19) == 10
    assert row.rewind(9) == 0
    assert now(0) is None
    assert row.rewind(50) == 0


def test_snapshots_are_few_and_well_placed() -> None:
    """Bug prevented: a long chat's snapshots fill the memory, or only those are kept to which
    nobody goes back."""
    row = RowStates()
    for position in range(1, 101):
        state = row.run(0, row.version, lambda state, _: state)
        state.update_recurrent_state(torch.zeros(1), 0)
        row.save(0, 10 * position)
    places = sorted(row._snapshots)
    assert len(places) == KEPT
    assert places[-KEPT // 2 :] == [970, 980, 990, 1000]
    assert places[0] < 500  # and an edit far back does not begin anew


@pytest.mark.parametrize("one_by_one", [False, True])
@pytest.mark.parametrize(("position", "tokens"), [(0, 1), (0, 700), (40, 2), (255, 1), (300, 600)])
def test_pieces_of_a_step(position: int, tokens: int, one_by_one: bool) -> None:
    """Bug prevented: a token is run twice or left out between two snapshots."""
    pieces = list(_pieces(position, tokens, one_by_one))
    ends = [end for end, _ in pieces]
    assert ends == sorted(ends)
    assert ends[-1] == position + tokens
    saved = {end for end, save in pieces if save}
    if tokens > 1:
        assert {position, position + tokens - 1} <= saved | {0}
        if not one_by_one:
            assert all(end in saved for end in range(EVERY, ends[-1] - 1, EVERY) if end > position)


def test_states_count_like_cache() -> None:
    """Bug prevented: sessions with states are admitted until the machine has no memory left."""
    pages = PageAllocator(10)
    pages.lend(7)
    assert pages.free == 3
    with pytest.raises(OutOfPages):
        pages.lend(4)
    pages.lend(-7)
    assert pages.free == 10
