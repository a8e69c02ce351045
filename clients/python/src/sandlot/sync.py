"""
The asyncio client for programs without an event loop: `with sandlot.sync.connect(...) as client`.

Every call is that of `sandlot.Client`, `Trajectory` and the rest, run on a loop in a thread of its own: a coroutine is
waited for, an async iterator is an iterator, `async with` is `with`. Safe to use from several threads at once. A call
that Ctrl-C interrupts is cancelled as `asyncio` would. Callbacks run on the loop's thread.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Mapping
from types import TracebackType
from typing import Any

from . import client as _client
from ._background import BackgroundLoop
from ._tls import Tls
from .bare_sandbox import BareSandbox as _BareSandbox
from .sandbox import Sandbox as _Sandbox
from .trajectory import Trajectory as _Trajectory


def connect(
    address: str,
    token: str | None = None,
    *,
    tls: Tls | Mapping[str, str] | None = None,
    patience: float = 120.0,
    create_deadline: float = 600.0,
) -> Client:
    """See `sandlot.connect`."""
    target = _client.connect(address, token, tls=tls, patience=patience, create_deadline=create_deadline)
    return Client(target, BackgroundLoop())


class _Facade:
    """Something of the asyncio client, with its own names, as a thread without a loop uses it."""

    def __init__(self, target: Any, loop: BackgroundLoop) -> None:
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


def _plain(value: Any, loop: BackgroundLoop) -> Any:
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
