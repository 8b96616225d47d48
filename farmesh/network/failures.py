"""The daemon's errors as the engine's, and what a peer is told of ours."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

from hivemind.p2p import P2PContext, P2PDaemonError, P2PHandlerError

from farmesh.errors import FarMeshError, PeerUnreachable, RemoteError
from farmesh.network.frames import BROKEN
from farmesh.wire.failures import CODE_INTERNAL, CODE_INVALID, error_text, parse_error

logger = logging.getLogger(__name__)


def public_error(error: Exception) -> str:
    """What a peer is told of an error: a code and a sentence, never a traceback."""
    match error:
        case RemoteError():
            return error_text(error.code, str(error))
        case FarMeshError():
            return error_text(CODE_INVALID, str(error))
        case _:
            logger.exception("A handler failed")
            return error_text(CODE_INTERNAL, "the node met an internal error")


def quiet(
    handler: Callable[[Any, P2PContext], Awaitable[Any]],
) -> Callable[[Any, P2PContext], Awaitable[Any]]:
    """Keep internals of a unary handler's failure from the peer (hivemind sends ``repr``)."""

    async def guarded(request: Any, context: P2PContext) -> Any:
        try:
            return await handler(request, context)
        except Exception as error:  # noqa: BLE001 - the peer gets a sentence
            raise RuntimeError(public_error(error)) from None

    return guarded


class MethodUnknown(PeerUnreachable):
    """The peer answered, but does not have this method."""


@contextlib.contextmanager
def peer_errors() -> Iterator[None]:
    """Translate the daemon's errors into the engine's."""
    try:
        yield
    except TimeoutError as error:
        raise PeerUnreachable("it did not answer in time") from error
    except P2PHandlerError as error:
        raise RemoteError(*parse_error(str(error))) from error
    except (P2PDaemonError, *BROKEN) as error:
        unknown = "not supported" in str(error)  # libp2p's words; the daemon sends no code
        raise (MethodUnknown if unknown else PeerUnreachable)(_short(error)) from error


def _short(error: Exception) -> str:
    text = " ".join(str(error).split())
    return text[:200] or type(error).__name__
