"""Places of the fake's pools, and who waits for one."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping

from ..errors import BusyError, InvalidError

_RETRY_S = 0.5


class Places:
    """First come, first served, in each pool for itself; a group is not waited for."""

    def __init__(self, pools: Mapping[str, tuple[int, int]]) -> None:
        self.pools = dict(pools)
        self.used = dict.fromkeys(pools, 0)
        self.waiting: dict[str, deque[asyncio.Future[None]]] = {name: deque() for name in pools}

    async def take(self, pool: str, group_size: int) -> None:
        """Waits for a place, to be given back. InvalidError: no such pool, or too small. BusyError: a full line."""
        if pool not in self.pools:
            raise InvalidError(
                f"expected pool to be one of {', '.join(self.pools)}, got {pool!r:.80}", field="pool", knob="pools"
            )
        slots, queue = self.pools[pool]
        if group_size > slots:
            text = f'expected group.size to be at most the {slots} slots of pool "{pool}", got {group_size}'
            raise InvalidError(text, field="group.size", knob=f"pools.{pool}.slots")
        line = self.waiting[pool]
        if self.used[pool] < slots:
            self.used[pool] += 1
            return
        if len(line) >= queue:
            text = f'pool "{pool}" is full and {len(line)} wait already'
            raise BusyError(text, field="pool", knob=f"pools.{pool}.queue", retry_after=_RETRY_S)
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        line.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self.give_back(pool)
            raise
        finally:
            if turn in line:
                line.remove(turn)

    def give_back(self, pool: str) -> None:
        line = self.waiting[pool]
        while line:
            turn = line.popleft()
            if not turn.done():
                turn.set_result(None)  # the place passes on
                return
        self.used[pool] -= 1
