"""Output of a command, for those who read it while it runs and after."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Live:
    chunks: list[tuple[str, bytes]] = field(default_factory=list)
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    def hear(self, stream: str, data: bytes) -> None:
        if data:
            self.chunks.append((stream, data))
            self._changed.set()

    @property
    def raw(self) -> bytes:
        return b"".join(data for _, data in self.chunks)

    async def follow(self, work: asyncio.Future[Any], offset: int) -> AsyncIterator[tuple[int, str, bytes]]:
        """Offset, stream and bytes of all that comes behind `offset`, until the work is done."""
        at = index = 0
        while True:
            self._changed.clear()
            for stream, data in self.chunks[index:]:
                begin = max(at, offset)
                if at + len(data) > begin:
                    yield begin, stream, data[begin - at :]
                at += len(data)
                index += 1
            if work.done() and index == len(self.chunks):
                return
            changed = asyncio.ensure_future(self._changed.wait())
            await asyncio.wait([work, changed], return_when=asyncio.FIRST_COMPLETED)
            changed.cancel()
