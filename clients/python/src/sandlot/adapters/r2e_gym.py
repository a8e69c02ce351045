"""
Sandlot in the place of R2E-Gym's `RepoEnv` (git 69bc953): its `Agent` plays `SandlotRepoEnv("TASK", server=...)`,
with the server's tools of the same names and no container of its own.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from r2egym.agenthub.action import Action
from r2egym.agenthub.observation import Observation

import sandlot

from .attempt import Attempt, Lost, attempt
from .background import shared
from .settings import Settings

log = logging.getLogger("sandlot")

_TOOLS = ("execute_bash", "file_editor", "search", "finish")


@dataclass(frozen=True)
class SandlotArgs:
    """What R2E-Gym writes into its `Trajectory` in the place of its `EnvArgs`."""

    task_id: str
    server: str
    trajectory_id: str


class SandlotRepoEnv:
    """
    An environment, and the `runtime` of it too: as much of both as `Agent.run` and what follows it use. R2E-Gym's agent
    takes an exception of a step for an observation: what the infrastructure spoils ends the episode, and
    `_calculate_reward` raises it.
    Settings: those of `sandlot.adapters.settings.Settings`, but for `on_failure`.
    """

    def __init__(self, task_id: str, **settings: Any) -> None:
        if "on_failure" in settings:
            raise ValueError("SandlotRepoEnv.on_failure: what is lost is an error here, there is no choice")
        self.docker_image = task_id
        """Names the task where R2E-Gym names an image."""
        self._settings = Settings.read(settings, "SandlotRepoEnv")
        self._holding: AbstractAsyncContextManager[Attempt] | None = None
        self._attempt: Attempt | None = None

    @property
    def runtime(self) -> SandlotRepoEnv:
        return self

    @property
    def commit(self) -> SandlotRepoEnv:
        return self

    @property
    def args(self) -> SandlotArgs:
        return SandlotArgs(self.docker_image, self._settings.server, self._playing.id)

    @property
    def grade(self) -> sandlot.Grade | None:
        return self._attempt.grade if self._attempt else None

    def reset(self) -> str:
        """A new trajectory; the one before is released. After `retries` more attempts raises `Lost`."""
        shared().wait(self._begin())
        return "Environment reset"

    def add_commands(self, cmd_files: Sequence[str | Path]) -> None:
        """The tools are the server's: nothing is copied. Raises for one that the server does not have."""
        for file in cmd_files:
            if Path(file).stem not in _TOOLS:
                raise ValueError(f"command_files: expected {', '.join(_TOOLS)}, got {str(file)!r}")

    def step(self, action: Action, timeout: float) -> tuple[Observation, int, bool, dict[str, Any]]:
        """
        `(observation, 0, done, {"total_time": seconds})`. A command's time limit is the server's and of `limits`, not
        `timeout`. Without a function the policy reads what R2E-Gym tells it then.
        """
        began = time.monotonic()
        text = shared().wait(self._act(action)) if action.function_name else ""
        return _Told(text, action), 0, self._playing.over, {"total_time": time.monotonic() - began}

    def get_task_instruction(self) -> str:
        return str(self._playing.messages[-1]["content"])

    def get_patch(self, test_file: bool = False, non_test_file: bool = True) -> str:
        """The submission; empty before there is one. Of the hidden tests nothing is to be had."""
        wanted = self.grade is not None and non_test_file
        return self.grade.patch.decode("utf-8", "replace") if wanted and self.grade else ""

    def _calculate_reward(self, get_test_output: bool = False) -> float | tuple[float, str]:
        """The verdict's 1.0 or 0.0, 0.0 for a policy that did not finish; and in words, if asked for. Raises `Lost`."""
        shared().wait(self._playing.settle())
        if self._playing.lost is not None:
            raise self._playing.lost
        if not get_test_output:
            return self._playing.reward
        grade = self.grade
        words = f"{grade.validity} {grade.outcome} {grade.reason}".strip() if grade else "not submitted"
        return self._playing.reward, words

    def get_stats(self) -> Mapping[str, float]:
        return self._playing.report()

    def close(self) -> None:
        """Idempotent. A server that is out of reach does it when the lease is over."""
        shared().wait(self._release())

    @property
    def _playing(self) -> Attempt:
        if self._attempt is None:
            raise RuntimeError("SandlotRepoEnv: expected a reset before, got none")
        return self._attempt

    async def _begin(self) -> None:
        await self._release()
        self._attempt = None
        for left in range(self._settings.retries, -1, -1):
            labels = {"trainer": "r2e_gym"}
            holding = attempt(self._settings, self.docker_image, group=None, labels=labels, tools=_TOOLS)
            try:
                self._attempt = await holding.__aenter__()
            except Lost as lost:
                log.warning("no trajectory for %s: %s", self.docker_image, lost)
                if left == 0 or not lost.again:
                    raise
            else:
                self._holding = holding
                return

    async def _act(self, action: Action) -> str:
        """What was read from text stays text: the server reads the values by the tool's schema."""
        values = action.parameters.values()
        if not all(isinstance(value, str) and "</parameter>" not in value for value in values):
            return await self._playing.call(action.function_name, action.parameters)
        seen = await self._playing.turn(action.to_xml_string(), "r2e")
        return "\n".join(str(message["content"]) for message in seen)

    async def _release(self) -> None:
        holding, self._holding = self._holding, None
        if holding is not None:
            await holding.__aexit__(None, None, None)


class _Told(Observation):  # type: ignore[misc,unused-ignore]
    """What the server's tool says, as it stands; R2E-Gym's own words where there was no call."""

    def __init__(self, text: str, action: Action) -> None:
        super().__init__(text, "0", action)

    def __str__(self) -> str:
        return self.bash_output if self.action.function_name else str(super().__str__())
