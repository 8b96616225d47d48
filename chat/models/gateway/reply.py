"""Another app's streamed answer as the engine's events."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Annotated, Any

from pydantic import BaseModel, Field

from chat.models.gateway.http import GatewayHttp, strange
from chat.protocol import events as api_events
from chat.protocol.events import ID_NAME
from farmesh.core import Route
from farmesh.events import (
    Event,
    FinishReason,
    GenerationFinished,
    GenerationStats,
    PrefillProgress,
    Rerouted,
    RouteFound,
    TokenGenerated,
    TokenLogprobs,
)
from farmesh.params import SamplingParams

# --- what comes back ----------------------------------------------------------------------------

TokenId = Annotated[int, Field(ge=0, lt=2**31)]


class _Logprobs(BaseModel):
    token_logprobs: list[float]
    top_logprobs: list[dict[str, float]]


class _Choice(BaseModel):
    token_ids: list[TokenId] | None = None
    logprobs: _Logprobs | None = None
    finish_reason: str | None = None


class _Chunk(BaseModel):
    choices: list[_Choice]
    farmesh: dict[str, Any] | None = None


@dataclass(slots=True)
class Reply:
    """One reply in the making: chunks in, events out."""

    http: GatewayHttp
    vocabulary: int
    prompt_tokens: int
    sampling: SamplingParams
    seed: int
    route: Route | None
    generated: int = 0
    reused: int | None = None
    reroutes: int = 0
    reason: str | None = None
    started: float = field(default_factory=time.perf_counter)
    first_at: float | None = None

    def take(self, data: dict[str, Any]) -> list[Event]:
        """
        Raises:
            GatewayFailure: this is not what a FarMesh Chat of our version sends.
        """
        try:
            chunk = _Chunk.model_validate(data)
            if chunk.farmesh is not None:
                return [self._note(api_events.from_data(chunk.farmesh))]
            return [event for choice in chunk.choices for event in self._tokens(choice)]
        except ValueError as error:  # pydantic's errors are ones
            raise strange(self.http.name) from error

    def finished(self) -> GenerationFinished:
        """
        Raises:
            GatewayFailure: the stream ended before the reply did.
        """
        if self.reason is None:
            raise self.http.broke_off()
        reason = FinishReason.END_OF_SEQUENCE
        if self.reason == "length":
            limited = self.generated >= self.sampling.max_new_tokens
            reason = FinishReason.MAX_NEW_TOKENS if limited else FinishReason.CONTEXT_FULL
        now = time.perf_counter()
        stats = GenerationStats(
            prompt_tokens=self.prompt_tokens,
            reused_tokens=self.prompt_tokens - 1 if self.reused is None else self.reused,
            generated_tokens=self.generated,
            ttft=(self.first_at or now) - self.started,
            duration=now - self.started,
            hops=len(self.route) if self.route else 0,
            reroutes=self.reroutes,
            seed=self.seed,
        )
        return GenerationFinished(reason, stats)

    def _note(self, event: Event) -> Event:
        match event:
            case RouteFound(route) | Rerouted(_, _, route):
                self.route = route
                self.reroutes += isinstance(event, Rerouted)
            case PrefillProgress(reused=reused):
                self.reused = reused if self.reused is None else self.reused
            case _:
                pass
        return event

    def _tokens(self, choice: _Choice) -> list[Event]:
        if choice.token_ids is None:
            raise ValueError("no token ids")
        told = _logprobs(choice)
        events: list[Event] = []
        for token_id, logprobs in zip(choice.token_ids, told, strict=True):
            if token_id >= self.vocabulary:
                raise ValueError("a token that this model does not have")
            if self.first_at is None:
                self.first_at = time.perf_counter()
            position = self.prompt_tokens + self.generated
            events.append(TokenGenerated(token_id, position, self.generated, logprobs))
            self.generated += 1
        self.reason = choice.finish_reason or self.reason
        return events


def _logprobs(choice: _Choice) -> list[TokenLogprobs | None]:
    """
    Raises:
        ValueError: a token is not told by its id.
    """
    if choice.logprobs is None:
        return [None] * len(choice.token_ids or ())
    return [
        TokenLogprobs(
            chosen, tuple((int(name.removeprefix(ID_NAME)), value) for name, value in top.items())
        )
        for chosen, top in zip(
            choice.logprobs.token_logprobs, choice.logprobs.top_logprobs, strict=True
        )
    ]
