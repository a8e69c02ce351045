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
from skyrl.train.generators.skyrl_gym_generator import SkyRLGymGenerator, StepWiseOutput, TrajectoryOutput
from skyrl_gym.envs.base_text_env import BaseTextEnv, BaseTextEnvStepOutput

from .attempt import Attempt, Lost, attempt, report_of_lost, task_of
from .background import shared
from .settings import Settings

log = logging.getLogger("sandlot")

_TOOLS = ("bash", "submit_solution")
#: On a row: where an environment says that it has begun. The generator here closes those that SkyRL's leaves open.
_BEGUN = "sandlot_begun"
# Here too, and not by their environments alone: of what is collected together with its environment, asyncio closes the parts
# in any order, the connection before the release.
_held: set[AbstractAsyncContextManager[Attempt]] = set()


class SandlotEnv(BaseTextEnv):  # type: ignore[misc,unused-ignore]
    """
    One rollout: `init` begins a trajectory, the step that ends it has the reward. What the infrastructure spoils raises
    `Lost` out of `init` or `step`, never a 0. `format`: how the model writes tool calls (`ServerInfo.formats`).
    `token_variable`: where the token is, since skyrl-gym puts the keyword arguments into errors. `on_failure`: "raise",
    or "mask", which `SandlotGenerator` knows. The rest: the settings of `sandlot.adapters.settings.Settings`.
    """

    def __init__(
        self,
        env_config: Any = None,
        extras: Mapping[str, Any] | None = None,
        format: str = "hermes",
        token_variable: str = "SANDLOT_TOKEN",
        on_failure: str = "raise",
        **settings: Any,
    ) -> None:
        super().__init__()
        if on_failure not in ("raise", "mask"):
            raise ValueError(f'SandlotEnv.on_failure: expected "raise" or "mask", got {on_failure!r}')
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
        _held.add(self._holding)
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
            _held.discard(holding)
            await holding.__aexit__(None, None, None)

    def __del__(self) -> None:
        """SkyRL's own generator closes no environment whose rollout raised."""
        if getattr(self, "_holding", None) is not None:
            shared().leave(self._release())


class SandlotGenerator(SkyRLGymGenerator):  # type: ignore[misc,unused-ignore]
    """
    SkyRL's generator. A rollout of `SandlotEnv` that the infrastructure spoiled is played again, `retries` times; then
    it raises or, with `on_failure: mask`, takes its whole group out of the loss: SkyRL's trainer computes the baseline
    of a group over all of its rows, so that any number for the lost reward would change what the others get.
    Whatever ends a rollout, its trajectory is released.
    """

    async def agent_loop(
        self, prompt: Any, env_class: str, env_extras: dict[str, Any], *args: Any, **kwargs: Any
    ) -> Any:
        left = _of(env_class, "retries", Settings.retries)
        while True:
            begun: list[SandlotEnv] = []
            try:
                return await super().agent_loop(prompt, env_class, {**env_extras, _BEGUN: begun}, *args, **kwargs)
            except Lost as lost:
                log.warning("a rollout of %s was lost: %s", env_extras.get("task_id", env_class), lost)
                if lost.again and left > 0:
                    left -= 1
                elif _of(env_class, "on_failure", "raise") == "mask":
                    return self._empty(prompt)
                else:
                    raise
            finally:
                for environment in begun:
                    await shared().run(environment._release())

    async def generate(self, input_batch: Any, disable_tqdm: bool = False) -> Any:
        output = await super().generate(input_batch, disable_tqdm)
        lost = [row for row, metrics in enumerate(output["env_metrics"]) if metrics.get("infra_failed")]
        if lost:
            _mask_groups(output, output["trajectory_ids"] or input_batch.get("trajectory_ids"), lost)
        return output

    def _empty(self, prompt: Any) -> Any:
        """In the place of a lost rollout: its prompt, and one token that is not trained on."""
        if self.generator_cfg.inference_engine.enable_return_routed_experts:
            raise ValueError('SandlotEnv.on_failure: expected "raise" with enable_return_routed_experts, got "mask"')
        shape = self.generator_cfg.chat_template_kwargs
        prompt_ids = self.tokenizer.apply_chat_template(
            prompt, add_generation_prompt=True, tokenize=True, return_dict=False, **shape
        )
        output = TrajectoryOutput(
            response_ids=[self.tokenizer.eos_token_id],
            reward=0.0 if self.custom_chat_template else [0.0],
            stop_reason="stop",
            loss_mask=[0],
            prompt_ids=prompt_ids,
            rollout_logprobs=[0.0],
            env_metrics=report_of_lost(),
        )
        return StepWiseOutput([output]) if self.generator_cfg.step_wise_trajectories else output


def _mask_groups(output: Any, trajectory_ids: Any, lost: list[int]) -> None:
    """
    No row of a group with a lost one is trained on. The lost ones get the mean of the others as a reward, since SkyRL
    logs those of every row. Raises `Lost` when no group is whole.
    """
    if trajectory_ids is None:
        raise Lost("on_failure: mask needs trajectory_ids in the input: they say which rows are a group", again=False)
    groups = [one.instance_id for one in trajectory_ids]
    spoiled = {groups[row] for row in lost}
    if spoiled == set(groups):
        raise Lost(f"{len(lost)} rollouts were lost, one or more of each group: nothing is left to train on", again=False)
    last = output["is_last_step"] or [True] * len(groups)
    for group in spoiled:
        rows = [row for row, one in enumerate(groups) if one == group]
        scores = [_total(output["rewards"][row]) for row in rows if last[row] and row not in lost]
        for row in rows:
            output["loss_masks"][row] = [0] * len(output["loss_masks"][row])
            if row in lost:
                mean = sum(scores) / len(scores) if scores else 0.0
                output["rewards"][row] = [mean] if isinstance(output["rewards"][row], list) else mean
    log.error("%d rollouts were lost: not trained on are the groups %s", len(lost), ", ".join(sorted(spoiled)))


def _total(reward: float | list[float]) -> float:
    return float(sum(reward) if isinstance(reward, list) else reward)


def _of(env_class: str, name: str, default: Any) -> Any:
    """What `skyrl_gym.register` was told."""
    return skyrl_gym.spec(env_class).kwargs.get(name, default)
