"""Tokens and their log-probabilities as OpenAI names them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from chat.api.completion import Made, Piece
from chat.models.backend import Engine
from chat.protocol.events import ID_NAME
from farmesh.events import TokenGenerated


class TokenNames:
    """Log-probabilities with the tokens written out, in both shapes."""

    def __init__(self, engine: Engine, as_ids: bool = False) -> None:
        """
        Args:
            as_ids: write every token as ``token_id:5``: texts of different tokens can be equal.
        """
        self.engine = engine
        self._as_ids = as_ids
        self._names: dict[int, str] = {}
        self._anchor: list[int] = list(engine.tokenizer.encode("a", add_special_tokens=False))[-1:]

    def name(self, token_id: int) -> str:
        """The token's text as it is inside of a text: decoders cut a leading space elsewhere."""
        if self._as_ids:
            return f"{ID_NAME}{token_id}"
        if token_id not in self._names:
            decode = self.engine.tokenizer.decode
            alone = decode(self._anchor, skip_special_tokens=False)
            both = decode([*self._anchor, token_id], skip_special_tokens=False)
            self._names[token_id] = both.removeprefix(alone)
        return self._names[token_id]

    def chat(self, pieces: Sequence[Piece | Made]) -> dict[str, Any] | None:
        told = [self._entry(token) for piece in pieces for token in piece.tokens if token.logprobs]
        return {"content": told, "refusal": None} if told else None

    def text(self, pieces: list[Piece], offset: int) -> tuple[dict[str, Any] | None, int]:
        """The older shape, and how many characters there are up to the end of ``pieces``."""
        tokens = [token for piece in pieces for token in piece.tokens if token.logprobs]
        told: dict[str, list[Any]] = {
            "tokens": [self.name(token.token_id) for token in tokens],
            "token_logprobs": [token.logprobs.chosen for token in tokens if token.logprobs],
            "top_logprobs": [
                {self.name(other): value for other, value in token.logprobs.likeliest}
                for token in tokens
                if token.logprobs
            ],
            "text_offset": [],
        }
        at = offset
        for name in told["tokens"]:
            told["text_offset"].append(at)
            at += len(name)
        return (told if tokens else None), offset + sum(len(piece.text) for piece in pieces)

    def _entry(self, token: TokenGenerated) -> dict[str, Any]:
        if token.logprobs is None:
            raise ValueError("a token without log-probabilities")
        likeliest = [self._one(other, value) for other, value in token.logprobs.likeliest]
        return {**self._one(token.token_id, token.logprobs.chosen), "top_logprobs": likeliest}

    def _one(self, token_id: int, logprob: float) -> dict[str, Any]:
        name = self.name(token_id)
        whole = "\ufffd" not in name  # else it is a part of a character, whose bytes are not known
        return {"token": name, "logprob": logprob, "bytes": list(name.encode()) if whole else None}
