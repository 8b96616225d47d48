"""HTTP to another FarMesh Chat: answers checked, streams read, and every failure a sentence."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import quote, urlsplit

import httpx
from pydantic import BaseModel, ValidationError

from chat.errors import Forward, GatewayFailure, Kept
from chat.words import count

log = logging.getLogger(__name__)

T = TypeVar("T", bound=BaseModel)

CONNECT_SECONDS = 5.0
SILENT_SECONDS = 45.0  # the other app says something every 15 seconds, if only that it waits
KEPT_SECONDS = 2.0  # idle connections; the other app closes its own after 5
UNREACHED_PAUSES = (0.3, 1.0)  # seconds before a connection that was refused is tried again
OPENING_SECONDS = 60.0  # in which a model that is being opened there is waited for
LONGEST_LINE = 4_000_000  # bytes of one event
LONGEST_ANSWER = 100_000_000  # bytes; some tokenizers are large


class Unreached(GatewayFailure):
    """No connection, so nothing was asked: it can be tried again without harm."""


class Opening(GatewayFailure):
    """The model is being opened there."""


class KeptTooLong(GatewayFailure):
    """The other app closed an idle connection in the moment in which it was used again."""


@dataclass(slots=True)
class _Patience:
    """Retries of what has a name, and of nothing else."""

    unreached: int = 0
    stale: int = 0
    opened: float | None = None  # when the model was first found opening

    async def after(self, failure: GatewayFailure) -> None:
        """Wait until it makes sense to try again.

        Raises:
            GatewayFailure: it does not, any more.
        """
        now = asyncio.get_running_loop().time()
        match failure:
            case Unreached() if self.unreached < len(UNREACHED_PAUSES):
                await asyncio.sleep(UNREACHED_PAUSES[self.unreached])
                self.unreached += 1
            case KeptTooLong() if not self.stale:
                self.stale += 1
            case Opening() if now - (self.opened or now) < OPENING_SECONDS:
                self.opened = self.opened or now
                await asyncio.sleep(min(5, failure.retry_after))
            case _:
                raise failure


class GatewayHttp:
    """One connection pool to one other app; an ``async with`` scope."""

    def __init__(self, url: str, key: str = "") -> None:
        self.name = urlsplit(url).netloc
        self.app = f"The FarMesh Chat at {self.name}"
        self._http = httpx.AsyncClient(
            base_url=url,
            headers={"authorization": f"Bearer {key}"} if key else {},
            timeout=httpx.Timeout(SILENT_SECONDS, connect=CONNECT_SECONDS, pool=None),
            limits=httpx.Limits(
                max_connections=None, max_keepalive_connections=20, keepalive_expiry=KEPT_SECONDS
            ),
        )

    def __repr__(self) -> str:
        return f"<GatewayHttp {self.name}>"

    async def __aenter__(self) -> GatewayHttp:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._http.aclose()

    async def get(self, path: str, shape: type[T], seconds: float | None = None) -> T:
        """An answer of this shape.

        Raises:
            GatewayFailure: none came.
        """
        body = bytearray()
        try:
            async with asyncio.timeout(seconds), aclosing(self._bytes("GET", path, None)) as parts:
                async for part in parts:
                    body += part
                    if len(body) > LONGEST_ANSWER:
                        raise strange(self.name)
            return shape.model_validate_json(bytes(body))
        except TimeoutError:
            raise self._silent() from None
        except ValidationError as error:
            raise strange(self.name) from error

    async def stream(self, path: str, body: dict[str, Any]) -> AsyncGenerator[dict[str, Any], None]:
        """The events of a reply; closing it closes the connection, which ends the work there.

        Raises:
            GatewayFailure: there is no reply, or it broke off.
        """
        patience, begun = _Patience(), False
        while True:
            try:
                async with aclosing(self._bytes("POST", path, body)) as parts:
                    async for data in _events(parts, self.name):
                        begun = True
                        if "error" in data:
                            raise self._refused(503, data, None)
                        yield data
                return
            except GatewayFailure as failure:
                if begun:
                    raise
                await patience.after(failure)

    async def _bytes(
        self, method: str, path: str, body: dict[str, Any] | None
    ) -> AsyncGenerator[bytes, None]:
        answered = False
        try:
            async with self._http.stream(method, path, json=body) as answer:
                answered = True
                if answer.status_code != 200:
                    raise self._refused(
                        answer.status_code,
                        _json(await answer.aread()),
                        answer.headers.get("retry-after"),
                    )
                async for part in answer.aiter_bytes():
                    yield part
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            raise self._unreached() from error
        except httpx.TimeoutException as error:
            raise self._silent() from error
        except (httpx.RemoteProtocolError, httpx.ReadError, httpx.WriteError) as error:
            raise self.broke_off(GatewayFailure if answered else KeptTooLong) from error
        except httpx.HTTPError as error:
            log.warning("%s: %s", self.name, type(error).__name__)
            raise strange(self.name) from error

    def broke_off(self, kind: type[GatewayFailure] = GatewayFailure) -> GatewayFailure:
        return kind(
            f"{self.app} broke off.",
            short=f"{self.app} broke off",
            kept=Kept.REPLY,
            advice="try again, or continue the reply.",
        )

    def _unreached(self) -> Unreached:
        return Unreached(
            f"{self.app} cannot be reached.",
            short=f"{self.app} cannot be reached",
            kept=Kept.MESSAGE,
            advice="try again in a moment.",
        )

    def _silent(self) -> GatewayFailure:
        return GatewayFailure(
            f"{self.app} went silent.",
            short=f"{self.app} does not answer",
            kept=Kept.REPLY,
            advice="try again.",
        )

    def _refused(self, status: int, answer: Any, retry_after: str | None) -> GatewayFailure:
        """What a refusal means for the people here."""
        body = answer if isinstance(answer, dict) else {}
        error = body.get("error")
        error = error if isinstance(error, dict) else {"message": body.get("detail")}
        said, code = str(error.get("message") or "")[:300], str(error.get("code") or "")
        wait = int(retry_after) if retry_after and retry_after.isdigit() else 2
        if status == 401:
            return GatewayFailure(
                f"{self.app} does not accept this app's key; whoever runs this page has to set "
                "swarm.gateway_key.",
                short=f"{self.app} refuses this app's key",
                forward=Forward.WAIT,
                code="invalid_api_key",
            )
        if status == 429 or code in ("rate_limit_exceeded", "line_full"):
            return GatewayFailure(
                f"{self.app} takes no more messages from here at present.",
                kept=Kept.MESSAGE,
                advice=f"try again in {count(wait, 'second')}.",
                code="rate_limit_exceeded",
                retry_after=wait,
            )
        if not said and status >= 500:  # a proxy speaks for an app that is not there
            return self._unreached()
        if not said:
            return strange(self.name)
        if status == 404:
            return GatewayFailure(
                f"{self.app} does not offer this model: {said}", code="model_not_found"
            )
        if status == 503 and code == "model_opening":
            return Opening(
                f"{self.app} is opening the model: {said}",
                short=f"{self.app} is opening the model",
                code=code,
                retry_after=wait,
            )
        if status >= 500:
            said = said if said.endswith(".") else f"{said}."
            return GatewayFailure(
                said, kept=Kept.MESSAGE, advice="try again in a moment.", code=code
            )
        return GatewayFailure(f"{self.app} refused: {said}", forward=Forward.EDIT, code=code)


def strange(name: str) -> GatewayFailure:
    """What answers there is no FarMesh Chat, or one of another version."""
    return GatewayFailure(
        f"What answers at {name} is no FarMesh Chat that this one understands; "
        "its version may be older.",
        short=f"{name} does not answer as a FarMesh Chat",
        forward=Forward.WAIT,
        code="strange",
    )


def part_of_path(text: str) -> str:
    return quote(text, safe="")


def _json(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        return None


async def _events(parts: AsyncIterator[bytes], name: str) -> AsyncIterator[dict[str, Any]]:
    """Server-sent events, one JSON object each, up to the end mark."""
    pending = b""
    async for part in parts:
        *lines, pending = (pending + part).split(b"\n")
        if len(pending) > LONGEST_LINE:
            raise strange(name)
        for line in lines:
            if not line.startswith(b"data:"):
                continue  # an empty line, or a comment that says that it still waits
            payload = line[5:].strip()
            if payload == b"[DONE]":
                return
            data = _json(payload)
            if not isinstance(data, dict):
                raise strange(name)
            yield data
