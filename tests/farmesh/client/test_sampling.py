"""Sampling: each control does what it says, and nothing depends on who else is in the batch."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import (
    LogitsProcessorList,
    MinPLogitsWarper,
    NoRepeatNGramLogitsProcessor,
    RepetitionPenaltyLogitsProcessor,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
    TypicalLogitsWarper,
)

from farmesh.client.sampling import SamplingRow, _few, choose_tokens, token_logprobs, uniform
from farmesh.errors import InvalidSampling
from farmesh.params import SamplingParams

VOCAB = 24


def row(
    number: float, context: list[int] | None = None, prompt: int = 0, **params: Any
) -> SamplingRow:
    return SamplingRow(SamplingParams(**params), context or [], prompt, number)


def choose(logits: torch.Tensor, *rows: SamplingRow) -> list[int]:
    return choose_tokens(logits.clone(), rows)


def possible(logits: torch.Tensor, context: list[int] | None = None, **params: Any) -> set[int]:
    """All tokens that some random number leads to."""
    numbers = [index / 500 for index in range(500)] + [0.999999999]
    rows = [row(number, context, **params) for number in numbers]
    return set(choose(logits.expand(len(rows), -1), *rows))


def graded(*values: float) -> torch.Tensor:
    return torch.tensor(values).log()


def test_greedy_takes_the_best_whatever_the_number() -> None:
    """Prevents randomness at temperature 0."""
    logits = torch.randn(1, VOCAB)
    best = int(logits.argmax())
    for number in (0.0, 0.5, 0.999):
        assert choose(logits, row(number, temperature=0.0)) == [best]
        assert choose(logits, row(number, top_k=1)) == [best]
        assert choose(logits, row(number, temperature=1e-300)) == [best]


def test_the_distribution_is_the_softmax() -> None:
    """Prevents a biased draw: evenly spread numbers must give tokens in their proportions."""
    logits = graded(0.5, 0.25, 0.125, 0.125)
    count = 8000
    rows = [row((index + 0.5) / count) for index in range(count)]
    drawn = Counter(choose(logits.expand(count, -1), *rows))
    assert [drawn[token] / count for token in range(4)] == pytest.approx(
        [0.5, 0.25, 0.125, 0.125], abs=1e-3
    )


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        ({}, {0, 1, 2, 3}),
        ({"top_k": 2}, {0, 1}),
        ({"top_k": 999}, {0, 1, 2, 3}),
        ({"top_p": 0.6}, {0, 1}),
        ({"top_p": 1e-9}, {0}),
        ({"min_p": 0.4}, {0, 1}),
        ({"min_p": 1.0}, {0}),
        ({"temperature": 0.02}, {0}),
    ],
)
def test_a_control_keeps_the_tokens_that_it_says(
    params: dict[str, Any], expected: set[int]
) -> None:
    """Prevents a control that is ignored, or applied with another meaning."""
    assert possible(graded(0.5, 0.25, 0.15, 0.1), **params) == expected


def test_zero_probability_is_never_drawn() -> None:
    """Prevents the edges of the unit interval from choosing filtered tokens."""
    logits = torch.tensor([-torch.inf, 1.0, -torch.inf, 1.0, -torch.inf])
    assert possible(logits) == {1, 3}
    assert choose(logits[None], row(0.0)) == [1]
    assert choose(logits[None], row(1 - 2**-53)) == [3]


def test_penalties_and_ngrams_change_the_choice() -> None:
    """Prevents penalties that look at the wrong tokens or have the wrong sign."""
    logits = torch.tensor([[2.0, 1.9, -1.0]])
    assert choose(logits, row(0, [0], temperature=0.0)) == [0]
    assert choose(logits, row(0, [0], temperature=0.0, repetition_penalty=1.5)) == [1]
    assert choose(logits, row(0, [0], temperature=0.0, presence_penalty=0.5)) == [1]
    assert choose(logits, row(0, [0, 0], temperature=0.0, frequency_penalty=0.06)) == [1]
    assert choose(logits, row(0, [0, 1, 0], temperature=0.0)) == [0]
    ngram = row(0, [2, 0, 1, 2], temperature=0.0, no_repeat_ngram_size=2)
    assert choose(logits, ngram) == [1]


def test_presence_and_frequency_count_the_reply_only() -> None:
    """Prevents the prompt's words from being penalised (OpenAI counts generated tokens)."""
    logits = torch.tensor([[2.0, 1.9]])
    penalised = {"temperature": 0.0, "presence_penalty": 2.0, "frequency_penalty": 2.0}
    assert choose(logits, row(0, [0, 0], prompt=2, **penalised)) == [0]
    assert choose(logits, row(0, [0, 0], prompt=1, **penalised)) == [1]


def test_a_negative_frequency_penalty_favours_repetition() -> None:
    """Prevents an absolute value where a sign belongs."""
    logits = torch.tensor([[2.0, 1.9]])
    assert choose(logits, row(0, [1], temperature=0.0, frequency_penalty=-1.0)) == [1]


controls = st.fixed_dictionaries(
    {},
    optional={
        "temperature": st.floats(0.1, 3),
        "top_k": st.integers(0, VOCAB),
        "top_p": st.floats(0.05, 1),
        "min_p": st.floats(0, 0.9),
        "typical_p": st.floats(0.05, 1),
        "repetition_penalty": st.floats(0.5, 2),
        "no_repeat_ngram_size": st.integers(0, 3),
        "presence_penalty": st.floats(-2, 2),
    },
)


@settings(max_examples=100, deadline=None)
@given(st.lists(controls, min_size=1, max_size=6), st.integers(0, 2**20))
def test_a_batch_does_not_change_anybodys_choice(batch: list[dict[str, Any]], seed: int) -> None:
    """Prevents one chat's controls from leaking into another chat of the same batch."""
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(len(batch), VOCAB, generator=generator) * 3
    contexts = torch.randint(0, VOCAB, (len(batch), 9), generator=generator).tolist()
    rows = [
        row(uniform(seed, index), contexts[index], prompt=4, **params)
        for index, params in enumerate(batch)
    ]
    alone = [choose(logits[index : index + 1], rows[index])[0] for index in range(len(rows))]
    assert choose(logits, *rows) == alone


def transformers_filter(params: SamplingParams, ids: list[int], logits: torch.Tensor) -> Any:
    """What ``generate`` applies, in its order (transformers 5.23, ``_get_logits_processor``)."""
    processors = LogitsProcessorList()
    if params.repetition_penalty != 1:
        processors.append(RepetitionPenaltyLogitsProcessor(params.repetition_penalty))
    if params.no_repeat_ngram_size:
        processors.append(NoRepeatNGramLogitsProcessor(params.no_repeat_ngram_size))
    if params.temperature != 1:
        processors.append(TemperatureLogitsWarper(params.temperature))
    if params.top_k:
        processors.append(TopKLogitsWarper(params.top_k))
    if params.top_p < 1:
        processors.append(TopPLogitsWarper(params.top_p))
    if params.min_p > 0:
        processors.append(MinPLogitsWarper(params.min_p))
    if params.typical_p < 1:
        processors.append(TypicalLogitsWarper(params.typical_p))
    return processors(torch.tensor([ids]), logits[None].clone())[0]


@settings(max_examples=60, deadline=None)
@given(controls, st.integers(0, 2**20))
def test_the_choices_are_those_of_transformers_filters(chosen: dict[str, Any], seed: int) -> None:
    """Prevents the order of the filters from drifting away from ``generate``'s."""
    chosen = {name: value for name, value in chosen.items() if name != "presence_penalty"}
    params = SamplingParams(**chosen)
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(VOCAB, generator=generator) * 3
    ids = torch.randint(0, VOCAB, (9,), generator=generator).tolist()
    scores = transformers_filter(params, ids, logits)
    if params.greedy:
        assert choose(logits[None], row(0.3, ids, **chosen)) == [int(scores.argmax())]
        return
    edges = torch.softmax(scores.double(), -1).cumsum(-1)
    for number in (0.001, 0.2, 0.5, 0.77, 0.999):
        token = choose(logits[None], row(number, ids, **chosen))[0]
        before = float(edges[token - 1]) if token else 0.0
        assert before - 1e-6 <= number <= float(edges[token]) + 1e-6
        assert scores[token] > -torch.inf


@pytest.mark.parametrize("top_p", [0.1, 0.5, 0.9, 0.999])
@pytest.mark.parametrize("spread", [0.01, 1.0, 6.0])
@pytest.mark.parametrize("more", [{}, {"top_k": 300}, {"min_p": 0.2}, {"temperature": 0.2}])
def test_the_nucleus_of_a_large_vocabulary(
    top_p: float, spread: float, more: dict[str, Any]
) -> None:
    """Prevents a nucleus that ends where the search for it was first cut off."""
    generator = torch.Generator().manual_seed(5)
    logits = torch.randn(3000, generator=generator) * spread
    scores = transformers_filter(SamplingParams(top_p=top_p, **more), [], logits)
    kept = _few(logits / more.get("temperature", 1.0), SamplingParams(top_p=top_p, **more))[0]
    wanted = (scores > -torch.inf).nonzero()[:, 0]
    # Sums of thousands of float32 numbers: the last of many tokens may be in or out.
    assert len(set(kept.tolist()) ^ set(wanted.tolist())) <= len(wanted) * 1e-3


def test_the_random_numbers_depend_on_seed_and_index_alone() -> None:
    """Prevents the same seed from giving another text after a reroute or beside other chats."""
    numbers = [uniform(7, index) for index in range(1000)]
    assert numbers == [uniform(7, index) for index in range(1000)]
    assert numbers != [uniform(8, index) for index in range(1000)]
    assert all(0 <= number < 1 for number in numbers)
    assert abs(sum(numbers) / 1000 - 0.5) < 0.05
    assert uniform(7, 0) == uniform(7, 0)
    assert uniform(1, 23) != uniform(12, 3)


def test_the_callers_logits_are_not_changed_by_penalties() -> None:
    """Prevents a penalty from being applied twice to logits that are looked at again."""
    logits = torch.tensor([[2.0, 1.9]])
    choose_tokens(logits, [row(0, [0], temperature=0.0, presence_penalty=2.0)])
    assert torch.equal(logits, torch.tensor([[2.0, 1.9]]))


def test_logprobs_are_the_models_own() -> None:
    """Prevents reporting the distribution that was drawn from: a greedy one says 0 for every token.

    Also prevents a row that did not ask from changing what its neighbour is told.
    """
    logits = torch.randn(3, VOCAB)
    rows = [
        row(0.3, [1, 1], 0, temperature=0.2, frequency_penalty=2.0, logprobs=2),
        row(0.3),
        row(0.0, temperature=0.0, logprobs=0),
    ]
    tokens = choose_tokens(logits, rows)
    first, second, third = token_logprobs(logits, tokens, rows)
    expected = torch.log_softmax(logits, dim=-1)
    assert first is not None
    assert first.chosen == pytest.approx(float(expected[0, tokens[0]]), abs=1e-6)
    assert [token for token, _ in first.likeliest] == expected[0].topk(2).indices.tolist()
    assert second is None
    assert third is not None
    assert third.likeliest == ()
    assert third.chosen < 0


@pytest.mark.parametrize("wrong", [-1, 21, True, 1.0])
def test_logprobs_out_of_range_are_refused(wrong: Any) -> None:
    """Prevents a request that sorts the whole vocabulary for every token."""
    with pytest.raises(InvalidSampling, match="logprobs"):
        SamplingParams(logprobs=wrong)


# --- grammars -------------------------------------------------------------------------------------


def barred(*allowed: int) -> np.ndarray[Any, Any]:
    mask = np.ones(VOCAB, dtype=np.bool_)
    mask[list(allowed)] = False
    return mask


def test_a_grammar_leaves_the_proportions_of_what_it_allows() -> None:
    """Prevents a mask that is laid over probabilities: the draw then leans to the first token."""
    logits = torch.randn(1, VOCAB, generator=torch.Generator().manual_seed(5))
    allowed, count = [3, 7, 20], 8000
    for temperature in (0.5, 1.0, 3.0):
        params = SamplingParams(temperature=temperature)
        rows = [
            SamplingRow(params, [], 0, (index + 0.5) / count, barred(*allowed))
            for index in range(count)
        ]
        drawn = Counter(choose_tokens(logits.expand(count, -1), rows))
        expected = (logits[0, allowed] / temperature).softmax(dim=-1).tolist()
        assert [drawn[token] / count for token in allowed] == pytest.approx(expected, abs=1e-3)
        assert set(drawn) == set(allowed)


@settings(deadline=None, max_examples=60, derandomize=True)
@given(
    allowed=st.sets(st.integers(0, VOCAB - 1), min_size=1),
    number=st.floats(0, 1, exclude_max=True),
    params=st.fixed_dictionaries(
        {},
        optional={
            "temperature": st.sampled_from([0.0, 0.01, 1.0, 50.0]),
            "top_p": st.sampled_from([1e-6, 0.5]),
            "top_k": st.sampled_from([1, 3, 999]),
            "min_p": st.sampled_from([0.9, 1.0]),
            "typical_p": st.sampled_from([0.01, 0.9]),
            "repetition_penalty": st.sampled_from([0.1, 5.0]),
            "presence_penalty": st.sampled_from([-2.0, 2.0]),
            "no_repeat_ngram_size": st.sampled_from([1, 2]),
        },
    ),
)
def test_no_control_gets_past_a_grammar(
    allowed: set[int], number: float, params: dict[str, Any]
) -> None:
    """Prevents a token that the grammar bans, and a row where nothing at all is left."""
    logits = torch.randn(1, VOCAB, generator=torch.Generator().manual_seed(len(allowed)))
    context = [*range(VOCAB)] * 2
    one = SamplingRow(SamplingParams(**params), context, VOCAB, number, barred(*allowed))
    free = row(0.5)
    before = logits.clone()
    chosen = choose_tokens(logits.expand(2, -1), [one, free])
    assert chosen[0] in allowed
    assert chosen[1:] == choose(logits, free), "what is banned in one row is not in another"
    assert logits.equal(before)
    assert token_logprobs(logits, chosen[:1], [row(0.5, logprobs=1)])[0] is not None


def test_a_vocabulary_that_is_smaller_than_the_head() -> None:
    """Prevents the rows that pad a head from being drawn: they stand for no token."""
    logits = torch.zeros(1, VOCAB)
    logits[0, VOCAB - 1] = 99.0
    one = SamplingRow(SamplingParams(), [], 0, 0.999, np.zeros(VOCAB - 4, dtype=np.bool_))
    assert choose_tokens(logits, [one])[0] < VOCAB - 4
