"""
Sandlot in verifiers 0.4 (`verifiers.v1`): a taskset with the tasks of a server, and a harness that plays them there, in
the process of the rollout. Both have the plugin id `sandlot-verifiers`.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any

import verifiers.v1 as vf
from openai import APIError, AsyncOpenAI
from pydantic import Field, ValidationInfo, field_validator

from sandlot import sync

from .attempt import Attempt, Lost, attempt
from .settings import Settings

_TOOLS = ("bash", "submit_solution")
_SETTINGS = ("server", "pool", "grade_unsubmitted", "patience_s", "create_deadline_s", "lease_ms", "submit_feedback")


class SandlotTasksetConfig(vf.TasksetConfig):  # type: ignore[misc,unused-ignore]
    """Where the tasks come from."""

    server: str = "127.0.0.1:50051"
    token_variable: str = "SANDLOT_TOKEN"
    """Of the environment: configurations are written to disk, and a token is not."""
    tls: dict[str, str] = Field(default_factory=dict)
    """By the names of `sandlot.Tls`."""
    filter: str = "playable=true"
    """As of `Client.tasks`."""


class SandlotHarnessConfig(vf.HarnessConfig):  # type: ignore[misc,unused-ignore]
    """Where they are played. The keys are those of `sandlot.adapters.settings.Settings` that make sense here."""

    id: str = "sandlot-verifiers"
    server: str = "127.0.0.1:50051"
    token_variable: str = "SANDLOT_TOKEN"
    tls: dict[str, str] = Field(default_factory=dict)
    pool: str = ""
    grade_unsubmitted: bool = False
    patience_s: float = 600.0
    create_deadline_s: float = 3600.0
    lease_ms: int = 0
    submit_feedback: str = "none"
    limits: dict[str, int] = Field(default_factory=dict)
    labels: dict[str, str] = Field(default_factory=dict)

    @field_validator("server")
    @classmethod
    def _address(cls, value: str, info: ValidationInfo) -> str:
        Settings.read({"server": value}, "SandlotHarnessConfig")
        return value

    def settings(self) -> Settings:
        block = {name: getattr(self, name) for name in (*_SETTINGS, "tls", "limits", "labels")}
        return Settings.read({**block, "token": os.environ.get(self.token_variable)}, "SandlotHarnessConfig")


class SandlotState(vf.State):  # type: ignore[misc,unused-ignore]
    """What came of a rollout. `reward` is None before the verdict."""

    trajectory_id: str = ""
    reward: float | None = None
    outcome: str = ""
    report: dict[str, float] = Field(default_factory=dict)


class SandlotTask(vf.Task[vf.TaskData, SandlotState]):  # type: ignore[misc,unused-ignore]
    """Scored by the server. A rollout without a valid verdict has failed with `SandboxError`, and is not scored."""

    @property
    def key(self) -> str:
        return str(self.data.id)

    @vf.reward  # type: ignore[untyped-decorator,unused-ignore]
    async def verdict(self, trace: vf.Trace) -> float:
        """1 or 0. The policy that ran out of turns or time did not submit, and has 0."""
        return trace.state.reward or 0.0

    @vf.metric  # type: ignore[untyped-decorator,unused-ignore]
    async def sandlot(self, trace: vf.Trace) -> dict[str, float]:
        return dict(trace.state.report)


class SandlotTaskset(vf.Taskset[SandlotTask, SandlotTasksetConfig]):  # type: ignore[misc,unused-ignore]
    def load(self) -> Iterable[SandlotTask]:
        config = self.config
        with sync.connect(config.server, os.environ.get(config.token_variable), tls=config.tls) as client:
            found = [client.task(task.id) for task in client.tasks(config.filter)]
        for task in found:
            system = "\n\n".join(one["content"] for one in task.messages if one["role"] == "system")
            prompt = "\n\n".join(one["content"] for one in task.messages if one["role"] != "system")
            data = vf.TaskData(id=task.id, name=task.id, prompt=prompt, system_prompt=system or None)
            yield SandlotTask(data, config.task)


class SandlotHarness(vf.Harness[SandlotHarnessConfig]):  # type: ignore[misc,unused-ignore]
    """One trajectory for a rollout, released when it is over, whatever ends it."""

    APPENDS_SYSTEM_PROMPT = True
    EXECUTES_CODE = False  # nothing runs in the runtime that verifiers makes
    NEEDS_CONTAINER = False

    async def launch(
        self,
        ctx: Any,
        trace: vf.Trace,
        runtime: vf.Runtime,
        endpoint: str,
        secret: str,
        mcp_urls: dict[str, str],
        data: vf.TaskData,
    ) -> vf.ProgramResult:
        system, prompt = self.resolve_text_prompt(data)
        messages = [{"role": role, "content": text} for role, text in (("system", system), ("user", prompt)) if text]
        model = AsyncOpenAI(base_url=endpoint, api_key=secret, max_retries=0, timeout=None)
        try:
            async with attempt(
                self.config.settings(), str(data.id), group=None, labels={"trainer": "verifiers"}, tools=_TOOLS
            ) as one:
                trace.state.trajectory_id = one.id
                async with model:
                    await _talk(one, model, ctx.model, messages, trace)
                await one.settle()
                trace.state.report = one.report()
                if one.lost is not None:
                    raise one.lost
                trace.state.reward, trace.state.outcome = one.reward, one.grade.outcome if one.grade else ""
        except Lost as lost:
            raise vf.SandboxError(str(lost)) from lost
        return vf.ProgramResult(0, "", "")


async def _talk(one: Attempt, model: Any, name: str, messages: list[Any], trace: vf.Trace) -> None:
    """Until the policy calls no more tools, or nothing that it does changes anything any more."""
    while not one.over:
        try:
            reply = await model.chat.completions.create(model=name, messages=messages, tools=one.tools)
        except APIError:
            if trace.stop_condition is None:
                raise
            return  # verifiers refused the turn: a limit is reached
        said = reply.choices[0].message
        messages.append(said.model_dump(exclude_none=True))
        if not said.tool_calls:
            return
        for call in said.tool_calls:
            text = await one.call(call.function.name, call.function.arguments)
            messages.append({"role": "tool", "tool_call_id": call.id, "content": text})
