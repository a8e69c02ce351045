"""The sandbox of a SWE-ReX program."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from pydantic import Field
from swerex.deployment.abstract import AbstractDeployment
from swerex.deployment.hooks.abstract import CombinedDeploymentHook, DeploymentHook
from swerex.exceptions import DeploymentNotStartedError
from swerex.runtime.abstract import IsAliveResponse
from swerex.utils.log import get_logger

import sandlot

from ..harness import HarnessSettings
from ..held import Held, hold
from .runtime import SandlotRuntime

_ALIVE_S = 10.0


class SandlotDeploymentConfig(HarnessSettings):
    """What `SandlotDeployment` takes. An unknown key is an error."""

    token: str | None = Field(default=None, repr=False)
    """With the scopes `rollout` and `sandbox`."""


class SandlotDeployment(AbstractDeployment):  # type: ignore[misc,unused-ignore]
    """
    From `start` to `stop` one sandbox, on a server with `sandbox_service.enabled`. It lives over changes of the event
    loop (SWE-agent has a new one for each call), and over restarts of the server. A `sandlot.SandlotError` out of any call
    is the infrastructure's or the set-up's, never the agent's.
    """

    def __init__(self, *, logger: logging.Logger | None = None, **kwargs: Any) -> None:
        self._held: Held | None = None
        self._config = SandlotDeploymentConfig(**kwargs)
        self.logger = logger or get_logger("rex-deploy")
        self.grade: sandlot.Grade | None = None
        self._hooks = CombinedDeploymentHook()
        self._runtime: SandlotRuntime | None = None

    @classmethod
    def from_config(cls, config: SandlotDeploymentConfig) -> SandlotDeployment:
        return cls(**config.model_dump())

    def add_hook(self, hook: DeploymentHook) -> None:
        self._hooks.add_hook(hook)

    async def start(self) -> None:
        """Creates the sandbox. A second time it does nothing."""
        if self._held is not None:
            return
        self._hooks.on_custom_step("Creating the sandbox")
        self._held = await hold(self._config.wanted(self._config.token))
        self._runtime = SandlotRuntime(self._held, self._config.command_timeout_s)

    async def is_alive(self, *, timeout: float | None = None) -> IsAliveResponse:
        """Whether the server still holds the sandbox. A server that does not answer within `timeout` (10 s) says no."""
        return await self.runtime.is_alive(timeout=timeout or _ALIVE_S)

    async def submit(self) -> sandlot.Grade:
        """
        Grades the work tree as it is; the sandbox is over then. `reward` is 1 or 0, and None when there is no valid verdict:
        leave such a sample out. Raises again what the infrastructure did to an earlier call: SWE-agent swallows that.
        """
        if self._held is None:
            raise DeploymentNotStartedError
        self.grade = await self._held.submit()
        return self.grade

    async def stop(self) -> None:
        """Releases the sandbox. Idempotent. A server that is out of reach does it when the lease is over."""
        held, self._held = self._held, None
        self._runtime = None
        if held is not None:
            await held.release()

    @property
    def runtime(self) -> SandlotRuntime:
        if self._runtime is None:
            raise DeploymentNotStartedError
        return self._runtime

    @property
    def trajectory_id(self) -> str:
        """Its id on the server."""
        if self._held is None:
            raise DeploymentNotStartedError
        return self._held.id

    @property
    def problem(self) -> str:
        """The task in words; empty for a bare sandbox."""
        if self._held is None:
            raise DeploymentNotStartedError
        return self._held.problem

    def __del__(self) -> None:
        """Like the base class, and without its word when there is nothing to stop."""
        if getattr(self, "_held", None) is None:
            return
        try:
            asyncio.get_running_loop().create_task(self.stop())
        except RuntimeError:
            asyncio.run(self.stop())
