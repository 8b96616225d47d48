"""How the next token is chosen. Pure: logits, the tokens so far and one random number in.

The filters are transformers' own logits processors, in the order in which ``generate`` applies
them; what it lacks (presence and frequency penalties, after OpenAI's API reference) is here. Its
top-p sorts the whole vocabulary, which takes longer than a small model's blocks: the same choice is
made here among the few likeliest tokens.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
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

from farmesh.events import TokenLogprobs
from farmesh.params import SamplingParams


@dataclass(frozen=True, slots=True)
class SamplingRow:
    """One sequence's turn to get a token.

    ``context`` holds all tokens so far and is only read when a penalty asks for it;
    ``prompt_length`` of them were given. ``uniform`` is in [0, 1). ``banned`` marks the tokens that
    a grammar does not let come next, ``[vocabulary]``; those behind its end are banned too.
    """

    params: SamplingParams
    context: Sequence[int]
    prompt_length: int
    uniform: float
    banned: NDArray[np.bool_] | None = None

    @property
    def needs_context(self) -> bool:
        params = self.params
        return (
            params.repetition_penalty != 1.0
            or params.no_repeat_ngram_size > 0
            or params.presence_penalty != 0.0
            or params.frequency_penalty != 0.0
        )


def uniform(seed: int, index: int) -> float:
    """The random number of a reply's token ``index``.

    A function of its arguments alone, so the same seed gives the same text whatever else runs,
    and a reply that was interrupted continues with the very numbers it would have had.
    """
    digest = hashlib.blake2b(f"{seed}:{index}".encode(), digest_size=8).digest()
    return (int.from_bytes(digest, "big") >> 11) / (1 << 53)


def choose_tokens(logits: torch.Tensor, rows: Sequence[SamplingRow]) -> list[int]:
    """One token id per row of ``logits`` ``[rows, vocabulary]``.

    Rows with the same controls are filtered together.
    """
    logits = logits.float()
    if any(row.needs_context or row.banned is not None for row in rows):
        logits = logits.clone()  # the caller's stay as they are
    chosen = [0] * len(rows)
    groups: dict[tuple[float, ...] | None, list[int]] = {}
    for index, row in enumerate(rows):
        if row.needs_context or row.banned is not None:
            logits[index] = _reshaped(logits[index], row)
        groups.setdefault(_group_key(row.params), []).append(index)
    for members in groups.values():
        scores = logits[members] if len(members) < len(rows) else logits
        numbers = [rows[index].uniform for index in members]
        tokens = _chosen(scores, rows[members[0]].params, numbers)
        for index, token in zip(members, tokens, strict=True):
            chosen[index] = token
    return chosen


def token_logprobs(
    logits: torch.Tensor, token_ids: Sequence[int], rows: Sequence[SamplingRow]
) -> list[TokenLogprobs | None]:
    """What each row asked to be told of its token; rows that did not ask cost nothing.

    Args:
        logits: ``[rows, vocabulary]`` as the model gave them.
    """
    told: list[TokenLogprobs | None] = [None] * len(rows)
    for index, row in enumerate(rows):
        count = row.params.logprobs
        if count is not None:
            scores = logits[index].float().log_softmax(dim=-1)
            best = scores.topk(min(count, len(scores)))
            likeliest = tuple(zip(best.indices.tolist(), best.values.tolist(), strict=True))
            told[index] = TokenLogprobs(float(scores[token_ids[index]]), likeliest)
    return told


_FIRST_LIKELIEST = 64  # tokens among which top-p is looked for at first
_NO_IDS = torch.empty(0, 0, dtype=torch.long)  # the warpers take ids and do not look at them


def _group_key(params: SamplingParams) -> tuple[float, ...] | None:
    """None for greedy; else the controls that act on the distribution alone."""
    if params.greedy:
        return None
    return params.temperature, params.top_k, params.top_p, params.min_p, params.typical_p


def _reshaped(logits: torch.Tensor, row: SamplingRow) -> torch.Tensor:
    """What penalties and a grammar leave of ``[vocabulary]``.

    What the grammar bans is at -inf before temperature and filters see it, so these choose among
    the tokens that are left by their own probabilities. The grammar has the last word: where
    ``no_repeat_ngram_size`` forbids all that it allows, the penalties are left out.
    """
    scores = _penalize(logits, row) if row.needs_context else logits
    if row.banned is None:
        return scores
    banned = torch.ones(len(logits), dtype=torch.bool)
    size = min(len(banned), len(row.banned))
    banned[:size] = torch.from_numpy(row.banned[:size])
    kept = scores.masked_fill(banned, -torch.inf)
    return kept if bool(kept.isfinite().any()) else logits.masked_fill(banned, -torch.inf)


def _penalize(logits: torch.Tensor, row: SamplingRow) -> torch.Tensor:
    """The controls that look at the tokens so far; ``[vocabulary]`` in and out."""
    params = row.params
    ids = torch.tensor([list(row.context)], dtype=torch.long)
    scores = logits[None]
    processors = LogitsProcessorList()
    if params.repetition_penalty != 1.0:
        processors.append(RepetitionPenaltyLogitsProcessor(float(params.repetition_penalty)))
    if params.no_repeat_ngram_size:
        processors.append(NoRepeatNGramLogitsProcessor(params.no_repeat_ngram_size))
    scores = processors(ids, scores)[0]
    generated = ids[0, row.prompt_length :]
    if len(generated) and (params.presence_penalty or params.frequency_penalty):
        counts = torch.bincount(generated, minlength=scores.shape[-1]).to(scores.dtype)
        scores = scores - params.frequency_penalty * counts
        scores = scores - params.presence_penalty * (counts > 0)
    return scores


@lru_cache(maxsize=256)
def _warpers(
    temperature: float, top_k: float, top_p: float, min_p: float, typical_p: float
) -> LogitsProcessorList:
    """transformers' warpers in ``generate``'s order, those that are switched on."""
    warpers = LogitsProcessorList()
    if temperature != 1.0:
        warpers.append(TemperatureLogitsWarper(float(temperature)))
    if top_k:
        warpers.append(TopKLogitsWarper(top_k=int(top_k)))
    if top_p < 1.0:
        warpers.append(TopPLogitsWarper(top_p=float(top_p)))
    if min_p > 0.0:
        warpers.append(MinPLogitsWarper(min_p=float(min_p)))
    if typical_p < 1.0:
        warpers.append(TypicalLogitsWarper(mass=float(typical_p)))
    return warpers


def _chosen(scores: torch.Tensor, params: SamplingParams, numbers: Sequence[float]) -> list[int]:
    """A token for each row of ``[rows, vocabulary]``, all with the same controls."""
    key = _group_key(params)
    if key is None:
        tokens: list[int] = scores.argmax(dim=-1).tolist()
        return tokens
    if params.typical_p < 1.0 or params.top_p >= 1.0:  # nothing is sorted, or all has to be
        return _draw(_warpers(*key)(_NO_IDS, scores), torch.tensor(numbers, dtype=torch.float64))
    found = (_few(row / params.temperature, params) for row in scores)
    return [_drawn(*few, number) for few, number in zip(found, numbers, strict=True)]


def _few(scores: torch.Tensor, params: SamplingParams) -> tuple[torch.Tensor, torch.Tensor]:
    """The tokens that top-k, top-p and min-p leave, in vocabulary order, and their scores."""
    ids = None
    if params.top_k:
        least = scores.topk(min(params.top_k, len(scores))).values[-1]
        ids = (scores >= least).nonzero()[:, 0]
        scores = scores[ids]
    nucleus = _nucleus(scores, params.top_p)
    kept = scores[nucleus]
    if params.min_p > 0.0:
        likely = kept >= kept.max() + math.log(params.min_p)
        nucleus, kept = nucleus[likely], kept[likely]
    nucleus, order = nucleus.sort()
    return nucleus if ids is None else ids[nucleus], kept[order]


def _nucleus(scores: torch.Tensor, top_p: float) -> torch.Tensor:
    """The likeliest tokens, the first of which alone or together reach ``top_p``."""
    total, count = scores.logsumexp(dim=-1).double(), _FIRST_LIKELIEST
    while True:
        best = scores.topk(min(count, len(scores)))
        shares = (best.values.double() - total).exp()
        beyond = shares.cumsum(dim=-1) - shares >= top_p  # without them it is reached
        beyond[0] = False
        if bool(beyond[-1]):
            return best.indices[~beyond]
        if count >= len(scores):
            return best.indices
        count *= 8


def _drawn(ids: torch.Tensor, scores: torch.Tensor, number: float) -> int:
    """One of these tokens."""
    place = _draw(scores[None], torch.tensor([number], dtype=torch.float64))[0]
    return int(ids[place])


def _draw(scores: torch.Tensor, uniforms: torch.Tensor) -> list[int]:
    """Inverse of the cumulative distribution, in vocabulary order."""
    cumulative = torch.softmax(scores.double(), dim=-1).cumsum(dim=-1)
    total = cumulative[:, -1:].contiguous()
    tokens = torch.searchsorted(cumulative, uniforms[:, None] * total, right=True)
    # Rounding may not lead beyond the last token that has any probability.
    drawn: list[int] = tokens.minimum(torch.searchsorted(cumulative, total))[:, 0].tolist()
    return drawn
