"""
The tools of a Sandlot task for verl's `tool_config.yaml`.

With `SandlotAgentLoop` they only carry the schemas. With verl's own loop, `tool_agent`, they also work: the first call
of a trajectory creates it, and `reward.compute_score` reads what became of it.
"""

from __future__ import annotations

import asyncio
import json
import weakref
from contextlib import AsyncExitStack
from typing import Any

from verl.tools.base_tool import BaseTool
from verl.tools.schemas import OpenAIFunctionToolSchema, ToolResponse

import sandlot

from ..attempt import Attempt, Lost, attempt, log, report_of_lost
from ..settings import Settings
from .row import task_of_tool

REPORT = "sandlot"
"""The extra field of a trajectory with its report, for `compute_score`."""
PROBLEM = "sandlot_problem"
"""The extra field that says why there is no reward."""

_BASH = {
    "name": "bash",
    "description": "Runs a bash command in the repository and returns its output. The working directory and exported "
    "variables are kept between calls. There is no terminal and no input.",
    "parameters": {
        "type": "object",
        "properties": {"command": {"type": "string", "description": "The command; several lines are fine."}},
        "required": ["command"],
    },
}
_SUBMIT = {
    "name": "submit_solution",
    "description": "Submits the work tree as the solution and ends the task. Call it once, when you are done.",
    "parameters": {"type": "object", "properties": {}, "required": []},
}


class SandlotTool(BaseTool):  # type: ignore[misc,unused-ignore]
    """Any tool of a Sandlot server, by the schema in the YAML. Opens nothing when made: verl's driver makes it too."""

    schema: dict[str, Any] | None = None

    def __init__(self, config: dict[str, Any], tool_schema: OpenAIFunctionToolSchema | None) -> None:
        if tool_schema is None and self.schema is not None:
            wire = {"type": "function", "function": self.schema}
            tool_schema = OpenAIFunctionToolSchema.model_validate(wire)
        if tool_schema is None:
            raise ValueError(f"tool_config: {type(self).__name__} needs a tool_schema")
        super().__init__(config, tool_schema)
        block = {key: value for key, value in config.items() if key != "type"}
        self._settings = Settings.read(block, f"tool_config: {self.name}.config")

    async def execute(
        self, instance_id: str, parameters: Any, *, agent_data: Any, **_: Any
    ) -> tuple[ToolResponse, None, dict[str, Any]]:
        """Under verl's own loop. Never raises: that loop would show the error to the policy and go on to a reward."""
        try:
            session = await _session(agent_data, self.name, self._settings)
        except (Lost, sandlot.SandlotError, ValueError) as problem:
            log.error("no reward for this sample: %s", problem)
            agent_data.extra_fields.update({REPORT: report_of_lost(), PROBLEM: str(problem)})
            return ToolResponse(text="The sandbox is not available."), None, {}
        text = await session.call(self.name, json.dumps(parameters))
        if session.over:
            await session.settle()
        problem_text = str(session.lost) if session.lost else ""
        agent_data.extra_fields.update({REPORT: session.report(), PROBLEM: problem_text})
        return ToolResponse(text=text), None, {}


class BashTool(SandlotTool):
    schema = _BASH


class SubmitSolutionTool(SandlotTool):
    schema = _SUBMIT


async def _session(agent_data: Any, tool: str, settings: Settings) -> Attempt:
    """The attempt of this trajectory, the same for calls that come together. It ends when verl drops its data."""
    opening: asyncio.Task[Attempt] | None = getattr(agent_data, "_sandlot", None)
    if opening is None:
        stack = AsyncExitStack()
        opening = asyncio.create_task(_opened(stack, agent_data.tools_kwargs, tool, settings))
        agent_data._sandlot = opening
        weakref.finalize(agent_data, _close_soon, asyncio.get_running_loop(), stack)
    return await asyncio.shield(opening)


async def _opened(stack: AsyncExitStack, tools_kwargs: Any, tool: str, settings: Settings) -> Attempt:
    task_id = task_of_tool(tools_kwargs, tool)
    if task_id is None:
        raise ValueError(
            f"expected a string at extra_info.tools_kwargs.{tool}.create_kwargs.task_id, got {tools_kwargs!r:.200}"
        )
    context = attempt(settings, task_id, group=None, labels={}, tools=("bash", "submit_solution"))
    return await stack.enter_async_context(context)


def _close_soon(loop: asyncio.AbstractEventLoop, stack: AsyncExitStack) -> None:
    """Called wherever the garbage collector is; a loop that is closed leaves it to the lease."""
    try:
        loop.call_soon_threadsafe(lambda: _closing.add(loop.create_task(_closed(stack))))
    except RuntimeError:
        log.warning("a trajectory is left to its lease: the event loop of its worker is closed")


async def _closed(stack: AsyncExitStack) -> None:
    try:
        await stack.aclose()
    finally:
        task = asyncio.current_task()
        if task is not None:
            _closing.discard(task)


_closing: set[asyncio.Task[None]] = set()
