"""
Sandlot as a sandbox of inspect_ai 0.3: `Sample(sandbox=("sandlot", SandlotConfig(task_id=..., server=...)))`, and a scorer that
asks for the verdict. Importing this module tells inspect_ai of both.
"""

from __future__ import annotations

import math
import os
import posixpath
from typing import Any, Literal, overload

from inspect_ai.scorer import Score, Scorer, Target, accuracy, scorer, stderr
from inspect_ai.solver import TaskState
from inspect_ai.util import ExecResult, SandboxEnvironment, SandboxUserUnsupportedError, sandbox, sandboxenv
from pydantic import BaseModel, ConfigDict

from .held import Held, Wanted, hold
from .output import output_of


class SandlotConfig(BaseModel):
    """The second half of `sandbox=("sandlot", ...)`. An unknown key is an error; a token comes from `token_variable`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    task_id: str = ""
    """Empty: the sample's metadata `task_id`."""
    image: str = ""
    """In place of a task: a bare sandbox from this container image, without a grade."""
    server: str = "127.0.0.1:50051"
    token_variable: str = "SANDLOT_TOKEN"
    """Of the environment: configurations are written into inspect_ai's logs, and a token is not."""
    tls: tuple[tuple[str, str], ...] = ()
    """Pairs by the names of `sandlot.Tls`."""
    graded: bool = True
    pool: str = ""
    limits: tuple[tuple[str, int], ...] = ()
    """Pairs by the names of `sandlot.Limits`: inspect_ai wants a configuration that can be hashed."""
    command_timeout_s: float = 3600.0
    """Of a command that comes without a time-out."""
    patience_s: float = 600.0
    create_deadline_s: float = 3600.0


@sandboxenv(name="sandlot")
class SandlotSandboxEnvironment(SandboxEnvironment):  # type: ignore[misc,unused-ignore]
    """A sandbox for one sample. A `sandlot.SandlotError` out of any call is the infrastructure's or the set-up's."""

    def __init__(self, held: Held, command_timeout_s: float) -> None:
        super().__init__()
        self.held = held
        self._command_timeout_s = command_timeout_s

    @classmethod
    async def sample_init(
        cls, task_name: str, config: Any, metadata: dict[str, str]
    ) -> dict[str, SandboxEnvironment]:
        wanted = config if isinstance(config, SandlotConfig) else SandlotConfig()
        task_id = wanted.task_id or ("" if wanted.image else metadata.get("task_id", ""))
        if not task_id and not wanted.image:
            raise ValueError("expected SandlotConfig(task_id=...) or `task_id` in the sample's metadata, got neither")
        return {"default": cls(await hold(_wanted(wanted, task_id, task_name)), wanted.command_timeout_s)}

    @classmethod
    async def sample_cleanup(
        cls, task_name: str, config: Any, environments: dict[str, SandboxEnvironment], interrupted: bool
    ) -> None:
        for environment in environments.values():
            await environment.as_type(cls).held.release()

    @classmethod
    def config_deserialize(cls, config: dict[str, Any]) -> BaseModel:
        return SandlotConfig(**config)

    async def exec(
        self,
        cmd: list[str],
        input: str | bytes | None = None,
        cwd: str | None = None,
        env: dict[str, str] | None = None,
        user: str | None = None,
        timeout: int | None = None,
        timeout_retry: bool = True,
        concurrency: bool = True,
    ) -> ExecResult[str]:
        """
        Raises TimeoutError, and runs nothing a second time: what was done before the time-out is done. Of each stream that has
        more than 8 MiB, head and tail.
        """
        if user not in (None, "root", "0"):
            raise SandboxUserUnsupportedError(f"user: expected root, whose sandbox it is, got {user!r}")
        output = await self.held.background.run(
            output_of(
                self.held.sandbox,
                cmd,
                env=env,
                workdir=self._path(cwd or ""),
                stdin=input or b"",
                timeout_ms=math.ceil(1000 * (timeout or self._command_timeout_s)),
            )
        )
        if output.timed_out:
            raise TimeoutError(f"timed out after {output.timeout_s:g} s: {cmd!r:.200}")
        return ExecResult(output.code == 0, output.code, output.stdout, output.stderr)

    async def write_file(self, file: str, contents: str | bytes) -> None:
        await self.held.background.run(self.held.sandbox.write_file(self._path(file), contents))

    @overload
    async def read_file(self, file: str, text: Literal[True] = True) -> str: ...

    @overload
    async def read_file(self, file: str, text: Literal[False]) -> bytes: ...

    async def read_file(self, file: str, text: bool = True) -> str | bytes:
        """Of at most 64 MiB."""
        data = await self.held.background.run(self.held.sandbox.read_file(self._path(file)))
        return data.decode() if text else data

    def _path(self, path: str) -> str:
        return posixpath.join(self.held.workdir, path)


@scorer(metrics=[accuracy(), stderr()])
def verdict() -> Scorer:
    """Submits the work tree: 1 or 0. Without a valid verdict the sample is unscored, and in no metric."""

    async def score(state: TaskState, target: Target) -> Score:
        grade = await sandbox().as_type(SandlotSandboxEnvironment).held.submit()
        facts = {"outcome": grade.outcome, "validity": grade.validity, "grade_id": grade.id}
        if grade.reward is None:
            return Score.unscored(explanation=grade.reason, metadata=facts)
        return Score(value=grade.reward, explanation=grade.reason, metadata=facts)

    return score


def _wanted(config: SandlotConfig, task_id: str, task_name: str) -> Wanted:
    return Wanted(
        task_id=task_id,
        image=config.image,
        server=config.server,
        token=os.environ.get(config.token_variable),
        tls=dict(config.tls),
        graded=config.graded,
        pool=config.pool,
        labels={"inspect_task": task_name},
        limits=dict(config.limits),
        patience_s=config.patience_s,
        create_deadline_s=config.create_deadline_s,
    )
