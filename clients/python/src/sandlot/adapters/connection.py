"""One connection for all the trajectories that a worker plays at the same time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import sandlot

from .settings import Settings


@asynccontextmanager
async def connection(settings: Settings) -> AsyncIterator[sandlot.Client]:
    """The client of this event loop for that server: opened for its first user, closed behind its last one."""
    tls = tuple(sorted(settings.tls.items()))
    key = (asyncio.get_running_loop(), settings.server, settings.token, tls, settings.patience_s)
    shared = _open.setdefault(key, _Shared(settings))
    shared.users += 1
    try:
        yield await shared.client()
    finally:
        shared.users -= 1
        if shared.users == 0:
            del _open[key]
            await shared.close()


class _Shared:
    """All who come while it is opened wait for the same attempt, and fail with it."""

    def __init__(self, settings: Settings) -> None:
        self.users = 0
        self._client = sandlot.connect(settings.server, settings.token, tls=settings.tls, patience=settings.patience_s)
        self._opening: asyncio.Task[sandlot.Client] | None = None

    async def client(self) -> sandlot.Client:
        if self._opening is None:
            self._opening = asyncio.create_task(self._client.__aenter__())
        return await asyncio.shield(self._opening)

    async def close(self) -> None:
        if self._opening is not None and not self._opening.done():
            self._opening.cancel()
            await asyncio.wait([self._opening])
        await self._client.__aexit__(None, None, None)


_open: dict[tuple[Any, ...], _Shared] = {}
