"""verl's tool loop on a Sandlot trajectory: name it in `agent_loop.yaml`, never by `@register`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from omegaconf import OmegaConf
from verl.experimental.agent_loop.agent_loop import AgentLoopOutput
from verl.experimental.agent_loop.tool_agent_loop import AgentState, ToolAgentLoop
from verl.tools.schemas import ToolResponse

from ..attempt import Attempt, Lost, attempt, log, report_of_lost
from ..settings import Settings
from .row import Row
from .tools import SandlotTool

SUBMIT = "submit_solution"


class SandlotAgentLoop(ToolAgentLoop):  # type: ignore[misc,unused-ignore]
    """
    Plays one row: creates its trajectory, gives the model's tool calls to the server as they are written, ends with the
    submission and sets `reward_score`. One object plays one row; what the infrastructure spoils is played again.
    """

    def __init__(self, *args: Any, sandlot: Mapping[str, Any] | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        block = OmegaConf.to_container(sandlot, resolve=True) if OmegaConf.is_config(sandlot) else sandlot
        self._settings = Settings.read(block or {}, "agent_loop.yaml: sandlot")
        self._server_tools = [name for name, tool in self.tools.items() if isinstance(tool, SandlotTool)]
        if SUBMIT not in self._server_tools:
            raise ValueError(
                f"multi_turn.tool_config_path: expected the tools of sandlot.adapters.verl.tools, {SUBMIT} among them, "
                f"got {sorted(self.tools) or 'none'}"
            )
        self._attempt: Attempt | None = None

    async def run(self, sampling_params: dict[str, Any], **kwargs: Any) -> AgentLoopOutput | list[AgentLoopOutput]:
        """An empty list, where the trainer takes that, is a sample that infrastructure took: no row is trained on."""
        row = Row.read(kwargs, str(self.config.trainer.experiment_name))
        for redone in range(self._settings.retries + 1):
            output, report, lost = await self._play(row, sampling_params, kwargs)
            if lost is None or not lost.again:
                break
            log.warning("attempt %d at %s is void: %s", redone + 1, row.task_id, lost)
        if lost is not None:
            if row.droppable:
                log.error("sample %s of %s is dropped: %s", row.labels, row.task_id, lost)
                return []
            if self._settings.on_failure == "raise":
                raise RuntimeError(
                    f"no reward after {redone + 1} attempts, and this trainer cannot drop a sample: {lost}"
                )
            log.error("sample %s of %s gets reward 0 (on_failure: zero): %s", row.labels, row.task_id, lost)
            if output is None:  # there was no trajectory: one message of the model, to have something to train on
                output = await super().run(sampling_params, **kwargs)
        return _finished(output, {**report, "redone": float(redone)}, self._attempt)

    async def _play(
        self, row: Row, sampling_params: dict[str, Any], kwargs: dict[str, Any]
    ) -> tuple[AgentLoopOutput | None, dict[str, float], Lost | None]:
        self._attempt = None
        try:
            async with attempt(
                self._settings, row.task_id, group=row.group, labels=row.labels, tools=self._server_tools
            ) as self._attempt:
                output = await super().run(sampling_params, **kwargs)
                await self._attempt.settle()
                return output, self._attempt.report(), self._attempt.lost
        except Lost as lost:
            return None, report_of_lost(), lost

    async def _call_tool(
        self, tool_call: Any, tools_kwargs: dict[str, Any], agent_data: Any
    ) -> tuple[ToolResponse, float | None, dict[str, Any]]:
        """Other tools of the YAML stay verl's; every other name is the server's to answer, one that is unknown too."""
        if self._attempt is None or (tool_call.name in self.tools and tool_call.name not in self._server_tools):
            answer: tuple[ToolResponse, float | None, dict[str, Any]]
            answer = await super()._call_tool(tool_call, tools_kwargs, agent_data)
            return answer
        return ToolResponse(text=await self._attempt.call(tool_call.name, tool_call.arguments)), None, {}

    async def _handle_generating_state(self, agent_data: Any, *args: Any, **kwargs: Any) -> AgentState:
        """verl ends at its limits before it looks at the last message: a submission in it counts nonetheless."""
        agent_data.tool_calls = []
        state = await super()._handle_generating_state(agent_data, *args, **kwargs)
        if state is AgentState.TERMINATED and self._attempt is not None:
            if len(agent_data.response_mask) <= self.response_length:
                schemas = [tool.tool_schema for tool in self.tools.values()]
                _, calls = await self.tool_parser.extract_tool_calls(agent_data.response_ids, schemas)
                for call in calls[: self.max_parallel_calls]:
                    if call.name == SUBMIT:
                        await self._attempt.call(call.name, call.arguments)
        return state

    async def _handle_processing_tools_state(self, agent_data: Any) -> AgentState:
        """Once it is over no answer is appended: the last token is the model's, and it gets the reward."""
        if self._attempt is None:
            return AgentState.TERMINATED
        before = {name: _copied(getattr(agent_data, name)) for name in _GROWING}
        state = await super()._handle_processing_tools_state(agent_data)
        if not self._attempt.over:
            return state
        for name, value in before.items():
            setattr(agent_data, name, value)
        return AgentState.TERMINATED


_GROWING = ("prompt_ids", "response_mask", "response_logprobs", "user_turns")


def _copied(value: Any) -> Any:
    return list(value) if isinstance(value, list) else value


def _finished(output: AgentLoopOutput, report: dict[str, float], played: Attempt | None) -> AgentLoopOutput:
    output.reward_score = report["score"]
    output.extra_fields.update(
        {
            "reward_extra_info": report,
            "sandlot_trajectory": played.id if played else "",
            "sandlot_outcome": played.grade.outcome if played and played.grade else "",
        }
    )
    return output
