"""
Sandlot as an environment of OpenEnv (openenv-core 0.3): `app(server="HOST:PORT")` is what uvicorn serves, and
`SandlotEnvClient` what a trainer connects with. A WebSocket is a session, and an episode in it one trajectory.
"""

from __future__ import annotations

import os
from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import Any

from fastapi import FastAPI
from openenv.core.client_types import StepResult
from openenv.core.env_client import EnvClient
from openenv.core.env_server.http_server import create_fastapi_app
from openenv.core.env_server.interfaces import Environment
from openenv.core.env_server.types import Action, Observation, State
from pydantic import Field

from .attempt import Attempt, Lost, attempt
from .background import shared
from .settings import Settings

_TOOLS = ("bash", "submit_solution")


class SandlotAction(Action):  # type: ignore[misc,unused-ignore]
    """One tool call. Without a tool: the policy called none, and the episode is over."""

    tool: str = ""
    arguments: dict[str, Any] | str = Field(default_factory=dict)
    """Text that is no JSON goes to the policy's account, not to the caller's."""


class SandlotObservation(Observation):  # type: ignore[misc,unused-ignore]
    """`reward` is there when `done` is, and only then."""

    text: str = ""
    """What the policy reads."""
    messages: list[dict[str, Any]] = Field(default_factory=list)
    """The prompt, after a reset."""
    tools: list[dict[str, Any]] = Field(default_factory=list)
    """What the policy can call, in OpenAI function form, after a reset."""
    report: dict[str, float] = Field(default_factory=dict)
    """With `done`: `submitted`, `steps`, `tool_errors`, `out_of_budget`."""


class SandlotEnvironment(Environment[SandlotAction, SandlotObservation, State]):  # type: ignore[misc,unused-ignore]
    """
    One session. What the infrastructure spoils is an error of the call, never a 0. Settings: those of
    `sandlot.adapters.settings.Settings`, but for `on_failure`.
    """

    SUPPORTS_CONCURRENT_SESSIONS = True

    def __init__(self, **settings: Any) -> None:
        super().__init__()
        self._settings = _checked(settings)
        self._holding: AbstractAsyncContextManager[Attempt] | None = None
        self._attempt: Attempt | None = None
        self._state = State()

    async def reset_async(
        self, seed: int | None = None, episode_id: str | None = None, task_id: str = "", **kwargs: Any
    ) -> SandlotObservation:
        """A new trajectory; the one before is released. Made again `retries` times where that may help."""
        if not task_id:
            raise ValueError("reset: expected the argument `task_id`, got none")
        return await shared().run(self._begin(task_id, episode_id))

    async def step_async(
        self, action: SandlotAction, timeout_s: float | None = None, **kwargs: Any
    ) -> SandlotObservation:
        return await shared().run(self._step(action))

    def reset(
        self, seed: int | None = None, episode_id: str | None = None, task_id: str = "", **kwargs: Any
    ) -> SandlotObservation:
        return shared().wait(self.reset_async(seed, episode_id, task_id))

    def step(self, action: SandlotAction, timeout_s: float | None = None, **kwargs: Any) -> SandlotObservation:
        return shared().wait(self._step(action))

    @property
    def state(self) -> State:
        """`episode_id` (the trajectory, unless the caller named one), `step_count`, `trajectory_id` and `task_id`."""
        return self._state

    def close(self) -> None:
        """Idempotent. A server that is out of reach does it when the lease is over."""
        shared().wait(self._release())

    async def _begin(self, task_id: str, episode_id: str | None) -> SandlotObservation:
        await self._release()
        left = self._settings.retries
        while True:
            labels = {"trainer": "openenv"}
            holding = attempt(self._settings, task_id, group=None, labels=labels, tools=_TOOLS)
            try:
                self._attempt = await holding.__aenter__()
                break
            except Lost as lost:
                if not lost.again or left == 0:
                    raise
                left -= 1
        self._holding = holding
        one = self._attempt.id
        self._state = State(episode_id=episode_id or one, trajectory_id=one, task_id=task_id)
        return SandlotObservation(messages=self._attempt.messages, tools=self._attempt.tools)

    async def _step(self, action: SandlotAction) -> SandlotObservation:
        if self._attempt is None or self._holding is None:
            raise RuntimeError("step: expected a reset before, and none after the end of an episode, got neither")
        text = await self._attempt.call(action.tool, action.arguments) if action.tool else ""
        self._state.step_count += 1
        if action.tool and not self._attempt.over:
            return SandlotObservation(text=text)
        try:
            await self._attempt.settle()
        finally:
            await self._release()
        if self._attempt.lost is not None:
            raise self._attempt.lost
        return SandlotObservation(text=text, done=True, reward=self._attempt.reward, report=self._attempt.report())

    async def _release(self) -> None:
        holding, self._holding = self._holding, None
        if holding is not None:
            await holding.__aexit__(None, None, None)


class SandlotEnvClient(EnvClient[SandlotAction, SandlotObservation, State]):  # type: ignore[misc,unused-ignore]
    """OpenEnv's client, with the patience that a build, a test suite or a place in the queue needs."""

    def __init__(self, base_url: str, message_timeout_s: float = 7200.0, **settings: Any) -> None:
        super().__init__(base_url, message_timeout_s=message_timeout_s, **settings)

    def _step_payload(self, action: SandlotAction) -> dict[str, Any]:
        return dict(action.model_dump())

    def _parse_result(self, payload: dict[str, Any]) -> StepResult[SandlotObservation]:
        reward, done = payload.get("reward"), bool(payload.get("done"))
        observation = SandlotObservation(**payload["observation"], reward=reward, done=done)
        return StepResult(observation=observation, reward=reward, done=done)

    def _parse_state(self, payload: dict[str, Any]) -> State:
        return State(**payload)


def app(sessions: int = 256, **settings: Any) -> FastAPI:
    """For uvicorn: at most so many sessions at a time. Settings: those of `SandlotEnvironment`, checked at once."""
    _checked(settings)
    make = partial(SandlotEnvironment, **settings)
    made: FastAPI = create_fastapi_app(make, SandlotAction, SandlotObservation, max_concurrent_envs=sessions)
    return made


def from_environment() -> FastAPI:
    """`uvicorn --factory sandlot.adapters.openenv:from_environment`: SANDLOT_SERVER, SANDLOT_TOKEN."""
    server = os.environ.get("SANDLOT_SERVER", Settings.server)
    return app(server=server, token=os.environ.get("SANDLOT_TOKEN"))


def _checked(settings: dict[str, Any]) -> Settings:
    if "on_failure" in settings:
        raise ValueError("SandlotEnvironment.on_failure: what is lost is an error here, there is no choice")
    return Settings.read(settings, "SandlotEnvironment")
