"""An asyncio loop for callers that are not asynchronous."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from concurrent.futures import Future
from typing import Any, TypeVar

_T = TypeVar("_T")


class LoopThread:
    """One asyncio loop in a daemon thread, from now until :meth:`close`."""

    def __init__(self) -> None:
        started: Future[asyncio.AbstractEventLoop] = Future()
        self._end = asyncio.Event()
        self._thread = threading.Thread(
            target=lambda: asyncio.run(self._serve(started)), name="farmesh-loop", daemon=True
        )
        self._thread.start()
        self._loop = started.result()

    def __repr__(self) -> str:
        return f"<LoopThread {'CLOSED' if self.closed else 'RUNNING'}>"

    @property
    def closed(self) -> bool:
        return not self._thread.is_alive()

    async def _serve(self, started: Future[asyncio.AbstractEventLoop]) -> None:
        started.set_result(asyncio.get_running_loop())
        await self._end.wait()

    def run(self, work: Coroutine[Any, Any, _T]) -> _T:
        """Run to the end and return the result; an interrupt here cancels the work there."""
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise

    def close(self) -> None:
        """End the thread; what still runs in it is cancelled. Closing twice does nothing."""
        if not self.closed:
            self._loop.call_soon_threadsafe(self._end.set)
            self._thread.join()
