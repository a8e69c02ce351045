"""
Sandlot as an environment of mini-swe-agent 2.4: `environment_class: sandlot.adapters.mini_swe_agent.SandlotEnvironment`.

The agent's first output line COMPLETE_TASK_AND_SUBMIT_FINAL_OUTPUT submits the work tree, and `reward` is there.
"""

from __future__ import annotations

import math
import platform
import shlex
from types import TracebackType
from typing import Any

from minisweagent.exceptions import InterruptAgentFlow, LimitsExceeded, Submitted
from minisweagent.utils.serialize import recursive_merge
from pydantic import BaseModel, ConfigDict, Field

import sandlot
from sandlot import sync

MARKER = "COMPLETE_TASK_AND_SUBMIT_FINAL_OUTPUT"


class SandlotEnvironmentConfig(BaseModel):
    """The block `environment` of the agent's YAML. An unknown key is an error."""

    model_config = ConfigDict(extra="forbid")

    task_id: str
    server: str = "127.0.0.1:50051"
    token: str | None = Field(default=None, exclude=True, repr=False)
    """Never in a template or a saved trajectory."""
    tls: dict[str, str] = {}
    """By the names of `sandlot.Tls`."""
    cwd: str = ""
    """Where commands start; empty = the repository."""
    env: dict[str, str] = {}
    timeout: int = 60
    """Of a command, in seconds."""
    pool: str = ""
    labels: dict[str, str] = {}
    limits: dict[str, int] = {}
    """By the names of `sandlot.Limits`; the output of a command is kept up to 1 MiB, for the agent's template to cut."""
    patience_s: float = 600.0
    """How long the server may be out of reach."""
    create_deadline_s: float = 3600.0


class SandlotEnvironment:
    """
    One trajectory, made here and over after the submission, or with `close()`, `with` or the end of the object. What the
    infrastructure spoils raises a `sandlot.SandlotError` out of `agent.run`: there is no reward then.
    """

    def __init__(self, **kwargs: Any) -> None:
        self._trajectory: sync.Trajectory | None = None
        self.config = SandlotEnvironmentConfig(**kwargs)
        self.grade: sandlot.Grade | None = None
        config = self.config
        client = sync.connect(
            config.server,
            config.token,
            tls=config.tls,
            patience=config.patience_s,
            create_deadline=config.create_deadline_s,
        )
        self._client = client.__enter__()
        try:
            trajectory = client.trajectory(
                config.task_id,
                pool=config.pool,
                labels=config.labels,
                limits={"command_ms": config.timeout * 1000, "output_bytes": 1 << 20, **config.limits},
            )
            self._trajectory = trajectory.open()
        except BaseException:
            client.__exit__(None, None, None)
            raise
        self.trajectory_id = self._trajectory.id
        self.problem = str(self._trajectory.messages[-1]["content"])
        """What the task asks for: `agent.run(environment.problem)`."""
        self._workdir = self._trajectory.summary.workdir

    @property
    def reward(self) -> float | None:
        """1 or 0; None as long as there is no valid verdict. None is no 0: leave the sample out."""
        return self.grade.reward if self.grade else None

    def execute(self, action: dict[str, Any], cwd: str = "", *, timeout: float | None = None) -> dict[str, Any]:
        """A command in a fresh shell. Raises `Submitted` for the marker, `LimitsExceeded` when the budget is used up."""
        arguments = {"command": self._command(str(action.get("command", "")), cwd), "stateless": True}
        result = self._open.execute("bash", arguments, timeout_ms=math.ceil(1000 * timeout) if timeout else 0)
        if result.terminated:
            self.grade = result.grade
            raise InterruptAgentFlow(_exit("SandboxBroken", result.text))
        if result.truncated and result.kind == "OUT_OF_BUDGET":
            raise LimitsExceeded(_exit("LimitsExceeded", result.text))
        output = _observed(result)
        first, _, rest = output["output"].lstrip().partition("\n")
        if first.strip() == MARKER and output["returncode"] == 0:
            self.submit()
            raise Submitted(_exit("Submitted", rest))
        return output

    def submit(self) -> sandlot.Grade:
        """
        Grades the work tree as it is, and ends the trajectory: the marker does it. For an agent that stopped without it, say
        at its step limit, the caller decides whether that counts.
        """
        if self.grade is None:
            self.grade = self._open.submit()
        self.close()
        return self.grade

    def close(self) -> None:
        """Releases the trajectory. Idempotent. A server that is out of reach does it when the lease is over."""
        trajectory, self._trajectory = self._trajectory, None
        if trajectory is None:
            return
        try:
            trajectory.__exit__(None, None, None)
        finally:
            self._client.__exit__(None, None, None)

    def get_template_vars(self, **kwargs: Any) -> dict[str, Any]:
        known = self.config.model_dump() | {"cwd": self.config.cwd or self._workdir}
        merged: dict[str, Any] = recursive_merge(known, platform.uname()._asdict(), kwargs)
        return merged

    def serialize(self) -> dict[str, Any]:
        """What the saved trajectory says of the environment and of the verdict."""
        grade = self.grade
        verdict = {"validity": grade.validity, "outcome": grade.outcome, "reason": grade.reason} if grade else {}
        return {
            "info": {
                "config": {
                    "environment": self.config.model_dump(mode="json"),
                    "environment_type": f"{type(self).__module__}.{type(self).__name__}",
                },
                "sandlot": {"trajectory_id": self.trajectory_id, "reward": self.reward, **verdict},
            }
        }

    def __enter__(self) -> SandlotEnvironment:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __del__(self) -> None:
        if getattr(self, "_trajectory", None) is not None:
            self.close()

    @property
    def _open(self) -> sync.Trajectory:
        if self._trajectory is None:
            raise RuntimeError(f"the trajectory {self.trajectory_id} is over: make another environment")
        return self._trajectory

    def _command(self, command: str, cwd: str) -> str:
        """On the line of the command, so that line numbers stay."""
        folder = cwd or self.config.cwd
        entered = f"cd {shlex.quote(folder)} || exit; " if folder else ""
        exported = "".join(f"export {name}={shlex.quote(value)}; " for name, value in self.config.env.items())
        return exported + entered + command


def _observed(result: sandlot.Result) -> dict[str, Any]:
    """As mini-swe-agent's own environments tell it: -1 and a reason for a command that did not come to its end."""
    if result.kind != "OK":
        why = f"timed out after {result.timeout_ms / 1000:g} s" if result.kind == "TIMED_OUT" else result.kind.lower()
        reason = f"An error occurred while executing the command: {why}"
        return {"output": result.text, "returncode": -1, "exception_info": reason}
    code = result.exit_code if result.exit_code is not None else -(result.signal or 1)
    return {"output": result.text.removesuffix(f"[exit code {code}]"), "returncode": code, "exception_info": ""}


def _exit(status: str, submission: str) -> dict[str, Any]:
    printed = submission if status == "Submitted" else ""
    return {"role": "exit", "content": submission, "extra": {"exit_status": status, "submission": printed}}
