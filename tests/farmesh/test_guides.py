"""Grammars walked token by token. Each test names the bug it prevents."""

from __future__ import annotations

import asyncio
import gc
import random
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from farmesh.errors import GrammarTooComplex, InvalidGrammar
from farmesh.guides import Guide, Guides
from farmesh.params import Grammar, GrammarKind


@pytest.fixture(scope="module")
def tokenizer(guide: Path) -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(guide)


@pytest.fixture
def guides(tokenizer: Any) -> Iterator[Guides]:
    made = Guides(tokenizer, [tokenizer.eos_token_id])
    yield made
    made.close()


def regex(text: str) -> Grammar:
    return Grammar(GrammarKind.REGEX, text)


async def walk(guide: Guide, seed: int, most: int = 300) -> list[int]:
    """Tokens drawn evenly from what is allowed, to the grammar's end."""
    drawing, tokens = random.Random(seed), []
    while (banned := await guide.banned()) is not None and len(tokens) < most:
        tokens.append(drawing.choice(np.flatnonzero(~banned).tolist()))
        guide.take(tokens[-1])
    return tokens


async def test_whatever_is_drawn_fits(guides: Guides, tokenizer: Any) -> None:
    """A token that spans the end of one part and the start of the next was let through, or not."""
    for seed in range(20):
        tokens = await walk(await guides.start(regex(r"(node|client)s? [0-9]{1,3}(, )?é+!")), seed)
        text = tokenizer.decode(tokens, skip_special_tokens=True)
        assert re.fullmatch(r"(node|client)s? [0-9]{1,3}(, )?é+!", text)


@pytest.mark.parametrize(
    ("pattern", "begun", "reference"),
    [
        (r"a[a-z]{0,9}", "", lambda text: re.fullmatch(r"a[a-z]{0,9}", text)),
        ("(ab|cd)+", "ab", lambda text: re.fullmatch("(ab|cd)*[ac]?", text)),
        (r"[0-9]{4}", "12", lambda text: re.fullmatch(r"[0-9]{1,2}", text)),
    ],
)  # fmt: skip
async def test_the_mask_is_what_trying_every_token_gives(
    guides: Guides, tokenizer: Any, pattern: str, begun: str, reference: Any
) -> None:
    """A mask that is off by a bit, or whose end is cut, bans or lets through a wrong token."""
    guide = await guides.start(regex(pattern))
    for token_id in tokenizer.encode(begun, add_special_tokens=False):
        await guide.banned()
        guide.take(token_id)
    banned = await guide.banned()
    assert banned is not None
    names = [tokenizer.decode([token_id]) for token_id in range(len(tokenizer))]
    wanted = {i for i, name in enumerate(names) if name and reference(name)}
    assert set(np.flatnonzero(~banned).tolist()) - {tokenizer.eos_token_id} == wanted


async def test_the_end_of_a_reply_is_a_token_only_where_the_grammar_may_end(
    guides: Guides, tokenizer: Any
) -> None:
    """A reply that could not end went on to its limit; one that could too early is half."""
    guide = await guides.start(regex("a{2,4}"))
    may_end = []
    for _ in range(4):
        banned = await guide.banned()
        assert banned is not None
        may_end.append(not banned[tokenizer.eos_token_id])
        guide.take(tokenizer.encode("a", add_special_tokens=False)[0])
    assert may_end == [False, False, True, True]
    assert await guide.banned() is None


async def test_guides_of_one_grammar_do_not_share_their_place(guides: Guides) -> None:
    """Two replies to the same schema took one another's tokens."""
    found = await asyncio.gather(
        *(guides.start(regex("[ab]{30}")) for _ in range(8)),
    )
    walked = await asyncio.gather(*(walk(guide, seed) for seed, guide in enumerate(found)))
    assert len({tuple(tokens) for tokens in walked}) == 8


async def test_a_grammar_that_outgrows_its_limits_says_so(guides: Guides, tokenizer: Any) -> None:
    """The mask was empty and the reply took any token, or the process stood still for seconds."""
    guide = await guides.start(regex(".{0,900}(a|b).{0,900}(c|d).{0,900}(e|f)"))
    with pytest.raises(GrammarTooComplex, match="too complex"):
        await walk(guide, 1)


async def test_a_slow_tokenizer_is_refused() -> None:
    """The library raised whatever it liked, deep in a reply."""
    guides = Guides(object(), [1])
    with pytest.raises(InvalidGrammar, match="tokenizer"):
        await guides.check(regex("a"))
    guides.close()


async def test_who_stops_waiting_leaves_nothing_behind(guides: Guides) -> None:
    """A cancelled request's refusal was reported as an exception that nobody retrieved."""
    asking = asyncio.create_task(guides.check(regex("(?=a)b")))
    await asyncio.sleep(0)
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)
    guides.close()
    gc.collect()
