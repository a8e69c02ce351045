"""An event loop for those who have none."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import AsyncIterator, Coroutine, Iterator
from typing import Any


class BackgroundLoop:
    """An event loop in a thread, from the first call until `stop`."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()
        self._pid = os.getpid()

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        """Its result. The work is cancelled, and its clean-up waited for, when this thread is interrupted."""
        if self.here():
            work.close()
            raise RuntimeError("a call that is waited for on the thread of its own loop would wait for ever")
        future = asyncio.run_coroutine_threadsafe(work, self._started())
        try:
            return future.result()
        except BaseException:
            if not future.done():
                future.cancel()
                self.run(asyncio.sleep(0))  # what was cancelled has heard of it
            raise

    def here(self) -> bool:
        """Whether this is the thread of the loop."""
        return threading.current_thread() is self._thread

    def iterate(self, items: AsyncIterator[Any]) -> Iterator[Any]:
        """One item at a time; leaving it early closes what it reads from."""
        try:
            while True:
                try:
                    yield self.run(_next(items))
                except StopAsyncIteration:
                    return
        finally:
            close = getattr(items, "aclose", None)
            if close is not None and self._loop is not None:
                self.run(close())

    def stop(self) -> None:
        with self._lock:
            if self._loop is None or self._thread is None:
                return
            asyncio.run_coroutine_threadsafe(_end_all(), self._loop).result()
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._loop.close()
            self._loop = self._thread = None

    def _started(self) -> asyncio.AbstractEventLoop:
        if os.getpid() != self._pid:  # the loop's thread is not in this process
            raise RuntimeError("a sandlot client belongs to one process: open another one here")
        with self._lock:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                self._thread = threading.Thread(target=self._loop.run_forever, name="sandlot", daemon=True)
                self._thread.start()
            return self._loop


async def _end_all() -> None:
    """Nothing that was cancelled may be left half done."""
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)


async def _next(items: AsyncIterator[Any]) -> Any:
    return await items.__anext__()
