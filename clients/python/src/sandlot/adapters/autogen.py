"""
Sandlot as a workbench of AutoGen 0.7: `AssistantAgent(..., workbench=SandlotWorkbench("task", server="HOST:PORT"))`.

The agent has the stages of a run as tools (`swe_clone`, `swe_install`, `swe_apply_patch`, `swe_pytest`), each with its budget
of seconds on the server, and `submit_solution`.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any

from autogen_agentchat.base import TerminationCondition
from autogen_agentchat.conditions import FunctionalTermination
from autogen_agentchat.messages import BaseAgentEvent, BaseChatMessage, ToolCallExecutionEvent
from autogen_core import CancellationToken
from autogen_core.models import RequestUsage
from autogen_core.tools import TextResultContent, ToolResult, ToolSchema, Workbench
from pydantic import BaseModel

import sandlot

from .attempt import Attempt, Lost, attempt
from .settings import Settings

TOOLS = ("swe_clone", "swe_install", "swe_apply_patch", "swe_pytest", "submit_solution")
PASSED = re.compile(r"^=* ?(?!.*\b(?:failed|errors?)\b).*\b\d+ passed\b.* in [\d.]+s\b", re.MULTILINE)
"""The last line that pytest prints of tests that passed."""
_OVER = "The task is over: nothing that you do changes it any more."


class SandlotWorkbench(Workbench):  # type: ignore[misc,unused-ignore]
    """
    One trajectory, from `start` to `stop` (or `async with`). No call of a tool raises, for AutoGen would wait for ever: what
    the infrastructure spoils ends the run by `ending`, and `submit` raises `Lost`. Settings: those of
    `sandlot.adapters.settings.Settings`, but for `retries`, `on_failure` and `grade_unsubmitted`, which are the caller's to decide.
    """

    component_provider_override = "sandlot.adapters.autogen.SandlotWorkbench"

    def __init__(self, task_id: str, *, tools: Sequence[str] = TOOLS, **settings: Any) -> None:
        for name in ("retries", "on_failure", "grade_unsubmitted"):
            if name in settings:
                raise ValueError(f"SandlotWorkbench.{name}: expected no such setting, a workbench is one attempt")
        self._task_id = task_id
        self._tools = tuple(tools)
        self._settings = Settings.read({**settings, "grade_unsubmitted": True}, "SandlotWorkbench")
        self._holding: AbstractAsyncContextManager[Attempt] | None = None
        self._attempt: Attempt | None = None

    async def start(self) -> None:
        """Creates the trajectory. A second time it does nothing. Raises `Lost` when the infrastructure has none to give."""
        if self._holding is None:
            labels = {"trainer": "autogen"}
            holding = attempt(self._settings, self._task_id, group=None, labels=labels, tools=self._tools)
            self._attempt = await holding.__aenter__()
            self._holding = holding

    async def stop(self) -> None:
        """Releases the trajectory. Idempotent."""
        holding, self._holding = self._holding, None
        if holding is not None:
            await holding.__aexit__(None, None, None)

    async def reset(self) -> None:
        """Another trajectory on the same task."""
        await self.stop()
        await self.start()

    async def list_tools(self) -> list[ToolSchema]:
        return [ToolSchema(**tool["function"]) for tool in self.attempt.tools]

    async def call_tool(
        self,
        name: str,
        arguments: Mapping[str, Any] | None = None,
        cancellation_token: CancellationToken | None = None,
        call_id: str | None = None,
    ) -> ToolResult:
        if self.over:
            return _told(name, _OVER, is_error=True)
        call = asyncio.ensure_future(self.attempt.call(name, json.dumps(arguments or {})))
        if cancellation_token is not None:
            cancellation_token.link_future(call)
        text = await call
        return _told(name, text, is_error=self.attempt.lost is not None)

    async def submit(self) -> sandlot.Grade:
        """The verdict on the work tree as it is, or as the model submitted it. Raises `Lost` when there is none: no sample, no 0."""
        await self.attempt.settle()
        if self.attempt.lost is not None:
            raise self.attempt.lost
        if self.attempt.grade is None:
            raise Lost(f"trajectory {self.attempt.id} ended without a verdict", again=False)
        return self.attempt.grade

    @property
    def problem(self) -> str:
        """The task in words: what to give to `run(task=...)`."""
        return str(self.attempt.messages[-1]["content"])

    @property
    def trajectory_id(self) -> str:
        return self.attempt.id

    @property
    def over(self) -> bool:
        """Submitted, out of budget, or spoiled."""
        return self.attempt.over

    def ending(self, pattern: re.Pattern[str] = PASSED) -> TerminationCondition:
        """
        For the team: `swe_pytest` printed a line like the pattern, or the trajectory is over. The team's `max_turns` is the
        third end.
        """

        def ended(messages: Sequence[BaseAgentEvent | BaseChatMessage]) -> bool:
            return self.over or any(pattern.search(text) for text in _printed(messages, "swe_pytest"))

        return FunctionalTermination(ended)

    @property
    def attempt(self) -> Attempt:
        """Of the trajectory that was started last."""
        if self._attempt is None:
            raise RuntimeError("the workbench is not started: `async with workbench`, or `await workbench.start()`")
        return self._attempt

    async def save_state(self) -> Mapping[str, Any]:
        """Nothing: the state is the server's, and a trajectory belongs to one workbench."""
        return {}

    async def load_state(self, state: Mapping[str, Any]) -> None:
        if state:
            raise NotImplementedError("a trajectory is not taken up by another workbench")

    def _to_config(self) -> BaseModel:
        raise NotImplementedError("a workbench holds a token and a live trajectory: make it in Python")


def usage(messages: Iterable[Any]) -> RequestUsage:
    """The tokens of all the messages of a `TaskResult`, as far as the model's client counts them."""
    counted = [message.models_usage for message in messages if getattr(message, "models_usage", None)]
    return RequestUsage(sum(one.prompt_tokens for one in counted), sum(one.completion_tokens for one in counted))


def _printed(messages: Iterable[BaseAgentEvent | BaseChatMessage], tool: str) -> Iterator[str]:
    for message in messages:
        if isinstance(message, ToolCallExecutionEvent):
            yield from (result.content for result in message.content if result.name == tool)


def _told(name: str, text: str, *, is_error: bool) -> ToolResult:
    return ToolResult(name=name, result=[TextResultContent(content=text)], is_error=is_error)
