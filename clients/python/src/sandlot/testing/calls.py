"""The calls of one trajectory of the fake: each is begun once, repeated ones attach, early ones wait for their turn."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, TypeVar, cast

from ..errors import InvalidError, OutOfOrderError

EARLY_S = 60.0
ANSWER_S = 2.0
T = TypeVar("T")


@dataclass
class Flight:
    """The work of one call id: under way, or answered."""

    digest: Any
    task: asyncio.Future[Any]


@dataclass
class Fence:
    """The number that a call must have; 0 = any."""

    at: int
    next: Callable[[], int]
    what: str


class Calls:
    def __init__(self, refuse_ended: Callable[[], None], unordered: Callable[[], bool]) -> None:
        self._refuse_ended = refuse_ended
        self._unordered = unordered
        """True where the order does not matter any more."""
        self.queue = asyncio.Lock()
        self.queued = {"step": 0, "turn": 0}
        """Joined the queue and have no number yet."""
        self.waiting = 0
        self.attached = 0
        self._flights: dict[str, Flight] = {}
        self._changed = asyncio.Event()

    async def answer(
        self,
        key: str,
        digest: Any,
        work: Callable[[], Awaitable[T]],
        fence: Fence | None = None,
        remaining: float | None = None,
    ) -> T:
        """The stored answer, the one under way, or a new one once its turn has come. Leaving does not end the work."""
        self.attached += 1
        try:
            left = EARLY_S + ANSWER_S if remaining is None else remaining
            until = time.monotonic() + min(EARLY_S, left - min(ANSWER_S, left / 2))
            while True:
                known = self._flights.get(key)
                if known is not None:
                    return cast(T, await self._again(key, known, digest))
                self._refuse_ended()
                if fence is None or self._free(fence):
                    task: asyncio.Future[T] = asyncio.ensure_future(work())
                    self._flights[key] = Flight(digest, task)
                    task.add_done_callback(lambda done: self._settled(key, done))
                    self.ring()
                    return await asyncio.shield(task)
                try:
                    await asyncio.wait_for(self._changed.wait(), max(0.0, until - time.monotonic()))
                except asyncio.TimeoutError:
                    raise _out_of_order(fence) from None
        finally:
            self.attached -= 1

    async def in_queue(self, work: Callable[[], Awaitable[T]], what: str = "") -> T:
        """Runs it when those before it are done, unless it has ended. It counts as `what`: "step", "turn"."""
        self.waiting += 1
        self._count(what, 1)
        begun = False
        try:
            async with self.queue:
                begun = True
                self._count(what, -1)
                self._refuse_ended()
                return await work()
        finally:
            self.waiting -= 1
            if not begun:
                self._count(what, -1)

    def ring(self) -> None:
        """Those who wait for their turn look again."""
        self._changed.set()
        self._changed = asyncio.Event()

    async def _again(self, key: str, known: Flight, digest: Any) -> Any:
        if known.digest != digest:
            raise InvalidError(
                f"call_id {key[2:]!r} was used before with other arguments; repeat them", field="call_id"
            )
        old = known.task.done()
        answer: Any = await asyncio.shield(known.task)
        if not old or not hasattr(answer, "replayed"):
            return answer
        copy = type(answer).FromString(answer.SerializeToString())
        copy.replayed = True
        return copy

    def _free(self, fence: Fence) -> bool:
        if self._unordered():
            return True
        if fence.at and fence.at < fence.next():
            raise _out_of_order(fence)
        return fence.at in (0, fence.next())

    def _count(self, what: str, by: int) -> None:
        if what:
            self.queued[what] += by

    def _settled(self, key: str, task: asyncio.Future[Any]) -> None:
        if task.cancelled() or task.exception() is not None:
            self._flights.pop(key, None)
        self.ring()


def _out_of_order(fence: Fence) -> OutOfOrderError:
    text = f"expected {fence.what} to be {fence.next()} (the next one) or 0 (any), got {fence.at}"
    return OutOfOrderError(text, field=fence.what)
