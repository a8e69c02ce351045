"""One attempt in the fake: a serial queue over files in memory, with the states and the answers of the real one."""

from __future__ import annotations

import asyncio
import shlex
import time
import uuid
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from .._gen import grade_pb2, rollout_service_pb2, sandbox_service_pb2, trajectory_pb2
from ..errors import EndedError, UnsupportedError
from .calls import Calls, Fence
from .editor import Editor, Refused
from .live import Live
from .shell import Shell
from .tasks import TOOLS, WORKDIR, FakeTask, tool_schema
from .text import asked, object_of, tool_message, user_message


class FakeTrajectory:
    def __init__(
        self, name: str, request: rollout_service_pb2.CreateRequest, task: FakeTask, limits: trajectory_pb2.Limits
    ) -> None:
        self.id = name
        self.request = request
        self.task = task
        self.limits = limits
        self.bare = request.HasField("sandbox")
        self.tools = [] if self.bare else list(request.tools) or list(TOOLS)
        self.created_at = time.time()
        self.lease_s = request.lease_ms / 1000
        self.lease_ends = time.monotonic() + self.lease_s
        self.state = trajectory_pb2.STATE_ACTIVE
        self.ending = trajectory_pb2.ENDING_UNSPECIFIED
        self.final: grade_pb2.Grade | None = None
        self.last_step = self.turns = self.harness_calls = 0
        self.lines: list[dict[str, Any]] = []
        self.gone: Callable[[], None] = lambda: None
        self.shell = Shell(task.tree(), WORKDIR, {"HOME": "/root"})
        self._editor = Editor(self.shell)
        self.live: dict[str, Live] = {}
        self._began = time.monotonic()
        self._grading: asyncio.Task[grade_pb2.Grade] | None = None
        self._calls = Calls(self.refuse_ended, self._unordered)
        self._running: tuple[str, asyncio.Task[int]] | None = None
        self._programs: dict[str, asyncio.Task[int]] = {}
        self._ending: asyncio.Task[None] | None = None
        self._note("created", version=1, id=name)

    def wire(self, full: bool = True) -> trajectory_pb2.Trajectory:
        over = self.state == trajectory_pb2.STATE_ENDED
        told = trajectory_pb2.Trajectory(
            id=self.id,
            task_id=self.task.id,
            attempt_id=self.request.attempt_id,
            pool=self.request.pool or "default",
            group=self.request.group if self.request.HasField("group") else None,
            labels=self.request.labels,
            state=self.state,
            ending=self.ending,
            messages=self.task.messages() if full and not self.bare and not over else [],
            tools=[tool_schema(name) for name in self.tools] if full and not over else [],
            limits=self.limits,
            last_step=self.last_step,
            grade=self.final,
            workdir=WORKDIR,
            left=self.left(),
            harness_calls=self.harness_calls,
            bare=self.bare,
        )
        told.created_at.FromMicroseconds(int(self.created_at * 1e6))
        if not over:
            told.lease_until.FromMicroseconds(int((time.time() + self.lease_ends - time.monotonic()) * 1e6))
        return told

    def left(self) -> trajectory_pb2.Budget:
        return trajectory_pb2.Budget(
            steps=max(0, self.limits.max_steps - self.last_step),
            turns=max(0, self.limits.max_turns - self.turns),
            wall_ms=max(0, self.limits.wall_ms - int((time.monotonic() - self._began) * 1000)),
        )

    def renew(self, lease_ms: int = 0) -> None:
        if lease_ms:
            self.lease_s = lease_ms / 1000
        self.lease_ends = time.monotonic() + self.lease_s

    def expired(self) -> bool:
        if self._calls.attached:
            self.renew()
        return time.monotonic() > self.lease_ends

    def refuse_ended(self) -> None:
        if self._ending is not None:
            raise EndedError(f"trajectory {self.id} is over", trajectory_id=self.id)

    def refuse_bare(self) -> None:
        if self.bare:
            raise UnsupportedError(f"{self.id} is a bare sandbox: it has no steps and no grade", field="trajectory_id")

    async def execute(
        self, request: rollout_service_pb2.ExecuteRequest, remaining: float | None
    ) -> trajectory_pb2.Result:
        self.refuse_bare()
        self.renew()
        digest = ("step", request.tool, request.arguments_json, request.timeout_ms)
        fence = Fence(request.step, lambda: self.last_step + self._calls.queued["step"] + 1, "step")

        def work() -> Awaitable[trajectory_pb2.Result]:
            own = (request.call_id, request.tool, request.arguments_json, request.timeout_ms)
            return self._calls.in_queue(lambda: self._one(*own, f"c:{request.call_id}"), "step")

        return await self._calls.answer(f"c:{request.call_id}", digest, work, fence, remaining)

    async def step(self, request: rollout_service_pb2.StepRequest, remaining: float | None) -> trajectory_pb2.Turn:
        self.refuse_bare()
        self.renew()
        calls, problem = asked(request)
        said = request.calls.SerializeToString() if request.WhichOneof("action") == "calls" else request.text
        digest = ("turn", request.format, said)
        fence = Fence(request.turn, lambda: self.turns + self._calls.queued["turn"] + 1, "turn")

        def work() -> Awaitable[trajectory_pb2.Turn]:
            return self._calls.in_queue(lambda: self._turn(request.call_id, calls, problem), "turn")

        return await self._calls.answer(f"c:{request.call_id}", digest, work, fence, remaining)

    async def grade(self, request: rollout_service_pb2.GradeRequest) -> grade_pb2.Grade:
        self.refuse_bare()
        if self.final is not None:
            return self.final
        self.refuse_ended()
        self.renew()
        if request.finalize or self.state == trajectory_pb2.STATE_GRADING:
            submitted = self._spent() is None
            return await self._calls.answer(
                "final", (), lambda: self._calls.in_queue(lambda: self._finalize(submitted))
            )
        return await self._calls.answer(f"g:{request.call_id or uuid.uuid4().hex}", (), self._look)

    async def interrupt(self, call_id: str) -> None:
        if self._running and call_id in ("", self._running[0]):
            self._running[1].cancel()
        if call_id in self._programs:
            self._programs[call_id].cancel()

    async def end(self, ending: trajectory_pb2.Ending) -> None:
        """The first ending counts."""
        self._ending = self._ending or asyncio.ensure_future(self._end(ending))
        await asyncio.shield(self._ending)

    async def exec(self, request: sandbox_service_pb2.ExecRequest) -> sandbox_service_pb2.ExecResult:
        digest = (
            "exec",
            *request.argv,
            *sorted(request.env.items()),
            request.workdir,
            request.stdin,
            request.timeout_ms,
        )
        self.renew()
        return await self._calls.answer(f"x:{request.call_id}", digest, lambda: self._exec(request))

    def output(self, key: str) -> Live:
        """Of the command of a call."""
        return self.live.setdefault(key, Live())

    async def write(self, place: sandbox_service_pb2.FileChunk, data: bytes) -> sandbox_service_pb2.WriteFileResponse:
        digest = ("write", place.path, data)
        self.renew()
        return await self._calls.answer(f"x:{place.call_id}", digest, lambda: self._write(place.path, data))

    def refuse_inactive(self) -> None:
        self.refuse_ended()
        if self.state != trajectory_pb2.STATE_ACTIVE:
            raise EndedError(
                f"trajectory {self.id} was submitted: its sandbox takes no more calls", trajectory_id=self.id
            )

    async def _one(self, call_id: str, tool: str, arguments: str, timeout_ms: int, key: str) -> trajectory_pb2.Result:
        result = trajectory_pb2.Result(step=self.last_step, call_id=call_id, tool=tool, left=self.left())
        if self.final is not None:
            result.text, result.kind, result.terminated = (
                "This trajectory has been submitted.",
                trajectory_pb2.RESULT_KIND_DONE,
                True,
            )
            result.grade.CopyFrom(self.final)
            return result
        spent = self._spent()
        if spent is not None:
            result.text, result.kind, result.truncated = (
                f"Nothing was run: {spent}.",
                trajectory_pb2.RESULT_KIND_OUT_OF_BUDGET,
                True,
            )
            return result
        self.last_step += 1
        result.step = self.last_step
        self._note("step", key=key, step=result.step, tool=tool, argumentsJson=arguments)
        given = object_of(arguments)
        command = given.get("command")
        if tool == "submit_solution" and tool in self.tools:
            final = await self._finalize(True)
            result.text, result.kind, result.terminated = "Submitted.", trajectory_pb2.RESULT_KIND_DONE, True
            result.grade.CopyFrom(final)
        elif tool == "str_replace_editor" and tool in self.tools and given:
            try:
                result.text, result.kind = self._editor.run(given), trajectory_pb2.RESULT_KIND_OK
            except Refused as refused:
                result.text, result.kind = str(refused), trajectory_pb2.RESULT_KIND_TOOL_ERROR
        elif tool != "bash" or tool not in self.tools or not isinstance(command, str):
            result.kind, result.text = trajectory_pb2.RESULT_KIND_TOOL_ERROR, f"The call of {tool!r} cannot be used."
        else:
            await self._bash(result, command, timeout_ms, self.output(key))
        result.left.CopyFrom(self.left())
        result.truncated = not result.terminated and 0 in (result.left.steps, result.left.turns, result.left.wall_ms)
        self._note("result", key=key, text=result.text)
        return result

    async def _bash(self, result: trajectory_pb2.Result, command: str, timeout_ms: int, live: Live) -> None:
        most = self.limits.command_ms
        result.timeout_ms = min(timeout_ms or most, most, max(1000, self.left().wall_ms))
        kind, code = await self._run(self.shell, command, b"", result.timeout_ms, live.hear, result.call_id)
        raw = live.raw
        result.kind, result.output_bytes = kind, len(raw)
        if code is None:
            result.signal = 9
        else:
            result.exit_code = code
        cap = self.limits.output_bytes
        result.output_truncated = len(raw) > cap
        result.text = (raw if len(raw) <= cap else raw[: cap // 2] + b"\n...\n" + raw[-cap // 2 :]).decode(
            "utf-8", "replace"
        )

    async def _run(
        self,
        shell: Shell,
        command: str,
        stdin: bytes,
        timeout_ms: int,
        heard: Callable[[str, bytes], None],
        call_id: str,
        step: bool = True,
    ) -> tuple[trajectory_pb2.ResultKind, int | None]:
        """What became of it, and the exit code of one that came to its end."""
        shell.output = heard
        task = asyncio.ensure_future(shell.run(command, stdin))
        if step:
            self._running = (call_id, task)
        else:
            self._programs[call_id] = task
        try:
            done, _ = await asyncio.wait([task], timeout=timeout_ms / 1000)
            if not done:
                task.cancel()
                return trajectory_pb2.RESULT_KIND_TIMED_OUT, None
            if task.cancelled():
                return trajectory_pb2.RESULT_KIND_INTERRUPTED, None
            return trajectory_pb2.RESULT_KIND_OK, task.result()
        finally:
            if step:
                self._running = None
            else:
                self._programs.pop(call_id, None)

    async def _turn(
        self, call_id: str, calls: Sequence[rollout_service_pb2.ToolCall], problem: str
    ) -> trajectory_pb2.Turn:
        turn = trajectory_pb2.Turn(turn=self.turns, left=self.left())
        if self.final is not None or turn.left.turns == 0:
            over = self.final is not None
            text = (
                "This trajectory has been submitted."
                if over
                else f"Nothing was run: all {self.limits.max_turns} turns are used."
            )
            turn.terminated, turn.truncated = over, not over
            turn.observations.extend([tool_message(call, text) for call in calls] or [user_message(text)])
        else:
            self.turns += 1
            turn.turn = self.turns
            self._note("turn", key=f"c:{call_id}", turn=self.turns)
            for index, call in enumerate(calls):
                result = await self._one(
                    f"{call_id}/{index}", call.name, call.arguments_json, 0, f"t{turn.turn}.{index}"
                )
                turn.results.append(result)
                turn.observations.append(tool_message(call, result.text))
                if result.terminated:
                    break
            if problem:
                turn.parse_error = problem
                turn.observations.append(user_message(problem))
            turn.left.CopyFrom(self.left())
            turn.terminated = any(result.terminated for result in turn.results)
            turn.truncated = not turn.terminated and 0 in (turn.left.steps, turn.left.turns, turn.left.wall_ms)
            self._note("turn_result", key=f"c:{call_id}")
        if turn.terminated and self.final is not None:
            turn.grade.CopyFrom(self.final)
            if self.final.HasField("reward"):
                turn.reward = self.final.reward
        return turn

    async def _finalize(self, submitted: bool) -> grade_pb2.Grade:
        if self.final is not None:
            return self.final
        self.state = trajectory_pb2.STATE_GRADING
        self._note("grading", key="grade:final", final=True)
        self._note("submission")
        self._grading = asyncio.ensure_future(self.task.judge(dict(self.shell.files)))
        self.gone()
        try:
            grade = await self._grading
        except asyncio.CancelledError:
            grade = grade_pb2.Grade(id=uuid.uuid4().hex, validity=grade_pb2.VALIDITY_CANCELLED)
        grade.submitted = submitted
        self.final, self.state = grade, trajectory_pb2.STATE_SUBMITTED
        self.ending = trajectory_pb2.ENDING_SUBMITTED
        self._note("grade", key="grade:final", final=True)
        return grade

    async def _look(self) -> grade_pb2.Grade:
        self._note("grading", final=False)
        files = await self._calls.in_queue(self._files)
        return await self.task.judge(files)

    async def _files(self) -> Mapping[str, bytes]:
        return dict(self.shell.files)

    async def _exec(self, request: sandbox_service_pb2.ExecRequest) -> sandbox_service_pb2.ExecResult:
        self.refuse_inactive()
        self.harness_calls += 1
        spec = self.request.sandbox
        env = {**self.shell.env, **spec.env, **request.env}
        shell = Shell(self.shell.files, request.workdir or spec.workdir or WORKDIR, env, self.shell.commands)
        self._note("exec", key=f"x:{request.call_id}", argv=list(request.argv))
        result = sandbox_service_pb2.ExecResult(timeout_ms=request.timeout_ms or self.limits.command_ms)
        live = self.output(f"x:{request.call_id}")
        words = list(request.argv)
        line = words[2] if words[:2] in (["bash", "-c"], ["sh", "-c"]) and len(words) > 2 else shlex.join(words)
        kind, code = await self._run(
            shell, line, request.stdin, result.timeout_ms, live.hear, request.call_id, step=False
        )
        result.kind, result.output_bytes = kind, len(live.raw)
        if code is None:
            result.signal = 9
        else:
            result.exit_code = code
        self._note("exec_result", key=f"x:{request.call_id}")
        return result

    async def _write(self, path: str, data: bytes) -> sandbox_service_pb2.WriteFileResponse:
        self.refuse_inactive()
        self.harness_calls += 1
        self._note("write", path=path)
        failure = "it is not a regular file" if self.shell.is_folder(path) else ""
        if not failure:
            self.shell.files[path] = data
        self._note("write_result")
        return sandbox_service_pb2.WriteFileResponse(failure=failure)

    async def _end(self, ending: trajectory_pb2.Ending) -> None:
        await asyncio.sleep(0)
        for task in [*self._programs.values(), *([self._running[1]] if self._running else [])]:
            task.cancel()
        if self._grading is not None:
            self._grading.cancel()
        async with self._calls.queue:
            valid = self.final is not None and self.final.validity != grade_pb2.VALIDITY_CANCELLED
            self.ending = trajectory_pb2.ENDING_SUBMITTED if valid else ending
            self.state = trajectory_pb2.STATE_ENDED
            self._note("ended", ending=trajectory_pb2.Ending.Name(self.ending).removeprefix("ENDING_"))
        self.gone()
        self._calls.ring()

    def _unordered(self) -> bool:
        return self.final is not None or (self._calls.waiting == 0 and self._spent() is not None)

    def _spent(self) -> str | None:
        left = self.left()
        if left.steps == 0:
            return f"all {self.limits.max_steps} steps are used"
        return f"all {self.limits.wall_ms // 1000} s of wall time are used" if left.wall_ms == 0 else None

    def _note(self, kind: str, **facts: Any) -> None:
        self.lines.append({"type": kind, "at": int(time.time() * 1000), **facts})
