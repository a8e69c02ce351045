"""Places of the fake's pools, and who waits for one."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field

from ..errors import BusyError, InvalidError

_RETRY_S = 0.5


@dataclass
class _Party:
    """Those who go together: one, or a group, for as long as it waits for its members."""

    group: str = ""
    size: int = 1
    turns: list[asyncio.Future[None]] = field(default_factory=list)

    @property
    def awaited(self) -> int:
        return max(0, self.size - len(self.turns))


class Places:
    """
    First come, first served, in each pool for itself. A group of a known size goes when all of it is there and fits;
    what comes after it has gone, goes alone. Unlike the real one this line has no turns among owners, and waits for a
    group without end.
    """

    def __init__(self, pools: Mapping[str, tuple[int, int]]) -> None:
        self.pools = dict(pools)
        self.used = dict.fromkeys(pools, 0)
        self._lines: dict[str, list[_Party]] = {name: [] for name in pools}
        self._gone: set[tuple[str, str]] = set()

    def queued(self, pool: str) -> int:
        return sum(len(party.turns) for party in self._lines[pool])

    async def take(self, pool: str, group: str, group_size: int) -> None:
        """Waits for a place, to be given back. InvalidError: no such pool, or too small. BusyError: a full line."""
        if pool not in self.pools:
            raise InvalidError(
                f"expected pool to be one of {', '.join(self.pools)}, got {pool!r:.80}", field="pool", knob="pools"
            )
        slots, queue = self.pools[pool]
        if group_size > slots:
            text = f'expected group.size to be at most the {slots} slots of pool "{pool}", got {group_size}'
            raise InvalidError(text, field="group.size", knob=f"pools.{pool}.slots")
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        full = self.queued(pool) + sum(party.awaited for party in self._lines[pool]) >= queue
        known = self._join(pool, group, group_size, turn)
        self._admit(pool)
        try:
            if full and not known and not turn.done():
                text = f'pool "{pool}" is full and {self.queued(pool) - 1} wait already'
                raise BusyError(text, field="pool", knob=f"pools.{pool}.queue", retry_after=_RETRY_S)
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self.give_back(pool)
            raise
        finally:
            self._leave(pool, turn)

    def give_back(self, pool: str) -> None:
        self.used[pool] -= 1
        self._admit(pool)

    def _join(self, pool: str, group: str, size: int, turn: asyncio.Future[None]) -> bool:
        """Whether the group that it belongs to was there before."""
        line = self._lines[pool]
        known = next((party for party in line if group and party.group == group), None)
        if known is not None:
            known.turns.append(turn)
        elif group and size > 1 and (pool, group) not in self._gone:
            line.append(_Party(group, size, [turn]))
        else:
            line.append(_Party(turns=[turn]))
        return known is not None

    def _admit(self, pool: str) -> None:
        """Lets go who is complete and fits. The first who is complete is not overtaken."""
        line = self._lines[pool]
        slots, _ = self.pools[pool]
        while head := next((party for party in line if party.awaited == 0), None):
            if self.used[pool] + len(head.turns) > slots:
                return
            line.remove(head)
            if head.group:
                self._gone.add((pool, head.group))
            for turn in head.turns:
                if not turn.done():
                    self.used[pool] += 1
                    turn.set_result(None)

    def _leave(self, pool: str, turn: asyncio.Future[None]) -> None:
        line = self._lines[pool]
        party = next((one for one in line if turn in one.turns), None)
        if party is None:
            return
        party.turns.remove(turn)
        if not party.turns:
            line.remove(party)
        self._admit(pool)
