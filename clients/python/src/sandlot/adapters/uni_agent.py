"""
Sandlot as a sandbox of uni-agent (git 6f4a7c9): `sandbox: { provider: sandlot, sandbox_kwargs: { task_id: ... } }`, and a task
`sandlot` whose reward is the verdict. Importing this module registers both, in every process that plays.
"""

from __future__ import annotations

import math
import posixpath
import shlex
from collections.abc import Mapping
from typing import Any

from pydantic import Field
from uni_agent.sandbox import ExecResult, Sandbox, SandboxConfig
from uni_agent.sandbox.registry import register_sandbox
from uni_agent.tasks.base import Task, TaskConfig, TaskResult
from uni_agent.tasks.registry import register_task

import sandlot

from .harness import HarnessSettings
from .held import Held, hold
from .output import output_of
from .session import Session, SyntaxFault


class SandlotSandboxConfig(HarnessSettings):
    """The block `sandbox_kwargs`. An unknown key is an error. uni-agent's own `image` and `runtime_timeout` beside it mean nothing."""

    token: str | None = Field(default=None, repr=False)
    """With the scopes `rollout` and `sandbox`."""


@register_sandbox("sandlot")
class SandlotSandbox(Sandbox):  # type: ignore[misc,unused-ignore]
    """
    From `start` to `stop` one sandbox. uni-agent's loop takes any exception for the end of an episode and asks for the reward
    all the same: what the infrastructure spoiled is raised again by `submit`.
    """

    supports_shell = True

    def __init__(self, **settings: Any) -> None:
        self._config = SandlotSandboxConfig(**settings)
        self._held: Held | None = None

    @classmethod
    def from_config(cls, config: SandboxConfig) -> SandlotSandbox:
        return cls(**config.sandbox_kwargs)

    async def start(self) -> None:
        self._held = await hold(self._config.wanted(self._config.token))

    async def stop(self) -> None:
        """Idempotent. A server that is out of reach does it when the lease is over."""
        held, self._held = self._held, None
        if held is not None:
            await held.release()

    async def is_alive(self) -> bool:
        """uni-agent asks behind an error: one of the infrastructure is to be raised and not shown to the model."""
        return self._held is not None and self._held.spoiled is None

    async def submit(self) -> sandlot.Grade:
        """Grades the work tree as it is. Its `reward` is None without a valid verdict: no sample, and no 0."""
        return await self.held.submit()

    async def open_shell(self, *, cwd: str | None = None, env: dict[str, str] | None = None) -> SandlotShell:
        """Working directory, variables, functions and options last from command to command; there is no terminal."""
        shell = SandlotShell(self, Session(self.held.sandbox, self._path(cwd)))
        await shell.start(env or {})
        return shell

    async def read_file(self, path: str) -> bytes:
        """Of at most 64 MiB."""
        return await self.held.watched(self.held.sandbox.read_file(self._path(path)))

    async def write_file(self, path: str, content: bytes | str) -> None:
        await self.held.watched(self.held.sandbox.write_file(self._path(path), content))

    @property
    def held(self) -> Held:
        if self._held is None:
            raise RuntimeError("the sandbox is not started")
        return self._held

    @property
    def problem(self) -> str:
        """The task in words; empty for a bare sandbox."""
        return self.held.problem

    def milliseconds(self, timeout_s: float | None) -> int:
        return max(1, math.ceil(1000 * (timeout_s or self._config.command_timeout_s)))

    async def _exec(
        self,
        argv: list[str],
        *,
        timeout: float | None = None,
        workdir: str | None = None,
        env: dict[str, str] | None = None,
    ) -> ExecResult:
        timeout_ms = self.milliseconds(timeout)
        work = output_of(self.held.sandbox, argv, env=env, workdir=self._path(workdir), timeout_ms=timeout_ms)
        output = await self.held.watched(work)
        if output.timed_out:
            raise TimeoutError(f"{output.text}\n[ended with all its processes]".lstrip())
        return ExecResult(output.code, output.stdout, output.stderr)

    def _path(self, path: str | None) -> str:
        return posixpath.join(self.held.workdir, path or "")


class SandlotShell:
    """Made by `open_shell`. What both streams say is in `stdout`, in its order."""

    def __init__(self, sandbox: SandlotSandbox, session: Session) -> None:
        self._sandbox = sandbox
        self._session = session

    async def start(self, env: Mapping[str, str]) -> None:
        exported = "".join(f"export {name}={shlex.quote(value)}\n" for name, value in env.items())
        await self.run(exported or "true")

    async def run(self, command: str, *, timeout: float | None = None) -> ExecResult:
        """Raises TimeoutError, with what was printed, when the command and all its processes were ended."""
        try:
            output = await self._sandbox.held.watched(self._session.run(command, self._sandbox.milliseconds(timeout)))
        except SyntaxFault as fault:
            return ExecResult(2, "", str(fault))
        if output.timed_out:
            raise TimeoutError(output.text)
        return ExecResult(output.code, output.text, "")

    async def close(self) -> None:
        if await self._sandbox.is_alive():
            await self._sandbox.held.watched(self._session.close())


@register_task("sandlot")
class SandlotTask(Task):  # type: ignore[misc,unused-ignore]
    """
    Any agent on one trajectory. The prompt is the row's, or the task's own. Raises where there is no valid verdict: the row
    is no sample then.
    """

    async def run(self) -> TaskResult:
        config: TaskConfig = self.config
        async with self.build_sandbox() as sandbox:
            messages = config.prompt or [{"role": "user", "content": sandbox.problem}]
            played = await self.build_agent().run(sandbox=sandbox, messages=messages)
            grade = await sandbox.submit()
        if grade.reward is None:
            raise RuntimeError(f"no reward for {grade.id}: {grade.validity}: {grade.reason}")
        facts = {"outcome": grade.outcome, "validity": grade.validity, "grade_id": grade.id}
        return TaskResult(float(grade.reward), float(grade.reward), played.finished, {**played.info, **facts})
