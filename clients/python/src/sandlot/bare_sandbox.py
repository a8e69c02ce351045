"""A sandbox without a policy."""

from __future__ import annotations

from types import TracebackType

from .results import Summary
from .sandbox import Sandbox
from .trajectory import Trajectory


class BareSandbox(Sandbox):
    """
    Made by `client.sandbox(...)`: no prompt, no steps, no grade. `async with` creates it on the server and releases it
    at the end, also when the body raises or is cancelled.
    """

    def __init__(self, trajectory: Trajectory) -> None:
        self._trajectory = trajectory

    async def __aenter__(self) -> BareSandbox:
        return await self.open()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._trajectory.__aexit__(kind, error, trace)

    async def open(self) -> BareSandbox:
        """What `async with` does first. Waits while the server is busy, up to the create deadline."""
        opened = await self._trajectory.open()
        super().__init__(opened._calls, opened.id, opened.limits.command_ms)
        return self

    async def release(self) -> Summary:
        """Ends the sandbox. Idempotent."""
        return await self._trajectory.release()

    @property
    def id(self) -> str:
        return self._trajectory.id

    @property
    def summary(self) -> Summary:
        """What Create answered: limits, labels, workdir."""
        return self._trajectory.summary

    @property
    def workdir(self) -> str:
        """The repository's folder."""
        return self.summary.workdir
