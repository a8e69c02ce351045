"""One attempt at one task, as its client holds it."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import AsyncIterator, Mapping, Sequence
from types import TracebackType
from typing import Any

from ._calls import SLACK_S, Calls, to_the_end
from ._gen import rollout_service_pb2 as pb
from ._heartbeats import Heartbeats
from ._wire import Message
from .errors import BusyError, ConnectionLost, InvalidError
from .results import Budget, Grade, Limits, Result, StreamEvent, Summary, Turn
from .sandbox import Sandbox

_GRACE_S = 10.0
#: So many tool calls a message is waited for when only its text is known.
_CALLS_IN_TEXT = 8


class Trajectory:
    """
    Made by `client.trajectory(...)`; `async with` creates it on the server and releases it at the end, also when the
    body raises or is cancelled. Calls are repeated with the same id until the server answers: none runs twice.
    """

    def __init__(
        self, calls: Calls, heartbeats: Heartbeats, request: pb.CreateRequest, deadline_s: float, lease_ms: int
    ) -> None:
        self._calls = calls
        self._heartbeats = heartbeats
        self._request = request
        self._deadline_s = deadline_s
        self._lease_ms = lease_ms
        self._summary: Summary | None = None
        self._released: Summary | None = None
        self._grade: Grade | None = None
        self._left: Budget | None = None

    async def __aenter__(self) -> Trajectory:
        return await self.open()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._released is None:
            await to_the_end(self.release, _GRACE_S, cancelled=error is not None and not isinstance(error, Exception))

    async def open(self) -> Trajectory:
        """What `async with` does first. Waits while the server is busy, up to the create deadline."""
        if self._summary is None:
            try:
                wire = await self._calls.unary("Create", self._request, deadline_s=self._deadline_s)
            except (asyncio.CancelledError, ConnectionLost, BusyError) as error:
                # The server may have made it, or may still: nobody will ask for it again.
                gone = pb.ReleaseRequest(attempt_ids=[self._request.attempt_id])
                await to_the_end(
                    lambda: self._calls.unary("Release", gone, patience_s=_GRACE_S),
                    _GRACE_S,
                    cancelled=isinstance(error, asyncio.CancelledError),
                )
                raise
            self._summary = Summary._from(wire)
            self._grade = self._summary.grade
            self._heartbeats.add(self.id, self._lease_ms / 1000)
        return self

    @property
    def summary(self) -> Summary:
        """What Create answered."""
        if self._summary is None:
            raise RuntimeError("this trajectory is not open: use `async with client.trajectory(...) as t`")
        return self._summary

    @property
    def id(self) -> str:
        return self.summary.id

    @property
    def task_id(self) -> str:
        return self.summary.task_id

    @property
    def attempt_id(self) -> str:
        """The idempotency key of its Create: the same one again, from any process, is this trajectory."""
        return self._request.attempt_id

    @property
    def messages(self) -> list[Message]:
        """The prompt: role and content."""
        return self.summary.messages

    @property
    def tools(self) -> list[dict[str, Any]]:
        """What the policy can call, in OpenAI function form."""
        return self.summary.tools

    @property
    def limits(self) -> Limits:
        return self.summary.limits

    @property
    def left(self) -> Budget:
        """What is left of the budget after the last call."""
        return self._left or self.summary.left

    @property
    def final_grade(self) -> Grade | None:
        """The final grade, once an answer brought it."""
        return self._grade

    @property
    def sandbox(self) -> Sandbox:
        """Its sandbox, for a harness: programs and files beside the steps. The record tells of them."""
        return Sandbox(self._calls, self.id, self.limits.command_ms)

    async def bash(self, command: str, *, timeout_ms: int = 0, step: int = 0, call_id: str | None = None) -> Result:
        """Runs a command with the tool `bash`."""
        return await self.execute("bash", {"command": command}, timeout_ms=timeout_ms, step=step, call_id=call_id)

    async def execute(
        self,
        tool: str,
        arguments: Mapping[str, Any] | str,
        *,
        timeout_ms: int = 0,
        step: int = 0,
        call_id: str | None = None,
    ) -> Result:
        """
        Runs one tool call. A string is sent raw, as the model wrote it. `step` is the number that this step must have
        (0 = next); `call_id` is given by those who want to find the result again from another process.
        """
        request = self._execution(tool, arguments, timeout_ms, step, call_id)
        answer = Result._from(await self._calls.unary("Execute", request, deadline_s=self._patient_s(timeout_ms)))
        self._seen(answer)
        return answer

    async def execute_stream(
        self,
        tool: str,
        arguments: Mapping[str, Any] | str,
        *,
        timeout_ms: int = 0,
        step: int = 0,
        call_id: str | None = None,
    ) -> AsyncIterator[StreamEvent]:
        """The same with live output; goes on where it was after a cut. The last event has the result."""
        request = self._execution(tool, arguments, timeout_ms, step, call_id)
        deadline_s = self._patient_s(timeout_ms)
        async for wire in self._calls.stream("ExecuteStream", lambda: request, deadline_s=deadline_s):
            event = StreamEvent._from(wire)
            request.from_offset = max(request.from_offset, event.offset + len(event.data))
            if event.result is not None:
                self._seen(event.result)
            yield event

    async def step(
        self,
        calls: Sequence[Mapping[str, Any]] | str,
        *,
        format: str = "",
        turn: int = 0,
        call_id: str | None = None,
    ) -> Turn:
        """
        Runs the tool calls of one assistant turn, possibly none. Each is `{"id", "name", "arguments"}` or OpenAI's
        `{"id", "function": {"name", "arguments"}}`. Or the message as the model wrote it, with the `format` in which
        its calls are written (`ServerInfo.formats`): then `Turn.parse_error` says why they could not be read, if so.
        """
        request = pb.StepRequest(trajectory_id=self.id, call_id=call_id or uuid.uuid4().hex, turn=turn, format=format)
        if isinstance(calls, str):
            request.text = calls
        else:
            request.calls.CopyFrom(pb.ToolCalls(calls=[_tool_call(call) for call in calls]))
        expected = _CALLS_IN_TEXT if isinstance(calls, str) else len(calls)
        deadline_s = self._patient_s() + expected * self.limits.command_ms / 1000
        answer = Turn._from(await self._calls.unary("Step", request, deadline_s=deadline_s))
        self._seen(answer)
        return answer

    async def submit(self) -> Grade:
        """Submits: the final grade. A second time it is the same grade."""
        request = pb.GradeRequest(trajectory_id=self.id, finalize=True)
        self._grade = Grade._from(await self._calls.unary("Grade", request, deadline_s=self._patient_s()))
        return self._grade

    async def grade(self) -> Grade:
        """Judges the work tree as it stands and disturbs nothing."""
        request = pb.GradeRequest(trajectory_id=self.id, call_id=uuid.uuid4().hex)
        return Grade._from(await self._calls.unary("Grade", request, deadline_s=self._patient_s()))

    async def interrupt(self, call_id: str = "") -> Summary:
        """Ends the running command, if any (only the one of `call_id`, if given); the trajectory goes on."""
        request = pb.InterruptRequest(trajectory_id=self.id, call_id=call_id)
        return Summary._from(await self._calls.unary("Interrupt", request))

    async def release(self) -> Summary:
        """Ends the trajectory and its sandbox. Idempotent."""
        if self._released is None:
            self._heartbeats.drop(self.id)
            answer = await self._calls.unary("Release", pb.ReleaseRequest(trajectory_ids=[self.id]))
            self._released = Summary._from(answer.trajectories[0]) if answer.trajectories else self.summary
        return self._released

    def _execution(
        self, tool: str, arguments: Mapping[str, Any] | str, timeout_ms: int, step: int, call_id: str | None
    ) -> pb.ExecuteRequest:
        return pb.ExecuteRequest(
            trajectory_id=self.id,
            call_id=call_id or uuid.uuid4().hex,
            step=step,
            tool=_utf8(tool),
            arguments_json=_raw(arguments),
            timeout_ms=timeout_ms,
        )

    def _patient_s(self, timeout_ms: int = 0) -> float:
        """Any call may have to wait for a grading run, and that one may be repeated once alone."""
        command_ms = max(self.limits.command_ms, timeout_ms)
        return (command_ms + 4 * self.limits.grade_ms) / 1000 + SLACK_S

    def _seen(self, answer: Result | Turn) -> None:
        self._grade = answer.grade or self._grade
        self._left = answer.left


def _tool_call(call: Mapping[str, Any]) -> pb.ToolCall:
    function = call.get("function", call) if isinstance(call, Mapping) else call
    if not isinstance(function, Mapping) or not isinstance(function.get("name"), str):
        raise InvalidError(f'calls: expected a tool call with a "name", got {call!r:.200}', field="calls")
    return pb.ToolCall(
        id=str(call.get("id") or ""), name=_utf8(function["name"]), arguments_json=_raw(function.get("arguments", ""))
    )


def _raw(arguments: Any) -> str:
    return _utf8(arguments) if isinstance(arguments, str) else json.dumps(arguments)


def _utf8(text: str) -> str:
    """A model can write half a surrogate pair; the wire cannot carry it."""
    return text.encode("utf-8", "replace").decode()
