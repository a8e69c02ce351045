"""
Sandlot as an environment of SkyRL 0.3 (skyrl-gym 0.4), and a generator that plays a spoiled attempt again:

    skyrl_gym.register(id="sandlot", entry_point="sandlot.adapters.skyrl:SandlotEnv", kwargs={"server": "HOST:PORT"})
"""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any

import skyrl_gym
from skyrl.train.generators.skyrl_gym_generator import SkyRLGymGenerator
from skyrl_gym.envs.base_text_env import BaseTextEnv, BaseTextEnvStepOutput

from .attempt import Attempt, Lost, attempt, report_of_lost, task_of
from .background import shared
from .settings import Settings

log = logging.getLogger("sandlot")

_TOOLS = ("bash", "submit_solution")
#: On a row: where an environment says that it has begun. The generator here closes those that SkyRL's leaves open.
_BEGUN = "sandlot_begun"


class SandlotEnv(BaseTextEnv):  # type: ignore[misc,unused-ignore]
    """
    One rollout: `init` begins a trajectory, the step that ends it has the reward. What the infrastructure spoils raises
    `Lost` out of `init` or `step`, never a 0. `format`: how the model writes tool calls (`ServerInfo.formats`).
    `token_variable`: where the token is, since skyrl-gym puts the keyword arguments into errors. The rest: the settings
    of `sandlot.adapters.settings.Settings`.
    """

    def __init__(
        self,
        env_config: Any = None,
        extras: Mapping[str, Any] | None = None,
        format: str = "hermes",
        token_variable: str = "SANDLOT_TOKEN",
        **settings: Any,
    ) -> None:
        super().__init__()
        if "on_failure" in settings:
            raise ValueError("SandlotEnv.on_failure: SkyRL has no sample without a reward, so a lost one raises")
        if "token" in settings:
            raise ValueError("SandlotEnv.token: expected token_variable, the name of a variable of the environment")
        self._holding: AbstractAsyncContextManager[Attempt] | None = None
        self._settings = Settings.read({**settings, "token": os.environ.get(token_variable)}, "SandlotEnv")
        self._format = format
        row = extras or {}
        self.max_turns = int(row.get("max_turns", 1))
        self._task_id = task_of(row)
        self._begun: list[SandlotEnv] = row.get(_BEGUN, [])
        self._report = report_of_lost()

    def init(self, prompt: list[dict[str, str]]) -> tuple[list[dict[str, str]], dict[str, Any]]:
        labels = {"trainer": "skyrl"}
        self._holding = attempt(self._settings, self._task_id, group=None, labels=labels, tools=_TOOLS)
        try:
            self._attempt = shared().wait(self._holding.__aenter__())
        except BaseException:
            self._holding = None
            raise
        self._begun.append(self)
        return prompt, {"trajectory_id": self._attempt.id}

    def step(self, action: str) -> BaseTextEnvStepOutput:
        self.turns += 1
        read = shared().wait(self._attempt.turn(action, self._format))
        if read and not self._attempt.over and self.turns < self.max_turns:
            return BaseTextEnvStepOutput(observations=read, reward=0.0, done=False, metadata={})
        reward = shared().wait(self._finish())
        return BaseTextEnvStepOutput(observations=[], reward=reward, done=True, metadata={})

    def close(self) -> None:
        """Idempotent. A server that is out of reach does it when the lease is over."""
        shared().wait(self._release())

    def get_metrics(self) -> dict[str, Any]:
        """Of an attempt that is over; SkyRL logs their means."""
        return dict(self._report)

    async def _finish(self) -> float:
        try:
            await self._attempt.settle()
        finally:
            self._report = self._attempt.report()
            await self._release()
        if self._attempt.lost is not None:
            raise self._attempt.lost
        return self._attempt.reward

    async def _release(self) -> None:
        holding, self._holding = self._holding, None
        if holding is not None:
            await holding.__aexit__(None, None, None)

    def __del__(self) -> None:
        """SkyRL's own generator closes no environment whose rollout raised."""
        if getattr(self, "_holding", None) is not None:
            shared().leave(self._release())


class SandlotGenerator(SkyRLGymGenerator):  # type: ignore[misc,unused-ignore]
    """
    SkyRL's generator. A rollout of `SandlotEnv` that the infrastructure spoiled is played again, `retries` times, and
    then raises; whatever ends a rollout, its trajectory is released.
    """

    async def agent_loop(
        self, prompt: Any, env_class: str, env_extras: dict[str, Any], *args: Any, **kwargs: Any
    ) -> Any:
        left = _retries(env_class)
        while True:
            begun: list[SandlotEnv] = []
            try:
                return await super().agent_loop(prompt, env_class, {**env_extras, _BEGUN: begun}, *args, **kwargs)
            except Lost as lost:
                log.warning("a rollout of %s was lost: %s", env_extras.get("task_id", env_class), lost)
                if not lost.again or left == 0:
                    raise
                left -= 1
            finally:
                for environment in begun:
                    await shared().run(environment._release())


def _retries(env_class: str) -> int:
    return int(skyrl_gym.spec(env_class).kwargs.get("retries", Settings.retries))
