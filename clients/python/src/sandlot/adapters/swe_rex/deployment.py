"""The sandbox of a SWE-ReX program."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from pydantic import BaseModel, ConfigDict, Field
from swerex.deployment.abstract import AbstractDeployment
from swerex.deployment.hooks.abstract import CombinedDeploymentHook, DeploymentHook
from swerex.exceptions import DeploymentNotStartedError
from swerex.runtime.abstract import IsAliveResponse
from swerex.utils.log import get_logger

import sandlot

from ..background import Background
from .runtime import SandlotRuntime

_ALIVE_S = 10.0


class SandlotDeploymentConfig(BaseModel):
    """What `SandlotDeployment` takes. An unknown key is an error."""

    model_config = ConfigDict(extra="forbid")

    task_id: str
    server: str = "127.0.0.1:50051"
    token: str | None = Field(default=None, repr=False)
    """With the scopes `rollout` and `sandbox`."""
    graded: bool = True
    """A trajectory, for `submit()`. False: a bare sandbox with the environment of the task and no grade."""
    pool: str = ""
    labels: dict[str, str] = {}
    limits: dict[str, int] = {}
    """By the names of `sandlot.Limits`."""
    command_timeout_s: float = 3600.0
    """Of a command that comes without a time-out: SWE-ReX would wait for ever."""
    patience_s: float = 600.0
    """How long the server may be out of reach."""
    create_deadline_s: float = 3600.0


class SandlotDeployment(AbstractDeployment):  # type: ignore[misc,unused-ignore]
    """
    From `start` to `stop` one sandbox, on a server with `sandbox_service.enabled`. It lives over changes of the event
    loop (SWE-agent has a new one for each call), and over restarts of the server. A `sandlot.SandlotError` out of any call
    is the infrastructure's or the set-up's, never the agent's.
    """

    def __init__(self, *, logger: logging.Logger | None = None, **kwargs: Any) -> None:
        self._client: sandlot.Client | None = None
        self._config = SandlotDeploymentConfig(**kwargs)
        self.logger = logger or get_logger("rex-deploy")
        self.grade: sandlot.Grade | None = None
        self._hooks = CombinedDeploymentHook()
        self._background = Background()
        self._held: sandlot.Trajectory | sandlot.BareSandbox | None = None
        self._runtime: SandlotRuntime | None = None

    @classmethod
    def from_config(cls, config: SandlotDeploymentConfig) -> SandlotDeployment:
        return cls(**config.model_dump())

    def add_hook(self, hook: DeploymentHook) -> None:
        self._hooks.add_hook(hook)

    async def start(self) -> None:
        """Creates the sandbox. A second time it does nothing."""
        if self._runtime is not None:
            return
        self._hooks.on_custom_step("Creating the sandbox")
        try:
            self._runtime = await self._background.run(self._opened())
        except BaseException:
            self._background.stop()
            raise

    async def is_alive(self, *, timeout: float | None = None) -> IsAliveResponse:
        """Whether the server still holds the sandbox. A server that does not answer within `timeout` (10 s) says no."""
        return await self.runtime.is_alive(timeout=timeout or _ALIVE_S)

    async def submit(self) -> sandlot.Grade:
        """
        Grades the work tree as it is; the sandbox is over then. `reward` is 1 or 0, and None when there is no valid verdict:
        leave such a sample out.
        """
        if not isinstance(self._held, sandlot.Trajectory):
            raise DeploymentNotStartedError if self._held is None else RuntimeError("graded: expected true, got false")
        self.grade = await self._background.run(self._held.submit())
        return self.grade

    async def stop(self) -> None:
        """Releases the sandbox. Idempotent. A server that is out of reach does it when the lease is over."""
        client, self._client = self._client, None
        self._runtime = None
        if client is None:
            return
        try:
            await self._background.run(self._closed(client))
        finally:
            self._background.stop()

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

    async def _opened(self) -> SandlotRuntime:
        config = self._config
        client = sandlot.connect(
            config.server, config.token, patience=config.patience_s, create_deadline=config.create_deadline_s
        )
        await client.__aenter__()
        try:
            make = client.trajectory if config.graded else client.sandbox
            held = make(config.task_id, pool=config.pool, labels=config.labels, limits=config.limits)
            await held.open()
        except BaseException:
            await client.__aexit__(None, None, None)
            raise
        self._client, self._held = client, held
        sandbox = held.sandbox if isinstance(held, sandlot.Trajectory) else held
        return SandlotRuntime(
            client, sandbox, self._background, workdir=held.summary.workdir, command_timeout_s=config.command_timeout_s
        )

    async def _closed(self, client: sandlot.Client) -> None:
        try:
            if self._held is not None:
                await self._held.__aexit__(None, None, None)
        finally:
            await client.__aexit__(None, None, None)

    def __del__(self) -> None:
        """Like the base class, and without its word when there is nothing to stop."""
        if getattr(self, "_client", None) is None:
            return
        try:
            asyncio.get_running_loop().create_task(self.stop())
        except RuntimeError:
            asyncio.run(self.stop())
