"""Renews the leases of all open trajectories of one client, in one background task."""

from __future__ import annotations

import asyncio

from ._calls import Calls, log
from ._gen import rollout_service_pb2 as pb
from .errors import SandlotError

_BEATS_PER_LEASE = 3
_LONGEST_ATTEMPT_S = 10.0


class Heartbeats:
    """Beats at a third of the shortest lease; a beat that fails is repeated soon."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls
        self._leases_s: dict[str, float] = {}
        self._changed = asyncio.Event()
        self._stopped = False
        self._task = asyncio.create_task(self._beat(), name="sandlot-heartbeats")

    def add(self, trajectory_id: str, lease_s: float) -> None:
        self._leases_s[trajectory_id] = lease_s
        self._changed.set()

    def drop(self, trajectory_id: str) -> None:
        self._leases_s.pop(trajectory_id, None)

    async def stop(self) -> None:
        # Before Python 3.12 `wait_for` swallows a cancellation that comes together with its result.
        self._stopped = True
        self._task.cancel()
        await asyncio.wait([self._task])

    async def _beat(self) -> None:
        failed = False
        while not self._stopped:
            self._changed.clear()
            interval = min(self._leases_s.values(), default=3600.0) / _BEATS_PER_LEASE
            try:
                await asyncio.wait_for(self._changed.wait(), min(interval / 4, 5.0) if failed else interval)
                continue  # a new trajectory, perhaps with a shorter lease
            except asyncio.TimeoutError:
                failed = not await self._renew(min(interval, _LONGEST_ATTEMPT_S))

    async def _renew(self, timeout_s: float) -> bool:
        if not self._leases_s:
            return True
        try:
            answer = await self._calls.once("Heartbeat", pb.HeartbeatRequest(trajectory_ids=self._leases_s), timeout_s)
        except SandlotError as problem:
            log.debug("heartbeat: %s", problem)
            return False
        for gone in answer.gone:
            self.drop(gone)
        return True
