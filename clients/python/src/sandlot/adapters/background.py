"""The event loop that a client belongs to, when its user comes with none, or with many."""

from __future__ import annotations

import asyncio
import functools
import os
from collections.abc import Coroutine
from typing import Any, TypeVar

from sandlot._background import BackgroundLoop

Out = TypeVar("Out")


class Background:
    """A loop in a thread, from the first call until `stop`. Leases are renewed on it while nobody waits."""

    def __init__(self) -> None:
        self._loop = BackgroundLoop()

    async def run(self, work: Coroutine[Any, Any, Out]) -> Out:
        """Waits on the caller's own loop; cancelling it cancels the work."""
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work, self._loop._started()))

    def wait(self, work: Coroutine[Any, Any, Out]) -> Out:
        """The same for a caller without a loop."""
        out: Out = self._loop.run(work)
        return out

    def leave(self, work: Coroutine[Any, Any, Any]) -> None:
        """Waits for nothing: for what is cleaned up when nobody looks after it any more."""
        asyncio.run_coroutine_threadsafe(work, self._loop._started())

    def end(self, work: Coroutine[Any, Any, Any]) -> None:
        """For `__del__`, which the garbage collector may call on this very loop's thread: waits where that can be."""
        if self._loop.here():
            self.leave(work)
        else:
            self.wait(work)

    def stop(self) -> None:
        self._loop.stop()


def shared() -> Background:
    """One loop, and so one connection to a server, for all the environments of a process."""
    return _of(os.getpid())


@functools.cache
def _of(pid: int) -> Background:
    return Background()
