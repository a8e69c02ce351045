"""
Sandlot as an environment of TRL's GRPOTrainer: `environment_factory=partial(SandlotEnvironment, server="HOST:PORT")`.

The public methods are what the model can call; TRL makes a tool of each of them.
"""

from __future__ import annotations

import asyncio
import functools
import inspect
import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any

import sandlot

from .attempt import Attempt, Lost, attempt, task_of
from .background import shared
from .settings import Settings

log = logging.getLogger("sandlot")

_TOOLS = ("bash", "submit_solution")
_OVER = "The task is over: nothing that you do changes it any more."
# Here too, and not by their environments alone: of what is collected together with its environment, asyncio closes the parts
# in any order, the connection before the release.
_held: set[AbstractAsyncContextManager[Attempt]] = set()


class SandlotEnvironment:
    """
    One rollout slot of the trainer: `reset` begins a trajectory, `get_reward` ends it. The reward is None, which GRPOTrainer
    counts in no group's mean and gives no advantage, when the infrastructure left no valid verdict. Settings: those of
    `sandlot.adapters.settings.Settings`, but for `on_failure`.
    """

    def __init__(self, **settings: Any) -> None:
        if "on_failure" in settings:
            raise ValueError("SandlotEnvironment.on_failure: TRL leaves out a sample without a reward, there is no choice")
        self._settings = Settings.read(settings, "SandlotEnvironment")
        self._holding: AbstractAsyncContextManager[Attempt] | None = None
        self._attempt: Attempt | None = None
        self._finishing: asyncio.Future[float | None] | None = None
        self.lost: Lost | None = None
        """Why there is no reward, if so."""

    def reset(self, **row: Any) -> None:
        """
        A new trajectory for a row with a column `task_id` (or `extra_info.task_id`). What the infrastructure spoils is tried
        `retries` times more, and then the row has no reward; a wrong set-up raises, and training stops.
        """
        task_id = task_of(row)
        shared().wait(self._begin(task_id))

    async def bash(self, command: str) -> str:
        """
        Runs a bash command and returns its output. The working directory and exported variables are kept between calls.

        Args:
            command: The command; several lines are fine.
        """
        return await self._call("bash", {"command": command})

    async def submit_solution(self) -> str:
        """Submits the repository as it is, for the hidden tests to judge. Do it once, in the end."""
        return await self._call("submit_solution", {})

    async def get_reward(self) -> float | None:
        return await shared().run(self._finish_once())

    @property
    def grade(self) -> sandlot.Grade | None:
        """The judgement on the rollout, for reward functions of one's own: they get `environments`."""
        return self._attempt.grade if self._attempt else None

    @property
    def trajectory_id(self) -> str:
        return self._attempt.id if self._attempt else ""

    async def _begin(self, task_id: str) -> None:
        await self._release()
        self._attempt = self.lost = self._finishing = None
        for _ in range(self._settings.retries + 1):
            labels = {"trainer": "trl"}
            holding = attempt(self._settings, task_id, group=None, labels=labels, tools=_TOOLS)
            try:
                self._attempt = await holding.__aenter__()
            except Lost as lost:
                self.lost = lost
                log.warning("no trajectory for %s: %s", task_id, lost)
                if not lost.again:
                    return
            else:
                self._holding, self.lost = holding, None
                _held.add(holding)
                return

    async def _call(self, tool: str, arguments: Mapping[str, Any]) -> str:
        if self._attempt is None or self._attempt.over:
            return _OVER
        return await shared().run(self._attempt.call(tool, arguments))

    async def _finish_once(self) -> float | None:
        """The same for all who ask, who may come together: TRL, and reward functions that wait for it."""
        if self._finishing is None:
            self._finishing = asyncio.ensure_future(self._finish())
        return await asyncio.shield(self._finishing)

    async def _finish(self) -> float | None:
        """The verdict, and the sandbox released."""
        if self._attempt is not None:
            await self._attempt.settle()
            self.lost = self._attempt.lost
            await self._release()
        if self._attempt is None or self.lost is not None:
            log.error("trajectory %s has no reward and is left out: %s", self.trajectory_id or "(none)", self.lost)
            return None
        return self._attempt.reward

    async def _release(self) -> None:
        holding, self._holding = self._holding, None
        if holding is not None:
            _held.discard(holding)
            await holding.__aexit__(None, None, None)

    def __del__(self) -> None:
        if getattr(self, "_holding", None) is not None:
            shared().end(self._release())


def unless_lost(function: Callable[..., Any]) -> Callable[..., Any]:
    """
    A reward function beside the verdict, sync or async: its reward too is None for a sample without a verdict. GRPOTrainer adds
    up those that there are, and would count the verdict as 0.
    """

    @functools.wraps(function)
    async def guarded(*, environments: Sequence[Any], **given: Any) -> list[float | None]:
        rewards = function(environments=environments, **given)
        if inspect.isawaitable(rewards):
            rewards = await rewards
        await asyncio.gather(*(one.get_reward() for one in environments if isinstance(one, SandlotEnvironment)))
        lost = [isinstance(one, SandlotEnvironment) and one.lost is not None for one in environments]
        return [None if gone else reward for gone, reward in zip(lost, rewards, strict=True)]

    return guarded
