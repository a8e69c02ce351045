"""
The asyncio client for programs without an event loop: `with sandlot.sync.connect(...) as client`.

Every call is that of `sandlot.Client`, `Trajectory` and the rest, run on a loop in a thread of its own: a coroutine is
waited for, an async iterator is an iterator, `async with` is `with`. Safe to use from several threads at once. A call
that Ctrl-C interrupts is cancelled as `asyncio` would. Callbacks run on the loop's thread.
"""

from __future__ import annotations

import asyncio
import functools
import inspect
import os
import threading
from collections.abc import AsyncIterator, Coroutine, Iterator
from types import TracebackType
from typing import Any

from . import client as _client
from .bare_sandbox import BareSandbox as _BareSandbox
from .sandbox import Sandbox as _Sandbox
from .trajectory import Trajectory as _Trajectory


def connect(
    address: str, token: str | None = None, *, patience: float = 120.0, create_deadline: float = 600.0
) -> Client:
    """See `sandlot.connect`."""
    return Client(_client.connect(address, token, patience=patience, create_deadline=create_deadline), _Loop())


class _Loop:
    """An event loop in a thread, from the first call until `stop`."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()
        self._pid = os.getpid()

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        """Its result. The work is cancelled, and its clean-up waited for, when this thread is interrupted."""
        future = asyncio.run_coroutine_threadsafe(work, self._started())
        try:
            return future.result()
        except BaseException:
            if not future.done():
                future.cancel()
                self.run(asyncio.sleep(0))  # what was cancelled has heard of it
            raise

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


class _Facade:
    """Something of the asyncio client, with its own names, as a thread without a loop uses it."""

    def __init__(self, target: Any, loop: _Loop) -> None:
        self._target = target
        self._loop = loop

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(f"{type(self).__name__} has no {name}")
        return _plain(getattr(self._target, name), self._loop)

    def __dir__(self) -> list[str]:
        return [name for name in dir(self._target) if not name.startswith("_")]

    def __enter__(self) -> Any:
        self._loop.run(self._target.__aenter__())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.run(self._target.__aexit__(kind, error, trace))


class Client(_Facade):
    """`sandlot.Client`."""

    def __enter__(self) -> Client:
        try:
            super().__enter__()
        except BaseException:
            self._loop.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            super().__exit__(kind, error, trace)
        finally:
            self._loop.stop()


class Trajectory(_Facade):
    """`sandlot.Trajectory`."""


class Sandbox(_Facade):
    """`sandlot.Sandbox`."""


class BareSandbox(Sandbox):
    """`sandlot.BareSandbox`."""


def _plain(value: Any, loop: _Loop) -> Any:
    """The value as a thread without a loop uses it."""
    if inspect.ismethod(value):
        return functools.wraps(value)(lambda *args, **kwargs: _plain(value(*args, **kwargs), loop))
    if inspect.iscoroutine(value):
        return _plain(loop.run(value), loop)
    if inspect.isasyncgen(value):
        return loop.iterate(value)
    if isinstance(value, _Trajectory):
        return Trajectory(value, loop)
    if isinstance(value, _BareSandbox):
        return BareSandbox(value, loop)
    if isinstance(value, _Sandbox):
        return Sandbox(value, loop)
    return value
