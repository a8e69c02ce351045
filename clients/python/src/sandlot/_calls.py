"""Calls that outlive cut connections, restarts and crowds: each is safe to repeat, and is until patience ends."""

from __future__ import annotations

import asyncio
import logging
import os
import random
import re
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping
from typing import Any

import grpc

from ._stub import Stub
from ._tls import Endpoint, Tls
from .errors import BusyError, ConnectionLost, DrainingError, InvalidError, SandlotError, from_rpc

log = logging.getLogger("sandlot")

# A dead connection is found by keepalive; this only bounds one attempt, after which the same call is attached to again.
ATTEMPT_S = 600.0
QUICK_S = 30.0
# What may lie between a call and its answer besides the command and the grading: steps before it, slots, a restart.
SLACK_S = 600.0
_FIRST_DELAY_S = 0.1
_LONGEST_DELAY_S = 2.0

_CHANNEL_OPTIONS = [
    ("grpc.max_receive_message_length", 64 << 20),
    ("grpc.max_send_message_length", 64 << 20),
    # Error details travel in trailers, with a summary in them.
    ("grpc.max_metadata_size", 64 << 10),
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.max_pings_without_data", 0),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 2_000),
    # Despite its name this is how long one attempt to connect may take.
    ("grpc.min_reconnect_backoff_ms", 10_000),
    # The calls below do their own, with ids that the server knows.
    ("grpc.enable_retries", 0),
]


class Calls:
    """One channel, bound to the process and the event loop that made it."""

    def __init__(self, address: str, token: str | None, tls: Tls | Mapping[str, str] | None, patience_s: float) -> None:
        self.address = address
        self.patience_s = patience_s
        self._metadata = _authorization(token)
        self._pid = os.getpid()
        self._loop = asyncio.get_running_loop()
        self._endpoint = Endpoint.of(address, tls)
        self._channel = self._endpoint.channel(_CHANNEL_OPTIONS)
        self._stub = Stub(self._channel)
        self._closed = False
        self._out = False
        self._met = False

    async def close(self) -> None:
        """Ends all calls that are still under way. Idempotent."""
        self._closed = True
        await self._channel.close(None)

    async def unary(
        self, rpc: str, request: Any, *, deadline_s: float | None = None, patience_s: float | None = None
    ) -> Any:
        """The answer, or the typed error once `deadline_s` (default: patience) is over or trying again is no use."""
        attempts = self._attempts(rpc, deadline_s, patience_s)
        longest = QUICK_S if deadline_s is None else ATTEMPT_S
        while True:
            try:
                answer = await self._rpc(rpc)(request, timeout=attempts.timeout(longest), metadata=self._metadata)
            except grpc.aio.AioRpcError as error:
                await attempts.again(error)
            else:
                self.heard()
                return answer

    async def upload(self, rpc: str, messages: Callable[[], Iterator[Any]], *, deadline_s: float) -> Any:
        """The answer to a stream of messages, which is sent anew, from `messages()`, after a cut."""
        attempts = self._attempts(rpc, deadline_s, None)
        while True:
            try:
                answer = await self._rpc(rpc)(messages(), timeout=attempts.timeout(ATTEMPT_S), metadata=self._metadata)
            except grpc.aio.AioRpcError as error:
                await attempts.again(error)
            else:
                self.heard()
                return answer

    async def stream(self, rpc: str, request: Callable[[], Any], *, deadline_s: float) -> AsyncIterator[Any]:
        """The messages of a stream. After a cut, `request()` is asked for what goes on behind the last message."""
        attempts = self._attempts(rpc, deadline_s, None)
        while True:
            call = self._rpc(rpc)(request(), timeout=attempts.timeout(deadline_s), metadata=self._metadata)
            try:
                async for message in call:
                    attempts.heard()
                    self.heard()
                    yield message
                return
            except grpc.aio.AioRpcError as error:
                await attempts.again(error)
            finally:
                call.cancel()

    async def once(self, rpc: str, request: Any, timeout_s: float) -> Any:
        """One attempt; raises the typed error."""
        try:
            return await self._rpc(rpc)(request, timeout=timeout_s, metadata=self._metadata)
        except grpc.aio.AioRpcError as error:
            raise from_rpc(error) from error

    def _attempts(self, rpc: str, deadline_s: float | None, patience_s: float | None) -> _Attempts:
        patience = self.patience_s if patience_s is None else patience_s
        return _Attempts(self, rpc, patience if deadline_s is None else deadline_s, patience)

    def _rpc(self, name: str) -> Any:
        if self._closed:
            raise RuntimeError("this sandlot client is closed: use it inside its `async with sandlot.connect(...)`")
        if os.getpid() != self._pid or asyncio.get_running_loop() is not self._loop:
            raise RuntimeError("a sandlot client belongs to one process and one event loop: open another one here")
        return getattr(self._stub, name)

    def heard(self) -> None:
        """The server answered."""
        self._out = False
        self._met = True

    async def quarrel(self) -> str | None:
        """What in matters of TLS keeps client and server apart, if anything does."""
        return await self._endpoint.quarrel()

    async def refuse_quarrel(self) -> None:
        """Trying again does not help one that never got on with its server: `InvalidError` says why, if it is TLS."""
        why = None if self._met else await self.quarrel()
        if why is not None:
            raise InvalidError(f"tls: no connection to {self.address}: {why}", field="tls")

    def tell(self, problem: SandlotError) -> None:
        """Logs the beginning of an outage, once for all calls that meet it."""
        if not self._out:
            self._out = True
            log.warning("no answer from %s (%s): trying again for %g s", self.address, problem, self.patience_s)


def _authorization(token: str | None) -> tuple[tuple[str, str], ...]:
    """Checked here: of a header that it cannot send gRPC says no word that helps."""
    if not token:
        return ()
    if not isinstance(token, str) or not re.fullmatch("[!-~]+", token):
        got = "others too (the line end of a file?)" if isinstance(token, str) else type(token).__name__
        raise InvalidError(f"token: expected characters of ASCII and no blanks, got {got}", field="token")
    return (("authorization", f"Bearer {token}"),)


class _Attempts:
    """When to try a call again, and when to give up."""

    def __init__(self, calls: Calls, rpc: str, deadline_s: float, patience_s: float) -> None:
        self._calls = calls
        self._rpc = rpc
        self._deadline_s = deadline_s
        self._patience_s = patience_s
        self._end = time.monotonic() + deadline_s
        self._lost_since: float | None = None
        self._failures = 0

    def timeout(self, longest_s: float) -> float:
        """How long the next attempt may take."""
        return max(0.001, min(self._end - time.monotonic(), longest_s))

    def heard(self) -> None:
        """The server answered something."""
        self._lost_since = None
        self._failures = 0

    async def again(self, error: grpc.aio.AioRpcError) -> None:
        """Waits until the next attempt is due; raises the typed error when none is."""
        problem = from_rpc(error)
        now = time.monotonic()
        late = error.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        full = isinstance(problem, BusyError) or (isinstance(problem, DrainingError) and self._rpc == "Create")
        if not full and not isinstance(problem, (ConnectionLost, DrainingError)):
            raise problem from error
        if full or late:
            self._lost_since = None
            give_up = self._end
        else:
            await self._calls.refuse_quarrel()
            self._lost_since = self._lost_since or now
            give_up = min(self._end, self._lost_since + self._patience_s)
            self._calls.tell(problem)
        delay = self._delay(problem.retry_after)
        if now + delay >= give_up:
            raise await self._final(problem, late) from error
        self._failures += 1
        await asyncio.sleep(delay)

    def _delay(self, told_s: float | None) -> float:
        if told_s:
            return told_s * random.uniform(1.0, 1.5)
        return min(_LONGEST_DELAY_S, _FIRST_DELAY_S * 2.0 ** min(self._failures, 10)) * random.uniform(0.5, 1.0)

    async def _final(self, problem: SandlotError, late: bool) -> SandlotError:
        if not isinstance(problem, ConnectionLost):
            return problem
        if late and self._rpc == "Create":
            text = f"the trajectory was not ready within {self._deadline_s:g} s (create_deadline)"
            return BusyError(text, knob="create_deadline")
        waited = f"within {self._deadline_s:g} s" if late else f"for {min(self._patience_s, self._deadline_s):g} s"
        why = await self._calls.quarrel() or problem
        return ConnectionLost(f"{self._rpc}: no answer from {self._calls.address} {waited}: {why}")


async def to_the_end(work: Callable[[], Coroutine[Any, Any, Any]], grace_s: float, *, cancelled: bool = False) -> None:
    """
    Runs clean-up that a cancellation must not cut short, and that never raises: a failure is logged. After a
    cancellation it may take `grace_s` more; then the cancellation goes on.
    """
    task = asyncio.ensure_future(work())
    end = time.monotonic() + grace_s if cancelled else None
    interrupt: asyncio.CancelledError | None = None
    again = True
    while not task.done():
        try:
            await asyncio.wait([task], timeout=None if end is None else max(0.0, end - time.monotonic()))
        except asyncio.CancelledError as error:
            interrupt = error
            end = end or time.monotonic() + grace_s
        if end is not None and time.monotonic() >= end:
            task.cancel()
            break
        if task.cancelled() and again:  # a loop that shuts down cancels every task it knows, this one too
            again = False
            task = asyncio.ensure_future(work())
    if task.done() and not task.cancelled() and task.exception() is not None:
        log.warning("clean-up failed, the lease will do it: %s", task.exception())
    if interrupt is not None:
        raise interrupt
